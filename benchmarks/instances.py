"""Machines in runs: durable events of many at once, and stores of up to a million that wait."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import itertools
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hosting import engine_with
from benchmarks.measuring import Candidate, Figure, Goal, figures, measure
from benchmarks.runs import ROUND_S
from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import ReactiveOrchestrator
from qtforge_host.gc_tuning import freeze_heap
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.runs.engine import Engine, RunIds
from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.workflows.definitions import Workflow, parse
from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.journal import Journal

__all__ = ["SIZES", "WaitingStores", "machine", "measure_instances", "measure_waiting"]

INSTANCES = 256
SIZES = (1_000, 1_000_000)
TIMERS = 100_000
_ROUNDS = 5
_LINGER_S = 3600
_CHUNK = 100_000
_TEXT = """
name = "toggle"
kind = "reactive"
initial = "off"
data = { count = 0 }
[states.off]
[states.on]
[states.late]
[[transitions]]
name = "up"
from = "off"
to = "on"
trigger = "flip"
condition = "event.data >= 0"
actions = ["count"]
[[transitions]]
name = "down"
from = "on"
to = "off"
trigger = "flip"
[[transitions]]
name = "wait"
from = "off"
trigger = "wait"
actions = ["timer"]
[[transitions]]
name = "fire"
from = "*"
to = "late"
trigger = "fired"
[actions.count]
type = "set"
values = { count = "${data.count + 1}" }
[actions.timer]
type = "timer"
after = "${event.data}"
event = "fired"
"""


def machine() -> Workflow:
    """Return a machine that is flipped; every second event has a condition and an action."""
    parsed = parse(_TEXT, "the benchmark", {"reactive": ReactiveOrchestrator()})
    if parsed.workflow is None:
        raise RuntimeError(f"the benchmark's machine is wrong: {parsed.problems}")
    return parsed.workflow


async def measure_instances(rounds: int) -> list[Figure]:
    """Time events of machines that are live, at most five rounds of them.

    Raises:
        RuntimeError: An event was not taken.
    """
    freeze_heap()  # as the host does when it has started
    workflow = machine()
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="qtforge-bench-"))
        candidates = []
        for name, journal, goal in (
            ("SQLite, on the disk before it is answered", SqliteJournal(Path(folder)), 10_000),
            ("in memory", MemoryJournal(), None),
        ):
            opened: Journal = journal
            engine = await stack.enter_async_context(engine_with(opened, workflow))
            engine.active_runs.linger_s = _LINGER_S
            call = await _flipping(engine, workflow)
            named = Goal(per_s=goal) if goal else None
            candidates.append(Candidate(name, call, named, INSTANCES))
        group = f"one event of a machine in a run, {INSTANCES} machines at once"
        return await measure(group, candidates, min(rounds, _ROUNDS), ROUND_S)


async def _flipping(engine: Engine, workflow: Workflow) -> Callable[[int], Awaitable[None]]:
    supervisor = Supervisor(engine)
    runs = [await supervisor.start(workflow, {}) for _ in range(INSTANCES)]
    numbers = itertools.count()

    async def flip(run_id: str, times: int) -> None:
        for _ in range(times):
            now = datetime.datetime.now(datetime.UTC)
            id_ = str(next(numbers))
            event = ReceivedEvent(event_id=id_, name="flip", data=1, at=now)
            record = await supervisor.deliver(run_id, event)
            if record.event_id != id_ or record.outcome != "taken":
                raise RuntimeError(f"{run_id}: {record.outcome}")

    async def call(times: int) -> None:
        await asyncio.gather(*(flip(run_id, times // INSTANCES) for run_id in runs))

    return call


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingStores:
    """What came out of stores of machines that wait.

    Attributes:
        figures: The times.
        events: Those of them that make the plot: how an event's time grows with the store.
        memory: What a process that keeps them going takes, in words.
    """

    figures: list[Figure]
    events: list[Figure]
    memory: str


def measure_waiting() -> WaitingStores:
    """Time processes that keep up to a million waiting machines; gigabytes and minutes.

    Raises:
        RuntimeError: A process failed.
    """
    told = []
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as name:
        for size in SIZES:
            folder = Path(name) / str(size)
            print(f"making a store of {size:,} waiting machines ...", file=sys.stderr)
            asyncio.run(_make(folder, size))
            command = [sys.executable, "-m", "benchmarks.serving", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0:
                raise RuntimeError(done.stderr)
            told.append(json.loads(done.stdout))
    named = [f"of {size:,}" for size in SIZES]

    def group(name: str, key: str, goal: Goal | None) -> list[Figure]:
        goals = [None] * (len(SIZES) - 1) + [goal]
        times = [[each[key]] if isinstance(each[key], float) else each[key] for each in told]
        return figures(name, list(zip(named, goals, strict=True)), times)

    events = group("an event of a machine that rests among others", "event_s", Goal(ratio=1.5))
    found = [
        *group("a process started, until nothing waits for it", "start_s", Goal(time_s=3)),
        *events,
        *group("the newest 50 that wait for an event, listed", "list_s", Goal(time_s=0.3)),
        *group(
            f"how late a timer fires, beside {TIMERS:,} others where there are as many",
            "late_s",
            Goal(time_s=0.05),
        ),
    ]
    sizes = " and ".join(
        f"{each['resident_mb']:.0f} MB with {size:,}"
        for each, size in zip(told, SIZES, strict=True)
    )
    memory = f"A process that keeps waiting machines going takes {sizes}; at most 300 MB: " + (
        "met." if told[-1]["resident_mb"] <= 300 else "missed."
    )
    return WaitingStores(figures=found, events=events, memory=memory)


async def _make(folder: Path, size: int) -> None:
    """Make one machine, and the others from it, past the journal and in seconds."""
    workflow = machine()
    async with engine_with(SqliteJournal(folder), workflow) as engine:
        await engine.execute(workflow, {})
    with contextlib.closing(sqlite3.connect(folder / "journal.sqlite3")) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        (first,) = connection.execute("SELECT key FROM runs").fetchone()
        for start in range(1, size, _CHUNK):
            _copy(connection, first, min(_CHUNK, size - start))
        connection.execute("PRAGMA journal_mode = WAL")


def _copy(connection: sqlite3.Connection, first: int, count: int) -> None:
    """Copy a machine; every copy's records are the first one's, byte for byte."""
    now = datetime.datetime.now(datetime.UTC)
    due_us = int((now + datetime.timedelta(days=300)).timestamp() * 1e6)
    ids = RunIds()
    with connection:
        (last,) = connection.execute("SELECT max(key) FROM runs").fetchone()
        connection.executemany(
            """INSERT INTO runs (run_id, workflow, kind, status, started_at, owner, epoch, parent,
                    kept, label, accepts, kept_at)
                SELECT ?, workflow, kind, status, started_at + ?, NULL, epoch, parent,
                    kept, label, accepts, kept_at FROM runs WHERE key = ?""",
            ((ids.new(now), number, first) for number in range(count)),
        )
        connection.execute(
            """INSERT INTO records (run, position, checksum, payload)
                SELECT runs.key, position, checksum, payload
                FROM runs CROSS JOIN records
                WHERE runs.key > ? AND records.run = ?
                ORDER BY runs.key, position""",
            (last, first),
        )
        if last == first:  # once, and all of the small store
            connection.execute(
                "INSERT INTO timers SELECT key, 'far', ? + key FROM runs WHERE key > ? LIMIT ?",
                (due_us, last, TIMERS),
            )
