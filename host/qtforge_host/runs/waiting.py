"""When a wait ends, on two clocks."""

from __future__ import annotations

import datetime
import math
from typing import Final

from qtforge_sdk.clock import Clock

__all__ = ["LOOK_S", "Until"]

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
