"""Durable runs of four steps in PostgreSQL, beside SQLite and DBOS; the call is one step.

``python -m benchmarks.shared_journals`` needs the extension qtforge-postgresql and the programs of
a PostgreSQL server, and starts a server of its own that waits for the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

import psycopg
from tests.servers.postgresql import PostgreSQL, PostgreSQLUnavailable, running_postgresql

from benchmarks.hosting import engine_with
from benchmarks.machine import describe
from benchmarks.measuring import Figure, Goal, measure
from benchmarks.peers_dbos import dbos_with
from benchmarks.report import as_markdown
from benchmarks.runs import AT_ONCE, ROUND_S, STEPS, WORKFLOW, CheckedRuns, Counts, candidate
from qtforge_host.gc_tuning import freeze_heap
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_postgresql import PostgresqlJournal, initialize
from qtforge_sdk.journal import Journal, JournalSettings

__all__ = ["measure_shared_journals"]

_ROUNDS = 9
# SQLite's time of a step, by PostgreSQL's: half as fast is twice the time.
_TOGETHER = Goal(ratio=1 / 0.45)
_ALONE = Goal(ratio=1 / 0.5)
_LESS_THAN_DBOS = 10.0


async def measure_shared_journals(
    server: PostgreSQL, rounds: int, *, with_dbos: bool = True
) -> list[Figure]:
    """Time runs on a server that waits for the disk.

    Args:
        server: The server.
        rounds: How often each is timed.
        with_dbos: Whether DBOS is timed too; it needs seconds for a round.

    Raises:
        RuntimeError: A run did not succeed, or not every step was asked for once.
    """
    freeze_heap()
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as name:
        folder = Path(name)
        settings = JournalSettings(directory=folder, url=server.url())
        await initialize(settings)
        async with contextlib.AsyncExitStack() as stack:
            counts, own = {}, {}
            journals: dict[str, Journal] = {
                "SQLite": SqliteJournal(folder / "runs"),
                "PostgreSQL": PostgresqlJournal(settings),
            }
            for where, journal in journals.items():
                counts[where] = Counts()
                engine = await stack.enter_async_context(
                    engine_with(journal, WORKFLOW, counts[where])
                )
                own[where] = CheckedRuns(engine, counts[where])
            found = []
            for what, at_once, goal in (
                (f"{AT_ONCE} runs at once", AT_ONCE, _TOGETHER),
                ("one run after another", 1, _ALONE),
            ):
                found += await measure(
                    f"one step of durable runs of {STEPS} in PostgreSQL, {what}",
                    [
                        candidate("the host's engine, SQLite", own["SQLite"].once, None, at_once),
                        candidate(
                            "the host's engine, PostgreSQL", own["PostgreSQL"].once, goal, at_once
                        ),
                    ],
                    rounds,
                    ROUND_S,
                )
            if with_dbos:
                with psycopg.connect(server.url(), autocommit=True) as connection:
                    connection.execute("CREATE DATABASE dbos")
                dbos = await stack.enter_async_context(
                    dbos_with(server.url(database="dbos"), STEPS)
                )
                found += await measure(
                    f"one step of durable runs of {STEPS} on one PostgreSQL, {AT_ONCE} at once",
                    [
                        candidate("the host's engine", own["PostgreSQL"].once),
                        candidate("DBOS", dbos, Goal(least_ratio=_LESS_THAN_DBOS)),
                    ],
                    min(rounds, 3),
                    ROUND_S,
                )
            for each in own.values():
                each.check()
    return found


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared_journals",
                                     description=__doc__)  # fmt: skip
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="default: %(default)s")
    parser.add_argument("--without-dbos", action="store_true", help="leave the peer out")
    options = parser.parse_args()
    try:
        with running_postgresql(durable=True) as server:
            measured = measure_shared_journals(
                server, options.rounds, with_dbos=not options.without_dbos
            )
            found = asyncio.run(measured)
    except PostgreSQLUnavailable as error:
        print(f"there is no PostgreSQL to measure: {error}", file=sys.stderr)
        return 1
    print(as_markdown(found, describe(), {}, []))
    return 0


if __name__ == "__main__":
    sys.exit(main())
