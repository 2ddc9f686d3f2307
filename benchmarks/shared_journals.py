"""Durable runs of four steps in PostgreSQL, beside SQLite and DBOS; the call is one step.

It needs the extension qtforge-postgresql, and a server that waits for the disk.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
from tests.servers.postgresql import PostgreSQL

from benchmarks.hosting import engine_with
from benchmarks.measuring import Figure, Goal, measure
from benchmarks.peers_dbos import dbos_with
from benchmarks.runs import AT_ONCE, ROUND_S, STEPS, WORKFLOW, CheckedRuns, Counts, candidate
from qtforge_host.gc_tuning import freeze_heap
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_postgresql import PostgresqlJournal, initialize
from qtforge_sdk.journal import Journal, JournalSettings

__all__ = ["measure_beside_dbos", "measure_shared_journals"]

# SQLite's time of a step, by PostgreSQL's: half as fast is twice the time.
_TOGETHER = Goal(ratio=1 / 0.45)
_ALONE = Goal(ratio=1 / 0.5)
_LESS_THAN_DBOS = 10.0


async def measure_shared_journals(server: PostgreSQL, rounds: int) -> list[Figure]:
    """Time runs on a server that waits for the disk, and in SQLite.

    Args:
        server: The server.
        rounds: How often each is timed.

    Raises:
        RuntimeError: A run did not succeed, or not every step was asked for once.
    """
    freeze_heap()
    found = []
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as name:
        async with contextlib.AsyncExitStack() as stack:
            sqlite, shared = [
                await stack.enter_async_context(_runs_in(journal))
                for journal in (SqliteJournal(Path(name)), await _journal(server, Path(name)))
            ]
            for what, at_once, goal in (
                (f"{AT_ONCE} runs at once", AT_ONCE, _TOGETHER),
                ("one run after another", 1, _ALONE),
            ):
                found += await measure(
                    f"one step of durable runs of {STEPS} in PostgreSQL, {what}",
                    [
                        candidate("the host's engine, SQLite", sqlite.once, None, at_once),
                        candidate("the host's engine, PostgreSQL", shared.once, goal, at_once),
                    ],
                    rounds,
                    ROUND_S,
                )
    return found


async def measure_beside_dbos(server: PostgreSQL, rounds: int) -> list[Figure]:
    """Time runs beside those of DBOS on the same server; at most three rounds.

    Raises:
        RuntimeError: A run did not succeed, or not every step was asked for once.
    """
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE dbos")
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as name:
        async with contextlib.AsyncExitStack() as stack:
            # First, so that it ends last: it takes the loop's executor with it.
            dbos = await stack.enter_async_context(dbos_with(server.url(database="dbos"), STEPS))
            journal = await _journal(server, Path(name))
            own = await stack.enter_async_context(_runs_in(journal))
            return await measure(
                f"one step of durable runs of {STEPS} on one PostgreSQL, {AT_ONCE} runs at once",
                [
                    candidate("the host's engine", own.once),
                    candidate("DBOS", dbos, Goal(least_ratio=_LESS_THAN_DBOS)),
                ],
                min(rounds, 3),
                ROUND_S,
            )


async def _journal(server: PostgreSQL, folder: Path) -> Journal:
    settings = JournalSettings(directory=folder, url=server.url())
    await initialize(settings)
    return PostgresqlJournal(settings)


@contextlib.asynccontextmanager
async def _runs_in(journal: Journal) -> AsyncIterator[CheckedRuns]:
    counts = Counts()
    async with engine_with(journal, WORKFLOW, counts) as engine:
        runs = CheckedRuns(engine, counts)
        yield runs
        runs.check()
