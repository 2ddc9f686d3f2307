"""The tables: made, migrated, refused."""

from __future__ import annotations

import asyncio
import urllib.parse
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from tests.servers.postgresql import PostgreSQL

import qtforge_postgresql.schema as schema_module
from qtforge_postgresql import (
    JournalFailedError,
    JournalNotReadyError,
    PostgresqlJournal,
    initialize,
)
from qtforge_postgresql.schema import VERSION
from qtforge_sdk.journal import AppendedRecord, JournalSettings, RunQuery
from qtforge_sdk.testing._journal_scenarios import NOW, event, finished, keep, started, step


def execute(postgresql: PostgreSQL, statement: str) -> None:
    with psycopg.connect(postgresql.url(), autocommit=True) as connection:
        connection.execute(statement.encode())


def schema_of(settings: JournalSettings) -> str:
    return urllib.parse.parse_qs(urllib.parse.urlsplit(settings.url).query)["schema"][0]


async def opened(settings: JournalSettings) -> None:
    journal = PostgresqlJournal(settings)
    await journal.open()
    await journal.close()


def test_a_database_without_tables_is_refused_with_the_command_that_makes_them(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    settings = JournalSettings(directory=tmp_path, url=f"{postgresql.url()}?schema=nothing_here")
    with pytest.raises(JournalNotReadyError) as caught:
        asyncio.run(opened(settings))
    # The address is shown without user and password, so a command with it would not work.
    assert caught.value.fix.startswith("qtforge-host journal init URL, with the same address")
    assert caught.value.retryable is False


def test_many_processes_may_make_the_tables_at_once(postgresql: PostgreSQL, tmp_path: Path) -> None:
    settings = JournalSettings(directory=tmp_path, url=f"{postgresql.url()}?schema=at_once")

    async def race() -> list[str]:
        return await asyncio.gather(*(initialize(settings) for _ in range(6)))

    said = asyncio.run(race())
    assert sum(text.startswith("made the tables") for text in said) == 1
    assert sum(text.endswith("already") for text in said) == 5
    asyncio.run(opened(settings))


@pytest.mark.parametrize(("version", "why"), [(VERSION + 1, "knows up to"), (0, "have version 0")])
def test_tables_of_another_version_are_refused_and_left_as_they_are(
    postgresql: PostgreSQL, journal_settings: JournalSettings, version: int, why: str
) -> None:
    schema = schema_of(journal_settings)
    execute(postgresql, f"UPDATE {schema}.journal SET version = {version}")
    with pytest.raises(JournalNotReadyError, match=why):
        asyncio.run(opened(journal_settings))
    if version > VERSION:
        with pytest.raises(JournalNotReadyError, match=why):
            asyncio.run(initialize(journal_settings))


def test_a_name_with_capitals_and_dollars_is_a_schema(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    url = f"{postgresql.url()}?schema=Select$1"
    settings = JournalSettings(directory=tmp_path, url=url)
    asyncio.run(initialize(settings))
    asyncio.run(opened(settings))


def test_tables_that_were_restored_on_another_server_are_adopted_by_init(
    postgresql: PostgreSQL, journal_settings: JournalSettings
) -> None:
    schema = schema_of(journal_settings)

    async def write() -> None:
        journal = PostgresqlJournal(journal_settings)
        await journal.open()
        await keep(journal, started(), step(name="a"), step(name="b"), finished())
        await journal.close()

    asyncio.run(write())
    # What a dump brings: the numbers of another server's transactions, which ran for longer.
    execute(postgresql, f"UPDATE {schema}.records SET xact = '900000000000000'")
    with pytest.raises(JournalNotReadyError, match="another server") as caught:
        asyncio.run(opened(journal_settings))
    assert "journal init" in caught.value.fix
    assert "adopted" in asyncio.run(initialize(journal_settings))
    asyncio.run(opened(journal_settings))


def test_a_user_without_rights_is_told_so(
    postgresql: PostgreSQL, journal_settings: JournalSettings
) -> None:
    schema = schema_of(journal_settings)
    role = f"u{schema}"
    execute(postgresql, f"CREATE ROLE {role} LOGIN PASSWORD 'weak'")
    parts: Any = urllib.parse.urlsplit(journal_settings.url)
    url = parts._replace(netloc=f"{role}:weak@127.0.0.1:{postgresql.port}").geturl()
    weak = msgspec.structs.replace(journal_settings, url=url)
    with pytest.raises(JournalFailedError, match="permission denied"):
        asyncio.run(opened(weak))
    execute(postgresql, f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    execute(postgresql, f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}")
    execute(postgresql, f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO {role}")
    asyncio.run(opened(weak))


def test_records_and_messages_are_in_the_order_of_numbers_with_more_and_fewer_digits(
    postgresql: PostgreSQL, journal_settings: JournalSettings
) -> None:
    async def test() -> None:
        journal = PostgresqlJournal(journal_settings)
        await journal.open()
        ownership = await keep(journal, started())
        for number in range(8):
            await journal.append(ownership, [step(name=str(number))])
            await journal.post("run", event(str(number)))
        schema = schema_of(journal_settings)
        execute(postgresql, f"UPDATE {schema}.records SET xact = (position + 5)::text::xid8")
        execute(postgresql, f"UPDATE {schema}.inbox SET xact = (position + 5)::text::xid8")
        found: list[AppendedRecord] = []
        cursor, received, place = "", list[str](), ""
        for _ in range(9):
            page = await journal.records_since(cursor, 2)
            found += page.records
            cursor = page.until
            messages, place = await journal.deliveries(place, 2)
            received += [each.message.message_id for each in messages]
        assert [each.record for each in found] == list(await journal.records("run"))
        assert received == [str(number) for number in range(8)]
        assert (await journal.records_since("", 0)).until == cursor
        assert (await journal.deliveries("", 0)).until == place
        await journal.close()

    asyncio.run(test())


def test_the_tables_of_version_1_are_migrated_with_their_runs(
    postgresql: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{postgresql.url()}?schema=of_version_1"
    settings = JournalSettings(directory=tmp_path, url=url)
    with monkeypatch.context() as before:
        before.setattr(schema_module, "_MIGRATIONS", schema_module._MIGRATIONS[:1])
        before.setattr(schema_module, "VERSION", 1)
        assert "version 1" in asyncio.run(initialize(settings))
    row = "('run', 'letters', 'sequential', 'queued', 0, 0, '{}')"
    columns = "(run_id, workflow, kind, status, started_at, epoch, needs)"
    execute(postgresql, f"INSERT INTO of_version_1.runs {columns} VALUES {row}")
    with pytest.raises(JournalNotReadyError, match="have version 1"):
        asyncio.run(opened(settings))
    assert f"from version 1 to {VERSION}" in asyncio.run(initialize(settings))

    async def look() -> None:
        journal = PostgresqlJournal(settings)
        await journal.open()
        assert [each.queued for each in await journal.pools()] == [1]
        assert len(await journal.take(1, now=NOW)) == 1
        await journal.note_needs({"run": {"ocr": "1"}})
        assert [each.run_id for each in await journal.runs(RunQuery(needs=("ocr", "1")))] == ["run"]
        assert [each.runs for each in await journal.owners()] == [1]
        await journal.close()

    asyncio.run(look())
