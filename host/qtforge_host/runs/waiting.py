"""When a wait ends, on two clocks, and what the code of a run waits for."""

from __future__ import annotations

import contextlib
import datetime
import math
import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from qtforge_sdk.clock import Clock

__all__ = ["LOOK_S", "Until", "Wait", "Waits"]

LOOK_S: Final = 30.0  # of real time, after which a clock that was set forward is noticed
_SLACK_S: Final = 1.0


class Until:
    """The end of a wait.

    The time of day ends it, so that a resumed run keeps the end that it had, and a clock that
    is set forward ends the wait early. The seconds that pass end it as well: a clock that is
    set back does not make the wait longer.

    Args:
        due: When it ends, in UTC.
        longest_s: How long it takes at most, in seconds; None where only the time of day ends
            it.
        clock: The time.
    """

    __slots__ = ("_clock", "_latest_s", "due")

    def __init__(self, due: datetime.datetime, longest_s: float | None, clock: Clock) -> None:
        self.due = due
        self._clock = clock
        if longest_s is None:
            self._latest_s = math.inf
        else:
            left_s = (due - clock.now()).total_seconds()
            self._latest_s = clock.monotonic() + min(left_s, longest_s)

    @property
    def left_s(self) -> float:
        """Seconds until the wait ends; zero or less when it has ended."""
        by_day = (self.due - self._clock.now()).total_seconds()
        return min(by_day, self._latest_s - self._clock.monotonic())

    @property
    def late_s(self) -> float:
        """Seconds since the wait should have ended; zero before."""
        return max(0.0, (self._clock.now() - self.due).total_seconds())

    @property
    def is_before_due(self) -> bool:
        """Whether it ends before the time of day says so: the clock was set back."""
        by_day = (self.due - self._clock.now()).total_seconds()
        return by_day - _SLACK_S > self._latest_s - self._clock.monotonic()


class Wait(msgspec.Struct, kw_only=True, eq=False):
    """What one branch of a run's code waits for.

    Attributes:
        until: When the wait ends at the latest; None for never.
        event: The event that ends it, or "".
        child: The run whose end ends it; "" for none, and until it has begun.
        executes: Whether this process executes that run now.
        wakes: Whether what it waits for wakes a run that rests.
    """

    until: Until | None = None
    event: str = ""
    child: str = ""
    executes: bool = False
    wakes: bool = True


class Waits:
    """Whether the code of a run does nothing but wait, and for what.

    Every step, sleep and wait of the run counts as work until it waits for something that the
    journal can wake the run for.

    Attributes:
        changes: How often a piece of work has begun or ended, or something was sent; while the
            number stays the same the code does not get further.
        on_only: Called whenever the code may have begun to do nothing but wait; None for no call.
    """

    def __init__(self) -> None:
        self._working = 0
        self._waits: dict[Wait, None] = {}
        self._bounds: dict[Until, None] = {}
        self.changes = 0
        self.on_only: Callable[[], None] | None = None
        self._seen = -1
        self._seen_s = 0.0

    def begin(self) -> None:
        """Count a piece of work; the caller calls `end`."""
        self._working += 1
        self.changes += 1

    def end(self) -> None:
        """Count the end of a piece of work."""
        self._working -= 1
        self.changes += 1
        if self._waits:
            self._tell()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Count a piece of work for as long as the context is open."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    @contextlib.contextmanager
    def waiting(self, wait: Wait | None) -> Iterator[None]:
        """Within a piece of work: it waits.

        Args:
            wait: For what; None for another branch of the run's code.
        """
        self._working -= 1
        if wait is not None:
            self._waits[wait] = None
        self._tell()
        try:
            yield
        finally:
            self._working += 1
            if wait is not None:
                del self._waits[wait]

    @contextlib.contextmanager
    def ending_by(self, until: Until) -> Iterator[None]:
        """Note that what the code waits for within the context is cut off at a time."""
        self._bounds[until] = None
        try:
            yield
        finally:
            del self._bounds[until]

    @property
    def all(self) -> list[Wait]:
        """The waits, in the order in which they began."""
        return [*self._waits]

    @property
    def only(self) -> bool:
        """Whether the code does nothing but wait."""
        return not self._working and bool(self._waits)

    @property
    def may_rest(self) -> bool:
        """Whether the code only waits, and for what wakes a run that rests."""
        return self.only and all(each.wakes and not each.executes for each in self._waits)

    @property
    def ends(self) -> list[Until]:
        """When the waits end by time."""
        return [*(each.until for each in self._waits if each.until is not None), *self._bounds]

    def _tell(self) -> None:
        if self.on_only is not None and self.only:
            self.on_only()

    def quiet_s(self) -> float:
        """Return for how long the code has not got further, as far as this was asked before."""
        if self._seen != self.changes:
            self._seen, self._seen_s = self.changes, time.monotonic()
        return time.monotonic() - self._seen_s
