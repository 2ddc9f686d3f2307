"""The journal behind pgbouncer in transaction mode: all clients share three sessions."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.parse
from collections.abc import Iterator

import msgspec
import psycopg
import pytest
from tests.extensions.postgresql.journals import opened
from tests.servers.pgbouncer import PgbouncerUnavailable, running_pgbouncer
from tests.servers.postgresql import PostgreSQL

from qtforge_postgresql import JournalNotReadyError, PostgresqlJournal, initialize
from qtforge_postgresql.address import parse_address
from qtforge_postgresql.session import Connector
from qtforge_sdk.journal import JournalSettings
from qtforge_sdk.testing._journal_scenarios import (
    event,
    finished,
    keep,
    names,
    started,
    step,
    steps_of,
)

_REFUSES = ""
_DROPS = "ignore_startup_parameters = options,extra_float_digits"


@pytest.fixture(params=[_REFUSES, _DROPS], ids=["refuses settings", "drops settings"])
def pooled(
    request: pytest.FixtureRequest, postgresql: PostgreSQL, journal_settings: JournalSettings
) -> Iterator[JournalSettings]:
    with contextlib.ExitStack() as stack:
        try:
            pooler = stack.enter_context(running_pgbouncer(postgresql, request.param))
        except PgbouncerUnavailable as error:
            pytest.skip(str(error))
        parts = urllib.parse.urlsplit(journal_settings.url)
        netloc = f"{parts.netloc.rpartition(':')[0]}:{pooler.port}"
        url = parts._replace(netloc=netloc).geturl()
        yield msgspec.structs.replace(journal_settings, url=url, lease_s=2.0)


def test_several_processes_share_few_sessions(pooled: JournalSettings) -> None:
    async def write(journal: PostgresqlJournal, name: str) -> None:
        ownership = await journal.create(started(name))
        for number in range(8):
            await journal.append(ownership, [step(name, str(number))])
        await journal.post("parent", event(name))
        await journal.append(ownership, [finished(name, result="x" * 300_000)])

    async def test() -> None:
        assert "version" in await initialize(pooled)
        async with contextlib.AsyncExitStack() as stack:
            journals = [await stack.enter_async_context(opened(pooled)) for _ in range(5)]
            await keep(journals[0], started("parent"))
            writing = [write(journals[place % 5], name) for place, name in enumerate(names(20))]
            await asyncio.gather(*writing)
            assert len(await journals[1].inbox("parent")) == 20
            page = await journals[2].records_since("", 1000)
            for name in names(20):
                expected = [str(number) for number in range(8)]
                found = [each.record for each in page.records if each.run_id == name]
                assert found == list(await journals[3].records(name))
                assert steps_of(found) == expected  # type: ignore[arg-type]
            assert not await journals[4].check()
            assert not await journals[4].repair()

    asyncio.run(test())


def test_a_post_is_noticed_when_the_lease_is_renewed(pooled: JournalSettings) -> None:
    async def test() -> None:
        async with opened(pooled) as owner, opened(pooled) as other:
            await keep(owner, started())
            while await owner.changed(0.2):
                pass
            await other.post("run", event("m1"))
            async with asyncio.timeout(60):
                while not await owner.changed(10):
                    pass
                while not (await owner.deliveries("")).messages:
                    await owner.changed(10)

    asyncio.run(test())


def test_each_transaction_has_its_limits_and_no_statement_is_prepared(
    pooled: JournalSettings,
) -> None:
    connector = Connector(parse_address(pooled.url))
    for _ in range(2):  # it remembers what the pooler refuses
        session = connector.connect()
        with contextlib.closing(session):
            assert session.is_pooled
            assert session.connection.prepare_threshold is None
            with session.transaction():
                limits = [
                    session.row(f"SELECT current_setting('{name}')")[0]
                    for name in ("lock_timeout", "statement_timeout",
                                 "idle_in_transaction_session_timeout")
                ]  # fmt: skip
            assert limits == ["5s", "30s", "5s"]
    with psycopg.connect(pooled.url.partition("?")[0], autocommit=True) as plain:
        plain.prepare_threshold = None
        (left,) = plain.execute("SELECT current_setting('lock_timeout')").fetchone() or ("",)
        assert left == "0"  # nothing outlives a transaction


def test_a_database_that_does_not_wait_for_the_disk_is_refused(
    postgresql: PostgreSQL, pooled: JournalSettings
) -> None:
    name = f"hasty_{pooled.url.rpartition('=')[2]}"
    with psycopg.connect(postgresql.url(), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        server.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    url = urllib.parse.urlsplit(pooled.url)._replace(path=f"/{name}").geturl()
    hasty = msgspec.structs.replace(pooled, url=url)
    with pytest.raises(JournalNotReadyError, match="synchronous_commit is 'off'") as caught:
        asyncio.run(initialize(hasty))
    assert caught.value.fix == "ALTER ROLE ... SET synchronous_commit = 'on'"
    direct = msgspec.structs.replace(pooled, url=f"{postgresql.url(database=name)}")
    asyncio.run(initialize(direct))  # there it is switched on for the session
