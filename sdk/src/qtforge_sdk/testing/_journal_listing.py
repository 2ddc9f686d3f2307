"""The part of the journal contract about status and lists."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import contextlib
import datetime
from typing import Any

import pytest

from qtforge_sdk.journal import RunQuery
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.records import Record, RunBlocked, RunPaused, RunQueued, RunResumed
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    Journals,
    finished,
    keep,
    names,
    scenario,
    started,
    step,
)

__all__ = ["ListingContract"]


def at(seconds: float) -> datetime.datetime:
    """Return a time that many seconds after `NOW`."""
    return NOW + datetime.timedelta(seconds=seconds)


class ListingContract:
    """Which runs there are, and how they stand."""

    @scenario
    async def test_a_summary_tells_how_a_run_stands(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started(parent="above"), step(), finished(status="compensated"))
        (summary,) = await journal.runs(RunQuery())
        assert (summary.run_id, summary.workflow, summary.kind) == ("run", "letters", "sequential")
        assert (summary.status, summary.parent, summary.epoch) == ("compensated", "above", 1)
        assert (summary.started_at, summary.finished_at) == (NOW, at(1))
        assert not summary.owner_alive

    @scenario
    async def test_records_give_the_run_its_status(self, journals: Journals) -> None:
        journal = await journals.open()
        ownership = await keep(journal, started())
        turns: list[tuple[Record, str]] = [
            (RunPaused(run_id="run", at=NOW), "paused"),
            (step(), "paused"),
            (RunQueued(run_id="run", at=NOW), "queued"),
            (RunResumed(run_id="run", at=NOW, owner="o", plugins={}), "running"),
            (RunBlocked(run_id="run", at=NOW, reason="r"), "blocked"),
        ]
        for record, status in turns:
            await journal.append(ownership, [record])
            assert (await journal.runs(RunQuery()))[0].status == status

    @scenario
    async def test_a_finished_run_may_be_claimed_and_opened_again(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started(), finished(status="failed"))
        ownership = await journal.claim("run")
        resumed = RunResumed(run_id="run", at=NOW, owner="o", plugins={}, note="retry")
        await journal.append(ownership, [resumed])
        (summary,) = await journal.runs(RunQuery())
        assert (summary.status, summary.finished_at) == ("running", None)
        assert not await journal.prune(at(1000))

    @scenario
    async def test_runs_are_listed_newest_first_up_to_a_limit(self, journals: Journals) -> None:
        journal = await journals.open()
        for second in (3, 1, 2):
            await keep(journal, started(f"r{second}", at=at(second)))
        await keep(journal, started("r3-later", at=at(3)))

        async def found(limit: int) -> list[str]:
            return [each.run_id for each in await journal.runs(RunQuery(limit=limit))]

        assert await found(50) == ["r3-later", "r3", "r2", "r1"]
        assert await found(2) == ["r3-later", "r3"]
        assert await found(0) == []

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({}, "abcd"),
            ({"statuses": frozenset({"failed"})}, "b"),
            ({"statuses": frozenset({"failed", "running", "absent"})}, "bcd"),
            ({"workflow": "letters"}, "abc"),
            ({"workflow": "letters", "statuses": frozenset({"running"})}, "c"),
            ({"workflow": "absent"}, ""),
            ({"started_since": at(2)}, "bcd"),
            ({"started_until": at(2)}, "a"),
            ({"started_since": at(2), "started_until": at(3)}, "b"),
            ({"parent": "a"}, "cd"),
            ({"parent": "a", "workflow": "bills"}, "d"),
            ({"parent": "a", "statuses": frozenset({"failed"})}, ""),
        ],
    )
    def test_a_query_restricts_the_list(
        self, make_journal: Any, query: dict[str, Any], expected: str
    ) -> None:
        async def look(self: object, journals: Journals) -> None:
            journal = await journals.open()
            await keep(journal, started("a", at=at(1)), finished("a"))
            await keep(journal, started("b", at=at(2)), finished("b", "failed"))
            await keep(journal, started("c", at=at(3), parent="a"))
            await keep(journal, started("d", at=at(4), parent="a", workflow="bills"))
            found = [each.run_id for each in await journal.runs(RunQuery(**query))]
            assert found == sorted(expected, reverse=True)

        scenario(look)(self, make_journal)

    @scenario
    async def test_the_unfinished_without_an_owner_are_given_oldest_first(
        self, journals: Journals
    ) -> None:
        journal, other = await journals.open(), await journals.open()
        for name in names(5):
            await journal.release(await journal.create(started(name)))
        await other.claim("run-001")
        done = await journal.claim("run-002")
        await journal.append(done, [finished("run-002")])
        rests = await journal.claim("run-003")
        await journal.append(rests, [RunPaused(run_id="run-003", at=NOW)])
        await journal.release(rests)
        assert list(await journal.unfinished()) == ["run-000", "run-004"]

    @scenario
    async def test_each_run_is_listed_once_while_its_status_changes(
        self, journals: Journals
    ) -> None:
        journal, other = await journals.open(), await journals.open()
        owned = [await other.create(started(name)) for name in names(8)]

        async def change() -> None:
            for _ in range(40):
                for each in owned:
                    await other.append(each, [RunPaused(run_id=each.run_id, at=NOW)])
                    await other.append(each, [RunQueued(run_id=each.run_id, at=NOW)])

        changing = asyncio.ensure_future(change())
        try:
            while not changing.done():
                listed = [each.run_id for each in await journal.runs(RunQuery(oldest_first=True))]
                assert listed == names(8)
                await asyncio.sleep(0)
            await changing
        finally:
            changing.cancel()
            await asyncio.wait([changing])

    @scenario
    async def test_a_run_that_is_deleted_while_it_is_read_is_not_damaged(
        self, journals: Journals
    ) -> None:
        journal, other = await journals.open(), await journals.open()
        until = NOW + datetime.timedelta(days=1)
        for _ in range(30):
            await keep(other, started(), step(), finished())
            deleting = asyncio.ensure_future(other.delete(["run"], ended_before=until))
            with contextlib.suppress(RunNotFoundError):
                while not deleting.done():
                    assert len(await journal.records("run")) == 3
                    assert len(await journal.tail("run")) == 3
                    await asyncio.sleep(0)
            assert await deleting == ["run"]
