"""The system's clock; tests inject `qtforge_sdk.testing.VirtualClock` instead."""

from __future__ import annotations

import asyncio
import datetime
import functools
import time
from collections.abc import Callable

__all__ = ["SystemClock"]


class SystemClock:
    """Implements `qtforge_sdk.clock.Clock` with the clock of the machine."""

    # Functions in C, without one in Python around them: every step asks several times.
    now = staticmethod(functools.partial(datetime.datetime.now, datetime.UTC))
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back on the running loop once so much time has passed."""
        return asyncio.get_running_loop().call_later(seconds, callback)
