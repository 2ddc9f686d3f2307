"""Runs of four steps, durable and in memory, beside DBOS and TaskFlow; the call is one step."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.hosting import engine_with
from benchmarks.measuring import Candidate, Figure, Goal, measure
from benchmarks.peers_dbos import dbos_with
from benchmarks.peers_taskflow import taskflow_in_memory, taskflow_with
from qtforge_host.gc_tuning import freeze_heap
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.runs.engine import Engine
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Definition, DefinitionChecker, Orchestrator, Plugin, Run, operation

__all__ = [
    "AT_ONCE",
    "ROUND_S",
    "STEPS",
    "WORKFLOW",
    "CheckedRuns",
    "Counts",
    "candidate",
    "measure_runs",
    "running",
]

STEPS = 4
AT_ONCE = 64
_ROUNDS = 5  # of runs: some of their peers need seconds for a round
ROUND_S = 0.25


class Counts(Plugin):
    """What the steps ask."""

    def __init__(self) -> None:
        self.calls = 0

    @operation("bench.count")
    async def count(self, number: int) -> int:
        self.calls += 1
        return number + 1


class FourSteps(Orchestrator[Any]):
    """An orchestrator: each step takes what the one before it answered."""

    kind: ClassVar[str] = "bench"

    def check(self, definition: Definition, checker: DefinitionChecker) -> None:
        """Nothing can be wrong."""

    async def execute(self, run: Run) -> Any:
        number = 0
        for step in range(STEPS):
            number = await run.request(f"step {step}", "bench.count", number)
        return number


# Without a text, as a workflow in Python has none: a resumed run asks for it by its name.
WORKFLOW = Workflow(
    definition=Definition(name="four-steps", kind="bench"),
    orchestrator=FourSteps(),
    source="the benchmark",
    text="",
)


async def measure_runs(rounds: int) -> list[Figure]:
    """Time runs, at most five rounds of them.

    Raises:
        RuntimeError: A run did not succeed, or not every step was asked for once.
    """
    freeze_heap()  # as the host does when it has started
    rounds = min(rounds, _ROUNDS)
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as folder:
        return [*await _durable(Path(folder), rounds), *await _in_memory(rounds)]


async def _durable(folder: Path, rounds: int) -> list[Figure]:
    counts = Counts()
    journal = SqliteJournal(folder / "runs")
    async with contextlib.AsyncExitStack() as stack:
        engine = await stack.enter_async_context(engine_with(journal, WORKFLOW, counts))
        dbos = await stack.enter_async_context(
            dbos_with(f"sqlite:///{folder / 'dbos.sqlite3'}", STEPS)
        )
        taskflow = stack.enter_context(taskflow_with(folder / "taskflow.sqlite3", STEPS))
        own = CheckedRuns(engine, counts)
        together = await measure(
            f"one step of durable runs of {STEPS}, {AT_ONCE} runs at once",
            [
                candidate("the host's engine, SQLite", own.once, Goal(per_s=20_000)),
                candidate("DBOS, SQLite", dbos),
            ],
            rounds,
            ROUND_S,
        )
        alone = await measure(
            f"one step of durable runs of {STEPS}, one run after another",
            [
                candidate("the host's engine, SQLite", own.once, Goal(per_s=2_000), 1),
                candidate("DBOS, SQLite", dbos, at_once=1),
                candidate("TaskFlow, SQLite", taskflow, at_once=1),
            ],
            rounds,
            ROUND_S,
        )
        own.check()
    return [*together, *alone]


async def _in_memory(rounds: int) -> list[Figure]:
    counts = Counts()
    async with engine_with(MemoryJournal(), WORKFLOW, counts) as engine:
        own = CheckedRuns(engine, counts)
        found = await measure(
            f"one step of runs of {STEPS} in memory",
            [
                candidate(
                    "the host's engine, one run after another", own.once, Goal(per_s=40_000), 1
                ),
                candidate(f"the host's engine, {AT_ONCE} runs at once", own.once),
                candidate(
                    "TaskFlow, one run after another",
                    taskflow_in_memory(STEPS),
                    Goal(least_ratio=5),
                    1,
                ),
            ],
            rounds,
            ROUND_S,
        )
        own.check()
    return found


Once = Callable[[], Awaitable[None]]
"""Does one run of four steps."""


class CheckedRuns:
    """Runs of the host's engine, and how often each was asked for."""

    def __init__(self, engine: Engine, counts: Counts) -> None:
        self._engine = engine
        self._counts = counts
        self._runs = 0

    async def once(self) -> None:
        self._runs += 1
        view = await self._engine.execute(WORKFLOW, {})
        if view.status != "succeeded" or view.result != STEPS:
            raise RuntimeError(f"a run is {view.status} with {view.result}: {view.error}")

    def check(self) -> None:
        if self._counts.calls != self._runs * STEPS:
            raise RuntimeError(f"{self._runs} runs asked {self._counts.calls} times")


def candidate(name: str, once: Once, goal: Goal | None = None, at_once: int = AT_ONCE) -> Candidate:
    """Return something to time, which is called for so many steps and does runs."""

    async def call(steps: int) -> None:
        await running(once, steps // STEPS, at_once)

    return Candidate(name, call, goal, batch=STEPS * at_once)


async def running(once: Once, runs: int, at_once: int) -> None:
    """Do so many runs, so many of them at a time."""
    left = iter(range(runs))

    async def one_after_another() -> None:
        for _ in left:
            await once()

    if at_once == 1:
        await one_after_another()
    else:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(one_after_another())
