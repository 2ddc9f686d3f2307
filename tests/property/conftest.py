"""Processes that take up one run after the other, each killed at one of its writes."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.state import RunState
from qtforge_host.testing.mortal_journal import Crash, MortalJournal, at_write
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Plugin, Record
from qtforge_sdk.journal import Journal

WAIT_S = 10


class InstantClock:
    """Nobody waits: time passes for whoever sleeps."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime.datetime:
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(
            seconds=self.passed_s
        )

    def monotonic(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        self.passed_s += max(0.0, seconds)
        await asyncio.sleep(0)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, callback)


Kill = tuple[int, bool]  # before, or if so after, its n-th write


@dataclass(slots=True)
class Ended:
    """How the run ended, how long it slept, and how often it was killed."""

    state: RunState
    records: Sequence[Record]
    slept_s: float
    kills: int


async def execute(bench: Any, workflow: Workflow, plugin: Plugin, kills: Sequence[Kill]) -> Ended:
    """Execute a workflow; a process follows each that is killed."""
    store, clock, left, died = MemoryStore(), InstantClock(), list(kills), 0
    async with bench() as it:
        await it.add(plugin, "doing", "1.0.0")
        while True:
            write, after = left.pop(0) if left else (0, False)
            journal = MortalJournal(MemoryJournal(store=store), at_write(write, after))
            engine = Engine(
                it.bus,
                it.parts.expressions,
                cast(Journal, journal),
                RecordedWorkflows({}, lambda name: workflow, lambda workflow: []),
                plugins=lambda: {"doing": "1.0.0"},
                clock=clock,
                crash_limit=10,  # more kills than any test makes: none is to end a run
            )
            run_id = next(iter(store.runs), None)
            work = engine.resume(run_id) if run_id else engine.execute(workflow, {})
            try:
                state = await asyncio.wait_for(work, WAIT_S)
            except Crash:
                died += 1
                continue
            finally:
                await engine.close()
                await journal.inner.close()
            return Ended(state, store.runs[state.run_id].read(), clock.passed_s, died)


@pytest.fixture
def processes(bench: Any) -> Callable[[Workflow, Plugin, Sequence[Kill]], Awaitable[Ended]]:
    """A function that executes a workflow in processes that are killed."""

    async def run(workflow: Workflow, plugin: Plugin, kills: Sequence[Kill]) -> Ended:
        return await execute(bench, workflow, plugin, kills)

    return run
