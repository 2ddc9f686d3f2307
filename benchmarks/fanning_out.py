"""Many sources at once: what each costs in memory, and what slow ones cost together.

The call is one source of a run of the kind ``parallel``, whose definition names them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.hosting import bus_with, engine_with
from benchmarks.measuring import Candidate, Figure, Goal, measure
from benchmarks.peers_dbos import dbos_fanning_out
from benchmarks.peers_taskflow import taskflow_fanning_out
from qtforge_builtin_plugins.orchestrators.parallel import ParallelDefinition, ParallelOrchestrator
from qtforge_builtin_plugins.orchestrators.sources import Source
from qtforge_host.gc_tuning import freeze_heap
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.runs.engine import Engine
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Plugin, operation
from qtforge_sdk.messages import Collected, CollectRequest

__all__ = ["FAN", "SLOW", "SLOW_S", "measure_fanning_out"]

FAN = 1000
SLOW = 100
SLOW_S = 0.2
_ROUNDS = 5
_ROUND_S = 0.25

Once = Callable[[], Awaitable[None]]


class Quick(Plugin):
    """Sources that answer at once, and slow ones."""

    @operation("quick.read")
    async def quick(self, request: CollectRequest) -> Collected:
        return Collected(rows=[], count=0)

    @operation("slow.read")
    async def slow(self, request: CollectRequest) -> Collected:
        await asyncio.sleep(SLOW_S)
        return Collected(rows=[], count=0)


def fan_of(type_: str, count: int) -> Workflow:
    """Return a workflow with so many sources of a type."""
    sources = [Source(name=f"source {number}", type=type_) for number in range(count)]
    definition = ParallelDefinition(
        name="fan", kind="parallel", sources=sources, concurrency=count, deadline="1m"
    )
    return Workflow(
        definition=definition, orchestrator=ParallelOrchestrator(), source="benchmark", text=""
    )


async def measure_fanning_out(rounds: int) -> list[Figure]:
    """Time runs of many sources, at most five rounds of them.

    Raises:
        RuntimeError: Not every source succeeded.
    """
    freeze_heap()  # as the host does when it has started
    rounds = min(rounds, _ROUNDS)
    quick, slow = fan_of("quick", FAN), fan_of("slow", SLOW)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qtforge-bench-")))
        enter = stack.enter_async_context
        engine = await enter(engine_with(MemoryJournal(), quick, Quick()))
        durable = await enter(engine_with(SqliteJournal(folder / "runs"), quick, Quick()))
        bus = await enter(bus_with(Quick()))
        dbos = await enter(dbos_fanning_out(folder / "dbos.sqlite3", SLOW_S))

        async def asked() -> None:
            requests = (CollectRequest(name=f"source {number}") for number in range(FAN))
            await asyncio.gather(*(bus.request("quick.read", request) for request in requests))

        async def slept() -> None:
            await asyncio.gather(*(asyncio.sleep(SLOW_S) for _ in range(SLOW)))

        together = await measure(
            f"one of {FAN} sources at once",
            [
                _candidate("a parallel run, in memory", _run(engine, quick), FAN, 60e-6),
                _candidate("a parallel run, SQLite", _run(durable, quick), FAN),
                _candidate("bus.request with asyncio.gather", asked, FAN),
                _candidate("TaskFlow, unordered flow", taskflow_fanning_out(FAN), FAN),
                _candidate("DBOS, SQLite", lambda: dbos(FAN, False), FAN),
            ],
            rounds,
            _ROUND_S,
        )
        waiting = await measure(
            f"{SLOW} sources of {SLOW_S * 1000:g} ms at once",
            [
                _candidate("asyncio.sleep with asyncio.gather", slept, 1),
                _candidate("a parallel run, in memory", _run(engine, slow), 1, ratio=1.3),
                _candidate("a parallel run, SQLite", _run(durable, slow), 1, ratio=1.3),
                _candidate("DBOS, SQLite", lambda: dbos(SLOW, True), 1),
            ],
            rounds,
            SLOW_S,
        )
    return [*together, *waiting]


def _run(engine: Engine, workflow: Workflow) -> Once:
    async def once() -> None:
        view = await engine.execute(workflow, {})
        count = len(workflow.definition.sources)  # type: ignore[attr-defined]  # a parallel one's
        if view.status != "succeeded" or view.result["succeeded"] != count:
            raise RuntimeError(f"a run is {view.status}: {view.error}")

    return once


def _candidate(
    name: str, once: Once, per_call: int, time_s: float | None = None, ratio: float | None = None
) -> Candidate:
    goal = Goal(time_s=time_s, ratio=ratio) if time_s or ratio else None

    async def call(sources: int) -> None:
        for _ in range(sources // per_call):
            await once()

    return Candidate(name, call, goal, batch=per_call)
