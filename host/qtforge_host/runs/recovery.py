"""Keeps every run going: what was interrupted, what was sent something, what is due."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from qtforge_host.runs.supervisor import Supervisor
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal import Journal

__all__ = ["RecoveryLoop"]

_LOG = logging.getLogger("qtforge.runs")
_AT_ONCE: Final = 1000  # runs that are taken up before the next look
_OFTEN_S: Final = 5.0  # how often it looks for runs whose process has died
_GAP_S: Final = 0.01  # between two looks that others' writes lead to


class RecoveryLoop:
    """Takes up runs as long as it runs; one for each state directory.

    What is sent while it runs is heard of. Every few seconds, and at its start, it looks for
    what nobody told it of: runs whose process has died, with or without something to do.

    Args:
        supervisor: Resumes them.
        journal: Where they are.
        clock: The time.

    Attributes:
        ready: Set once it has looked at everything for the first time.
    """

    def __init__(self, supervisor: Supervisor, journal: Journal, clock: Clock) -> None:
        self._supervisor = supervisor
        self._journal = journal
        self._clock = clock
        self.ready = asyncio.Event()
        self._wanted = asyncio.Event()
        self._swept_at = -_OFTEN_S
        self._overflowed = False  # more was sent something than could be taken up at once
        self._tried: set[str] = set()  # interrupted runs that were not taken up, such as blocked

    async def run(self) -> None:
        """Go on until cancelled.

        Raises:
            StateDirectoryError: The journal can't be read, at the start.
        """
        active_runs = self._supervisor.active_runs
        await active_runs.ensure_watching()
        active_runs.on_change, active_runs.on_message = self._wanted.set, self._on_message
        try:
            wait_s = await self._turn()
            self.ready.set()
            while True:
                await self._wait(wait_s)
                try:
                    wait_s = await self._turn()
                except StateDirectoryError as error:  # such as a disk that is full for a while
                    _LOG.error("%s", error)
                    wait_s = _OFTEN_S
        finally:
            active_runs.on_change = active_runs.on_message = None

    async def _turn(self) -> float:
        """Wake whom there is a reason to wake; return in how many seconds the next timer is due."""
        while True:
            self._wanted.clear()
            now = self._clock.now()
            found = list(await self._journal.due(now, self._limit))
            more = len(found) >= self._limit
            if self._overflowed or time.monotonic() >= self._swept_at + _OFTEN_S:
                self._swept_at, self._overflowed = time.monotonic(), False
                await self._resume_interrupted()
                stirred = await self._journal.runs_with_pending(self._limit)
                self._overflowed = len(stirred) >= self._limit
                found += stirred
            for run_id in dict.fromkeys(found):
                self._supervisor.wake(run_id)
            await self._supervisor.active_runs.until_waking_at_most(_AT_ONCE // 2)
            if not more and not self._overflowed:
                break
        due = await self._journal.next_due(now)
        return _OFTEN_S if due is None else (due - self._clock.now()).total_seconds()

    @property
    def _limit(self) -> int:
        return _AT_ONCE + len(self._supervisor.refused)  # these come first again and again

    async def _resume_interrupted(self) -> None:
        found = await self._journal.unfinished()
        self._tried.intersection_update(found)
        for run_id in found:
            if run_id not in self._tried:
                self._tried.add(run_id)
                self._supervisor.wake(run_id)
                await self._supervisor.active_runs.until_waking_at_most(_AT_ONCE)

    def _on_message(self, run_id: str) -> None:
        """Take up a run that was sent something; it is not live here."""
        if self._supervisor.active_runs.waking < _AT_ONCE:
            self._supervisor.wake(run_id)
        else:
            self._overflowed = True
            self._wanted.set()

    async def _wait(self, wait_s: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(max(0.0, wait_s)))
        looking = asyncio.ensure_future(self._wanted.wait())
        try:
            # Of real time: a clock may be set forward.
            await asyncio.wait(
                [sleeping, looking], timeout=_OFTEN_S, return_when=asyncio.FIRST_COMPLETED
            )
            if looking.done() and not sleeping.done():
                await asyncio.sleep(_GAP_S)
        finally:
            sleeping.cancel()
            looking.cancel()
