"""The part of the journal contract about what all processes did: its order, its sum, its pages."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import datetime
import re

import pytest

from qtforge_sdk.journal import CURSOR, AppendedPage, AppendedRecord, Journal, RunQuery
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
        begun = await journal.records_since("")
        assert (begun.records, begun.gap, begun.missed) == ((), "", None)
        one = await journal.create(started("one"))
        two = await other.create(started("two"))
        await journal.append(one, [step("one")])
        await other.append(two, [step("two"), finished("two")])
        await journal.append(one, [finished("one")])
        page = await journal.records_since("")
        assert in_order(page) == [
            ("one", "RunStarted"),
            ("two", "RunStarted"),
            ("one", "StepSucceeded"),
            ("two", "StepSucceeded"),
            ("two", "RunFinished"),
            ("one", "RunFinished"),
        ]
        assert await other.records_since("") == page
        assert await other.records_since(begun.until) == page
        for place, each in enumerate(page.records, 1):
            assert re.fullmatch(CURSOR, each.cursor)
            rest = await journal.records_since(each.cursor)
            assert (rest.records, rest.gap) == (page.records[place:], "")

    @scenario
    async def test_the_order_is_read_in_pages(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started(), step(name="a"), step(name="b"))
        first = await journal.records_since("", 2)
        assert in_order(first) == [("run", "RunStarted"), ("run", "StepSucceeded")]
        assert first.until == first.records[-1].cursor
        second = await journal.records_since(first.until, 2)
        assert in_order(second) == [("run", "StepSucceeded")]
        assert (await journal.records_since(second.until)).records == ()
        nothing = await journal.records_since("", 0)
        assert nothing.records == ()
        assert (await journal.records_since(nothing.until)).records == ()

    @scenario
    async def test_a_place_of_another_journal_gives_all_there_is_and_says_so(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await keep(journal, started(), step())
        for strange in ("999999999", "nonsense", "-1", "9" * 40, "1.2:3-4"):
            page = await journal.records_since(strange)
            assert (in_order(page), page.gap, page.missed) == (
                [("run", "RunStarted"), ("run", "StepSucceeded")], "unknown", None,
            )  # fmt: skip
            assert not (await journal.records_since(page.until)).records
            assert len((await journal.records_since(page.since)).records) == 2

    @scenario
    async def test_a_follower_beside_many_writers_gets_each_record_once(
        self, journals: Journals
    ) -> None:
        follower = await journals.open()
        writers = [await journals.open() for _ in range(6)]
        names = [f"run-{number}" for number in range(24)]

        async def write(name: str, journal: Journal) -> None:
            ownership = await journal.create(started(name))
            for number in range(8):
                await journal.append(ownership, [step(name, str(number)), step(name, f"{number}b")])
            await journal.append(ownership, [finished(name)])

        writing = asyncio.gather(
            *(write(name, writers[place % 6]) for place, name in enumerate(names))
        )
        found: list[AppendedRecord] = []
        cursor, done = "", False
        while True:
            page = await follower.records_since(cursor, 50)
            found += page.records
            cursor = page.until
            if done and not page.records:
                break
            done = writing.done()
            await asyncio.sleep(0)
        await writing
        for name in names:
            records = [each.record for each in found if each.run_id == name]
            assert records == list(await follower.records(name))

    @scenario
    async def test_of_one_run_only_its_records_are_given(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started("one"), step("one"))
        await keep(journal, started("two"), step("two"))
        page = await journal.records_since("", run_id="one")
        assert in_order(page) == [("one", "RunStarted"), ("one", "StepSucceeded")]
        assert (await journal.records_since(page.until)).records == ()  # it is the newest place
        with pytest.raises(RunNotFoundError):
            await journal.records_since("", run_id="three")

    @scenario
    async def test_pruned_runs_are_left_out_and_leave_no_place_to_others(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await keep(journal, started("old"), finished("old"))
        assert await journal.prune(NOW + datetime.timedelta(days=1)) == 1
        page = await journal.records_since("")
        assert (page.records, page.gap) == ((), "")
        await keep(journal, started("new"))
        for after in ("", page.until):
            (only,) = (await journal.records_since(after)).records
            assert only.run_id == "new"

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
        position = (await journal.post("waits", event("m1"))).position
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
