"""The limits of expressions, and the evaluation of those that are too costly for the loop."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from qtforge_sdk.durations import duration_text
from qtforge_sdk.errors import ExpressionError

__all__ = [
    "Budget",
    "CostFunction",
    "Elsewhere",
    "ExpressionLimits",
    "TooMuchToEstimateError",
    "checked_result",
    "too_costly",
]

T = TypeVar("T")
CostFunction = Callable[[Mapping[str, Any], float], float]
"""Returns the cost for the variables' plain values, within a number of steps of estimating."""
Elsewhere = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Evaluates an expression over the plain values of its variables, and not on the loop."""

_MOST_POSTPONED: Final = 100  # evaluations in worker processes that one function may ask for
_SCALAR_BYTES: Final = 8
_SCALARS: Final = frozenset([bool, int, float, type(None), datetime.datetime])


class ExpressionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of each evaluation of an expression.

    Attributes:
        loop_cost: The highest cost, in steps, for an evaluation on the event loop.
        max_cost: The highest cost for an evaluation in a worker process.
        timeout_s: How long an evaluation in a worker process may take, in seconds.
        max_result_bytes: The largest value, in bytes.
    """

    loop_cost: int = 50_000
    max_cost: int = 50_000_000
    timeout_s: float = 10.0
    max_result_bytes: int = 16 << 20


class TooMuchToEstimateError(Exception):
    """The estimate itself would take too long."""


class _Postponed(BaseException):
    """An evaluation that has to be done elsewhere, before the function is called again.

    It is no `Exception`, so that no handler of the function's own errors takes it.
    """

    def __init__(self, source: str, names: Mapping[str, Any]) -> None:
        super().__init__(source)
        self.source = source
        self.names = names


class _Attempt:
    """One call of a function: it is given the values that earlier calls lacked, in order."""

    __slots__ = ("_outcomes", "_taken")

    def __init__(self, outcomes: list[tuple[str, Any, ExpressionError | None]]) -> None:
        self._outcomes = outcomes
        self._taken = 0

    def value(self, source: str, names: Mapping[str, Any]) -> Any:
        if self._taken == len(self._outcomes):
            raise _Postponed(source, names)
        expected, value, error = self._outcomes[self._taken]
        if expected != source:  # it is not the same function of its inputs
            raise _Postponed(source, names)
        self._taken += 1
        if error is not None:
            raise error
        return value


class Budget:
    """Decides where an expression is evaluated.

    Args:
        limits: The limits; None for the defaults.
        elsewhere: Evaluates what is too costly for the loop; None refuses it.
    """

    def __init__(
        self, limits: ExpressionLimits | None = None, elsewhere: Elsewhere | None = None
    ) -> None:
        self.limits = limits or ExpressionLimits()
        self._elsewhere = elsewhere
        self._attempt: _Attempt | None = None  # only while a function is being called

    def fits_loop(self, source: str, cost: CostFunction, names: Mapping[str, Any]) -> bool:
        """Return whether an expression may be evaluated on the loop.

        Raises:
            ExpressionError: ``expression.too_costly``: it may not be evaluated at all.
        """
        limits = self.limits
        try:
            found = cost(names, limits.loop_cost)
        except TooMuchToEstimateError:
            return False
        if math.isfinite(found) and found > limits.max_cost:
            raise too_costly(source, found, limits.max_cost)
        return found <= limits.loop_cost

    def postpone(self, source: str, names: Mapping[str, Any]) -> Any:
        """Return the value of an expression that does not fit the loop, evaluated elsewhere.

        Raises:
            ExpressionError: It failed there, or nothing waits for it here.
        """
        if self._attempt is None or self._elsewhere is None:
            raise ExpressionError(
                source,
                f"it may take more than the {self.limits.loop_cost:,} steps that are evaluated "
                "at once",
                "evaluate it in a function that is given to run.compute(), or go over less data",
                "expression.too_costly",
            )
        return self._attempt.value(source, names)

    async def compute(self, function: Callable[[], T]) -> T:
        """Return what a function returns, which may evaluate costly expressions.

        The function is called again when such an expression has been evaluated elsewhere, so
        that it must be without effects.

        Raises:
            ExpressionError: An expression failed, or there are too many costly ones.
        """
        outcomes: list[tuple[str, Any, ExpressionError | None]] = []
        while True:
            before, self._attempt = self._attempt, _Attempt(outcomes)
            try:
                return function()
            except _Postponed as postponed:
                source, names = postponed.source, postponed.names
            finally:
                self._attempt = before
            if len(outcomes) == _MOST_POSTPONED:
                raise ExpressionError(
                    source,
                    f"more than {_MOST_POSTPONED} costly expressions are evaluated at once",
                    "make them cheaper: go over shorter lists",
                    "expression.too_costly",
                )
            assert self._elsewhere is not None  # noqa: S101 - `postpone` has checked it
            try:
                outcomes.append((source, await self._elsewhere(source, names), None))
            except ExpressionError as error:
                outcomes.append((source, None, error))

    def now(self, function: Callable[[], T]) -> T:
        """Return what a function returns, which is to evaluate nothing elsewhere.

        Raises:
            ExpressionError: An expression failed, or is too costly for the loop.
        """
        before, self._attempt = self._attempt, None
        try:
            return function()
        finally:
            self._attempt = before


def too_costly(source: str, cost: float, most: int) -> ExpressionError:
    """Return the error for an expression that is not evaluated."""
    return ExpressionError(
        source,
        f"it may take {cost:.2g} steps, and the limit is {most:,}",
        "go over shorter lists, nest fewer of exists(), all(), map() and filter(), or raise "
        "expression_max_cost in [host]",
        "expression.too_costly",
    )


def checked_result(source: str, value: Any, most_bytes: int) -> Any:
    """Return an expression's value with durations as text, such as ``1h30m``.

    Args:
        source: The expression.
        value: What the CEL library returned.
        most_bytes: Its largest size.

    Raises:
        ExpressionError: ``expression.too_large``, or two of its keys are the same as text.
    """
    if value.__class__ in _SCALARS:
        return value
    if value.__class__ is str:
        if len(value) > most_bytes:
            raise _too_large(source, most_bytes)
        return value
    if isinstance(value, datetime.timedelta):
        return _duration(value)
    if isinstance(value, bool):
        return value
    return _Result(source, most_bytes).plain(value)


class _Result:
    def __init__(self, source: str, most_bytes: int) -> None:
        self._source = source
        self._most = self._left = most_bytes

    def plain(self, value: Any) -> Any:
        self._left -= len(value) if isinstance(value, str | bytes) else _SCALAR_BYTES
        if self._left < 0:
            raise _too_large(self._source, self._most)
        if isinstance(value, datetime.timedelta):
            return _duration(value)
        if isinstance(value, list):
            return [self.plain(each) for each in value]
        if isinstance(value, dict):
            found = {self._key(key): self.plain(each) for key, each in value.items()}
            if len(found) < len(value):
                keys = sorted(self._key(key) for key in value)
                twice = next(key for key, other in itertools.pairwise(keys) if key == other)
                raise ExpressionError(
                    self._source,
                    f"two of its keys are '{twice}': the keys of a mapping are texts",
                    "give them different texts",
                    "expression.failed",
                )
            return found
        return value

    def _key(self, key: Any) -> str:
        if isinstance(key, str):
            self._left -= len(key)
            return key
        if isinstance(key, bool):
            return "true" if key else "false"
        return str(key)


def _too_large(source: str, most_bytes: int) -> ExpressionError:
    return ExpressionError(
        source,
        f"its value is larger than {most_bytes:,} bytes",
        "make it smaller, or raise expression_max_result in [host]",
        "expression.too_large",
    )


def _duration(value: datetime.timedelta) -> str:
    """Return a duration as text that timers, and ``duration()`` in CEL, accept.

    >>> _duration(datetime.timedelta(hours=1, minutes=30))
    '1h30m'
    >>> _duration(datetime.timedelta(0)), _duration(datetime.timedelta(seconds=-90.5))
    ('0s', '-1m30.5s')
    """
    sign = "-" if value < datetime.timedelta(0) else ""
    value = abs(value)
    minutes, rest = divmod(value, datetime.timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" * (hours > 0) + f"{minutes}m" * (minutes > 0)
    if rest or not text:
        text += duration_text(rest)
    return sign + text
