"""CEL conditions; the library is imported only when a condition is there to compile."""

from __future__ import annotations

import importlib
from typing import Any

from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import ExpressionError

__all__ = ["Condition"]


class Condition:
    """A compiled CEL condition, with ``list.contains`` and the library's other extensions.

    Args:
        source: CEL.

    Raises:
        ExpressionError: It does not compile, or the CEL library is not installed.
    """

    __slots__ = ("_cel", "_program", "_stdlib", "source")

    def __init__(self, source: str) -> None:
        try:
            # By name, for the library is in an extra: a plugin without conditions is
            # tested without it.
            self._cel: Any = importlib.import_module("cel")
            self._stdlib: Any = importlib.import_module("cel.stdlib")
        except ImportError as error:
            raise ExpressionError(
                source, "common-expression-language is not installed",
                "pip install 'qtforge-sdk[testing]'",
            ) from error  # fmt: skip
        try:
            self._program = self._cel.compile(source)
        except (ValueError, TypeError, RuntimeError) as error:
            raise ExpressionError(source, str(error)) from error
        self.source = source

    def holds(self, **variables: object) -> bool:
        """Tell whether it holds; one that asks for a field that is not there does not.

        Raises:
            ExpressionError: It names an unknown variable or function, compares what can't
                be compared, or gives something else than true or false.
        """
        context = self._cel.Context(
            variables={name: to_plain(value) for name, value in variables.items()}
        )
        self._stdlib.add_stdlib_to_context(context)
        try:
            result = self._program.execute(context)
        except KeyError:
            return False
        except (ValueError, TypeError, RuntimeError, LookupError) as error:
            raise self._failed(str(error)) from error
        if not isinstance(result, bool):
            raise self._failed(f"it gives {result!r}, not true or false")
        return result

    def _failed(self, why: str) -> ExpressionError:
        return ExpressionError(self.source, why, "", "expression.failed")
