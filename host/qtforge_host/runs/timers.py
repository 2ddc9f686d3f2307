"""The timers of the runs that execute here: one heap, one task."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

from qtforge_host.runs.waiting import Until
from qtforge_sdk.clock import Clock

__all__ = ["LiveTimers"]

_POLL_S: Final = 5.0  # of real time, after which a clock that was set forward is noticed
_JUMP_S: Final = 1.0  # by which the time of day and the seconds that pass may differ
_SAME_S: Final = 0.001  # two computations of the same time may differ by less
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
        self._heap: list[tuple[float, str]] = []
        self._due: dict[str, Until] = {}  # when each run's next timer is due
        self._placed: dict[str, float] = {}  # its place in the heap, not later
        self._task: asyncio.Task[None] | None = None
        self._earlier = asyncio.Event()
        self._offset_s = self._offset_now_s()

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, run_id: str, until: Until | None) -> None:
        """Set when a run's next timer is due, in place of the one before.

        Args:
            run_id: The run.
            until: When; None for never.
        """
        if until is None:
            self._due.pop(run_id, None)
            return
        self._due[run_id] = until
        due_s = self._clock.monotonic() + until.left_s
        placed = self._placed.get(run_id)
        if placed is not None and placed <= due_s + _SAME_S:
            return  # that place is looked at first, and then moved
        if len(self._heap) > 2 * len(self._placed) + _SLACK:
            self._compact()
        self._place(run_id, due_s)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())
        elif self._heap[0] == (due_s, run_id):
            self._earlier.set()

    async def close(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        while self._heap:
            self._earlier.clear()
            due_s, run_id = self._heap[0]
            left_s = due_s - self._clock.monotonic()
            if left_s > 0:
                await self._wait(left_s)
                self._notice_jump()
                continue
            heapq.heappop(self._heap)
            if self._placed.get(run_id) != due_s:
                continue  # it was placed earlier meanwhile
            del self._placed[run_id]
            wanted = self._due.get(run_id)
            if wanted is None:
                continue
            left_s = wanted.left_s
            if left_s > 0:
                self._place(run_id, self._clock.monotonic() + left_s)
            else:
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

    def _notice_jump(self) -> None:
        """Reorder all runs when the clock was set forward: each may be due earlier."""
        before, self._offset_s = self._offset_s, self._offset_now_s()
        if self._offset_s > before + _JUMP_S:
            now_s = self._clock.monotonic()
            self._placed = {run_id: now_s + until.left_s for run_id, until in self._due.items()}
            self._compact()

    def _offset_now_s(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    def _place(self, run_id: str, due_s: float) -> None:
        self._placed[run_id] = due_s
        heapq.heappush(self._heap, (due_s, run_id))

    def _compact(self) -> None:
        self._placed = {name: due_s for name, due_s in self._placed.items() if name in self._due}
        self._heap = [(due_s, run_id) for run_id, due_s in self._placed.items()]
        heapq.heapify(self._heap)
