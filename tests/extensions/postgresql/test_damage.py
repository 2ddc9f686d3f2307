"""What PostgreSQL can't store, and damage that `check` finds and `repair` mends."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

from qtforge_postgresql import PostgresqlJournal
from qtforge_sdk.journal import JournalSettings, Publication, RunQuery, RunSecret
from qtforge_sdk.journal_errors import (
    JournalDamagedError,
    RecordNotStorableError,
    RunNotFoundError,
)
from qtforge_sdk.records import CheckpointSaved
from qtforge_sdk.testing._journal_scenarios import NOW, event, finished, keep, started, step

Execute = Callable[[str], None]


@contextlib.asynccontextmanager
async def opened(settings: JournalSettings) -> AsyncIterator[PostgresqlJournal]:
    journal = PostgresqlJournal(settings)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


def checkpoint(**fields: Any) -> CheckpointSaved:
    return CheckpointSaved(run_id="run", at=NOW, state={}, **{"label": "here", **fields})


@pytest.fixture
def execute(journal_settings: JournalSettings) -> Execute:
    """Execute a statement with the test's schema for ``S``."""

    def execute(statement: str) -> None:
        url, _, schema = journal_settings.url.partition("?schema=")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement.replace("S.", f"{schema}.").encode())

    return execute


def test_a_name_with_nul_is_refused_and_its_neighbours_are_stored(
    journal_settings: JournalSettings,
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            ownership = await keep(journal, started())
            bad = "a\0b"
            saved: list[dict[str, Any]] = [
                {"label": bad}, {"key": bad}, {"accepts": (bad,)}, {"handled": (bad,)},
                {"timers": {bad: NOW}, "timers_set": (bad,)},
            ]  # fmt: skip
            refused = [
                journal.create(started("other", workflow=bad)),
                journal.post("run", event(bad)),
                journal.append(ownership, [step()], [("run", event(bad))]),
                journal.listen(bad, ["a.*"]),
                journal.store_secrets("run", {bad: RunSecret(value=1)}),
                journal.post_to_key("letters", bad, event("m1")),
                *(journal.append(ownership, [checkpoint(**fields)]) for fields in saved),
            ]  # fmt: skip
            outcomes = await asyncio.gather(
                *refused, journal.append(ownership, [step(data=bad)]), return_exceptions=True
            )
            assert [type(each) for each in outcomes[:-1]] == [RecordNotStorableError] * len(refused)
            assert outcomes[-1] is None
            assert len(await journal.records("run")) == 2
            for unknown in (journal.claim(bad), journal.records(bad), journal.summary(bad),
                            journal.post(bad, event("m1")), journal.export(bad),
                            journal.runs(RunQuery(after=bad))):  # fmt: skip
                with pytest.raises(RunNotFoundError):
                    await unknown
            assert not await journal.pending(bad)
            for query in (RunQuery(workflow=bad), RunQuery(parent=bad), RunQuery(waiting_for=bad),
                          RunQuery(statuses=frozenset({bad}))):  # fmt: skip
                assert not await journal.runs(query)
            assert not await journal.publications(bad)
            assert not await journal.check()

    asyncio.run(test())


def test_numbers_of_any_size_are_positions_and_limits(journal_settings: JournalSettings) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            await keep(journal, started(), step())
            await journal.post("run", event("m1"))
            for number in (-5, 1 << 70):
                assert len(await journal.inbox("run", after=number)) == (number < 0)
                assert len(await journal.records("run", after=number)) == (2 if number < 0 else 0)
                assert len(await journal.runs(RunQuery(limit=number))) == (number > 0)
                assert len((await journal.records_since("", number)).records) == (
                    2 if number > 0 else 0
                )

    asyncio.run(test())


DAMAGE = {
    "UPDATE S.records SET checksum = 1 WHERE position = 2": "checksum",
    "DELETE FROM S.records WHERE position = 2 AND EXISTS"
    " (SELECT 1 FROM S.runs WHERE key = run AND run_id = 'done')": "1 records are missing",
    "DELETE FROM S.records WHERE run = (SELECT key FROM S.runs WHERE run_id = 'machine')":
        "all its records are missing",
    "UPDATE S.inbox SET payload = 'x'": "message 1",
    "UPDATE S.publications SET payload = 'x'": "publication 1",
    "DELETE FROM S.blobs": "is missing",
    "UPDATE S.blobs SET content = 'x'": "not what was written",
    "DROP INDEX S.runs_by_start": "runs_by_start",
}  # fmt: skip
REPAIRABLE = {
    "UPDATE S.runs SET status = 'failed', label = 'x'": "does not fit its records",
    "DELETE FROM S.runs WHERE run_id = 'machine'": "not listed",
    "DELETE FROM S.timers": "would not fire",
    "UPDATE S.timers SET due = 1": "would not fire",
    "DELETE FROM S.arrivals": "would not be handled",
    "INSERT INTO S.timers VALUES (999, 't', 1)": "belongs to nothing that waits",
    "INSERT INTO S.arrivals VALUES (999, 1)": "belongs to nothing that waits",
}


async def fill(journal: PostgresqlJournal) -> None:
    """Store something of everything."""
    await keep(journal, started("done", input="x" * 300_000), step("done"), finished("done"))
    machine = await keep(journal, started("machine"))
    waits = CheckpointSaved(
        run_id="machine", at=NOW, state={}, label="here", timers={"t": NOW}, timers_set=("t",)
    )
    await journal.append(machine, [waits])
    await journal.post("machine", event("m1"))
    await journal.listen("serve", ["a.*"])
    await journal.publish(Publication(message_id="p", topic="a.b", message=1, at=NOW))


@pytest.mark.parametrize(("statement", "what"), [*DAMAGE.items(), *REPAIRABLE.items()])
def test_damage_is_found_and_what_follows_from_the_records_is_repaired(
    journal_settings: JournalSettings, execute: Execute, statement: str, what: str
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            await fill(journal)
            assert not await journal.check()
            execute(statement)
            assert what in "; ".join(each.what for each in await journal.check())
            repairs = await journal.repair()
            assert bool(repairs) == (statement in REPAIRABLE)
            assert bool(await journal.check()) == (statement in DAMAGE)
            if statement in REPAIRABLE:
                await keep(journal, started("new"), step("new"))  # keys are not used again
                assert len(await journal.pending("machine")) == 1
                assert await journal.next_due(NOW - datetime.timedelta(1)) == NOW
                assert not await journal.check()

    asyncio.run(test())


def test_a_damaged_record_is_named_with_the_address(
    journal_settings: JournalSettings, execute: Execute
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            await fill(journal)
            execute("UPDATE S.records SET checksum = 1 WHERE position = 2")
            with pytest.raises(JournalDamagedError, match="record 2") as caught:
                await journal.records("done")
            assert caught.value.path.startswith("postgresql://127.0.0.1:")
            page = await journal.records_since("")
            assert [each.record is None for each in page.records].count(True) == 2

    asyncio.run(test())
