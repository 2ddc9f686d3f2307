"""The cost of a list depends on its length, not on the number of other runs."""

from __future__ import annotations

import asyncio
import datetime
import sqlite3
from pathlib import Path

import pytest

from qtforge_host.journal.database import connect
from qtforge_host.journal.listing_queries import list_runs
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.records import CheckpointSaved, ErrorInfo
from qtforge_sdk.testing._journal_scenarios import NOW, finished, started

OTHERS = 4000


def steps_of_reading(folder: Path, query: RunQuery) -> tuple[list[str], int]:
    """Return the runs found, and for how many hundreds of steps SQLite worked on it."""
    connection = connect(folder / "journal.sqlite3")
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    try:
        connection.set_progress_handler(count, 100)
        found = list_runs(connection, OwnerLocks(folder / "owners"), query)
    finally:
        connection.close()
    return [each.run_id for each in found], counted


def crowd(folder: Path) -> None:
    """Add many waiting runs to a journal, of the same workflow and of another."""
    insert = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
        INSERT INTO runs (run_id, workflow, kind, status, started_at, epoch, accepts)
        SELECT printf('%s-%d', ?, i), ?, 'reactive', 'waiting', i, 1, ? FROM n"""
    with sqlite3.connect(folder / "journal.sqlite3") as connection:
        for workflow, accepts in (("letters", "tick"), ("others", "user.action")):
            connection.execute(insert, (OTHERS, workflow, workflow, accepts))
    connection.close()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (RunQuery(waiting_for="user.*", workflow="letters", oldest_first=True), ["a", "b"]),
        (RunQuery(waiting_for="user.go", after="a", oldest_first=True), ["b"]),
        (RunQuery(waiting_for="user.go", limit=1), ["b"]),
        (RunQuery(after="b", limit=1), ["a"]),
    ],
)
def test_a_list_does_not_walk_through_the_runs_beside(
    tmp_path: Path, query: RunQuery, expected: list[str]
) -> None:
    async def make() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        for number, name in enumerate("ab"):
            at = NOW + datetime.timedelta(seconds=number)
            ownership = await journal.create(started(name, at=at))
            kept = CheckpointSaved(run_id=name, at=at, state={}, label="here", accepts=("user.go",))
            await journal.append(ownership, [kept])
        await journal.close()

    asyncio.run(make())
    found, alone = steps_of_reading(tmp_path, query)
    assert found == expected
    crowd(tmp_path)
    found, beside = steps_of_reading(tmp_path, query)
    assert found == expected
    assert beside <= alone + 5, "hundreds of steps"


@pytest.mark.parametrize(
    "query",
    [
        RunQuery(error_code="shop.closed"),
        RunQuery(error_plugin="shop", statuses=frozenset({"failed"})),
        RunQuery(error_code="shop.closed", error_plugin="shop", workflow="letters"),
    ],
)
def test_failures_are_found_without_a_walk_through_the_others(
    tmp_path: Path, query: RunQuery
) -> None:
    async def make() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        error = ErrorInfo(code="shop.closed", message="it is closed", plugin="shop")
        ended = finished("a", "failed", error=error)
        await journal.append(await journal.create(started("a")), [ended])
        await journal.close()

    asyncio.run(make())
    found, alone = steps_of_reading(tmp_path, query)
    assert found == ["a"]
    insert = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
        INSERT INTO runs (run_id, workflow, kind, status, started_at, epoch, error_code,
            error_plugin)
        SELECT printf('other-%d', i), 'letters', 'k', 'failed', i, 1, 'mail.full', 'mail' FROM n"""
    with sqlite3.connect(tmp_path / "journal.sqlite3") as connection:
        connection.execute(insert, (OTHERS,))
    connection.close()
    found, beside = steps_of_reading(tmp_path, query)
    assert found == ["a"]
    assert beside <= alone + 5, "hundreds of steps"
