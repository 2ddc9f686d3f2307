"""Resume every run that was interrupted, was sent something, or has a timer that is due."""

from __future__ import annotations

import asyncio
import datetime
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.runs.versions import major
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Cursor, Journal

__all__ = ["RecoveryLoop", "lasts"]

_LOG = logging.getLogger("qtforge.runs")
_AT_ONCE: Final = 1000  # runs that are resumed before the next look
_SWEEP_S: Final = 5.0  # between two looks for runs whose process has died
_LONGEST_S: Final = 60.0  # between two attempts to resume the same run
_JUMP_S: Final = 1.0  # by which the time of day and the seconds that pass may differ
_EVER: Final = datetime.datetime.max.replace(tzinfo=datetime.UTC)
_ALL: Final = 1_000_000
_ROOM_S: Final = 0.25  # between two looks whether there is room for queued runs
_GAP_S: Final = 0.01  # between two looks that other processes' writes lead to


@dataclass(slots=True)
class _Attempts:
    """When a run is tried again: ever less often, up to a longest delay."""

    delay_s: float = 0.0
    next_s: float = 0.0  # on the scale of `time.monotonic`

    def is_due(self) -> bool:
        """Return whether the run is tried now; the next attempt is due later then."""
        now_s = time.monotonic()
        if now_s < self.next_s:
            return False
        self.delay_s = min(_LONGEST_S, max(_SWEEP_S, 2 * self.delay_s))
        self.next_s = now_s + self.delay_s * 0.9  # not after the look that comes then
        return True


class RecoveryLoop:
    """Resumes runs for as long as it runs; one for each state directory.

    When the journal has changed, the loop looks at once for runs that were sent something. Every
    few seconds, and at its start, it also looks for runs that nothing reports: those whose process
    has died, and those that this process had to leave because the store failed. A run that can't
    be resumed is tried again by time, ever less often, and at once when the plugins have changed.

    Args:
        supervisor: Resumes them.
        journal: Holds them.
        clock: The time.
        pools: Queued runs of these pools are executed here.
        max_runs: So many runs are executed here at once before queued ones wait; None for any
            number.

    Attributes:
        ready: Set after the first look at every run.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        journal: Journal,
        clock: Clock,
        pools: Sequence[str] = ("default",),
        max_runs: int | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._pools = tuple(pools)
        self._max_runs = sys.maxsize if max_runs is None else max_runs
        self._is_crowded = False  # queued runs may wait for room
        self._journal = journal
        self._clock = clock
        self.ready = asyncio.Event()
        self._wanted = asyncio.Event()
        self._swept_at = -_SWEEP_S
        self._offset_s = self._offset_now_s()
        self._overflowed = False  # more runs are to be resumed than at once
        self._read_until: Cursor = ""  # messages before were looked at
        self._attempts: dict[str, _Attempts] = {}  # of runs that were left
        self._plugins: dict[str, str] = {}
        self._trouble: QtForgeError | None = None

    @property
    def trouble(self) -> Exception | None:
        """Why runs do not continue at the moment: what the store says; None when all is well."""
        left = [*self._supervisor.active_runs.left.values()]
        if self._trouble is not None:
            left.insert(0, self._trouble)
        return next(filter(lasts, left), left[0] if left else None)

    async def run(self) -> None:
        """Resume runs until cancelled.

        A store that fails, at the first look or later, is tried again by time.
        """
        active_runs = self._supervisor.active_runs
        active_runs.on_change.add(self._wanted.set)
        try:
            while True:
                try:
                    await active_runs.ensure_watching()
                    wait_s = await self._turn()
                    self._trouble = None
                    self.ready.set()
                except QtForgeError as error:  # such as a disk that is full for a while
                    if str(error) != str(self._trouble):
                        _LOG.error("%s", error)
                    self._trouble, wait_s = error, _SWEEP_S
                await self._wait(min(wait_s, _ROOM_S) if self._is_crowded else wait_s)
        finally:
            active_runs.on_change.discard(self._wanted.set)

    async def _turn(self) -> float:
        """Wake every run that has a due timer, an unhandled message or a dead owner.

        Returns:
            Seconds until the next timer is due.
        """
        await self._notice_set_back()
        while True:
            self._wanted.clear()
            now = self._clock.now()
            sweeps = time.monotonic() >= self._swept_at + _SWEEP_S
            if sweeps:
                await self._resume_left()
            newest = (await self._journal.deliveries("", 0)).until
            since = None if sweeps or self._overflowed else self._read_until
            self._overflowed = await self._take_all(now, since, newest)
            self._read_until = newest
            if sweeps:
                self._swept_at = time.monotonic()
            for run_id in await self._due_but_for_the_clock(now):
                self._supervisor.wake(run_id)
            await self._supervisor.active_runs.until_waking_at_most(_AT_ONCE // 2)
            if not self._overflowed:
                break
        due = await self._journal.next_due(now)
        return _SWEEP_S if due is None else (due - self._clock.now()).total_seconds()

    async def _take_all(self, now: datetime.datetime, since: Cursor | None, newest: Cursor) -> bool:
        """Take what this process is to execute: first runs that have begun, then queued ones.

        Args:
            now: The time.
            since: See `Journal.take`.
            newest: The newest place among the messages.

        Returns:
            Whether there may be more runs that have begun.
        """
        plugins = self._supervisor.engine.plugins()
        again = plugins != self._plugins  # what was blocked or refused may not be any more
        able = {name: major(version) for name, version in plugins.items()}
        room = self._max_runs - self._supervisor.count()
        pools = self._pools if room >= _AT_ONCE else ()
        count = await self._take(_AT_ONCE, now, pools, able, since=since, again=again)
        overflowed = count >= _AT_ONCE
        if again and not overflowed:
            self._plugins = plugins
        room -= count
        if not pools and room > 0:
            room -= await self._take(room, now, self._pools, able, since=newest)
        self._is_crowded = room <= 0
        return overflowed

    async def _take(
        self,
        limit: int,
        now: datetime.datetime,
        pools: Sequence[str],
        able: Mapping[str, str],
        *,
        since: Cursor | None,
        again: bool = False,
    ) -> int:
        """Take runs, and wake them at once: what fails later must not leave them; return how many.

        See `Journal.take` for the arguments.
        """
        taken = await self._journal.take(
            limit, now=now, pools=pools, able=able, since=since, again=again
        )
        for ownership in taken:
            self._supervisor.wake(ownership.run_id, ownership)
        return len(taken)

    async def _notice_set_back(self) -> None:
        """When the clock was set back, note which runs have timers that were set before."""
        offset_s = self._offset_now_s()
        back_s = self._offset_s - offset_s
        if back_s >= _JUMP_S:
            found = await self._journal.due(_EVER, _ALL)  # raises: it is noticed the next time
            _LOG.warning("the clock was set back by %.0f s", back_s)
            known = self._supervisor.active_runs.set_back_s
            for run_id in found:
                if not self._supervisor.executes(run_id):
                    known[run_id] = known.get(run_id, 0.0) + back_s
        self._offset_s = offset_s

    async def _due_but_for_the_clock(self, now: datetime.datetime) -> list[str]:
        """Return the runs whose timer would be due if the clock had not been set back."""
        known = self._supervisor.active_runs.set_back_s
        if not known:
            return []
        back = datetime.timedelta(seconds=max(known.values()))
        return [each for each in await self._journal.due(now + back, _ALL) if each in known]

    def _offset_now_s(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    async def _resume_left(self) -> None:
        """Resume the runs that this process owns and had to leave, ever less often."""
        found = dict.fromkeys(self._supervisor.active_runs.left)
        self._attempts = {
            run_id: attempts for run_id, attempts in self._attempts.items() if run_id in found
        }
        for run_id in found:
            if self._supervisor.executes(run_id):
                continue
            if self._attempts.setdefault(run_id, _Attempts()).is_due():
                self._supervisor.wake(run_id)
                await self._supervisor.active_runs.until_waking_at_most(_AT_ONCE)

    async def _wait(self, wait_s: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(max(0.0, wait_s)))
        wanting = asyncio.ensure_future(self._wanted.wait())
        try:
            # The timeout is in real time: a clock may be set forward.
            await asyncio.wait(
                [sleeping, wanting], timeout=_SWEEP_S, return_when=asyncio.FIRST_COMPLETED
            )
            if wanting.done() and not sleeping.done():
                await asyncio.sleep(_GAP_S)
        finally:
            sleeping.cancel()
            wanting.cancel()


def lasts(error: Exception) -> bool:
    """Return whether a trouble lasts until the process is started again."""
    return isinstance(error, QtForgeError) and error.retryable is False
