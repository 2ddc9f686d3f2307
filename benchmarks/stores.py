"""Journals with a past: many finished runs, or many that their host left before the last step."""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from benchmarks.runs import STEPS, WORKFLOW, running
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.runs.engine import RunIds
from qtforge_sdk import Record
from qtforge_sdk.journal_kit.encoding import to_us
from qtforge_sdk.records import RunStarted, StepStarted, StepSucceeded

__all__ = ["add_finished", "add_interrupted"]

_SINCE = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
_OVER_S = 300 * 24 * 3600
_ONE_IN_FAILED = 50
_INSERT_RUNS = """INSERT INTO runs
    (run_id, workflow, kind, status, started_at, finished_at, owner, epoch, parent)
    VALUES (?, ?, ?, ?, ?, ?, NULL, 1, NULL)"""
# Every run's records are the first one's, byte for byte: only their number and size matter here.
_INSERT_RECORDS = """INSERT INTO records (run, position, checksum, payload)
    SELECT runs.key, position, checksum, payload
    FROM runs CROSS JOIN records
    WHERE runs.key > :last AND records.run = :first
    ORDER BY runs.key, position"""


def add_finished(folder: Path, runs: int) -> None:
    """Add finished runs to a closed journal that holds one, past the journal and in seconds.

    Args:
        folder: The journal's.
        runs: How many.
    """
    with contextlib.closing(sqlite3.connect(folder / "journal.sqlite3")) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        first, last = connection.execute("SELECT min(key), max(key) FROM runs").fetchone()
        with connection:
            connection.executemany(_INSERT_RUNS, _finished(runs))
            connection.execute(_INSERT_RECORDS, {"first": first, "last": last})
        connection.execute("PRAGMA journal_mode = WAL")


def _finished(runs: int) -> Iterator[tuple[str, str, str, str, int, int]]:
    definition, ids = WORKFLOW.definition, RunIds()
    for number in range(runs):
        at = _SINCE + datetime.timedelta(seconds=_OVER_S * number / runs)
        status = "succeeded" if (number + 1) % _ONE_IN_FAILED else "failed"
        at_us = to_us(at)
        yield ids.new(at), definition.name, definition.kind, status, at_us, at_us + 5000


async def add_interrupted(folder: Path, runs: int) -> None:
    """Add runs whose host ended when all steps but the last were done."""
    journal, ids = SqliteJournal(folder), RunIds()
    await journal.open()

    async def once() -> None:
        now = datetime.datetime.now(datetime.UTC)
        definition = WORKFLOW.definition
        started = RunStarted(
            run_id=ids.new(now),
            at=now,
            workflow=definition.name,
            kind=definition.kind,
            workflow_version=definition.version,
            input={},
            plugins={},
        )
        ownership = await journal.create(started)
        await journal.append(ownership, list(_all_but_the_last(started.run_id, now)))

    await running(once, runs, 256)
    await journal.close()


def _all_but_the_last(run_id: str, at: datetime.datetime) -> Iterator[Record]:
    for number in range(STEPS - 1):
        step, topic = f"step {number}", "bench.count"
        yield StepStarted(run_id=run_id, at=at, step=step, topic=topic)
        yield StepSucceeded(
            run_id=run_id,
            at=at,
            step=step,
            data=number + 1,
            plugin="counts",
            plugin_version="1.0.0",
            duration_s=0.001,
        )
