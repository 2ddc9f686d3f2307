"""Cancellation: deadlines, shields, and the origin of each cancellation.

A cancellation for one purpose must not be confused with another cancellation of the same
task from outside. asyncio's means is the task's cancellation count (`asyncio.Task.cancelling`
and ``uncancel``, the rule of `asyncio.Timeout`); `CancelScope` is its only user here.

A deadline costs nothing until a coroutine really waits: `asyncio.timeout` arms a timer for
every call, but most handlers answer without ever suspending, and such a call can't be
interrupted anyway. So `run_before` makes the coroutine's first step by hand, and arms a timer
only if it suspends.

What happens to a call that is cancelled and does not end stands here once, whoever cancelled it:
a deadline, a run that ends, a sibling that failed, Ctrl-C. It has ten seconds for its clean-up,
undisturbed; then it is cancelled again each second; and where it swallows that as well, it is
abandoned, so that nothing executes it any more (`_Cleanup`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any, Final, NoReturn, TypeVar

from qtforge_host.loop_watch import explain_coroutine, waits_in_host
from qtforge_host.plugin_code import Author, place_of_function
from qtforge_sdk.clock import Alarm, Clock

__all__ = [
    "CLEANUP_S",
    "LET_CANCELLATION_OUT",
    "LONGEST_CLEANUP_S",
    "ON_ABANDONED",
    "CancelScope",
    "CoroutineLeft",
    "DeadlineExceeded",
    "attend",
    "left_because",
    "report_late",
    "rest_of",
    "run_before",
    "run_or_leave",
]

T = TypeVar("T")

_LOG: Final = logging.getLogger("qtforge.host")

CLEANUP_S: Final = 10.0  # that a cancelled call has for its clean-up, undisturbed
_INSIST_S: Final = 1.0  # then it is cancelled again this often
_TIMES: Final = 4  # so often, before it is left
_AT_END_S: Final = 1.0  # the clean-up of a plugin's start and stop
_TIMES_AT_END: Final = 1
LET_CANCELLATION_OUT: Final = "raise asyncio.CancelledError again after the clean-up"
LONGEST_CLEANUP_S: Final = CLEANUP_S + _TIMES * _INSIST_S


ON_ABANDONED: Final[ContextVar[Callable[[asyncio.Future[Any]], None] | None]] = ContextVar(
    "qtforge_on_abandoned", default=None
)
"""Called, in the context of the caller, with a future that is done when an abandoned call ends."""


class DeadlineExceeded(Exception):
    """The deadline passed, and the coroutine has been cancelled.

    Args:
        is_left: Whether the coroutine swallowed each cancellation, and was left.
    """

    def __init__(self, is_left: bool = False, /) -> None:
        super().__init__(is_left)
        self.is_left = is_left


class CoroutineLeft(asyncio.CancelledError):
    """A coroutine was left, since it swallowed each cancellation of its task.

    Attributes:
        why: Whose code it is, for people; "" until its caller has set it.
    """

    why = ""


def report_late(call: object, author: Author, operation: str) -> None:
    """Log that a cancelled call has not ended within the time for its clean-up.

    Args:
        call: Its coroutine.
        author: Whose code it is.
        operation: Its topic, pattern, workflow or step.
    """
    text = "%s has not ended %g s after it was cancelled: it is cancelled each second now"
    _LOG.warning(text, explain_coroutine(call, author, operation), CLEANUP_S)


def left_because(author: Author, operation: str, place: str) -> str:
    """Log that a call was abandoned; return why, for people.

    Args:
        author: Whose code it is.
        operation: Its topic, pattern, workflow or step.
        place: ``file:line`` of its code, or "".
    """
    why = f"{author} swallows its cancellation in '{operation}'{f' ({place})' if place else ''}"
    _LOG.warning("%s, and was abandoned", why)
    return why


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
        """Cancel the task at a deadline, unless it is cancelled already and cleans up.

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
        if not self.is_cancelled:
            self.cancel()


class _Cleanup:
    """The end of a coroutine whose task was cancelled: when it is cancelled again, and left.

    Both only where a plugin's code waits: the host's ends by itself, such as once a store has
    answered, or a child is undone.

    Args:
        scope: Of the task, made before the coroutine's first step.
        coroutine: The coroutine.
        on_late: Called once, when the time for the clean-up is over.
        within_s: That time, in seconds; None for `CLEANUP_S`.
        times: So often it is cancelled again before it is left.
    """

    __slots__ = ("_coroutine", "_handle", "_on_late", "_rounds", "_scope", "_seen", "_times",
        "_within_s")  # fmt: skip

    def __init__(
        self,
        scope: CancelScope,
        coroutine: Coroutine[Any, Any, Any],
        on_late: Callable[[Coroutine[Any, Any, Any]], None] | None,
        within_s: float | None,
        times: int,
    ) -> None:
        self._scope = scope
        self._coroutine = coroutine
        self._on_late = on_late
        self._within_s = within_s
        self._times = times
        self._handle: asyncio.TimerHandle | None = None
        self._seen = 0
        self._rounds = 0

    def waits_again(self) -> bool:
        """Note that it waits after an exception; return whether it is left now."""
        if not self._scope.is_cancelled:
            self.end()
            return False
        if self._handle is None:
            self._rounds, self._seen = 0, self._scope.times
            within_s = CLEANUP_S if self._within_s is None else self._within_s
            self._handle = self._scope.loop.call_later(within_s, self._insist)
        return self._rounds >= self._times and not waits_in_host(self._coroutine)

    def end(self) -> None:
        """Forget the coroutine."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _insist(self) -> None:
        scope = self._scope
        self._handle = None
        if not scope.is_cancelled:
            return  # its code has taken that back, as `asyncio.timeout` does
        self._handle = scope.loop.call_later(_INSIST_S, self._insist)
        if scope.times > self._seen:  # a call within it insists by itself
            self._seen = scope.times
            return
        if waits_in_host(self._coroutine):
            return
        if self._rounds == 0 and self._on_late is not None:
            self._on_late(self._coroutine)
        self._rounds += 1
        scope.cancel()
        self._seen = scope.times


class _Between(asyncio.Future[None]):
    """Stands for a future, and can always be cancelled.

    Args:
        waits: The future.
    """

    def __init__(self, waits: asyncio.Future[Any]) -> None:
        super().__init__(loop=waits.get_loop())
        self._children = [waits]  # for the same code as the children of `asyncio.gather`


class _Rest:
    """A coroutine whose first step has been made, awaitable from there on.

    A task can be cancelled only as far as what it waits for lets itself be. A plain future always
    does, a task that the coroutine has made may not. So a future of its own stands between, and
    the coroutine can be left there as well.
    """

    __slots__ = ("_cleanup", "_coroutine", "_first", "_pending", "_scope", "_waits")

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], first: Any, scope: CancelScope, cleanup: _Cleanup
    ) -> None:
        self._scope = scope
        self._cleanup = cleanup
        self._coroutine = coroutine
        self._first = first
        self._pending = True
        self._waits: asyncio.Future[Any] | None = None  # what may not let itself be cancelled

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
            waits, self._first = self._first, None
        else:
            self._waits = None
            waits = self._coroutine.send(value)
        if waits is None or waits.__class__ is asyncio.Future:
            return waits
        return self._stand_between(waits)

    def throw(self, *exception: Any) -> Any:
        self._pending = False
        waits = self._waits
        if waits is not None and not waits.done():
            if self._cleanup.waits_again():
                self._leave()
            waits.cancel()
        else:
            self._waits = None
            waits = self._coroutine.throw(*exception)
            if self._cleanup.waits_again():
                self._leave()
        return self._stand_between(waits)

    def close(self) -> None:
        self._coroutine.close()

    def _stand_between(self, waits: Any) -> Any:
        cls = waits.__class__
        if (
            cls is asyncio.Future
            or waits is self._scope.task
            or not isinstance(waits, asyncio.Future)
        ):
            return waits
        self._waits = waits
        between = _Between(waits)
        between._asyncio_future_blocking = True
        waits._asyncio_future_blocking = False

        def wake(done: asyncio.Future[Any]) -> None:
            if not between.done():
                between.set_result(None)

        waits.add_done_callback(wake)
        between.add_done_callback(lambda _: waits.remove_done_callback(wake))
        return between

    def _leave(self) -> NoReturn:
        """Leave the coroutine, which swallows each cancellation.

        Raises:
            CoroutineLeft: Always.
        """
        waits = self._waits
        with contextlib.suppress(RuntimeError):  # it swallows that as well
            self._coroutine.close()
        if waits is not None and not waits.done():
            _cancel_until_done(waits)
            if (on_abandoned := ON_ABANDONED.get()) is not None:
                on_abandoned(waits)
        raise CoroutineLeft


def _cancel_until_done(work: asyncio.Future[Any]) -> None:
    if work.done():
        if not work.cancelled():
            work.exception()  # nobody else looks at it
        return
    work.cancel()
    work.get_loop().call_later(_INSIST_S, _cancel_until_done, work)


async def run_before(
    deadline: float | None,
    coroutine: Coroutine[Any, Any, Any],
    on_late: Callable[[Coroutine[Any, Any, Any]], None] | None = None,
) -> Any:
    """Await a coroutine, and cancel it at the deadline; see `rest_of`.

    Args:
        deadline: On the loop's clock, in seconds; None for no deadline.
        coroutine: Not started yet.
        on_late: As for `rest_of`.

    Raises:
        DeadlineExceeded: The coroutine had not ended by then.
        CoroutineLeft: It has swallowed the cancellations of others.
    """
    try:
        first = coroutine.send(None)
    except StopIteration as done:
        return done.value
    return await rest_of(coroutine, first, deadline, on_late)


async def rest_of(
    coroutine: Coroutine[Any, Any, Any],
    first: Any,
    deadline: float | None,
    on_late: Callable[[Coroutine[Any, Any, Any]], None] | None = None,
    *,
    cleanup_s: float | None = None,
    times: int = _TIMES,
) -> Any:
    """Finish a coroutine whose first step yielded ``first``, and cancel it at the deadline.

    When it is cancelled, by the deadline or by whoever cancels the task, it has some time for its
    clean-up. Then it is cancelled again every second, and left in the end where it swallows that
    each time: else it would keep its caller for ever. What was left does not execute any more. A
    task of its own for which it waits may: that is cancelled each second until it ends, and
    `ON_ABANDONED` learns when.

    Args:
        coroutine: Suspended at ``first``.
        first: What its first step yielded.
        deadline: On the loop's clock, in seconds; None for no deadline.
        on_late: Called once with the coroutine, when it has not ended within that time.
        cleanup_s: The time for its clean-up, in seconds; None for `CLEANUP_S`.
        times: So often it is cancelled again before it is left.

    Raises:
        DeadlineExceeded: The coroutine had not ended by then.
        CoroutineLeft: It has swallowed the cancellations of others.
    """
    scope = CancelScope()
    if deadline is not None:
        scope.cancel_at(deadline)
    cleanup = _Cleanup(scope, coroutine, on_late, cleanup_s, times)
    try:
        result = await _Rest(coroutine, first, scope, cleanup)
    except asyncio.CancelledError as error:
        if scope.expired and scope.others() <= 0:
            raise DeadlineExceeded(isinstance(error, CoroutineLeft)) from None
        raise
    finally:
        cleanup.end()
        scope.close()
    if scope.expired:  # it swallowed the cancellation, but the deadline had passed
        raise DeadlineExceeded
    return result


async def attend(
    coroutine: Coroutine[Any, Any, Any], author: Author, operation: str, function: object
) -> Any:
    """Await a coroutine of a plugin that has no deadline of its own; see `rest_of`.

    Args:
        coroutine: Not started yet.
        author: Whose code it is.
        operation: Its workflow or step.
        function: What it executes, for its place.

    Raises:
        CoroutineLeft: It has swallowed the cancellations of others.
    """
    try:
        return await run_before(None, coroutine, lambda call: report_late(call, author, operation))
    except CoroutineLeft as error:
        if not error.why:
            error.why = left_because(author, operation, place_of_function(function))
        raise


async def run_or_leave(deadline: float, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Await the start or stop of a plugin in the current task, which has little time to clean up.

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
    return await rest_of(coroutine, first, deadline, cleanup_s=_AT_END_S, times=_TIMES_AT_END)
