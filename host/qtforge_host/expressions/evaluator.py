"""Names made ready once for many conditions: what an orchestrator that decides evaluates on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtforge_host.expressions.compiler import Expressions, Prepared
from qtforge_host.expressions.diagnosis import smallest_failing
from qtforge_sdk.errors import ExpressionError

__all__ = ["PreparedNames"]


class PreparedNames:
    """Implements `qtforge_sdk.runs.Names`.

    Args:
        expressions: Compiles, and remembers what it compiled.
        given: The names for these conditions, with their values.
        others: What every condition of the run may use.

    Raises:
        ExpressionError: A given value has no form that CEL knows.
    """

    def __init__(
        self, expressions: Expressions, given: Mapping[str, Any], others: Mapping[str, Any]
    ) -> None:
        self._expressions = expressions
        self._given = frozenset(given)
        self._prepared = Prepared(given, others)

    def holds(self, condition: str) -> bool:
        """Return whether a condition holds; see `qtforge_sdk.runs.Names`."""
        expression = self._expressions.compile(condition)
        try:
            return expression.as_condition(self._prepared.evaluate(expression))
        except ExpressionError as error:
            if error.code != "expression.failed":
                raise
            raise self._narrowed(error) from error

    def used_by(self, condition: str) -> frozenset[str]:
        """Return which of the given names a condition uses."""
        return self._expressions.compile(condition).variables & self._given

    def _narrowed(self, error: ExpressionError) -> ExpressionError:
        part = smallest_failing(error, self._value)
        if part is error:
            return error
        why = f"in '{part.expression}': {part.why}"
        return ExpressionError(error.expression, why, part.fix, error.code)

    def _value(self, part: str) -> Any:
        return self._prepared.evaluate(self._expressions.compile(part))
