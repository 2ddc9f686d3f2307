"""The system's clock; tests inject `qtforge_sdk.testing.VirtualClock` instead."""

from __future__ import annotations

import asyncio
import datetime
import functools
import time
from collections.abc import Callable

__all__ = ["SystemClock", "in_utc"]


def in_utc(moment: datetime.datetime) -> datetime.datetime:
    """Return a time in UTC; without a zone it is in this machine's.

    A time whose UTC lies beyond the calendar, such as 9999-12-31T23:00-05:00, is the calendar's
    first or last moment.
    """
    try:
        return moment.astimezone(datetime.UTC)
    except (OverflowError, ValueError):  # the latter: the zone of so early a time can't be known
        end = datetime.datetime.min if moment.year == 1 else datetime.datetime.max
        return end.replace(tzinfo=datetime.UTC)


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
