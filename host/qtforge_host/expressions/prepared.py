"""Names and values that are prepared for many conditions, which say what part of them failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.diagnosis import smallest_failing
from qtforge_host.expressions.expression import PreparedContext
from qtforge_sdk.errors import ExpressionError

__all__ = ["PreparedNames"]


class PreparedNames:
    """Names and values that are converted once for many conditions.

    Implements `qtforge_sdk.runs.EvaluationScope`.

    Args:
        expressions: Compiles, and caches what it compiled.
        given: The names for these conditions, with their values.
        others: The names that every condition of the run may use.

    Raises:
        ExpressionError: A given value cannot be converted to a CEL value.
    """

    def __init__(
        self, expressions: Expressions, given: Mapping[str, Any], others: Mapping[str, Any]
    ) -> None:
        self._expressions = expressions
        self._given = frozenset(given)
        self._context = PreparedContext(given, others)

    def holds(self, condition: str) -> bool:
        """Return whether a condition holds; see `qtforge_sdk.runs.EvaluationScope`."""
        expression = self._expressions.compile(condition)
        try:
            return expression.as_condition(self._context.evaluate(expression))
        except ExpressionError as error:
            if error.code != "expression.failed":
                raise
            raise self._narrowed(error) from error

    def used_by(self, condition: str) -> frozenset[str]:
        """Return which of the given names a condition uses."""
        return self._expressions.compile(condition).variables & self._given

    def _narrowed(self, error: ExpressionError) -> ExpressionError:
        part = self._expressions.at_once(lambda: smallest_failing(error, self._value))
        if part is error:
            return error
        why = f"in '{part.expression}': {part.why}"
        return ExpressionError(error.expression, why, part.fix, error.code)

    def _value(self, part: str) -> Any:
        return self._context.evaluate(self._expressions.compile(part))
