"""An idle process makes one transaction for each look, which renews its lease as well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg
from tests.servers.postgresql import PostgreSQL

from qtforge_postgresql import PostgresqlJournal
from qtforge_sdk.journal import JournalSettings
from qtforge_sdk.records import QueueEntry
from qtforge_sdk.testing._journal_scenarios import NOW, started

LOOKS = 20


def transactions(
    server: PostgreSQL,
    settings: JournalSettings,
    use: Callable[[PostgresqlJournal], Awaitable[None]],
) -> int:
    """Return how many transactions a journal makes from its opening until it is closed."""

    async def used() -> None:
        journal = PostgresqlJournal(settings)
        await journal.open()
        try:
            await use(journal)
        finally:
            await journal.close()

    before = _counted(server)
    asyncio.run(used())
    return _counted(server) - before


def _counted(server: PostgreSQL) -> int:
    """Return the number of transactions once all sessions of journals have ended."""
    until = time.monotonic() + 60
    with psycopg.connect(server.url(), autocommit=True) as connection:
        while time.monotonic() < until:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'qtforge-host'"
            ).fetchone()
            if row == (0,):
                break
            time.sleep(0.05)
        # In another database, so that these questions do not count.
        row = connection.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s",
            ("looks",),
        ).fetchone()
    assert row is not None
    return int(row[0])


def _settings(server: PostgreSQL, settings: JournalSettings) -> JournalSettings:
    """Return the settings of a journal in a database of its own."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS looks")
        connection.execute("CREATE DATABASE looks")
    own = JournalSettings(
        directory=settings.directory, url=server.url(database="looks"), lease_s=300.0
    )
    asyncio.run(PostgresqlJournal(own).initialize())
    return own


async def look(journal: PostgresqlJournal) -> None:
    for _ in range(LOOKS):
        assert not await journal.take(100, now=NOW, pools=("default",))


async def nothing(journal: PostgresqlJournal) -> None:
    pass


def test_a_look_for_runs_that_finds_none_is_one_transaction(
    postgresql: PostgreSQL, journal_settings: JournalSettings
) -> None:
    settings = _settings(postgresql, journal_settings)
    alone = transactions(postgresql, settings, nothing)
    with_looks = transactions(postgresql, settings, look)
    # Two more, at most, which the server makes to tidy up.
    assert LOOKS <= with_looks - alone <= LOOKS + 2


def test_a_look_renews_the_lease_and_hears_of_messages(
    postgresql: PostgreSQL, journal_settings: JournalSettings
) -> None:
    async def check() -> None:
        journal, other = PostgresqlJournal(journal_settings), PostgresqlJournal(journal_settings)
        await journal.open()
        await other.open()
        statement = f"SELECT max(expires) FROM {journal_settings.url.rpartition('=')[2]}.owners"
        with psycopg.connect(postgresql.url(), autocommit=True) as connection:
            before = connection.execute(statement.encode()).fetchone()
            await journal.take(1, now=NOW, pools=("default",))
            after = connection.execute(statement.encode()).fetchone()
        assert before is not None
        assert after is not None
        assert after[0] > before[0]
        await other.enqueue(started("run", queue=QueueEntry()))
        (taken,) = await journal.take(1, now=NOW, pools=("default",))
        assert taken.run_id == "run"
        await journal.close()
        await other.close()

    asyncio.run(check())
