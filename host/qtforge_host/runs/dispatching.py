"""Keeps every run going: what was interrupted, what was sent something, what is due."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from qtforge_host.runs.engine import Engine
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal import Journal

__all__ = ["Dispatcher"]

_LOG = logging.getLogger("qtforge.runs")
_AT_ONCE: Final = 1000  # runs that are taken up before the next look
_OFTEN_S: Final = 5.0  # how often it looks for runs whose process has died


class Dispatcher:
    """Takes up runs as long as it runs; one for each state directory.

    Args:
        engine: Executes them.
        journal: Where they are.
        clock: The time.
    """

    def __init__(self, engine: Engine, journal: Journal, clock: Clock) -> None:
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._look = asyncio.Event()
        self._tried: set[str] = set()  # runs that were interrupted; a blocked one stays so

    async def run(self) -> None:
        """Go on until cancelled.

        Raises:
            StateDirectoryError: The journal can't be read.
        """
        living = self._engine.living
        await living.ready()
        living.changed = self._look.set
        try:
            while True:
                self._look.clear()
                await self._resume_interrupted()
                more = await self._wake_waiting()
                if not more:
                    await self._wait()
        finally:
            living.changed = None

    async def _resume_interrupted(self) -> None:
        for run_id in await self._journal.unfinished():
            if run_id not in self._tried:
                self._tried.add(run_id)
                self._engine.wake(run_id)

    async def _wake_waiting(self) -> bool:
        """Wake who was sent something, and whose timer is due; return whether there is more."""
        stirred = await self._journal.stirred(_AT_ONCE)
        due = await self._journal.due(self._clock.now(), _AT_ONCE)
        for run_id in dict.fromkeys([*stirred, *due]):
            self._engine.wake(run_id)
        full = max(len(stirred), len(due)) >= _AT_ONCE
        if full:
            await self._engine.living.settled()
        return full

    async def _wait(self) -> None:
        try:
            due = await self._journal.next_due()
        except StateDirectoryError as error:
            _LOG.error("%s", error)
            due = None
        wait_s = _OFTEN_S
        if due is not None:
            wait_s = min(wait_s, max(0.0, (due - self._clock.now()).total_seconds()))
        sleeping = asyncio.ensure_future(self._clock.sleep(wait_s))
        looking = asyncio.ensure_future(self._look.wait())
        try:
            await asyncio.wait([sleeping, looking], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            looking.cancel()
