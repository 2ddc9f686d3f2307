"""Connections that are cut, and a server that is away: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from tests.extensions.postgresql.journals import opened
from tests.servers.cutting_proxy import CuttingProxy, running_cutting_proxy
from tests.servers.postgresql import PostgreSQL

from qtforge_postgresql import PostgresqlJournal
from qtforge_sdk import Record
from qtforge_sdk.journal import JournalSettings, RunQuery
from qtforge_sdk.journal_errors import JournalUnavailableError, RunExistsError
from qtforge_sdk.records import CheckpointSaved
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    event,
    finished,
    keep,
    started,
    step,
    steps_of,
)

_WRITERS = 12
_RUNS = 3  # of each writer, at once
_STEPS = 10


def through(settings: JournalSettings, port: int) -> JournalSettings:
    parts = urllib.parse.urlsplit(settings.url)
    netloc = f"{parts.netloc.rpartition(':')[0]}:{port}"
    return msgspec.structs.replace(settings, url=parts._replace(netloc=netloc).geturl())


def test_cut_connections_lose_nothing_and_double_nothing(
    postgresql: PostgreSQL, journal_settings: JournalSettings
) -> None:
    """Backends are killed at random moments beside twelve writers and a follower."""
    settings = msgspec.structs.replace(journal_settings, lease_s=60.0)
    cuts = appends = cut_after = 0
    # A cut comes after so many writes, and not after a time; what is in progress goes on beside
    # it, and what would begin waits: however fast this machine is.
    is_due, may_begin = asyncio.Event(), asyncio.Event()

    async def write(journal: PostgresqlJournal, name: str, parent: str) -> None:
        nonlocal appends
        ownership = await journal.create(started(name))
        for number in range(_STEPS):
            await may_begin.wait()
            await journal.append(ownership, [step(name, f"{number}"), step(name, f"{number}b")])
            appends += 1
            if appends >= cut_after and may_begin.is_set():
                may_begin.clear()
                is_due.set()
        waits = CheckpointSaved(run_id=name, at=NOW, state={}, label="here")
        await journal.append(ownership, [waits], [(parent, event(f"from-{name}"))])
        await journal.append(ownership, [finished(name)])

    async def cut(writing: asyncio.Future[list[None]]) -> int:
        nonlocal cut_after
        count = 0
        kill = (
            b"SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity"
            b" WHERE application_name = 'qtforge-host' ORDER BY random() LIMIT 3) AS chosen"
        )
        async with await psycopg.AsyncConnection.connect(
            postgresql.url(), autocommit=True, application_name="the cutter"
        ) as connection:
            while not writing.done() and count < 150:
                (killed,) = await (await connection.execute(kill)).fetchone() or (0,)
                count += killed
                cut_after = appends + random.randint(1, 20)
                is_due.clear()
                may_begin.set()
                due = asyncio.ensure_future(is_due.wait())
                either: set[asyncio.Future[Any]] = {due, writing}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                due.cancel()
        cut_after = sys.maxsize
        may_begin.set()
        return count

    async def follow(
        journal: PostgresqlJournal, writing: asyncio.Future[list[None]]
    ) -> list[tuple[str, Record | None]]:
        found: list[tuple[str, Record | None]] = []
        cursor, done = "", False
        while True:
            page = await journal.records_since(cursor, 40)
            found += [(each.run_id, each.record) for each in page.records]
            cursor = page.until
            if done and not page.records:
                return found
            done = writing.done()
            await asyncio.sleep(0)

    async def test() -> None:
        nonlocal cuts
        async with contextlib.AsyncExitStack() as stack:
            reader, *writers = [
                await stack.enter_async_context(opened(settings)) for _ in range(_WRITERS + 1)
            ]
            await keep(reader, started("parent"))
            names = {f"run-{number}": number for number in range(_WRITERS * _RUNS)}
            writing = asyncio.gather(
                *(write(writers[number % _WRITERS], name, "parent")
                  for name, number in names.items())
            )  # fmt: skip
            _, found, cuts = await asyncio.gather(writing, follow(reader, writing), cut(writing))
            expected = [f"{number}{b}" for number in range(_STEPS) for b in ("", "b")]
            for name in names:
                records = list(await reader.records(name))
                assert steps_of(records) == expected
                assert len(records) == 2 * _STEPS + 3
                assert [record for run_id, record in found if run_id == name] == records
            senders = [entry.message.message_id for entry in await reader.inbox("parent")]
            assert sorted(senders) == sorted(f"from-{name}" for name in names)
            assert len(await reader.runs(RunQuery(limit=1000))) == len(names) + 1
            assert not await reader.check()

    asyncio.run(test())
    assert cuts >= 10


@pytest.fixture
def proxy(postgresql: PostgreSQL) -> Iterator[CuttingProxy]:
    with running_cutting_proxy(postgresql.port) as proxy:
        yield proxy


Do = Callable[[PostgresqlJournal], Awaitable[None]]


async def append_step(journal: PostgresqlJournal) -> None:
    ownership = await keep(journal, started("other"))
    await journal.append(ownership, [step("other", "the-mark")])
    assert steps_of(await journal.records("other")) == ["the-mark"]
    await journal.append(ownership, [step("other", "next"), finished("other")])


async def create_run(journal: PostgresqlJournal) -> None:
    ownership = await journal.create(started("the-mark"))
    await journal.append(ownership, [step("the-mark")])
    with pytest.raises(RunExistsError):
        await journal.create(started("the-mark", workflow="another"))


async def post_message(journal: PostgresqlJournal) -> None:
    await keep(journal, started("other"))
    posted = await journal.post("other", event("the-mark"))
    assert posted.is_new
    assert len(await journal.inbox("other")) == 1


async def create_large(journal: PostgresqlJournal) -> None:
    ownership = await journal.create(started("large", input="x" * 300_000))
    await journal.append(ownership, [step("large", "a")])
    assert len(await journal.records("large")) == 2


@pytest.mark.parametrize(
    ("do", "mark"),
    [
        (append_step, b"the-mark"),
        (create_run, b"the-mark"),
        (post_message, b"COMMIT"),
        (create_large, b"COMMIT"),
    ],
)
def test_what_was_written_without_an_answer_is_written_once(
    journal_settings: JournalSettings, proxy: CuttingProxy, do: Do, mark: bytes
) -> None:
    async def test() -> None:
        async with opened(through(journal_settings, proxy.port)) as journal:
            proxy.lose_answer(mark)
            await do(journal)
            assert proxy.lost == 1
            assert not await journal.check()

    asyncio.run(test())


def test_while_the_server_is_away_writes_and_reads_wait_for_it(
    journal_settings: JournalSettings, proxy: CuttingProxy
) -> None:
    async def test() -> None:
        async with opened(through(journal_settings, proxy.port)) as journal:
            ownership = await keep(journal, started())
            proxy.go_away()
            writing = asyncio.ensure_future(journal.append(ownership, [step(name="a")]))
            reading = asyncio.ensure_future(journal.summary("run"))
            await asyncio.sleep(0.3)
            assert not writing.done()
            assert not reading.done()
            proxy.come_back()
            await writing
            assert (await reading).run_id == "run"
            assert steps_of(await journal.records("run")) == ["a"]

    asyncio.run(test())


def test_when_the_server_stays_away_it_is_said_and_later_all_works_again(
    journal_settings: JournalSettings, proxy: CuttingProxy
) -> None:
    settings = msgspec.structs.replace(through(journal_settings, proxy.port), lease_s=0.5)

    async def test() -> None:
        async with opened(settings) as journal:
            await keep(journal, started())
            proxy.go_away()
            for attempt in (journal.create(started("other")), journal.summary("run"),
                            journal.post("run", event("m1")), journal.statistics()):  # fmt: skip
                with pytest.raises(JournalUnavailableError) as caught:
                    await attempt
                assert caught.value.retryable
                assert f"127.0.0.1:{proxy.port}" in str(caught.value)
            proxy.come_back()
            await keep(journal, started("third"), step("third"))
            assert steps_of(await journal.records("third")) == ["parse"]

    asyncio.run(test())


def test_a_crash_of_the_server_loses_nothing(
    postgresql: PostgreSQL, journal_settings: JournalSettings
) -> None:
    settings = msgspec.structs.replace(journal_settings, lease_s=60.0)

    async def test() -> None:
        async with opened(settings) as journal, opened(settings) as other:
            ownership = await keep(journal, started())
            restarting = asyncio.ensure_future(asyncio.to_thread(postgresql.restart))
            count = 0
            while not restarting.done() or count < 20:
                await journal.append(ownership, [step(name=str(count))])
                count += 1
                await asyncio.sleep(0.01)
            await restarting
            expected = [str(number) for number in range(count)]
            assert steps_of(await other.records("run")) == expected
            assert not await other.check()

    asyncio.run(test())


def test_a_job_that_the_server_refuses_fails_alone(journal_settings: JournalSettings) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            ownership = await keep(journal, started())
            with psycopg.connect(journal_settings.url.partition("?")[0], autocommit=True) as server:
                schema = urllib.parse.parse_qs(urllib.parse.urlsplit(journal_settings.url).query)
                server.execute(
                    f"""ALTER TABLE {schema["schema"][0]}.records ADD CONSTRAINT none_is_strange
                        CHECK (length(payload) < 5000)""".encode()
                )
            large = {"text": "x" * 6000}
            outcomes = await asyncio.gather(
                *(journal.append(ownership, [step(name=f"{number}", data=large if number == 5
                                                  else None)])
                  for number in range(10)),
                return_exceptions=True,
            )  # fmt: skip
            assert [number for number, each in enumerate(outcomes) if each is not None] == [5]
            assert "none_is_strange" in str(outcomes[5])
            assert len(steps_of(await journal.records("run"))) == 9

    asyncio.run(test())
