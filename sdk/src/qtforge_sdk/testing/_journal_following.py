"""The part of the journal contract about what all processes did: its order, its sum, its pages."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import datetime

import pytest

from qtforge_sdk.journal import AppendedPage, RunQuery
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.records import CheckpointSaved
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

__all__ = ["FollowingContract"]


def in_order(page: AppendedPage) -> list[tuple[str, str]]:
    """Return each record's run and kind, in order."""
    return [(each.run_id, type(each.record).__name__) for each in page.records]


class FollowingContract:
    """Records of all runs, in the order of appending."""

    @scenario
    async def test_records_of_all_journals_are_given_in_the_order_of_their_appending(
        self, journals: Journals
    ) -> None:
        journal, other = await journals.open(), await journals.open()
        begun = await journal.records_since(0)
        assert (begun.records, begun.until, begun.oldest) == ((), 0, 1)
        one = await journal.create(started("one"))
        two = await other.create(started("two"))
        await journal.append(one, [step("one")])
        await other.append(two, [step("two"), finished("two")])
        await journal.append(one, [finished("one")])
        page = await journal.records_since(0)
        assert in_order(page) == [
            ("one", "RunStarted"),
            ("two", "RunStarted"),
            ("one", "StepSucceeded"),
            ("two", "StepSucceeded"),
            ("two", "RunFinished"),
            ("one", "RunFinished"),
        ]
        assert [each.position for each in page.records] == [1, 2, 3, 4, 5, 6]
        assert (page.until, page.oldest) == (6, 1)
        assert await other.records_since(0) == page

    @scenario
    async def test_the_order_is_read_in_pages(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started(), step(name="a"), step(name="b"))
        first = await journal.records_since(0, 2)
        assert (in_order(first), first.until) == (
            [("run", "RunStarted"), ("run", "StepSucceeded")],
            2,
        )
        second = await journal.records_since(first.until, 2)
        assert (in_order(second), second.until) == ([("run", "StepSucceeded")], 3)
        assert (await journal.records_since(3)).records == ()
        nothing = await journal.records_since(0, 0)
        assert (nothing.records, nothing.until, nothing.oldest) == ((), 3, 1)

    @scenario
    async def test_of_one_run_only_its_records_are_given(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started("one"), step("one"))
        await keep(journal, started("two"), step("two"))
        page = await journal.records_since(0, run_id="one")
        assert in_order(page) == [("one", "RunStarted"), ("one", "StepSucceeded")]
        assert page.until == 4
        with pytest.raises(RunNotFoundError):
            await journal.records_since(0, run_id="three")

    @scenario
    async def test_pruned_runs_are_left_out_and_leave_no_place_to_others(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await keep(journal, started("old"), finished("old"))
        assert await journal.prune(NOW + datetime.timedelta(days=1)) == 1
        assert (await journal.records_since(0)).records == ()
        await keep(journal, started("new"))
        (only,) = (await journal.records_since(0)).records
        assert (only.position, only.run_id) == (3, "new")

    @scenario
    async def test_the_statistics_count_runs_timers_and_messages(self, journals: Journals) -> None:
        journal = await journals.open()
        empty = await journal.statistics()
        assert (dict(empty.runs), empty.timers, empty.messages) == ({}, 0, 0)
        assert empty.oldest_message_at is None
        await keep(journal, started("done"), finished("done"))
        await keep(journal, started("bill", workflow="bills"))
        ownership = await journal.create(started("waits"))
        waits = CheckpointSaved(
            run_id="waits", at=NOW, state={}, label="here",
            timers={"t": NOW, "u": NOW}, timers_set=("t", "u"),
        )  # fmt: skip
        await journal.append(ownership, [waits])
        position = await journal.post("waits", event("m1"))
        await journal.post("bill", event("m2"))
        statistics = await journal.statistics()
        assert dict(statistics.runs) == {
            ("letters", "succeeded"): 1,
            ("letters", "waiting"): 1,
            ("bills", "running"): 1,
        }
        assert (statistics.timers, statistics.messages) == (2, 2)
        assert statistics.oldest_message_at == NOW
        went_on = CheckpointSaved(
            run_id="waits", at=NOW, state={}, label="here", timers_gone=("t",), inbox=position
        )
        await journal.append(ownership, [went_on])
        statistics = await journal.statistics()
        assert (statistics.timers, statistics.messages) == (1, 1)
        assert journal.backlog() == 0

    @scenario
    async def test_a_page_of_runs_begins_behind_the_last_of_the_page_before(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        for number, name in enumerate("abcde"):
            at = NOW + datetime.timedelta(seconds=number // 2)  # a and b, c and d tie
            await keep(journal, started(name, at=at, workflow="bills" if name == "c" else "l"))

        async def page(after: str | None, **fields: object) -> str:
            query = RunQuery(after=after, limit=2, **fields)  # type: ignore[arg-type]
            return "".join(each.run_id for each in await journal.runs(query))

        assert [await page(each) for each in (None, "d", "b", "a")] == ["ed", "cb", "a", ""]
        forward = [await page(each, oldest_first=True) for each in (None, "b", "d", "e")]
        assert forward == ["ab", "cd", "e", ""]
        assert await page("c", workflow="l") == "ba"  # which does not fit itself
        with pytest.raises(RunNotFoundError):
            await page("f")

    @scenario
    async def test_runs_are_found_by_events_beneath_one(self, journals: Journals) -> None:
        journal = await journals.open()
        waits = {"a": ("user",), "b": ("timer", "user.go"), "c": ("users",), "d": ("x.user",)}
        for number, (name, accepts) in enumerate(waits.items()):
            at = NOW + datetime.timedelta(seconds=number)
            workflow = "bills" if name == "b" else "letters"
            ownership = await journal.create(started(name, at=at, workflow=workflow))
            kept = CheckpointSaved(run_id=name, at=NOW, state={}, label="here", accepts=accepts)
            await journal.append(ownership, [kept])

        async def found(**fields: object) -> str:
            query = RunQuery(waiting_for="user.*", oldest_first=True, **fields)  # type: ignore[arg-type]
            return "".join(each.run_id for each in await journal.runs(query))

        assert await found() == "ab"
        assert await found(limit=1) == "a"
        assert await found(after="a") == "b"
        assert await found(workflow="bills") == "b"
