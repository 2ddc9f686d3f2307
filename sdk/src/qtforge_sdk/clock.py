"""The clock that the host injects; tests give `qtforge_sdk.testing.VirtualClock`."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Protocol

__all__ = ["Alarm", "Clock"]


class Alarm(Protocol):
    """A call that a clock will make."""

    def cancel(self) -> None:
        """Do not make the call."""


class Clock(Protocol):
    """A source of time."""

    def now(self) -> datetime.datetime:
        """Return the time, in UTC; it may jump when the system's clock is set."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment; they never decrease."""

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds; not at all where they are zero or negative."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        """Call back on the running loop once so much time has passed."""
