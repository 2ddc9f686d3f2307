"""Jobs that are written together: each as if it were alone, and in their order."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest

from qtforge_postgresql import PostgresqlJournal
from qtforge_postgresql.group import Group
from qtforge_sdk.journal import JournalSettings, Posted
from qtforge_sdk.journal_errors import RunExistsError, RunNotFoundError, StaleOwnerError
from qtforge_sdk.journal_kit.jobs import Change
from qtforge_sdk.records import CheckpointSaved, RunPaused
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    event,
    finished,
    keep,
    started,
    step,
    steps_of,
)

_LATER = NOW + datetime.timedelta(hours=1)


@contextlib.asynccontextmanager
async def opened(settings: JournalSettings) -> AsyncIterator[PostgresqlJournal]:
    journal = PostgresqlJournal(settings)
    await journal.open()
    try:
        yield journal
    finally:
        assert not await journal.check()
        await journal.close()


async def asked(journal: PostgresqlJournal, statement: str) -> list[Any]:
    """Return what the server answers to the connection that writes."""

    def ask(group: Group) -> list[Any]:
        cursor = group.session.execute(statement)
        return cursor.fetchall() if cursor.description else []

    found: list[Any] = await journal._write(Change(ask))
    return found


def checkpoint(run_id: str = "run", **fields: Any) -> CheckpointSaved:
    return CheckpointSaved(run_id=run_id, at=NOW, state={}, **{"label": "here", **fields})


def test_messages_that_are_posted_together_are_posted_once_and_in_order(
    journal_settings: JournalSettings,
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            ownership = await keep(journal, started())
            await keep(journal, started("done"), finished("done"))
            outcomes = await asyncio.gather(
                journal.post("run", event("a")),
                journal.post("run", event("b")),
                journal.post("nobody", event("a")),
                journal.post("run", event("a")),
                journal.append(ownership, [step()], [("run", event("c")), ("nobody", event("c"))]),
                journal.post("run", event("c", "x" * 300_000)),
                journal.post("done", event("a")),
                return_exceptions=True,
            )
            first, second, nobody, again, appended, third, done = outcomes
            assert isinstance(first, Posted)
            assert isinstance(third, Posted)
            assert again == Posted(first.position, is_new=False)
            assert (first.is_new, appended, third.is_new) == (True, None, False)
            assert isinstance(nobody, RunNotFoundError)
            ids = [each.message.message_id for each in await journal.inbox("run")]
            assert ids == ["a", "b", "c"]
            assert [each.position for each in await journal.inbox("done")] == [done.position]  # type: ignore[union-attr]
            assert not await journal.pending("done")
            assert isinstance(second, Posted)
            assert first.position < second.position < third.position

    asyncio.run(test())


def test_the_checkpoints_of_a_group_leave_what_the_last_one_says(
    journal_settings: JournalSettings,
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            ownership = await keep(journal, started())
            ending = await keep(journal, started("ending"))
            handled = (await journal.post("run", event("m1"))).position
            await journal.post("run", event("m2"))
            await journal.post("ending", event("m3"))
            await asyncio.gather(
                journal.append(ownership, [checkpoint(
                    timers={"t": NOW, "u": NOW}, timers_set=("t", "u"), key="order-7")]),
                journal.append(ending, [checkpoint(
                    "ending", timers={"t": NOW}, timers_set=("t",))]),
                journal.append(ownership, [checkpoint(
                    timers={"t": _LATER}, timers_set=("t",), timers_gone=("u",), inbox=handled,
                    label="there", accepts=("go",))]),
                journal.append(ending, [finished("ending")]),
                journal.append(ownership, [RunPaused(run_id="run", at=NOW, message_id="m2")]),
            )  # fmt: skip
            assert (await journal.summary("run")).label == "there"
            assert (await journal.summary("run")).status == "paused"
            assert (await journal.summary("ending")).status == "succeeded"
            assert await journal.next_due(NOW - datetime.timedelta(1)) == _LATER
            assert (await journal.statistics()).timers == 1
            assert not await journal.pending("run")
            assert not await journal.pending("ending")
            assert await journal.post_to_key("letters", "order-7", event("m4")) == 1

    asyncio.run(test())


def test_what_is_refused_in_a_group_does_not_harm_the_rest(
    journal_settings: JournalSettings,
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            old = await journal.create(started())
            new = await journal.claim("run")
            outcomes = await asyncio.gather(
                journal.append(old, [step(name="zombie")]),
                journal.append(new, [step(name="a")]),
                journal.create(started("twice")),
                journal.create(started("twice", workflow="other")),
                journal.create(started("run")),
                journal.append(new, [finished()]),
                journal.append(new, [step(name="late")]),
                journal.create(started("large", input="x" * 300_000)),
                return_exceptions=True,
            )
            kinds = [type(each).__name__ for each in outcomes]
            assert kinds == [
                "StaleOwnerError", "NoneType", "Ownership", "RunExistsError", "RunExistsError",
                "NoneType", "StaleOwnerError", "Ownership",
            ]  # fmt: skip
            assert steps_of(await journal.records("run")) == ["a"]
            both = await asyncio.gather(
                journal.create(started("alone")), journal.create(started("alone")),
                return_exceptions=True,
            )  # fmt: skip
            assert [isinstance(each, RunExistsError) for each in both] == [False, True]
            assert isinstance(outcomes[0], StaleOwnerError)

    asyncio.run(test())


def test_the_server_plans_the_writes_of_runs_that_follow_each_other_once(
    journal_settings: JournalSettings,
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            for number in range(12):
                name = f"run-{number}"
                ownership = await journal.create(started(name))
                await journal.append(ownership, [step(name)])
                await journal.append(ownership, [finished(name)])
            # The server plans a statement five times before it decides.
            statistics = await asked(
                journal,
                """SELECT generic_plans, custom_plans
                FROM pg_prepared_statements WHERE statement LIKE '%WITH me%records%'""",
            )
            assert sum(generic for generic, _ in statistics) > 0
            assert all(custom <= 5 for _, custom in statistics)

    asyncio.run(test())


def test_a_plan_for_small_tables_is_not_kept_while_they_grow(
    journal_settings: JournalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_postgresql.group._PLANS_GROUPS", 20)
    look = "EXPLAIN EXECUTE epoch_of (1)"

    async def test() -> None:
        async with opened(journal_settings) as journal:
            ownership = await keep(journal, started())
            await asked(journal, "SET plan_cache_mode = force_generic_plan")
            await asked(journal, "ANALYZE {s}.runs")
            await asked(
                journal,
                """PREPARE epoch_of (bigint) AS
                SELECT epoch FROM {s}.runs WHERE key = $1""",
            )
            assert "runs_pkey" not in (await asked(journal, look))[0][0]
            await asyncio.gather(*(journal.create(started(f"run-{n}")) for n in range(1000)))
            for number in range(20):
                await journal.append(ownership, [step(name=f"s{number}")])
            assert "runs_pkey" in (await asked(journal, look))[0][0]
            # Which would take longer than what it is to speed up.
            assert await asked(journal, "SHOW jit") == [("off",)]

    asyncio.run(test())


def test_one_append_of_an_owner_of_the_past_changes_nothing(
    journal_settings: JournalSettings,
) -> None:
    async def test() -> None:
        async with opened(journal_settings) as journal:
            old = await journal.create(started())
            new = await journal.claim("run")
            for record in (step(name="zombie"), finished()):
                with pytest.raises(StaleOwnerError):
                    await journal.append(old, [record])
            await journal.append(new, [step(name="a")])
            assert (await journal.summary("run")).status == "running"
            assert steps_of(await journal.records("run")) == ["a"]

    asyncio.run(test())
