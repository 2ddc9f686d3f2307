"""The part of the journal contract about tags, unique keys and concurrency keys."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest

from qtforge_sdk.journal import MOST_HOLDERS, Journal, RunQuery
from qtforge_sdk.journal_errors import (
    RunConcurrencyError,
    RunDuplicateError,
    RunExistsError,
    RunNotFoundError,
    StaleOwnerError,
    TagsInvalidError,
)
from qtforge_sdk.records import (
    ErrorInfo,
    QueueEntry,
    Record,
    RunBlocked,
    RunKeys,
    RunPlace,
    RunQueued,
    RunReset,
    RunResumed,
    RunStarted,
    StartedBy,
    StepFailed,
    StepStarted,
    UniqueRun,
)
from qtforge_sdk.run_keys import MOST_TAGS, WhenFull
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    Journals,
    finished,
    names,
    scenario,
    started,
)

__all__ = ["RunKeysContract"]

HOUR = datetime.timedelta(hours=1)


def tagged(run_id: str, **tags: str) -> RunStarted:
    """Return the first record of a run with tags."""
    return started(run_id, keys=RunKeys(tags=tags))


def keyed(
    run_id: str,
    *,
    key: str = "acme",
    limit: int = 1,
    when_full: WhenFull = "wait",
    priority: int = 0,
    not_before: datetime.datetime | None = None,
    **fields: Any,
) -> RunStarted:
    """Return the first record of a queued run that needs a place."""
    place = RunPlace(key=key, limit=limit, when_full=when_full)
    queue = QueueEntry(priority=priority, not_before=not_before)
    return started(run_id, keys=RunKeys(place=place), queue=queue, **fields)


async def listed(journal: Journal, **fields: Any) -> list[str]:
    """Return the runs of a query, oldest first."""
    query = RunQuery(oldest_first=True, **fields)
    return [each.run_id for each in await journal.runs(query)]


async def taken(journal: Journal, limit: int = 100, now: datetime.datetime = NOW) -> list[str]:
    """Take runs, and return which."""
    return [each.run_id for each in await journal.take(limit, now=now)]


async def deleted(journal: Journal, *run_ids: str) -> list[str]:
    """Delete runs, and return which were."""
    return [*await journal.delete(run_ids, ended_before=NOW + HOUR)]


async def finish(journal: Journal, run_id: str) -> None:
    """End a run."""
    await journal.append(await journal.claim(run_id), [finished(run_id)])


class RunKeysContract:
    """Runs are found by tags; no more of them than may hold a place, and none waits for ever."""

    @scenario
    async def test_title_tags_and_schedule_are_in_the_summary(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        keys = RunKeys(title="Rechnung 7 ✓", tags={"customer": "ACME & Söhne", "a.b-c": "1"})
        by = StartedBy(kind="schedule", name="nightly")
        await journal.create(started("run", keys=keys, started_by=by))
        await journal.create(started("plain", started_by=StartedBy(kind="request", name="Anna")))
        found = await other.summary("run")
        assert (found.title, found.tags, found.schedule) == (keys.title, keys.tags, "nightly")
        plain = await other.summary("plain")
        assert (plain.title, plain.tags, plain.schedule) == ("", {}, None)
        assert (found.started_by, plain.started_by) == (
            by,
            StartedBy(kind="request", name="Anna"),
        )
        assert list(await other.records("run")) == [started("run", keys=keys, started_by=by)]
        assert not await other.check()

    @scenario
    async def test_what_started_a_run_and_how_it_failed_is_in_the_summary(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        odd = StartedBy(kind="event", name=f"a b\0{'x' * 500}")
        error = ErrorInfo(code="shop.closed", message="it is closed", plugin="shop")
        for name, records in (
            ("failed", [finished("failed", "failed", error=error)]),
            ("blocked", [RunBlocked(run_id="blocked", at=NOW, reason="no plugin")]),
            ("again", [finished("again", "failed", error=error)]),
            ("going", []),
        ):
            owned = await journal.create(started(name, started_by=odd))
            if records:
                await journal.append(owned, records)
        resumed = RunResumed(run_id="again", at=NOW, owner="me", plugins={})
        reset = RunReset(run_id="again", at=NOW, steps=[])
        await journal.append(await journal.claim("again"), [reset, resumed])
        found = {each.run_id: each for each in await journal.runs(RunQuery())}
        assert {name: (each.error_code, each.error_plugin) for name, each in found.items()} == {
            "failed": ("shop.closed", "shop"),
            "blocked": ("run.blocked", None),
            "again": (None, None),
            "going": (None, None),
        }
        assert await listed(journal, error_code="shop.closed") == ["failed"]
        assert await listed(journal, error_code="run.blocked") == ["blocked"]
        assert await listed(journal, error_plugin="shop") == ["failed"]
        assert await listed(journal, error_plugin="shop", error_code="shop.closed") == ["failed"]
        assert not await listed(journal, error_plugin="shop", error_code="run.blocked")
        assert not await listed(journal, error_plugin="shop", workflow="other")
        assert not await listed(journal, error_plugin="shop", statuses=frozenset({"blocked"}))
        assert not await listed(journal, error_plugin="shop", tags={"a": "b"})
        assert not await listed(journal, error_code="no\0\ud800")
        by = found["going"].started_by
        assert by is not None
        assert by.kind == "event"
        assert by.name.startswith("a b\ufffdxxx")
        assert len(by.name) < 250
        child = await journal.create(started("child", parent="going", parent_step="s"))
        assert (await journal.summary(child.run_id)).started_by is None
        archive = await journal.export("failed")
        await journal.delete(["failed"], ended_before=NOW + HOUR)
        await journal.import_(archive)
        assert (await journal.summary("failed")).error_code == "shop.closed"

    @scenario
    async def test_a_message_and_a_traceback_are_stored_as_they_are(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        large = {"text": "ü" * 200_000, "lines": ["x" * 70_000] * 3, "n": 1}
        records: list[Record] = [
            StepStarted(run_id="run", at=NOW, step="a", topic="t", message={"b": [1, None]}),
            StepStarted(run_id="run", at=NOW, step="b", topic="t", message=large),
            StepFailed(
                run_id="run",
                at=NOW,
                step="b",
                error=ErrorInfo(code="x", message="y", traceback="Traceback\n  a \x1b[31m"),
                required=True,
                duration_s=1.0,
            ),
        ]
        await journal.append(await journal.create(started("run")), records)
        assert list(await journal.records("run"))[1:] == records

    @scenario
    async def test_runs_are_listed_by_all_of_some_tags(self, journals: Journals) -> None:
        journal = await journals.open()
        for number, name in enumerate(names(6)):
            at = NOW + datetime.timedelta(seconds=number)
            tags = {"customer": "acme" if number % 2 else "other", "n": str(number)}
            first = started(name, at=at, keys=RunKeys(tags=tags), workflow=f"w{number // 3}")
            await journal.create(first)
        await journal.create(started("none"))
        odd = names(6)[1::2]
        assert await listed(journal, tags={"customer": "acme"}) == odd
        assert await listed(journal, tags={"customer": "acme", "n": "3"}) == [odd[1]]
        assert not await listed(journal, tags={"customer": "acme", "n": "2"})
        assert not await listed(journal, tags={"customer": "ac"})
        assert not await listed(journal, tags={"cust\0": "\ud800"})
        assert await listed(journal, tags={"customer": "acme"}, workflow="w1") == odd[1:]
        newest = await journal.runs(RunQuery(tags={"customer": "acme"}, limit=2))
        assert [each.run_id for each in newest] == [odd[2], odd[1]]
        more = await journal.runs(RunQuery(tags={"customer": "acme"}, after=odd[1]))
        assert [each.run_id for each in more] == [odd[0]]
        await finish(journal, odd[0])
        running = frozenset({"running"})
        assert await listed(journal, tags={"customer": "acme"}, statuses=running) == odd[1:]
        since = NOW + datetime.timedelta(seconds=4)
        assert await listed(journal, tags={"customer": "acme"}, started_since=since) == odd[2:]

    @scenario
    async def test_runs_are_listed_by_their_schedule(self, journals: Journals) -> None:
        journal = await journals.open()
        for name, schedule in (("a", "nightly"), ("b", "hourly"), ("c", "nightly")):
            by = StartedBy(kind="schedule", name=schedule)
            await journal.create(started(name, started_by=by, keys=RunKeys(tags={"n": name})))
        await journal.create(started("d", started_by=StartedBy(kind="event", name="nightly")))
        assert await listed(journal, schedule="nightly") == ["a", "c"]
        assert await listed(journal, schedule="nightly", tags={"n": "c"}) == ["c"]
        assert not await listed(journal, schedule="nightly", statuses=frozenset({"failed"}))

    @scenario
    async def test_tags_change_whoever_owns_the_run(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        await journal.create(tagged("run", a="1", b="2"))
        assert await other.tag("run", {"a": "3", "c": "4", "b": None, "no": None}) == {
            "a": "3",
            "c": "4",
        }
        assert await listed(journal, tags={"a": "3"}) == ["run"]
        assert not await listed(journal, tags={"b": "2"})
        assert not await listed(journal, tags={"a": "1"})
        await finish(journal, "run")
        assert await other.tag("run", {"a": None, "c": None}) == {}
        assert await other.tag("run", {"end": "ä"}) == {"end": "ä"}
        assert (await journal.summary("run")).tags == {"end": "ä"}
        assert not await journal.check()
        with pytest.raises(RunNotFoundError):
            await journal.tag("nobody", {"a": "1"})

    @scenario
    async def test_what_is_no_tag_is_refused_and_nothing_is_changed(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        many = {f"t{number}": "x" for number in range(MOST_TAGS)}
        await journal.create(tagged("run", **many))
        for changes in (
            {"one-more": "x"},
            {"": "x"},
            {"a b": "x"},
            {"a=b": "x"},
            {"x" * 64: "x"},
            {"t0": ""},
            {"t0": "x" * 201},
            {"t0": "a\nb"},
            {"t0": "\x1b[31m"},
            {"t0": "a\0"},
            {"t0": "\ud800"},
        ):
            with pytest.raises(TagsInvalidError):
                await journal.tag("run", changes)
        assert (await journal.summary("run")).tags == many
        assert len(await journal.tag("run", {"t0": None, "one-more": "x" * 200})) == MOST_TAGS

    @scenario
    async def test_an_export_has_the_tags_of_now(self, journals: Journals) -> None:
        journal = await journals.open()
        await journal.create(tagged("run", a="1"))
        await journal.tag("run", {"b": "2", "a": None})
        await finish(journal, "run")
        archive = await journal.export("run")
        assert await deleted(journal, "run") == ["run"]
        for _ in range(2):
            assert await journal.import_(archive) == "run"
        assert (await journal.summary("run")).tags == {"b": "2"}
        assert await listed(journal, tags={"b": "2"}) == ["run"]
        assert not await journal.check()

    @scenario
    async def test_a_deleted_run_leaves_no_tag(self, journals: Journals) -> None:
        journal = await journals.open()
        for name in names(3):
            await journal.create(tagged(name, a="1"))
        for name in names(3)[:2]:
            await finish(journal, name)
        assert await deleted(journal, *names(3)) == names(3)[:2]
        assert await listed(journal, tags={"a": "1"}) == names(3)[2:]
        assert not await journal.check()

    @scenario
    async def test_a_unique_key_is_given_to_one_unfinished_run(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        keys = RunKeys(unique=UniqueRun(key="17"))
        queue = QueueEntry()
        await journal.create(started("a", keys=keys))
        for name, fields in (("b", {}), ("c", {"queue": queue})):
            first = started(name, keys=keys, **fields)
            assert (await other.admission(first)).existing == "a"
            with pytest.raises(RunDuplicateError) as caught:
                await (other.enqueue(first) if fields else other.create(first))
            assert caught.value.run_id == "a"
        with pytest.raises(RunExistsError):
            await other.create(started("a", keys=keys))
        await other.create(started("d", keys=RunKeys(unique=UniqueRun(key="18"))))
        await other.create(started("e", keys=keys, workflow="another"))
        await finish(journal, "a")
        await other.enqueue(started("f", keys=keys, queue=queue))
        with pytest.raises(RunDuplicateError, match="f"):
            await journal.create(started("g", keys=keys))
        assert await listed(journal) == ["a", "d", "e", "f"]

    @scenario
    async def test_a_unique_key_may_stay_given_for_a_time(self, journals: Journals) -> None:
        journal = await journals.open()
        keys = RunKeys(unique=UniqueRun(key="17", within_s=3600.0))
        await journal.create(started("a", keys=keys))
        await finish(journal, "a")
        with pytest.raises(RunDuplicateError, match="a"):
            await journal.create(started("b", at=NOW + HOUR, keys=keys))
        later = NOW + HOUR + datetime.timedelta(seconds=1)
        await journal.create(started("c", at=later, keys=keys))

    @scenario
    async def test_of_racing_starts_with_a_unique_key_one_is_stored(
        self, journals: Journals
    ) -> None:
        racers = [await journals.open() for _ in range(3)]
        for turn in range(5):
            keys = RunKeys(unique=UniqueRun(key=str(turn)))
            starts = [
                racer.create(started(f"{turn}-{number}", keys=keys))
                for number, racer in enumerate(racers)
            ]
            outcomes = await asyncio.gather(*starts, return_exceptions=True)
            refused = [each for each in outcomes if isinstance(each, RunDuplicateError)]
            assert len(refused) == 2
            assert len({each.run_id for each in refused}) == 1
        assert len(await listed(racers[0])) == 5

    @scenario
    async def test_a_place_is_held_from_the_beginning_to_the_end(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        for name in names(3):
            assert await journal.enqueue(keyed(name)) == ()
        await journal.enqueue(keyed("other", key="b"))
        first, second, third = names(3)
        assert await taken(journal) == [first, "other"]
        summary = await other.summary(second)
        assert (summary.place, summary.holds_place, summary.held_by) == ("acme", False, (first,))
        assert (await other.summary(first)).holds_place
        assert await taken(other) == []
        await finish(journal, first)
        assert not (await other.summary(first)).holds_place
        (ownership,) = await other.take(1, now=NOW)
        assert ownership.run_id == second
        await other.release(ownership)  # it still holds its place
        assert await taken(journal, now=NOW) == [second]
        assert await taken(other) == []
        await finish(journal, second)
        assert await taken(other) == [third]
        assert not await journal.check()

    @scenario
    async def test_places_are_given_by_priority_then_age(self, journals: Journals) -> None:
        journal = await journals.open()
        await journal.enqueue(keyed("holds", limit=2))
        assert await taken(journal) == ["holds"]
        await journal.enqueue(keyed("low", limit=2, priority=-1))
        await journal.enqueue(keyed("later", limit=2, priority=9, not_before=NOW + HOUR))
        await journal.enqueue(keyed("old", limit=2))
        await journal.enqueue(keyed("young", limit=2))
        await journal.enqueue(keyed("high", limit=2, priority=5))
        order = []
        while found := await taken(journal):
            order += found
            await finish(journal, found[0])
            if found == ["high"]:
                await finish(journal, "holds")
        assert order == ["high", "old", "young", "low"]
        assert await taken(journal, now=NOW + HOUR) == ["later"]

    @scenario
    async def test_a_queued_run_is_admitted_as_it_would_be_taken(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        for name in names(2):
            await journal.enqueue(keyed(name))
        first, second = names(2)
        late = await journal.claim(second)
        assert list(await journal.admit(late)) == [first]
        early = await other.claim(first)
        assert list(await other.admit(early)) == []
        assert list(await other.admit(early)) == []
        assert list(await journal.admit(late)) == [first]
        await other.append(early, [finished(first)])
        assert list(await journal.admit(late)) == []
        with pytest.raises(StaleOwnerError):
            await other.admit(early)
        await journal.create(started("plain"))
        assert list(await journal.admit(await journal.claim("plain"))) == []

    @scenario
    async def test_a_run_that_is_opened_again_needs_a_place_again(self, journals: Journals) -> None:
        journal = await journals.open()
        await journal.enqueue(keyed("a"))
        await taken(journal)
        await finish(journal, "a")
        await journal.enqueue(keyed("b"))
        assert await taken(journal) == ["b"]
        again = await journal.claim("a")
        await journal.append(again, [RunQueued(run_id="a", at=NOW)])
        assert list(await journal.admit(again)) == ["b"]
        await journal.release(again)
        summary = await journal.summary("a")
        assert (summary.status, summary.held_by, summary.finished_at) == ("queued", ("b",), None)
        await finish(journal, "b")
        assert await taken(journal) == ["a"]
        resumed = RunResumed(run_id="a", at=NOW, owner="me", plugins={})
        await journal.append(await journal.claim("a"), [resumed])
        assert (await journal.summary("a")).holds_place
        assert not await journal.check()

    @scenario
    async def test_a_run_without_a_place_may_be_refused(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        await journal.enqueue(keyed("a", limit=2, when_full="refuse"))
        assert await taken(journal) == ["a"]
        await journal.enqueue(keyed("b", limit=2, when_full="refuse"))
        late = keyed("c", limit=2, when_full="refuse")
        admission = await other.admission(late)
        assert (admission.is_refused, admission.held_by) == (True, ("a", "b"))
        with pytest.raises(RunConcurrencyError) as caught:
            await other.enqueue(late)
        assert caught.value.held_by == ("a", "b")
        assert await listed(journal) == ["a", "b"]
        await finish(journal, "a")
        assert not (await other.admission(late)).is_refused
        assert await other.enqueue(late) == ()

    @scenario
    async def test_the_oldest_run_may_be_asked_to_cancel(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        for name in names(3):
            await journal.enqueue(keyed(name, limit=2))
        first, second, third = names(3)
        assert await taken(journal) == [first, second]
        newest = keyed("newest", limit=2, when_full="cancel")
        assert (await other.admission(newest)).cancels == (first, second)
        assert not await other.pending(first)
        assert list(await other.enqueue(newest)) == [first, second]
        for name in (first, second):
            ((_, message),) = await journal.pending(name)
            assert (message.kind, message.message_id) == ("cancel", "newest/place")
        assert not await journal.pending(third)
        await finish(journal, first)
        assert await taken(other) == [third]

    @scenario
    async def test_only_the_latest_run_may_wait(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        for name in names(3):
            await journal.enqueue(keyed(name, when_full="latest"))
            if name == names(3)[0]:
                assert await taken(journal) == [name]
        first, second, third = names(3)
        ((_, message),) = await other.pending(second)
        assert (message.kind, message.by) == ("cancel", f"the run {third}")
        assert await taken(other) == [second]  # to be cancelled; it needs no place for that
        assert not (await other.summary(second)).holds_place
        await finish(other, second)
        assert await taken(other) == []
        await finish(journal, first)
        assert await taken(other) == [third]
        assert not await journal.check()

    @scenario
    async def test_of_racing_processes_no_more_get_a_place_than_there_are(
        self, journals: Journals
    ) -> None:
        racers = [await journals.open() for _ in range(3)]
        everything = names(24)
        for number, name in enumerate(everything):
            await racers[number % 3].enqueue(keyed(name, limit=3, key=f"k{number % 2}"))

        done: list[str] = []
        left = set(everything)

        async def work(journal: Journal, number: int) -> None:
            while left:
                if number == 0:  # asks for one after the other by its name
                    for name in sorted(left)[:4]:
                        try:
                            ownership = await journal.claim(name)
                        except Exception:  # noqa: BLE001 - another one has it
                            await asyncio.sleep(0)
                            continue
                        has_ended = (await journal.summary(name)).status != "queued"
                        if has_ended or await journal.admit(ownership):
                            await journal.release(ownership)
                        else:
                            await end(journal, name)
                else:
                    for ownership in await journal.take(2, now=NOW):
                        await end(journal, ownership.run_id)
                await asyncio.sleep(0)

        async def end(journal: Journal, name: str) -> None:
            key = (await journal.summary(name)).place
            holding = [
                each for each in await journal.runs(RunQuery(limit=1000)) if each.holds_place
            ]
            assert sum(each.place == key for each in holding) <= 3
            await asyncio.sleep(0)
            await finish(journal, name)
            left.discard(name)
            done.append(name)

        await asyncio.gather(*(work(racer, number) for number, racer in enumerate(racers)))
        assert sorted(done) == sorted(everything)
        assert not await racers[0].check()

    @scenario
    async def test_the_place_of_a_process_that_died_is_its_runs_still(
        self, journals: Journals
    ) -> None:
        first, second = await journals.open(), await journals.open()
        await first.enqueue(keyed("a"))
        await first.enqueue(keyed("b"))
        assert await taken(first) == ["a"]
        await first.close()
        assert await taken(second) == ["a"]
        await finish(second, "a")
        assert await taken(second) == ["b"]

    @scenario
    async def test_an_imported_run_gets_its_place_when_it_is_resumed(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await journal.enqueue(keyed("a"))
        (ownership,) = await journal.take(1, now=NOW)
        resumed = RunResumed(run_id="a", at=NOW, owner="me", plugins={})
        await journal.append(ownership, [resumed])
        archive = await journal.export("a")
        await finish(journal, "a")
        assert await deleted(journal, "a") == ["a"]
        await journal.import_(archive)
        summary = await journal.summary("a")
        assert (summary.status, summary.place, summary.holds_place) == ("paused", "acme", False)
        assert not await journal.check()

    @scenario
    async def test_a_summary_names_some_of_many_holders(self, journals: Journals) -> None:
        journal = await journals.open()
        count = MOST_HOLDERS + 2
        for name in names(count):
            await journal.enqueue(keyed(name, limit=count))
        assert len(await taken(journal)) == count
        await journal.enqueue(keyed("waits", limit=count))
        assert (await journal.summary("waits")).held_by == tuple(names(count)[:MOST_HOLDERS])
