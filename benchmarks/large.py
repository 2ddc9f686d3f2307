"""Journals of up to a million runs: resuming runs, listing them, adding to them; and memory."""

from __future__ import annotations

import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hosting import engine_with
from benchmarks.measuring import Candidate, Figure, Goal, figures, measure
from benchmarks.runs import (
    AT_ONCE,
    ROUND_S,
    STEPS,
    WORKFLOW,
    CheckedRuns,
    Counts,
    candidate,
    running,
)
from benchmarks.startup import measure_listing
from benchmarks.stores import add_finished, add_interrupted
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.journal import RunQuery

__all__ = ["Large", "measure_large"]

_INTERRUPTED = 10_000
_HISTORIES = (1_000, 100_000, 1_000_000)
_LISTED = 50
_ROUNDS = 9
_MEMORY_RUNS = 100_000
_MEMORY_PARTS = 10
_BYTES_PER_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """What came out.

    Attributes:
        figures: The times.
        appends: Those of them that make the plot: how an append grows with the history.
        histories: How many runs the journal held, for each of these.
        memory: What the process grew by, in words.
    """

    figures: list[Figure]
    appends: list[Figure]
    histories: tuple[int, ...]
    memory: str


async def measure_large(rounds: int) -> Large:
    """Time what takes gigabytes of disk and minutes.

    Raises:
        RuntimeError: Something else than the work was timed.
    """
    rounds = min(rounds, _ROUNDS)
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as name:
        folder = Path(name)
        resumed = await _resume(folder / "interrupted")
        memory = await _memory(folder / "memory")
        for runs in _HISTORIES:
            await _make(_journal(folder, runs), runs)
        listed = await _list(folder, rounds)
        listed += measure_listing(
            {f"of {runs:,} finished runs": folder / str(runs) for runs in _HISTORIES},
            Goal(time_s=0.3),
            rounds,
        )
        appends = await _append(folder, rounds)
    return Large(
        figures=[*resumed, *listed, *appends], appends=appends, histories=_HISTORIES, memory=memory
    )


def _journal(folder: Path, runs: int) -> Path:
    """Return where the journal is in the state directory of that many runs."""
    return folder / str(runs) / "runs"


async def _make(folder: Path, runs: int) -> None:
    print(f"making a journal of {runs:,} runs ...", file=sys.stderr)
    counts = Counts()
    async with engine_with(SqliteJournal(folder), WORKFLOW, counts) as engine:
        await CheckedRuns(engine, counts).once()
    add_finished(folder, runs - 1)


async def _resume(folder: Path) -> list[Figure]:
    print("resuming interrupted runs ...", file=sys.stderr)
    await add_interrupted(folder, _INTERRUPTED)
    counts = Counts()
    started = time.perf_counter()
    journal = SqliteJournal(folder)
    async with engine_with(journal, WORKFLOW, counts) as engine:
        left = iter(await journal.unfinished())

        async def once() -> None:
            view = await engine.resume(next(left))
            if view.status != "succeeded" or view.result != STEPS:
                raise RuntimeError(f"a resumed run is {view.status}: {view.error}")

        await running(once, _INTERRUPTED, AT_ONCE)
        took_s = time.perf_counter() - started
    if counts.calls != _INTERRUPTED:
        raise RuntimeError(f"the last steps of {_INTERRUPTED} runs asked {counts.calls} times")
    group = f"{_INTERRUPTED:,} interrupted runs resumed, each with its last step to do"
    name = f"the journal opened, and all resumed, {AT_ONCE} at once"
    return figures(group, [(name, Goal(time_s=5))], [[took_s]])


async def _list(folder: Path, rounds: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        candidates = []
        for runs in _HISTORIES:
            journal = SqliteJournal(_journal(folder, runs))
            await journal.open()
            stack.push_async_callback(journal.close)
            candidates.append(Candidate(f"of {runs:,} finished runs", _listing(journal)))
        return await measure(f"the newest {_LISTED} runs listed", candidates, rounds)


def _listing(journal: SqliteJournal) -> Callable[[int], Awaitable[None]]:
    async def call(calls: int) -> None:
        for _ in range(calls):
            found = await journal.runs(RunQuery(limit=_LISTED))
            if len(found) != _LISTED:
                raise RuntimeError(f"{len(found)} runs were listed")

    return call


async def _append(folder: Path, rounds: int) -> list[Figure]:
    print("adding to the journals ...", file=sys.stderr)
    async with AsyncExitStack() as stack:
        candidates, checks = [], []
        for runs in _HISTORIES:
            counts, journal = Counts(), SqliteJournal(_journal(folder, runs))
            engine = await stack.enter_async_context(engine_with(journal, WORKFLOW, counts))
            checks.append(CheckedRuns(engine, counts))
            name = f"after {runs:,} runs"
            candidates.append(candidate(name, checks[-1].once))
        group = f"one step of durable runs of {STEPS}, {AT_ONCE} at once, as the history grows"
        found = await measure(group, candidates, rounds, ROUND_S)
        for check in checks:
            check.check()
    return found


async def _memory(folder: Path) -> str:
    print("watching the memory ...", file=sys.stderr)
    counts, part = Counts(), _MEMORY_RUNS // _MEMORY_PARTS
    async with engine_with(SqliteJournal(folder), WORKFLOW, counts) as engine:
        runs = CheckedRuns(engine, counts)
        sizes = []
        for _ in range(_MEMORY_PARTS + 1):  # the first of them is the warm-up
            await running(runs.once, part, AT_ONCE)
            sizes.append(_resident_bytes())
        runs.check()
    # The slope, not the difference: one measurement that is off does not decide.
    slope = statistics.linear_regression(range(len(sizes)), sizes).slope / part
    grown_mb = (sizes[-1] - sizes[0]) / _BYTES_PER_MB
    return (
        f"Over {_MEMORY_RUNS:,} durable runs in one process, its resident memory went from"
        f" {sizes[0] / _BYTES_PER_MB:.1f} MB by {grown_mb:+.1f} MB: {slope:+.0f} bytes per run."
    )


def _resident_bytes() -> int:
    gc.collect()
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
