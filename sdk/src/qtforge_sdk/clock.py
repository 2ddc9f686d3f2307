"""The clock that the host injects; tests give `qtforge_sdk.testing.VirtualClock`."""

from __future__ import annotations

import datetime
from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime.datetime:
        """Return the time, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
