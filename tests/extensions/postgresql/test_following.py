"""Records and messages beside transactions that begin early and end late."""

from __future__ import annotations

import asyncio

import msgspec
import psycopg

from qtforge_postgresql import PostgresqlJournal
from qtforge_sdk.journal import JournalSettings
from qtforge_sdk.records import QueueEntry
from qtforge_sdk.testing._journal_scenarios import event, keep, started, step


def test_what_waits_for_another_transaction_is_delivered_when_that_has_ended(
    journal_settings: JournalSettings,
) -> None:
    async def test() -> None:
        # The lease is long, so that its renewal is not what wakes.
        settings = msgspec.structs.replace(journal_settings, lease_s=600.0)
        journal = PostgresqlJournal(settings)
        await journal.open()
        ownership = await keep(journal, started())
        url = journal_settings.url.partition("?")[0]
        async with await psycopg.AsyncConnection.connect(url) as long:
            await long.execute("SELECT pg_current_xact_id()")
            await journal.append(ownership, [step()])
            await journal.post("run", event("m1"))
            place = (await journal.records_since("")).until
            assert len((await journal.records_since("")).records) == 1
            assert not (await journal.deliveries("")).messages
            assert len(await journal.inbox("run")) == 1
            await long.rollback()
            async with asyncio.timeout(30):
                while not (await journal.deliveries("")).messages:
                    assert await journal.changed(20)
            (found,) = (await journal.records_since(place)).records
            assert found.record == step()
        await journal.close()

    asyncio.run(test())


def test_a_run_that_is_enqueued_wakes_every_process(journal_settings: JournalSettings) -> None:
    async def test() -> None:
        settings = msgspec.structs.replace(journal_settings, lease_s=600.0)
        journals = [PostgresqlJournal(settings) for _ in range(2)]
        for journal in journals:
            await journal.open()
            while await journal.changed(0.2):
                pass
        for number, input_ in enumerate(({}, "x" * 300_000)):
            waiting = [asyncio.ensure_future(journal.changed(60)) for journal in journals]
            await asyncio.sleep(0.01)
            queue = QueueEntry()
            await journals[0].enqueue(started(f"run-{number}", input=input_, queue=queue))
            assert await asyncio.gather(*waiting) == [True, True]
        for journal in journals:
            await journal.close()

    asyncio.run(test())
