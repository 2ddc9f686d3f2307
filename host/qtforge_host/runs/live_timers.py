"""The timers of the runs that are live here: one ordered structure, one task."""

from __future__ import annotations

import asyncio
import datetime
import heapq
from collections.abc import Callable

from qtforge_sdk.clock import Clock

__all__ = ["LiveTimers"]


class LiveTimers:
    """Pokes runs when a timer of theirs is due.

    Args:
        clock: The time.
        poke: Given a run's id; the run may have ended, or the timer be gone.
    """

    def __init__(self, clock: Clock, poke: Callable[[str], None]) -> None:
        self._clock = clock
        self._poke = poke
        self._heap: list[tuple[datetime.datetime, str]] = []
        self._task: asyncio.Task[None] | None = None
        self._earlier = asyncio.Event()

    def add(self, run_id: str, due: datetime.datetime) -> None:
        """Poke a run at a time; one that has come already pokes at once."""
        earliest = self._heap[0][0] if self._heap else None
        heapq.heappush(self._heap, (due, run_id))
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())
        elif earliest is None or due < earliest:
            self._earlier.set()

    async def close(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        while self._heap:
            self._earlier.clear()
            due, run_id = self._heap[0]
            left_s = (due - self._clock.now()).total_seconds()
            if left_s <= 0:
                heapq.heappop(self._heap)
                self._poke(run_id)
                continue
            sleeping = asyncio.ensure_future(self._clock.sleep(left_s))
            changing = asyncio.ensure_future(self._earlier.wait())
            try:
                either: set[asyncio.Future[object]] = {sleeping, changing}  # type: ignore[arg-type]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeping.cancel()
                changing.cancel()
