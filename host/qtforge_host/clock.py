"""The clock that runs use; tests give another."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import Final, Protocol

__all__ = ["Clock", "SystemClock"]

# Bound once: every step asks several times.
_now: Final = datetime.datetime.now
_monotonic: Final = time.monotonic
_UTC: Final = datetime.UTC


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime.datetime:
        """Return the time, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime.datetime:
        """Return the time, in UTC."""
        return _now(_UTC)

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return _monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
