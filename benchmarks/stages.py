"""Stages of graphs and items of a ``foreach``, beside sequential stages; the call is one step.

What is compared has the same number of steps in flight, in the same journal. A chain is timed
beside one sequential run. Short runs are timed eight at once, each with one step in flight, since
a run's beginning and end are one write each; of the long ones, a single run with eight steps in
flight is timed beside eight sequential runs of a thousand steps. ``python -m benchmarks.stages``
measures only these, the long ones included.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.hosting import engine_with
from benchmarks.machine import describe
from benchmarks.measuring import Candidate, Figure, Goal, measure
from benchmarks.report import as_markdown
from benchmarks.runs import running
from qtforge_builtin_plugins.orchestrators.graph import GraphOrchestrator
from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.gc_tuning import freeze_heap
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.runs.engine import Engine
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Orchestrator, Plugin, operation
from qtforge_sdk.journal import Journal

__all__ = ["AT_ONCE", "Answers", "chain", "each", "measure_stages", "row", "wide"]

AT_ONCE: Final = 8
_SIZES: Final = (10, 10_000)
_ITEMS: Final = 100_000
_LONGEST_ROW: Final = 1000
_ROUNDS: Final = 5
_LONG_ROUNDS: Final = 3  # each of them takes seconds
_ROUND_S: Final = 0.25
_GOAL: Final = Goal(ratio=1.3)
_KINDS: Final[Mapping[str, Orchestrator[Any]]] = {
    "graph": GraphOrchestrator(),
    "sequential": SequentialOrchestrator(),
}


class Answers(Plugin):
    """What the steps ask."""

    @operation("bench.step")
    async def step(self, message: dict[str, int]) -> int:
        return message["n"] + 1


def _workflow(name: str, kind: str, **keys: Any) -> Workflow:
    orchestrator = _KINDS[kind]
    given = {"name": name, "kind": kind, **keys}
    definition = msgspec.convert(given, orchestrator.definition_type)
    return Workflow(definition=definition, orchestrator=orchestrator, source="benchmark", text="")


def _stage(number: int, **keys: Any) -> dict[str, Any]:
    return {"name": f"s{number}", "operation": "bench.step", "message": {"n": "${input.n}"}, **keys}


def row(count: int) -> Workflow:
    """Return a sequential workflow of so many stages."""
    return _workflow("row", "sequential", stages=[_stage(number) for number in range(count)])


def chain(count: int) -> Workflow:
    """Return a graph of so many stages, each of which needs the one before it."""
    stages = [_stage(n, needs=[f"s{n - 1}"] if n else []) for n in range(count)]
    return _workflow("chain", "graph", stages=stages)


def wide(count: int, concurrency: int = AT_ONCE) -> Workflow:
    """Return a graph of so many stages that need nothing."""
    stages = [_stage(number) for number in range(count)]
    return _workflow("wide", "graph", stages=stages, concurrency=concurrency)


def each(count: int, concurrency: int = AT_ONCE) -> Workflow:
    """Return a sequential workflow of one stage, with so many items."""
    stage = {
        "name": "each",
        "foreach": list(range(count)),
        "concurrency": concurrency,
        "operation": "bench.step",
        "message": {"n": "${item}"},
    }
    return _workflow("each", "sequential", stages=[stage], result="done")


async def measure_stages(rounds: int, *, long: bool = False) -> list[Figure]:
    """Time runs, at most five rounds of them.

    Args:
        rounds: How often each candidate is timed.
        long: Whether to time runs of 10,000 stages and of 100,000 items, too.

    Raises:
        RuntimeError: A run did not succeed.
    """
    freeze_heap()  # as the host does when it has started
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as folder:
        for where, journal in _journals(Path(folder)):
            async with contextlib.AsyncExitStack() as stack:
                engine = await stack.enter_async_context(engine_with(journal, row(1), Answers()))
                for size in _SIZES if long else _SIZES[:1]:
                    found += await _measure(where, engine, size, rounds)
                if not long:
                    continue
                found += await measure(
                    f"one step of {_ITEMS:,}, {AT_ONCE} at once, {where}",
                    [
                        _candidate("sequential runs", engine, row(_LONGEST_ROW), AT_ONCE),
                        _candidate("foreach", engine, each(_ITEMS), goal=_GOAL),
                    ],
                    min(rounds, _LONG_ROUNDS),
                    _ROUND_S,
                )
    return found


def _journals(folder: Path) -> Iterator[tuple[str, Journal]]:
    yield "in memory", MemoryJournal()
    yield "SQLite", SqliteJournal(folder / "runs")


async def _measure(where: str, engine: Engine, size: int, rounds: int) -> list[Figure]:
    reference = row(min(size, _LONGEST_ROW))
    runs = AT_ONCE if size <= _LONGEST_ROW else 1
    steps = AT_ONCE // runs  # at once, of each run
    one = await measure(
        f"one step of {size:,}, one after another, {where}",
        [
            _candidate("a sequential run", engine, reference),
            _candidate("a graph that is a chain", engine, chain(size), goal=_GOAL),
        ],
        min(rounds, _ROUNDS),
        _ROUND_S,
    )
    several = await measure(
        f"one step of {size:,}, {AT_ONCE} at once, {where}",
        [
            _candidate("sequential runs", engine, reference, AT_ONCE),
            _candidate("a graph", engine, wide(size, steps), runs, _GOAL),
            _candidate("foreach", engine, each(size, steps), runs, _GOAL),
        ],
        min(rounds, _ROUNDS),
        _ROUND_S,
    )
    return [*one, *several]


def _candidate(
    name: str, engine: Engine, workflow: Workflow, at_once: int = 1, goal: Goal | None = None
) -> Candidate:
    definition: Any = workflow.definition
    per_run = len(definition.stages[0].foreach or definition.stages)

    async def once() -> None:
        view = await engine.execute(workflow, {"n": 1})
        if view.status != "succeeded":
            raise RuntimeError(f"a run of '{workflow.definition.name}' is {view.status}")

    async def call(steps: int) -> None:
        await running(once, steps // per_run, at_once)

    return Candidate(name, call, goal, batch=per_run * at_once)


def main() -> None:
    """Measure stages alone, and print their table."""
    found = asyncio.run(measure_stages(_ROUNDS, long=True))
    print(as_markdown(found, describe(), {}, []))


if __name__ == "__main__":
    main()
