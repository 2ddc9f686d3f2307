"""The part of the journal contract about runs that are taken: queued, lapsed, due, pending."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest

from qtforge_sdk.journal import Journal, RunQuery
from qtforge_sdk.journal_errors import RunExistsError
from qtforge_sdk.records import CheckpointSaved, QueueEntry, RunBlocked, RunPaused, RunResumed
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    Journals,
    event,
    finished,
    keep,
    scenario,
    started,
    step,
)

__all__ = ["TakingContract"]

_LATER = NOW + datetime.timedelta(hours=1)


async def taken(journal: Journal, limit: int = 100, **options: Any) -> list[str]:
    """Take runs of the default pool, and return their ids."""
    given: dict[str, Any] = {"now": NOW, "pools": ("default",)} | options
    return [each.run_id for each in await journal.take(limit, **given)]


async def rest(journal: Journal, run_id: str, **fields: Any) -> None:
    """Add a run that waits, and that nobody owns."""
    ownership = await journal.create(started(run_id))
    waits = CheckpointSaved(run_id=run_id, at=NOW, state={}, label="here", **fields)
    await journal.append(ownership, [waits])
    await journal.release(ownership)


class TakingContract:
    """Which runs a process takes, and that no other one takes them too."""

    @scenario
    async def test_a_queued_run_waits_until_it_is_taken(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        await journal.enqueue(started("one", queue=QueueEntry()))
        (summary,) = await other.runs(RunQuery())
        assert (summary.status, summary.owner_alive, summary.pool) == ("queued", False, "default")
        with pytest.raises(RunExistsError):
            await other.enqueue(started("one", queue=QueueEntry()))
        with pytest.raises(ValueError, match="queue"):
            await other.enqueue(started("two"))
        assert await journal.changed(60)  # as for others: it may take the run itself
        (ownership,) = await other.take(5, now=NOW, pools=("default",))
        assert (ownership.run_id, ownership.epoch, ownership.took_over) == ("one", 1, False)
        assert not await taken(journal)
        begun = RunResumed(run_id="one", at=NOW, owner=ownership.owner, plugins={})
        await other.append(ownership, [begun, step("one")])
        assert (await journal.summary("one")).status == "running"
        assert not await journal.check()
        await other.append(ownership, [finished("one")])
        assert not await taken(journal)

    @scenario
    async def test_queued_runs_are_taken_by_priority_pool_time_and_plugins(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        entries = {
            "low": QueueEntry(priority=-5),
            "first": QueueEntry(),
            "second": QueueEntry(),
            "high": QueueEntry(priority=100),
            "other": QueueEntry(pool="reports", priority=50),
            "later": QueueEntry(not_before=_LATER, priority=7),
            "needs": QueueEntry(needs={"ocr": "2", "tables": "1"}, priority=6),
        }
        for run_id, queue in entries.items():
            await journal.enqueue(started(run_id, queue=queue))
        assert not await taken(journal, pools=())
        assert await taken(journal, 2, able={"ocr": "2"}) == ["high", "first"]
        assert await taken(journal, able={"ocr": "1", "tables": "1"}) == ["second", "low"]
        assert await taken(journal, pools=("reports", "more")) == ["other"]
        able = {"ocr": "2", "tables": "1", "more": "3"}
        assert await taken(journal, now=_LATER, able=able) == ["later", "needs"]
        assert not await journal.check()

    @scenario
    async def test_runs_that_began_at_once_are_listed_in_order_whatever_their_pool(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await journal.enqueue(started("one", queue=QueueEntry(pool="z", priority=-3)))
        await keep(journal, started("two"))
        await journal.enqueue(started("three", queue=QueueEntry(pool="a")))
        found = await journal.runs(RunQuery(oldest_first=True))
        assert [(each.run_id, each.pool, each.priority) for each in found] == [
            ("one", "z", -3), ("two", "default", 0), ("three", "a", 0),
        ]  # fmt: skip
        newest = await journal.runs(RunQuery(limit=2))
        assert [each.run_id for each in newest] == ["three", "two"]

    @scenario
    async def test_the_runs_of_a_process_that_ended_are_taken_over(
        self, journals: Journals
    ) -> None:
        first, second = await journals.open(), await journals.open()
        await keep(first, started("dead"), step("dead"))
        await first.release(await keep(first, started("released")))
        await keep(second, started("mine"))
        await keep(second, started("done"), finished("done"))
        assert await taken(second, since=(await second.deliveries("", 0)).until) == []
        assert await taken(second, 1) == ["released"]
        await first.close()
        (ownership,) = await second.take(5, now=NOW)
        assert (ownership.run_id, ownership.epoch, ownership.took_over) == ("dead", 2, True)
        await second.append(ownership, [step("dead", "b")])
        assert not await taken(second)

    @scenario
    async def test_waiting_runs_are_taken_when_a_timer_is_due_or_for_a_message(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        soon = NOW + datetime.timedelta(seconds=1)
        await rest(journal, "timer", timers={"t": soon}, timers_set=("t",))
        await rest(journal, "early", timers={"t": NOW}, timers_set=("t",))
        for run_id in ("sent", "again", "quiet"):
            await rest(journal, run_id)
        await journal.post("sent", event("m1"))
        place = (await journal.deliveries("", 0)).until
        await journal.post("again", event("m2"))
        assert await taken(journal, now=soon, since=place) == ["early", "timer", "again"]
        assert await taken(journal, now=soon) == ["sent"]
        assert not await taken(journal, now=soon)

    @scenario
    async def test_paused_and_blocked_runs_are_left_alone(self, journals: Journals) -> None:
        journal = await journals.open()
        for run_id, record in (
            ("paused", RunPaused(run_id="paused", at=NOW)),
            ("cancelled", RunPaused(run_id="cancelled", at=NOW)),
            ("blocked", RunBlocked(run_id="blocked", at=NOW, reason="versions")),
        ):
            ownership = await journal.create(started(run_id))
            await journal.append(ownership, [record])
            await journal.release(ownership)
        await journal.post("paused", event("m1"))
        await journal.post("cancelled", event("m2", kind="cancel"))
        assert await taken(journal) == ["cancelled"]
        assert await taken(journal, again=True) == ["blocked"]

    @scenario
    async def test_a_run_that_rests_is_left_alone_until_then(self, journals: Journals) -> None:
        journal = await journals.open()
        await rest(journal, "waits")
        await journal.post("waits", event("m1"))
        await journal.release(await keep(journal, started("runs")))
        await journal.enqueue(started("queued", queue=QueueEntry()))
        for ownership in await journal.take(5, now=NOW, pools=("default",)):
            await journal.release(ownership, rest_until=_LATER)
        assert not await taken(journal)
        assert await taken(journal, again=True) == ["runs", "waits", "queued"]
        await journal.release(await journal.claim("runs"), rest_until=_LATER)
        assert await taken(journal, now=_LATER) == ["runs"]

    @scenario
    async def test_a_queued_run_that_needs_any_version_is_left_where_there_is_none(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        needs = {"ocr": "*", "mail": "1"}
        await journal.enqueue(started("one", queue=QueueEntry(needs=needs)))
        for able in ({}, {"mail": "1"}, {"ocr": "3"}, {"ocr": "3", "mail": "2"}):
            assert not await taken(journal, able=able)
        assert await taken(journal, able={"ocr": "3", "mail": "1", "else": "1"}) == ["one"]

    @scenario
    async def test_the_time_of_the_store_is_the_same_for_all(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        first, second, third = await journal.now(), await other.now(), await journal.now()
        assert first <= second <= third
        assert first.utcoffset() == datetime.timedelta()

    @scenario
    async def test_a_timer_is_due_by_the_time_of_the_store(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        due = await journal.now() + datetime.timedelta(seconds=0.3)
        await rest(journal, "run", timers={"one": due}, timers_set=("one",))
        while (now := await other.now()) < due:
            assert not await taken(other, now=now)
            await asyncio.sleep(0.02)
        assert await other.next_due(now) is None
        assert await taken(other, now=now) == ["run"]

    @scenario
    async def test_of_many_that_take_at_once_one_gets_each_run(self, journals: Journals) -> None:
        journal = await journals.open()
        names = [f"run-{number:03}" for number in range(60)]
        for name in names:
            await journal.enqueue(started(name, queue=QueueEntry()))
        takers = [await journals.open() for _ in range(12)]

        async def take_all(taker: Journal) -> list[str]:
            mine: list[str] = []
            while found := await taken(taker, 7):
                mine += found
            return mine

        shares = await asyncio.gather(*map(take_all, takers))
        assert sorted(run_id for share in shares for run_id in share) == names
