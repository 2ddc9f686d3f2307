"""Evaluate the templates and conditions of runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from qtforge_host.expressions.compiler import Expressions
from qtforge_sdk.runs import EvaluationScope

__all__ = ["Evaluator"]

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
        """Return names and values prepared for many conditions; see `prepared`."""
        from qtforge_host.expressions.prepared import PreparedNames  # as `compiler` does

        return PreparedNames(self._expressions, given, others)
