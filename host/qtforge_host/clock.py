"""The system's clock; tests inject `qtforge_sdk.testing.VirtualClock` instead."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from typing import Final

__all__ = ["SystemClock"]

# Bound once: every step asks several times.
_now: Final = datetime.datetime.now
_monotonic: Final = time.monotonic
_UTC: Final = datetime.UTC


class SystemClock:
    """Implements `qtforge_sdk.clock.Clock` with the clock of the machine."""

    def now(self) -> datetime.datetime:
        """Return the time, in UTC."""
        return _now(_UTC)

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return _monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back on the running loop once so much time has passed."""
        return asyncio.get_running_loop().call_later(seconds, callback)
