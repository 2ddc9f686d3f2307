"""The tests that every `qtforge_sdk.journal.Journal` passes.

Inherit from `JournalContract` in a test module and give it journals of yours::

    class TestMyJournal(JournalContract):
        @pytest.fixture
        def make_journal(self, tmp_path):
            return lambda: MyJournal(tmp_path)

Each call makes another journal, not yet open, over the same runs: it stands for another
process. Each test gets a fresh loop.
"""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
from typing import get_args

import pytest

from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal import Ownership, RunQuery
from qtforge_sdk.journal_errors import (
    RecordNotStorableError,
    RecordTooLargeError,
    RunExistsError,
    RunNotFoundError,
    RunOwnedError,
    StaleOwnerError,
)
from qtforge_sdk.records import (
    Record,
)
from qtforge_sdk.testing._journal_following import FollowingContract
from qtforge_sdk.testing._journal_kept import KeptValuesContract
from qtforge_sdk.testing._journal_keys import RunKeysContract
from qtforge_sdk.testing._journal_limits import LimitsContract
from qtforge_sdk.testing._journal_listing import ListingContract
from qtforge_sdk.testing._journal_messages import (
    ArchiveContract,
    InboxContract,
)
from qtforge_sdk.testing._journal_nodes import NodesContract
from qtforge_sdk.testing._journal_pruning import PruningContract
from qtforge_sdk.testing._journal_publications import PublicationContract
from qtforge_sdk.testing._journal_records import every_record
from qtforge_sdk.testing._journal_scenarios import (
    Journals,
    MakeJournal,
    event,
    finished,
    keep,
    names,
    scenario,
    started,
    step,
    steps_of,
)
from qtforge_sdk.testing._journal_search import SearchContract
from qtforge_sdk.testing._journal_secrets import SecretsContract
from qtforge_sdk.testing._journal_taking import TakingContract
from qtforge_sdk.testing._journal_waiting import WaitingContract

__all__ = ["JournalContract", "MakeJournal"]


class RecordsContract:
    """What is kept comes back."""

    @scenario
    async def test_a_record_of_every_kind_comes_back_equal(self, journals: Journals) -> None:
        journal = await journals.open()
        records = every_record()
        assert {type(record) for record in records} == set(get_args(Record))
        await keep(journal, *records)
        assert list(await journal.records("run")) == records
        assert not await journal.check()

    @scenario
    async def test_a_page_of_records_follows_the_page_before(self, journals: Journals) -> None:
        journal = await journals.open()
        steps = [step(name=str(number)) for number in range(9)]
        await keep(journal, started(), *steps)
        every = list(await journal.records("run"))
        for after in (0, 1, 4, 9, 10, 11):
            for limit in (0, 1, 4, 100, None):
                last = None if limit is None else after + limit
                page = await journal.records("run", after=after, limit=limit)
                assert list(page) == every[after:last]
        with pytest.raises(RunNotFoundError):
            await journal.records("nobody", after=1, limit=1)

    @scenario
    async def test_a_summary_of_one_run_counts_its_records(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started(), step(), step(name="other"))
        await keep(journal, started("done"), finished("done"))
        found = {each.run_id: each for each in await journal.runs(RunQuery())}
        assert found == {name: await journal.summary(name) for name in ("run", "done")}
        assert {name: each.records for name, each in found.items()} == {"run": 3, "done": 2}
        with pytest.raises(RunNotFoundError):
            await journal.summary("nobody")

    @scenario
    async def test_large_parts_of_a_value_come_back_in_their_places(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        text = "x" * 300_000
        data = {
            "one": {"two": [{"text": text}, "small", {"again": text, "number": 1}]},
            "many": {str(number): "y" * 1000 for number in range(400)},
            "three": [text, [text[:70_000]], None],
            "bytes": b"\xc7\x20\x42" + bytes(100_000),
        }
        await keep(journal, started(input=data), step(data=text), step(data=data))
        first, *steps = await journal.records("run")
        assert first == started(input=data)
        assert steps == [step(data=text), step(data=data)]
        archive = await journal.export("run")
        assert await journal.import_(archive) == "run"
        assert not await journal.check()

    @scenario
    async def test_records_stay_in_order_over_many_appends(self, journals: Journals) -> None:
        journal = await journals.open()
        ownership = await keep(journal, started())
        for number in range(0, 60, 2):
            pair = [step(name=str(number)), step(name=str(number + 1))]
            await journal.append(ownership, pair)
        expected = [str(number) for number in range(60)]
        assert steps_of(await journal.records("run")) == expected

    @scenario
    async def test_many_runs_append_at_once_and_none_gets_anothers(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()

        async def write(name: str) -> None:
            ownership = await journal.create(started(name))
            for number in range(10):
                await journal.append(ownership, [step(name, str(number))])
            await journal.append(ownership, [finished(name)])

        await asyncio.gather(*map(write, names(80)))
        for name in names(80):
            records = await journal.records(name)
            assert len(records) == 12
            assert {record.run_id for record in records} == {name}
            assert steps_of(records) == [str(number) for number in range(10)]
        assert not await journal.check()

    @scenario
    async def test_large_values_come_back(self, journals: Journals) -> None:
        journal = await journals.open()
        large = {"text": "x" * 300_000, "other": b"\0" * 300_000}
        records: list[Record] = [
            started(input=large),
            step(data=large),
            finished(result=[large, large]),
        ]
        await keep(journal, *records)
        assert list(await journal.records("run")) == records

    @scenario
    async def test_what_is_read_is_not_what_was_given(self, journals: Journals) -> None:
        journal = await journals.open()
        data = {"list": [1]}
        await keep(journal, started(), step(data=data))
        data["list"].append(2)
        kept = (await journal.records("run"))[1]
        assert kept == step(data={"list": [1]})

    @scenario
    async def test_a_value_above_the_limit_is_refused_and_nothing_is_kept(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        assert journal.max_value_bytes >= 1 << 20
        journal.max_value_bytes = 1 << 20
        ownership = await keep(journal, started())
        fits, large = "x" * 1_000_000, ["x" * 1_000, "x" * (1 << 20)]
        with pytest.raises(RecordTooLargeError, match=r"parse.*1,0\d\d,\d+ bytes.*1,048,576"):
            await journal.append(ownership, [step(name="good"), step(data=large)])
        with pytest.raises(RecordTooLargeError):
            await journal.create(started("other", input=large))
        with pytest.raises(RecordTooLargeError):
            await journal.post("run", event("1", data=large))
        assert len(await journal.records("run")) == 1
        assert len(await journal.runs(RunQuery())) == 1
        assert not await journal.inbox("run")
        await journal.append(ownership, [step(data=fits)])
        assert len(await journal.records("run")) == 2

    @scenario
    async def test_a_value_without_an_encoding_is_refused_and_nothing_is_kept(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        ownership = await keep(journal, started())
        for value in (object(), 1 << 70, "\ud800"):
            with pytest.raises(RecordNotStorableError, match="step_succeeded parse"):
                await journal.append(ownership, [step(name="good"), step(data={"x": value})])
        with pytest.raises(RecordNotStorableError):
            await journal.create(started("other", input=object()))
        assert len(await journal.records("run")) == 1
        assert len(await journal.runs(RunQuery())) == 1

    @scenario
    async def test_a_run_may_begin_with_several_records_or_not_at_all(
        self, journals: Journals
    ) -> None:
        journal, other = await journals.open(), await journals.open()
        kept = [step(name="a", data="x" * 300_000), step(name="b")]
        ownership = await journal.create(started(), kept)
        assert (ownership.epoch, list(await other.records("run"))) == (1, [started(), *kept])
        assert (await other.summary("run")).status == "running"
        await journal.append(ownership, [step(name="c")])
        assert steps_of(await other.records("run")) == ["a", "b", "c"]
        with pytest.raises(RunExistsError):
            await other.create(started(), kept)
        with pytest.raises(RecordNotStorableError):
            await journal.create(started("bad"), [step("bad", "a"), step("bad", data=object())])
        with pytest.raises(ValueError, match="bad"):
            await journal.create(started("bad"), [step("another")])
        assert len(await journal.runs(RunQuery())) == 1
        assert [each.run_id for each in (await other.records_since("")).records] == ["run"] * 4
        assert not await journal.check()

    @scenario
    async def test_an_unknown_run_has_no_records(self, journals: Journals) -> None:
        journal = await journals.open()
        with pytest.raises(RunNotFoundError) as caught:
            await journal.records("nobody")
        assert caught.value.run_id == "nobody"

    @scenario
    async def test_a_name_is_taken_once(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        await keep(journal, started())
        for each in (journal, other):
            with pytest.raises(RunExistsError):
                await each.create(started(workflow="another"))
        assert list(await journal.records("run")) == [started()]

    @scenario
    async def test_an_append_of_nothing_or_of_anothers_record(self, journals: Journals) -> None:
        journal = await journals.open()
        ownership = await keep(journal, started())
        await journal.append(ownership, [])
        with pytest.raises(ValueError, match="other"):
            await journal.append(ownership, [step("other")])
        with pytest.raises(ValueError, match="last"):
            await journal.append(ownership, [finished(), step()])
        assert len(await journal.records("run")) == 1

    @scenario
    async def test_a_closed_journal_refuses_and_may_be_closed_again(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        ownership = await keep(journal, started())
        await journal.close()
        await journal.close()
        with pytest.raises(StateDirectoryError):
            await journal.append(ownership, [step()])
        with pytest.raises(StateDirectoryError):
            await journal.records("run")

    @scenario
    async def test_who_is_cancelled_while_appending_finds_it_done_once(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        ownership = await keep(journal, started())
        begun = [str(number) for number in range(40) if number % 4]
        for number in range(40):
            data = "x" * 300_000 if number % 10 == 0 else None
            append = journal.append(ownership, [step(name=str(number), data=data)])
            task = asyncio.ensure_future(append)
            for _ in range(number % 4):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if number % 4:  # else it had not begun
                assert str(number) in steps_of(await journal.records("run"))
        await journal.append(ownership, [step(name="last")])
        await journal.close()
        await journal.open()
        steps = steps_of(await journal.records("run"))
        assert [each for each in steps if each in {*begun, "last"}] == [*begun, "last"]
        assert len(steps) == len(set(steps))
        assert not await journal.check()


class OwnershipContract:
    """Who may write."""

    @scenario
    async def test_a_new_run_is_its_creators(self, journals: Journals) -> None:
        owner, other = await journals.open(), await journals.open()
        ownership = await owner.create(started())
        assert (ownership.run_id, ownership.epoch) == ("run", 1)
        with pytest.raises(RunOwnedError) as caught:
            await other.claim("run")
        assert caught.value.run_id == "run"
        assert caught.value.owner
        assert (await other.runs(RunQuery()))[0].owner_alive

    @scenario
    async def test_what_is_released_may_be_claimed_and_the_old_ownership_is_stale(
        self, journals: Journals
    ) -> None:
        first, second = await journals.open(), await journals.open()
        old = await keep(first, started(), step(name="a"))
        await first.release(old)
        assert list(await second.unfinished()) == ["run"]
        new = await second.claim("run")
        assert (new.epoch, new.took_over) == (2, False)
        with pytest.raises(StaleOwnerError):
            await first.append(old, [step(name="b")])
        with pytest.raises(StaleOwnerError):
            await first.release(old)
        await second.append(new, [step(name="c")])
        assert steps_of(await first.records("run")) == ["a", "c"]

    @scenario
    async def test_a_run_that_has_ended_may_have_an_owner_also_one_that_has_died(
        self, journals: Journals
    ) -> None:
        first, second = await journals.open(), await journals.open()
        await keep(first, started(), finished())
        await first.claim("run")  # to open it again
        assert not await second.check()
        await first.close()
        assert not await second.check()
        assert not await second.unfinished()
        assert (await second.claim("run")).epoch == 3

    @scenario
    async def test_a_run_goes_back_and_forth_and_its_records_stay_in_order(
        self, journals: Journals
    ) -> None:
        pair = [await journals.open(), await journals.open()]
        ownership = await keep(pair[0], started())
        await pair[0].release(ownership)
        for number in range(10):
            journal = pair[number % 2]
            ownership = await journal.claim("run")
            await journal.append(ownership, [step(name=str(number))])
            await journal.release(ownership)
        assert ownership.epoch == 11
        expected = [str(number) for number in range(10)]
        assert steps_of(await pair[0].records("run")) == expected
        assert not await pair[0].check()

    @scenario
    async def test_the_runs_of_a_journal_that_ended_may_be_claimed(
        self, journals: Journals
    ) -> None:
        first, second = await journals.open(), await journals.open()
        old = await keep(first, started())
        assert not await second.unfinished()
        await first.close()
        assert list(await second.unfinished()) == ["run"]
        assert not (await second.runs(RunQuery()))[0].owner_alive
        new = await second.claim("run")
        assert (new.epoch, new.took_over) == (2, True)
        await first.open()
        with pytest.raises(StaleOwnerError):
            await first.append(old, [step()])

    @scenario
    async def test_the_owner_may_claim_again_and_only_the_newest_is_good(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        old = await journal.create(started())
        new = await journal.claim("run")
        assert not new.took_over
        with pytest.raises(StaleOwnerError) as caught:
            await journal.append(old, [step()])
        assert (caught.value.run_id, caught.value.epoch) == ("run", 1)
        await journal.append(new, [step()])

    @scenario
    async def test_a_stale_append_does_not_harm_the_others_beside_it(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        good = await journal.create(started("good"))
        old = await journal.create(started("taken"))
        await journal.claim("taken")
        outcomes = await asyncio.gather(
            journal.append(good, [step("good", "a")]),
            journal.append(old, [step("taken", "b")]),
            journal.append(good, [step("good", "c")]),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [type(None), StaleOwnerError, type(None)]
        assert steps_of(await journal.records("good")) == ["a", "c"]
        assert steps_of(await journal.records("taken")) == []

    @scenario
    async def test_the_end_of_a_run_lets_go_of_it(self, journals: Journals) -> None:
        journal = await journals.open()
        ownership = await keep(journal, started())
        outcomes = await asyncio.gather(
            journal.append(ownership, [finished()]),
            journal.append(ownership, [step()]),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [type(None), StaleOwnerError]
        assert len(await journal.records("run")) == 2

    @scenario
    async def test_an_unknown_run_cannot_be_claimed(self, journals: Journals) -> None:
        journal = await journals.open()
        with pytest.raises(RunNotFoundError):
            await journal.claim("nobody")
        invented = Ownership(run_id="nobody", epoch=1, owner="x", key=99)
        with pytest.raises(StaleOwnerError):
            await journal.append(invented, [step("nobody")])

    @scenario
    async def test_of_many_who_claim_a_run_one_gets_it(self, journals: Journals) -> None:
        first = await journals.open()
        for name in names(20):
            await first.release(await first.create(started(name)))
        racers = [await journals.open() for _ in range(3)]

        async def race(name: str) -> int:
            claims = [racer.claim(name) for racer in racers]
            outcomes = await asyncio.gather(*claims, return_exceptions=True)
            assert all(isinstance(each, Ownership | RunOwnedError) for each in outcomes)
            return sum(isinstance(each, Ownership) for each in outcomes)

        assert await asyncio.gather(*map(race, names(20))) == [1] * 20


class JournalContract(
    RecordsContract,
    OwnershipContract,
    ListingContract,
    FollowingContract,
    InboxContract,
    ArchiveContract,
    PruningContract,
    WaitingContract,
    TakingContract,
    NodesContract,
    LimitsContract,
    KeptValuesContract,
    RunKeysContract,
    PublicationContract,
    SearchContract,
    SecretsContract,
):
    """All of it; give it a fixture ``make_journal``."""
