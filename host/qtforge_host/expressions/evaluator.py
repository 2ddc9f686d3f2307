"""Evaluate the templates and conditions of runs, and explain which part of a condition failed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from qtforge_host.expressions.compiler import Expressions, PreparedContext
from qtforge_host.expressions.diagnosis import smallest_failing
from qtforge_sdk.errors import ExpressionError
from qtforge_sdk.runs import EvaluationScope

__all__ = ["Evaluator", "PreparedNames"]

T = TypeVar("T")


class Evaluator:
    """Renders templates and evaluates conditions with the values of a run.

    Args:
        expressions: Compiles, and caches what it compiled.
    """

    def __init__(self, expressions: Expressions) -> None:
        self._expressions = expressions

    def render(self, template: object, names: Mapping[str, Any]) -> Any:
        """Return a template's value.

        Raises:
            ExpressionError: An expression in it does not compile, or fails.
        """
        return self._expressions.template(template).render(names)

    def evaluate(self, condition: str, names: Mapping[str, Any]) -> bool:
        """Return whether a condition holds.

        Raises:
            ExpressionError: It does not compile, fails, or is neither true nor false.
        """
        return self._expressions.compile(condition).holds(names)

    def compute(self, function: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Return what a function returns, which may evaluate costly expressions.

        The function is called again when one was evaluated elsewhere: it must be without effects.

        Raises:
            ExpressionError: An expression failed, or is too costly altogether.
        """
        return self._expressions.compute(function)

    def prepare(self, given: Mapping[str, Any], others: Mapping[str, Any]) -> EvaluationScope:
        """Return names and values prepared for many conditions; see `PreparedNames`."""
        return PreparedNames(self._expressions, given, others)


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
