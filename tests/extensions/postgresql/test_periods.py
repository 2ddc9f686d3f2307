"""The records of a period have a table of their own, which is dropped when few are needed."""

from __future__ import annotations

import asyncio
import datetime
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from tests.extensions.postgresql.journals import opened
from tests.servers.postgresql import PostgreSQL

import qtforge_postgresql.periods as periods_module
import qtforge_postgresql.schema as schema_module
from qtforge_postgresql import PostgresqlJournal, initialize
from qtforge_postgresql.schema import VERSION
from qtforge_sdk.journal import JournalSettings, Ownership, RunQuery
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.records import Record
from qtforge_sdk.testing._journal_scenarios import NOW, finished, keep, started, step, steps_of

LATER = NOW + datetime.timedelta(days=30)


class Tables:
    """Looks into the tables of a journal, and lets time pass for them."""

    def __init__(self, settings: JournalSettings) -> None:
        parts = urllib.parse.urlsplit(settings.url)
        self.schema = urllib.parse.parse_qs(parts.query)["schema"][0]
        self._connection = psycopg.connect(parts._replace(query="").geturl(), autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def rows(self, statement: str) -> list[Any]:
        return self._connection.execute(
            statement.replace("S.", f"{self.schema}.").encode()
        ).fetchall()

    def of_periods(self) -> list[str]:
        """Return the tables with records."""
        found = self.rows(
            f"""SELECT relname FROM pg_class WHERE relnamespace = '{self.schema}'::regnamespace
            AND relispartition AND relkind = 'r' ORDER BY relname"""
        )
        return [name for (name,) in found]

    def count(self, table: str) -> int:
        (count,) = self.rows(f"SELECT count(*) FROM S.{table}")[0]
        return int(count)

    def let_a_week_pass(self) -> None:
        self._connection.execute(
            f"UPDATE {self.schema}.periods SET opened = opened - interval '7 days'".encode()
        )
        self._connection.execute(
            f"UPDATE {self.schema}.gone SET since = since - interval '7 days'".encode()
        )


@pytest.fixture
def tables(journal_settings: JournalSettings) -> Iterator[Tables]:
    tables = Tables(journal_settings)
    yield tables
    tables.close()


@pytest.fixture(autouse=True)
def a_day_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a period after a day, however few records there are."""
    monkeypatch.setattr(periods_module, "_LONG_BYTES", 0)


async def keep_run(
    journal: PostgresqlJournal, run_id: str, *steps: str, ends: bool = True
) -> Ownership:
    records: list[Record] = [*(step(name=name) for name in steps)]
    if ends:
        records.append(finished())
    return await keep(journal, started(run_id), *of(run_id, *records))


def of(run_id: str, *records: Record) -> list[Record]:
    return [msgspec.structs.replace(each, run_id=run_id) for each in records]


async def fill(journal: PostgresqlJournal, prefix: str, count: int = 3) -> None:
    for number in range(count):
        await keep_run(journal, f"{prefix}-{number}", "a")


async def next_period(journal: PostgresqlJournal, tables: Tables) -> None:
    """Let a week pass, and a pruning that finds nothing to delete."""
    tables.let_a_week_pass()
    assert await journal.prune(NOW - datetime.timedelta(days=365)) == 0


async def expect_sound(journal: PostgresqlJournal) -> None:
    assert await journal.check() == ()
    assert await journal.repair() == ()


def test_the_table_of_a_period_is_dropped_when_its_runs_are_pruned(
    journal_settings: JournalSettings, tables: Tables
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            await fill(journal, "old")
            await next_period(journal, tables)
            assert tables.of_periods() == ["records_0", "records_1"]
            await fill(journal, "new")
            assert [tables.count(each) for each in tables.of_periods()] == [9, 9]
            tables.let_a_week_pass()
            place = (await journal.records_since("", 3)).until
            assert await journal.prune(LATER) == 6
            # The second pruning has begun another period; runs of the last one were current.
            assert tables.of_periods() == ["records_1", "records_2"]
            tables.let_a_week_pass()
            assert await journal.prune(LATER) == 0
            assert tables.of_periods() == ["records_2", "records_3"]
            assert tables.count("gone") == 0
            assert (await journal.records_since(place)).gap == "pruned"
            await expect_sound(journal)

    asyncio.run(test())


def test_a_run_that_goes_on_takes_its_records_to_a_new_table(
    journal_settings: JournalSettings, tables: Tables
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            await fill(journal, "old", 20)
            ownership = await keep_run(journal, "year", "a", "b", ends=False)
            before = [each for each in (await journal.records_since("")).records
                      if each.run_id == "year"]  # fmt: skip
            await next_period(journal, tables)
            tables.let_a_week_pass()
            assert await journal.prune(LATER) == 20
            assert tables.of_periods()[0] == "records_0"
            assert tables.count("records_0") == 3
            assert list((await journal.records_since("")).records) == before
            await journal.append(ownership, of("year", step(name="c")))
            assert steps_of(await journal.records("year")) == ["a", "b", "c"]
            await expect_sound(journal)
            await journal.append(ownership, of("year", finished()))
            tables.let_a_week_pass()
            assert await journal.prune(LATER) == 1
            assert "records_0" not in tables.of_periods()
            await expect_sound(journal)

    asyncio.run(test())


def test_records_that_wait_for_their_table_to_be_dropped_are_no_runs(
    journal_settings: JournalSettings, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            await fill(journal, "old")
            await keep_run(journal, "year", "a", ends=False)
            await next_period(journal, tables)
            monkeypatch.setattr(periods_module, "_MOST_MOVED", 0)
            place = (await journal.records_since("", 3)).until
            names = ["old-0", "old-1", "old-2"]
            assert sorted(await journal.delete(names, ended_before=LATER)) == names
            assert (tables.count("gone"), tables.count("records_0")) == (3, 11)
            assert [each.run_id for each in await journal.runs(RunQuery())] == ["year"]
            assert {each.run_id for each in (await journal.records_since("")).records} == {"year"}
            assert (await journal.records_since(place)).gap == "pruned"
            with pytest.raises(RunNotFoundError):
                await journal.records("old-0")
            await keep_run(journal, "old-0", "again")
            assert steps_of(await journal.records("old-0")) == ["again"]
            await expect_sound(journal)

    asyncio.run(test())


@pytest.mark.parametrize("by", ["prune", "delete"])
def test_where_many_records_are_needed_the_others_are_deleted_row_by_row(
    journal_settings: JournalSettings, tables: Tables, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(periods_module, "_MOST_MOVED", 1)

    async def test() -> None:
        async with opened(journal_settings) as journal:
            await fill(journal, "old", 3)
            await keep_run(journal, "year", "a", "b", ends=False)
            await next_period(journal, tables)
            if by == "prune":
                assert await journal.prune(LATER) == 3
            else:
                assert len(await journal.delete(["old-0", "old-1"], ended_before=LATER)) == 2
                assert tables.count("records_0") == 12
                tables.let_a_week_pass()
        async with opened(journal_settings) as journal:  # it looks again
            if by == "delete":
                assert len(await journal.delete(["old-2"], ended_before=LATER)) == 1
                assert (tables.count("gone"), tables.count("records_0")) == (1, 6)
            else:
                assert (tables.count("gone"), tables.count("records_0")) == (0, 3)
            assert "records_0" in tables.of_periods()
            await expect_sound(journal)

    asyncio.run(test())


def test_a_table_that_somebody_reads_is_dropped_later_and_nobody_waits_for_it(
    journal_settings: JournalSettings, tables: Tables
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            await fill(journal, "old")
            await next_period(journal, tables)
            tables.let_a_week_pass()
            url = journal_settings.url.partition("?")[0]
            async with await psycopg.AsyncConnection.connect(url) as reader:
                await reader.execute(f"SELECT 1 FROM {tables.schema}.records".encode())
                async with asyncio.timeout(60):
                    assert await journal.prune(LATER) == 3
                assert "records_0" in tables.of_periods()
                await keep_run(journal, "beside", "a")
            tables.let_a_week_pass()
            await journal.prune(NOW - datetime.timedelta(days=365))
            assert "records_0" not in tables.of_periods()
            await expect_sound(journal)

    asyncio.run(test())


def test_a_role_that_may_not_make_tables_prunes_row_by_row(
    postgresql: PostgreSQL, journal_settings: JournalSettings, tables: Tables
) -> None:
    role = f"u{tables.schema}"
    with psycopg.connect(postgresql.url(), autocommit=True) as connection:
        for statement in (
            f"CREATE ROLE {role} LOGIN PASSWORD 'weak'",
            f"GRANT USAGE ON SCHEMA {tables.schema} TO {role}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA {tables.schema} TO {role}",
            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {tables.schema} TO {role}",
        ):
            connection.execute(statement.encode())
    parts: Any = urllib.parse.urlsplit(journal_settings.url)
    url = parts._replace(netloc=f"{role}:weak@127.0.0.1:{postgresql.port}").geturl()
    weak = msgspec.structs.replace(journal_settings, url=url)

    async def test() -> None:
        async with opened(weak) as journal:
            await fill(journal, "old")
            await next_period(journal, tables)
            assert tables.of_periods() == ["records_0"]
            assert await journal.prune(LATER) == 3
        async with opened(journal_settings) as journal:
            await fill(journal, "owners")
            await next_period(journal, tables)
            assert tables.of_periods() == ["records_0", "records_1"]
        async with opened(weak) as journal:
            tables.let_a_week_pass()
            await fill(journal, "new")
            assert await journal.prune(LATER) == 6
            assert (tables.count("gone"), tables.count("records")) == (0, 0)
            await expect_sound(journal)

    asyncio.run(test())


def test_nobody_who_writes_notices_that_periods_begin_and_end(
    journal_settings: JournalSettings, tables: Tables
) -> None:
    async def write(journal: PostgresqlJournal, name: str, done: asyncio.Event) -> int:
        number = 0
        while not done.is_set():
            number += 1
            await keep_run(journal, f"{name}-{number}", "a")
        return number

    async def test() -> None:
        async with (
            opened(journal_settings) as one,
            opened(journal_settings) as two,
            opened(journal_settings) as pruning,
        ):
            ownership = await keep_run(one, "long", ends=False)
            done = asyncio.Event()
            writers = [
                asyncio.ensure_future(write(journal, f"{name}{number}", done))
                for name, journal in (("one", one), ("two", two))
                for number in range(3)
            ]
            pruned = 0
            for number in range(12):
                tables.let_a_week_pass()
                pruned += await pruning.prune(LATER)
                await one.append(ownership, of("long", step(name=str(number))))
            done.set()
            written = sum(await asyncio.gather(*writers))
            tables.let_a_week_pass()
            pruned += await pruning.prune(LATER)
            assert pruned == written
            assert steps_of(await two.records("long")) == [str(number) for number in range(12)]
            assert int(tables.of_periods()[-1].removeprefix("records_")) >= 6
            tables.let_a_week_pass()
            await pruning.prune(LATER)
            assert tables.count("records") == 13
            await expect_sound(pruning)

    asyncio.run(asyncio.wait_for(test(), 120))


def test_a_small_journal_keeps_one_table(
    journal_settings: JournalSettings, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()

    async def test() -> None:
        async with opened(journal_settings) as journal:
            await fill(journal, "old")
            await next_period(journal, tables)
            assert tables.of_periods() == ["records_0"]

    asyncio.run(test())


def test_a_table_of_a_period_that_is_missing_is_damage(
    journal_settings: JournalSettings, tables: Tables
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            await next_period(journal, tables)
            with psycopg.connect(journal_settings.url.partition("?")[0]) as connection:
                connection.execute(f"DROP TABLE {tables.schema}.records_1".encode())
            assert [each.what for each in await journal.check()] == [
                "the table or index 'records_1' is missing, or not valid"
            ]

    asyncio.run(test())


_COLUMNS = b"""SELECT string_agg(column_name, ', ') FROM information_schema.columns
    WHERE table_schema = 'of_version_6' AND table_name = %s"""


def test_tables_without_periods_are_migrated_with_their_records(
    postgresql: PostgreSQL,
    journal_settings: JournalSettings,
    tables: Tables,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"{postgresql.url()}?schema=of_version_6"
    before = JournalSettings(directory=tmp_path, url=url)
    with monkeypatch.context() as patch:
        patch.setattr(schema_module, "_MIGRATIONS", schema_module._MIGRATIONS[:6])
        patch.setattr(schema_module, "VERSION", 6)
        asyncio.run(initialize(before))

    async def test() -> None:
        async with opened(journal_settings) as journal:
            await fill(journal, "old")
            expected = [
                (each.run_id, each.record) for each in (await journal.records_since("")).records
            ]
        with psycopg.connect(postgresql.url()) as connection:
            for table, overriding in (("runs", ""), ("records", "OVERRIDING SYSTEM VALUE")):
                row = connection.execute(_COLUMNS, (table,)).fetchone()
                assert row is not None
                source = f"SELECT {row[0]} FROM {tables.schema}.{table}"
                text = f"INSERT INTO of_version_6.{table} ({row[0]}) {overriding} {source}"
                connection.execute(text.encode())
            connection.execute(
                b"SELECT setval(pg_get_serial_sequence('of_version_6.' || name, column_), 1000)"
                b" FROM (VALUES ('runs', 'key'), ('records', 'id')) AS each (name, column_)"
            )
        assert f"from version 6 to {VERSION}" in await initialize(before)
        async with opened(before) as journal:
            await fill(journal, "new", 1)
            found = [
                (each.run_id, each.record) for each in (await journal.records_since("")).records
            ]
            assert found[:9] == expected
            assert [run_id for run_id, _ in found[9:]] == ["new-0"] * 3
            await expect_sound(journal)

    asyncio.run(test())
