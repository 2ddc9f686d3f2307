"""The time of a shared journal, for machines whose clocks differ."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from qtforge_sdk.clock import Alarm, Clock
from qtforge_sdk.errors import StorageError

__all__ = ["StoreClock"]

_LOG: Final = logging.getLogger("qtforge.runs")
_SLACK_S: Final = 0.25  # less is the time that reading the store's time took
_LOOK_S: Final = 5.0  # between two looks whether this machine's clock has jumped
_EVERY_S: Final = 300.0  # between two comparisons: the speeds of two clocks hardly differ
_JUMP_S: Final = 1.0


class StoreClock:
    """Implements `qtforge_sdk.clock.Clock`: the time of day is that of the store.

    A timer that one machine sets is then due at the same moment on every other. Between two
    comparisons the store's time continues with the seconds that pass here, so that a clock that is
    set on this machine changes nothing.

    Args:
        read: Reads the store's time; see `Journal.now`.
        clock: The clock of this machine.
    """

    def __init__(self, read: Callable[[], Awaitable[datetime.datetime]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self.monotonic = clock.monotonic
        self._at = clock.now()
        self._at_s = clock.monotonic()
        self._offset_s = self._offset_now_s()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Compare the clocks, and again from time to time until the clock is closed."""
        await self._compare()
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Compare no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def now(self) -> datetime.datetime:
        """Return the store's time, in UTC, as of the last comparison and the seconds since."""
        return self._at + datetime.timedelta(seconds=self.monotonic() - self._at_s)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._clock.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        """Call back on the running loop once so much time has passed."""
        return self._clock.call_later(seconds, callback)

    async def _follow(self) -> None:
        next_s = self.monotonic() + _EVERY_S
        while True:
            await self._clock.sleep(_LOOK_S)
            # Perhaps the machine slept: then the seconds that pass did not.
            has_jumped = abs(self._offset_now_s() - self._offset_s) >= _JUMP_S
            if has_jumped or self.monotonic() >= next_s:
                await self._compare()
                next_s = self.monotonic() + _EVERY_S

    async def _compare(self) -> None:
        """Set the time to the store's; where that can't be read, it continues as it was."""
        begun_s = self.monotonic()
        try:
            read = await self._read()
        except StorageError as error:
            _LOG.debug("the journal's time can't be read: %s", error)
            return
        self._offset_s = self._offset_now_s()
        took_s = self.monotonic() - begun_s
        now = read + datetime.timedelta(seconds=took_s / 2)
        ahead_s = (now - self.now()).total_seconds()
        if abs(ahead_s) < max(_SLACK_S, took_s / 2):
            return
        _LOG.info("the journal's clock differs by %+.1f s from the time here", ahead_s)
        self._at, self._at_s = now, self.monotonic()

    def _offset_now_s(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()
