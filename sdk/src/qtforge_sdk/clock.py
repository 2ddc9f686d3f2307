"""`Clock`: the host's source of time; tests inject `qtforge_sdk.testing.VirtualClock`."""

from __future__ import annotations

import datetime
from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """A source of time."""

    def now(self) -> datetime.datetime:
        """Return the time, in UTC; it may jump when the system's clock is set."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment; they never decrease."""

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds; not at all where they are zero or negative."""
