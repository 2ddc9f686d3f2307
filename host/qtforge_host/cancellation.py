"""Cancellation: deadlines, shields, and the origin of each cancellation.

A cancellation for one purpose must not be confused with another cancellation of the same
task from outside. asyncio's means is the task's cancellation count (`asyncio.Task.cancelling`
and ``uncancel``, the rule of `asyncio.Timeout`); `CancelScope` is its only user here.

A deadline costs nothing until a coroutine really waits: `asyncio.timeout` arms a timer for
every call, but most handlers answer without ever suspending, and such a call can't be
interrupted anyway. So `run_before` makes the coroutine's first step by hand, and arms a timer
only if it suspends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, TypeVar

from qtforge_sdk.clock import Alarm, Clock

__all__ = [
    "CancelScope",
    "CoroutineLeft",
    "DeadlineExceeded",
    "rest_of",
    "run_before",
    "run_or_leave",
]

T = TypeVar("T")

_TIMES: Final = 5  # so often a coroutine is cancelled before it is left
_TIMES_AT_END: Final = 2  # likewise, of the start and stop of a plugin
_INSIST_S: Final = 1.0  # code that swallows its cancellation is cancelled again this often


class DeadlineExceeded(Exception):
    """The deadline passed, and the coroutine has been cancelled."""


class CoroutineLeft(asyncio.CancelledError):
    """A coroutine was left, since it swallowed each cancellation of its task.

    Attributes:
        why: Whose code it is, for people; "" until its caller has set it.
    """

    why = ""


class CancelScope:
    """Cancels the current task for one purpose, distinguished from its other cancellations.

    Attributes:
        count: How often the scope has cancelled the task, and not taken that back.
        loop: The task's event loop.
        task: The task.
        expired: Whether the deadline of `cancel_at` or `cancel_after` has passed.

    Raises:
        RuntimeError: There is no current task.
    """

    __slots__ = ("_before", "_handle", "count", "expired", "loop", "task")

    def __init__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be cancelled")
        self.task = task
        self.loop = task.get_loop()
        self._before = task.cancelling()
        self._handle: Alarm | None = None
        self.count = 0
        self.expired = False

    @property
    def is_current(self) -> bool:
        """Whether the scope's task is the one that runs now."""
        return asyncio.current_task() is self.task

    @property
    def is_cancelled(self) -> bool:
        """Whether the task was cancelled since the scope was made, by it or by others."""
        return self.times > 0

    def cancel(self) -> None:
        """Cancel the task."""
        self.count += 1
        self.task.cancel()

    def cancel_at(self, deadline: float) -> None:
        """Cancel the task at a deadline, and again every second until the scope is closed.

        Args:
            deadline: On the loop's clock, in seconds.
        """
        self._handle = self.loop.call_at(deadline, self._expire)

    def cancel_after(self, seconds: float, clock: Clock) -> None:
        """Cancel the task once so much time has passed on a clock; else as `cancel_at`."""
        self._handle = clock.call_later(seconds, self._expire)

    @property
    def times(self) -> int:
        """How often the task was cancelled since the scope was made, by it or by others.

        What code within it has taken back, as `asyncio.timeout` does, does not count.
        """
        return self.task.cancelling() - self._before

    def others(self) -> int:
        """Return how often others have cancelled the task since the scope was made."""
        return self.times - self.count

    def disarm(self) -> None:
        """Forget the deadline."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def close(self) -> None:
        """Forget the deadline, and take the scope's own cancellations back."""
        if self._handle is not None:
            self.disarm()
        while self.count:
            self.count -= 1
            self.task.uncancel()

    def _expire(self) -> None:
        self.expired = True
        self.cancel()
        self._handle = self.loop.call_later(_INSIST_S, self._expire)


class _Rest:
    """A coroutine whose first step has been made, awaitable from there on."""

    __slots__ = ("_coroutine", "_first", "_is_to_leave", "_pending")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        first: Any,
        is_to_leave: Callable[[], bool] | None = None,
    ) -> None:
        self._is_to_leave = is_to_leave
        self._coroutine = coroutine
        self._first = first
        self._pending = True

    @property
    def cr_await(self) -> Coroutine[Any, Any, Any]:
        """What it awaits, for code that follows the coroutines of a task."""
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # it has a generator's whole protocol

    def __iter__(self) -> _Rest:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        if self._pending:
            self._pending = False
            first, self._first = self._first, None
            return first
        return self._coroutine.send(value)

    def throw(self, *exception: Any) -> Any:
        self._pending = False
        waits_again = self._coroutine.throw(*exception)
        if self._is_to_leave is not None and self._is_to_leave():
            with contextlib.suppress(RuntimeError):  # it swallows that as well
                self._coroutine.close()
            raise CoroutineLeft
        return waits_again

    def close(self) -> None:
        self._coroutine.close()


async def run_before(deadline: float | None, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Await a coroutine, and cancel it at the deadline.

    It is cancelled again every second, and left in the end where it swallows that each time:
    else it would keep its caller for ever. So it is before the deadline, where others cancel the
    task as often, such as a run whose time is over.

    Args:
        deadline: On the loop's clock, in seconds; None for no deadline.
        coroutine: Not started yet.

    Raises:
        DeadlineExceeded: The coroutine had not ended by then.
        CoroutineLeft: It has swallowed the cancellations of others.
    """
    try:
        first = coroutine.send(None)
    except StopIteration as done:
        return done.value
    return await rest_of(coroutine, first, deadline)


async def rest_of(
    coroutine: Coroutine[Any, Any, Any], first: Any, deadline: float | None, times: int = _TIMES
) -> Any:
    """Finish a coroutine whose first step yielded ``first``; see `run_before`.

    Args:
        coroutine: Suspended at ``first``.
        first: What its first step yielded.
        deadline: On the loop's clock, in seconds; None for no deadline.
        times: So often it is cancelled, every second, before it is left.

    Raises:
        DeadlineExceeded: The coroutine had not ended by then.
        CoroutineLeft: It has swallowed the cancellations of others.
    """
    if deadline is None:
        return await _Rest(coroutine, first)
    scope = CancelScope()
    scope.cancel_at(deadline)
    try:
        result = await _Rest(coroutine, first, lambda: scope.times >= times)
    except asyncio.CancelledError:
        if scope.expired and scope.others() <= 0:
            raise DeadlineExceeded from None
        raise
    finally:
        scope.close()
    if scope.expired:  # it swallowed the cancellation, but the deadline had passed
        raise DeadlineExceeded
    return result


async def run_or_leave(deadline: float, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Await a coroutine in the current task, and leave it where it swallows its cancellations.

    Args:
        deadline: On the loop's clock, in seconds: then it is cancelled, and once more.
        coroutine: Not started yet.

    Raises:
        DeadlineExceeded: The coroutine had not ended by then.
    """
    try:
        first = coroutine.send(None)
    except StopIteration as done:
        return done.value
    return await rest_of(coroutine, first, deadline, _TIMES_AT_END)
