"""The timers of the runs that execute here: one heap, one task."""

from __future__ import annotations

import asyncio
import datetime
import heapq
from collections.abc import Callable
from typing import Final

from qtforge_sdk.clock import Clock

__all__ = ["LiveTimers"]

_POLL_S: Final = 5.0  # of real time, after which a clock that was set forward is noticed
_SLACK: Final = 64


class LiveTimers:
    """Calls back when a run's next timer is due.

    A run has one place in the heap, however often its next timer changes.

    Args:
        clock: The time.
        on_due: Called with a run's id; the run looks which of its timers are due, and sets
            the next when it waits again.
    """

    def __init__(self, clock: Clock, on_due: Callable[[str], None]) -> None:
        self._clock = clock
        self._on_due = on_due
        self._heap: list[tuple[datetime.datetime, str]] = []
        self._due: dict[str, datetime.datetime] = {}  # when each run's next timer is due
        self._placed: dict[str, datetime.datetime] = {}  # its place in the heap, not later
        self._task: asyncio.Task[None] | None = None
        self._earlier = asyncio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, run_id: str, due: datetime.datetime | None) -> None:
        """Set when a run's next timer is due, in place of the one before.

        Args:
            run_id: The run.
            due: When; None for never.
        """
        if due is None:
            self._due.pop(run_id, None)
            return
        self._due[run_id] = due
        placed = self._placed.get(run_id)
        if placed is not None and placed <= due:
            return  # that place is looked at first, and then moved
        if len(self._heap) > 2 * len(self._placed) + _SLACK:
            self._compact()
        self._place(run_id, due)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())
        elif self._heap[0] == (due, run_id):
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
            if left_s > 0:
                await self._wait(left_s)
                continue
            heapq.heappop(self._heap)
            if self._placed.get(run_id) != due:
                continue  # it was placed earlier meanwhile
            del self._placed[run_id]
            wanted = self._due.get(run_id)
            if wanted is not None and wanted > due:
                self._place(run_id, wanted)
            elif wanted is not None:
                del self._due[run_id]
                self._on_due(run_id)

    async def _wait(self, left_s: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(left_s))
        changing = asyncio.ensure_future(self._earlier.wait())
        try:
            either: set[asyncio.Future[object]] = {sleeping, changing}  # type: ignore[arg-type]
            await asyncio.wait(either, timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            changing.cancel()

    def _place(self, run_id: str, due: datetime.datetime) -> None:
        self._placed[run_id] = due
        heapq.heappush(self._heap, (due, run_id))

    def _compact(self) -> None:
        self._placed = {name: due for name, due in self._placed.items() if name in self._due}
        self._heap = [(due, run_id) for run_id, due in self._placed.items()]
        heapq.heapify(self._heap)
