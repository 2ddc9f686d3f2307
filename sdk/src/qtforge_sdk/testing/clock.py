"""`VirtualClock`: a clock that tests advance, so that a day takes milliseconds."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import datetime
import math
from collections.abc import AsyncIterator, Callable, Iterator, Set
from typing import Any, Final

from qtforge_sdk.clock import Alarm
from qtforge_sdk.durations import Duration, signed_seconds

__all__ = ["VirtualClock"]

_START: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_GRACE_S: Final = 0.002
_MAX_PASSES: Final = 1_000_000
# What one task did reaches the next through up to so many callbacks, each a pass of the loop
# in which every task seems to wait: asyncio.wait() is one, each asyncio.gather() another.
_QUIET_PASSES: Final = 8
_Blocked = Set[tuple[int, int]]
_Sleeper = tuple[float, int, asyncio.Future[None]]


class VirtualClock:
    """A `qtforge_sdk.clock.Clock` that stands still until it is advanced.

    Move it with `advance`, or let `auto` move it whenever there is nothing left to do but
    wait for it. Sleepers wake in the order in which they are due, those due at once in the
    order in which they went to sleep. It belongs to one event loop at a time.

    Args:
        start: What `now` says at first, with a time zone.

    >>> async def a_day_of_retries(clock: VirtualClock) -> float:
    ...     async with clock.auto():
    ...         for _ in range(24):
    ...             await clock.sleep(3600)
    ...     return clock.monotonic()
    >>> asyncio.run(a_day_of_retries(VirtualClock()))
    86400.0
    """

    def __init__(self, start: datetime.datetime = _START) -> None:
        if start.tzinfo is None:
            raise ValueError("the start needs a time zone, such as datetime.UTC")
        self._start: Final = start.astimezone(datetime.UTC)
        self._elapsed_s = 0.0
        self._slept = 0
        self._sleepers: Final[list[_Sleeper]] = []
        self._newcomer: asyncio.Event | None = None
        self._movers: Final[set[asyncio.Task[Any]]] = set()

    def now(self) -> datetime.datetime:
        """Return the time, in UTC."""
        return self._start + datetime.timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        """Return how far the clock was advanced, in seconds."""
        return self._elapsed_s

    @property
    def waiting(self) -> int:
        """The number of sleeping tasks."""
        return len(self._sleepers)

    @property
    def next_due_s(self) -> float | None:
        """When the next sleeping task wakes, as `monotonic` counts; None if none sleeps."""
        return self._sleepers[0][0] if self._sleepers else None

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by that many seconds; infinity waits for cancellation.

        Raises:
            ValueError: It is not a number.
        """
        if math.isnan(seconds):
            raise ValueError("can't sleep for nan seconds")
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self._slept += 1
        sleeper = (self._elapsed_s + seconds, self._slept, _future())
        bisect.insort(self._sleepers, sleeper)
        if self._newcomer is not None:
            self._newcomer.set()
        try:
            await sleeper[2]
        finally:  # also when cancelled: no waiter stays in the list
            with contextlib.suppress(ValueError):
                self._sleepers.remove(sleeper)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        """Call a function once the clock was advanced by that many seconds."""
        self._slept += 1
        sleeper = (self._elapsed_s + max(0.0, seconds), self._slept, _future())
        bisect.insort(self._sleepers, sleeper)
        if self._newcomer is not None:
            self._newcomer.set()
        return _Call(self._sleepers, sleeper, callback)

    async def advance(self, duration: Duration) -> None:
        """Advance the clock, and let every task that wakes meanwhile proceed as far as it can.

        A sleeper that wakes at its moment sees that moment, and may sleep again within the
        same advance.

        Args:
            duration: How far: seconds, a timedelta or text such as ``1h30m``; zero or more.

        Raises:
            ValueError: It is not a duration, or negative.
            RuntimeError: A task never waits, so there is no end to what it can do.
        """
        seconds = signed_seconds(duration)
        if seconds < 0:
            raise ValueError(f"can't move the clock by {seconds:g} seconds")
        until = self._elapsed_s + seconds
        with self._moving():
            await self._settle()  # tasks that are about to sleep do so before time passes
            while (due := self.next_due_s) is not None and due <= until:
                self._wake_next()
                await self._settle()
        self._elapsed_s = max(self._elapsed_s, until)

    @contextlib.asynccontextmanager
    async def auto(self, *, grace_s: float = _GRACE_S) -> AsyncIterator[VirtualClock]:
        """Advance the clock to the next sleeping task whenever every task waits.

        Where some task waits for something else, such as a thread or a socket, the clock
        moves only after nothing has happened for a real while.

        Args:
            grace_s: That while, in real seconds; more than the thread or socket needs.
        """
        self._newcomer = asyncio.Event()
        driver = asyncio.create_task(self._drive(self._newcomer, grace_s), name="virtual-clock")
        try:
            yield self
        finally:
            self._newcomer = None
            driver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await driver

    async def _drive(self, newcomer: asyncio.Event, grace_s: float) -> None:
        with self._moving():
            while True:
                newcomer.clear()
                if self.next_due_s in (None, math.inf):
                    await newcomer.wait()
                blocked = await self._settle()
                if not self._only_this_clock_is_awaited():
                    await asyncio.sleep(grace_s)
                    if await self._settle() != blocked:
                        continue  # something happened meanwhile: look again
                if self.next_due_s not in (None, math.inf):
                    self._wake_next()

    @contextlib.contextmanager
    def _moving(self) -> Iterator[None]:
        # Who moves the clock is not waited for, else two of them would wait for each other.
        task = asyncio.current_task()
        if task is None or task in self._movers:
            raise RuntimeError("move the clock from a task of its own")
        self._movers.add(task)
        try:
            yield
        finally:
            self._movers.discard(task)

    def _others(self) -> Set[asyncio.Task[Any]]:
        return asyncio.all_tasks() - self._movers

    def _wake_next(self) -> None:
        due, _, future = self._sleepers.pop(0)
        self._elapsed_s = max(self._elapsed_s, due)
        if not future.done():
            future.set_result(None)

    async def _settle(self) -> _Blocked:
        """Wait until every other task waits; return which task waits for what."""
        quiet, before = 0, None
        for _ in range(_MAX_PASSES):
            await asyncio.sleep(0)
            blocked = self._blocked()
            quiet = quiet + 1 if blocked is not None and blocked == before else 0
            if blocked is not None and quiet == _QUIET_PASSES:
                return blocked
            before = blocked
        raise RuntimeError("the clock can't move: some task is busy and never waits")

    def _blocked(self) -> _Blocked | None:
        found = set()
        for task in self._others():
            awaited = _awaited_by(task)
            if awaited is None or awaited.done():
                return None
            found.add((id(task), id(awaited)))
        return found

    def _only_this_clock_is_awaited(self) -> bool:
        own = {id(future) for _, _, future in self._sleepers}
        return all(_explained(_awaited_by(task), own.__contains__) for task in self._others())


class _Call:
    """A call that waits among a clock's sleepers."""

    def __init__(
        self, sleepers: list[_Sleeper], sleeper: _Sleeper, callback: Callable[[], None]
    ) -> None:
        self._sleepers = sleepers
        self._sleeper = sleeper
        self._callback = callback
        sleeper[2].add_done_callback(self._due)

    def cancel(self) -> None:
        """Do not make it."""
        with contextlib.suppress(ValueError):
            self._sleepers.remove(self._sleeper)
        self._sleeper[2].cancel()

    def _due(self, future: asyncio.Future[None]) -> None:
        if not future.cancelled():
            self._callback()


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


def _awaited_by(task: asyncio.Task[Any]) -> asyncio.Future[Any] | None:
    # asyncio has no public way to ask this before 3.14; anyio's testing does the same.
    awaited: asyncio.Future[Any] | None = getattr(task, "_fut_waiter", None)
    return awaited


def _explained(awaited: asyncio.Future[Any] | None, is_own: Callable[[int], bool]) -> bool:
    # A task that is awaited, and those in a gather(), are looked at for themselves.
    return awaited is not None and (
        is_own(id(awaited)) or isinstance(awaited, asyncio.Task) or hasattr(awaited, "_children")
    )
