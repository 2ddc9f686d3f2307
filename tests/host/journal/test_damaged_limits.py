"""Damaged rows of shared limits, rates and breakers count as not there, and cost nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.testing._journal_scenarios import finished, keep, started

COLUMNS = {
    "places": ("owner", "held", "wanted", "since"),
    "rates": ("full_at", "owner", "is_short", "drawn_by", "drawn_at", "shared_until"),
    "breakers": ("until", "open_for", "reason", "trial"),
}
TEXTS = ("owner", "drawn_by", "reason", "trial")
DAMAGED = [(table, column) for table, columns in COLUMNS.items() for column in columns]


async def use(journal: SqliteJournal) -> tuple[int, int, bool]:
    """Use one limit, one rate and one breaker; return what was granted of each."""
    holding = await journal.hold("limit", 2, using=0, wanted=1)
    drawn = await journal.draw("rate", 1, count=5, period_s=1.0)
    await journal.open_breaker("a.b", "acme", 60.0, "it has failed")
    await journal.try_breaker("a.b", "acme")
    return holding.held, drawn.granted, bool((await journal.standing()).breakers)


def damage(folder: Path, table: str, column: str, value: object, where: str = "") -> None:
    connection = sqlite3.connect(folder / "journal.sqlite3")
    with connection:
        connection.execute(f"UPDATE {table} SET {column} = ?{where}", (value,))
    connection.close()


@pytest.mark.parametrize("value", [b"\xff\x00", "soon", 9e999, 1e300])
@pytest.mark.parametrize(("table", "column"), DAMAGED)
def test_a_damaged_row_counts_as_not_there(
    tmp_path: Path, table: str, column: str, value: object
) -> None:
    async def play() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        try:
            before = await use(journal)
            damage(tmp_path, table, column, value)
            await journal.standing()
            # Any text is a process, or a reason.
            is_damaged = isinstance(value, bytes) or column not in TEXTS
            found = [each.what for each in await journal.check()]
            assert any(f"a row of '{table}' can't be read" in each for each in found) == is_damaged
            assert await use(journal) == before
            await journal.try_breaker("a.b", "acme")
        finally:
            await journal.close()

    asyncio.run(play())


def test_a_repair_removes_damaged_rows_of_limits_and_no_others(tmp_path: Path) -> None:
    async def play() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        try:
            await use(journal)
            await journal.open_breaker("c.d", "acme", 60.0, "it has failed")
            damage(tmp_path, "places", "held", "soon")
            damage(tmp_path, "breakers", "until", 1e300, " WHERE topic = 'a.b'")
            assert len(await journal.check()) == 2
            (done,) = [each.what for each in await journal.repair()]
            assert done == "2 rows of limits that could not be read were removed"
            assert not await journal.check()
            assert [each.topic for each in (await journal.standing()).breakers] == ["c.d"]
        finally:
            await journal.close()

    asyncio.run(play())


@pytest.mark.parametrize("value", [b"\xff\x00", 2**62], ids=["bytes", "too large"])
def test_a_time_of_a_run_that_is_none_is_damage_and_no_failure_of_the_host(
    tmp_path: Path, value: object
) -> None:
    async def play() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        try:
            await keep(journal, started("one"), finished("one"))
            damage(tmp_path, "runs", "started_at", value)
            with pytest.raises(StateDirectoryError, match="the journal in it is damaged"):
                await journal.summary("one")
            assert await journal.check()
        finally:
            await journal.close()

    asyncio.run(play())
