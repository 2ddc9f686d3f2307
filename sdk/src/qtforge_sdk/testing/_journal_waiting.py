"""The part of the journal contract about runs that keep their state and wait."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import msgspec

from qtforge_sdk.journal import RunQuery
from qtforge_sdk.records import (
    CheckpointSaved,
    EventReceived,
    RunPaused,
    RunResumed,
    RunWaiting,
)
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    Journals,
    event,
    finished,
    scenario,
    started,
    step,
)

__all__ = ["WaitingContract"]

_LATER = NOW + datetime.timedelta(hours=1)
_LATEST = NOW + datetime.timedelta(hours=2)


def kept(run_id: str = "run", **fields: Any) -> CheckpointSaved:
    """Return a record of a kept state."""
    return CheckpointSaved(run_id=run_id, at=NOW, **{"state": {"n": 1}, "label": "here", **fields})


class WaitingContract:
    """Where a stateful run continues, and what wakes it."""

    @scenario
    async def test_a_run_goes_on_from_its_start_and_what_it_kept_last(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        ownership = await journal.create(started())
        await journal.append(ownership, [step(name="a")])
        assert list(await journal.tail("run")) == [started(), step(name="a")]
        await journal.append(
            ownership, [kept(), step(name="b"), kept(label="there"), step(name="c")]
        )
        assert list(await journal.tail("run")) == [started(), kept(label="there"), step(name="c")]
        assert len(await journal.records("run")) == 6

    @scenario
    async def test_one_that_keeps_its_state_waits_unless_it_is_busy(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        ownership = await journal.create(started())
        await journal.append(ownership, [kept(busy=True)])
        assert (await journal.runs(RunQuery()))[0].status == "running"
        await journal.append(ownership, [kept(accepts=("go", "stop"))])
        await journal.append(ownership, [kept(accepts=("go", "stop"))])
        [summary] = await journal.runs(RunQuery(statuses=frozenset({"waiting"})))
        assert (summary.label, summary.accepts) == ("here", ("go", "stop"))
        assert summary.waiting_since == NOW
        await journal.release(ownership)
        assert not await journal.unfinished()

    @scenario
    async def test_runs_are_found_by_the_event_that_they_wait_for(self, journals: Journals) -> None:
        journal = await journals.open()
        for run_id, accepts in (("one", ("go",)), ("two", ("stop", "go.on"))):
            ownership = await journal.create(started(run_id))
            await journal.append(ownership, [kept(run_id, accepts=accepts)])
        found = await journal.runs(RunQuery(waiting_for="go"))
        assert [each.run_id for each in found] == ["one"]

    @scenario
    async def test_timers_are_due_in_their_order_once_nobody_owns_the_run(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        first = await journal.create(started("one"))
        second = await journal.create(started("two"))
        await journal.append(first, [kept("one", timers={"t": _LATEST}, timers_set=("t",))])
        await journal.append(second, [kept("two", timers={"t": _LATER}, timers_set=("t",))])
        assert not await journal.due(_LATEST)
        await journal.release(first)
        await journal.release(second)
        assert await journal.next_due(NOW) == _LATER
        assert await journal.next_due(_LATER) == _LATEST
        assert await journal.next_due(_LATEST) is None
        assert list(await journal.due(_LATER)) == ["two"]
        assert list(await journal.due(_LATEST)) == ["two", "one"]
        again = await journal.claim("two")
        await journal.append(again, [kept("two", timers_gone=("t",))])
        await journal.release(again)
        assert list(await journal.due(_LATEST)) == ["one"]

    @scenario
    async def test_a_run_without_checkpoints_waits_and_is_resumed_from_its_start(
        self, journals: Journals
    ) -> None:
        journal, other = await journals.open(), await journals.open()
        ownership = await journal.create(started())
        waits = RunWaiting(run_id="run", at=NOW, until=_LATER, events=("go", "two words"))
        await journal.append(ownership, [step(name="a"), waits])
        await journal.release(ownership)
        (summary,) = await other.runs(RunQuery(waiting_for="go"))
        assert (summary.status, summary.accepts, summary.stateful) == ("waiting", ("go",), False)
        assert summary.waiting_since == NOW
        assert not await other.take(5, now=NOW)
        assert not await other.unfinished()
        assert await other.next_due(NOW) == _LATER
        (ownership,) = await other.take(5, now=_LATER)
        assert list(await other.tail("run")) == [started(), step(name="a"), waits]
        again = RunWaiting(run_id="run", at=_LATER, children=("child",))
        resumed = RunResumed(run_id="run", at=_LATER, owner="o", plugins={})
        await other.append(ownership, [resumed, again])
        await other.release(ownership)
        assert not await other.take(5, now=_LATEST)
        assert await other.next_due(NOW) is None
        assert not await journal.check()
        archive = await journal.export("run")
        await other.post("run", event("m1"))
        (ownership,) = await journal.take(5, now=_LATER)
        await journal.append(ownership, [finished()])
        assert await journal.prune(_LATEST) == 1
        await journal.import_(archive)
        assert (await journal.summary("run")).records == 6
        assert not (await journal.summary("run")).stateful
        assert not await journal.check()

    @scenario
    async def test_a_run_that_waits_in_its_process_goes_on(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        ownership = await journal.create(started())
        waits = RunWaiting(run_id="run", at=NOW, until=_LATER, events=("go",))
        await journal.append(ownership, [waits])
        (summary,) = await other.runs(RunQuery(waiting_for="go"))
        assert (summary.status, summary.owner_alive) == ("waiting", True)
        assert not await other.due(_LATER)
        over = msgspec.structs.replace(waits, until=None, events=(), over=True)
        await journal.append(ownership, [over, step(name="a")])
        assert not await other.runs(RunQuery(waiting_for="go"))
        (summary,) = await other.runs(RunQuery())
        assert (summary.status, summary.accepts, summary.waiting_since) == ("running", (), None)
        assert await other.next_due(NOW) is None
        assert not await journal.check()

    @scenario
    async def test_a_run_that_has_ended_has_no_timers(self, journals: Journals) -> None:
        journal = await journals.open()
        ownership = await journal.create(started())
        await journal.append(ownership, [kept(timers={"t": _LATER}, timers_set=("t",))])
        await journal.append(ownership, [finished()])
        assert await journal.next_due(NOW) is None
        assert not await journal.due(_LATEST)

    @scenario
    async def test_a_run_with_an_unhandled_message_is_pending(self, journals: Journals) -> None:
        journal = await journals.open()
        ownership = await journal.create(started())
        await journal.append(ownership, [kept()])
        await journal.release(ownership)
        assert not await journal.runs_with_pending()
        position = (await journal.post("run", event("m1"))).position
        assert list(await journal.runs_with_pending()) == ["run"]
        ownership = await journal.claim("run")
        assert not await journal.runs_with_pending()
        await journal.append(ownership, [kept(inbox=position)])
        await journal.release(ownership)
        assert not await journal.runs_with_pending()

    @scenario
    async def test_a_run_is_given_what_it_has_not_dealt_with(self, journals: Journals) -> None:
        journal = await journals.open()
        ownership = await journal.create(started())
        await journal.append(ownership, [kept()])
        first, second = (
            (await journal.post("run", event("m1"))).position,
            (await journal.post("run", event("m2"))).position,
        )
        assert [each.position for each in await journal.pending("run")] == [first, second]
        assert [each.message for each in await journal.pending("run", first)] == [event("m2")]
        await journal.append(ownership, [kept(inbox=first)])
        assert [each.position for each in await journal.pending("run")] == [second]
        paused = RunPaused(run_id="run", at=NOW, message_id="m2")
        await journal.append(ownership, [paused])
        assert not await journal.pending("run")
        await journal.post("run", event("m3"))
        await journal.append(ownership, [kept(handled=("m3",))])
        assert not await journal.pending("run")
        assert not await journal.pending("nobody")
        assert len(await journal.inbox("run")) == 3

    @scenario
    async def test_an_event_that_a_run_without_checkpoints_has_received_wakes_it_no_more(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        ownership = await journal.create(started())
        await journal.post("run", event("m1"))
        received = EventReceived(run_id="run", at=NOW, name="go", event_id="m1")
        await journal.append(ownership, [received])
        assert not await journal.pending("run")
        await journal.append(ownership, [RunWaiting(run_id="run", at=NOW)])
        await journal.release(ownership)
        assert not await journal.pending("run")
        assert not await journal.take(5, now=NOW)
        await journal.post("run", event("m2"))
        assert [each.run_id for each in await journal.take(5, now=NOW)] == ["run"]

    @scenario
    async def test_what_is_sent_to_a_run_that_has_ended_stirs_nobody(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        ownership = await journal.create(started())
        await journal.append(ownership, [kept()])
        await journal.post("run", event("m1"))
        await journal.append(ownership, [finished()])
        await journal.post("run", event("m2"))
        assert not await journal.pending("run")

    @scenario
    async def test_an_imported_run_has_still_to_deal_with_what_it_had_not(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await journal.create(started("other"))
        for number in range(5):  # positions are another matter in every store
            await journal.post("other", event(f"o{number}"))
        ownership = await journal.create(started())
        position = (await journal.post("run", event("m1"))).position
        await journal.post("run", event("m2"))
        await journal.append(ownership, [kept(inbox=position, event_id="m1")])
        archive = await journal.export("run")
        await journal.append(ownership, [finished()])
        assert await journal.prune(_LATER) == 1
        await journal.import_(archive)
        assert [each.message for each in await journal.pending("run")] == [event("m2")]
        assert not await journal.runs_with_pending()  # paused until it is resumed
        ownership = await journal.claim("run")
        await journal.append(ownership, [kept(inbox=0)])
        await journal.release(ownership)
        assert list(await journal.runs_with_pending()) == ["run"]

    @scenario
    async def test_messages_to_the_runs_of_a_process_are_delivered_to_it_in_order(
        self, journals: Journals
    ) -> None:
        journal, other = await journals.open(), await journals.open()
        for run_id in ("one", "two"):
            await journal.create(started(run_id))
        await other.create(started("others"))
        begun = (await journal.deliveries("", 0)).until
        assert not (await journal.deliveries(begun)).messages
        first = (await other.post("two", event("m1"))).position
        await journal.post("others", event("m2"))
        second = (await other.post("one", event("m3"))).position
        found, until = await journal.deliveries(begun)
        assert [(each.run_id, each.position, each.message) for each in found] == [
            ("two", first, event("m1")),
            ("one", second, event("m3")),
        ]
        assert await journal.deliveries("") == (found, until)
        assert not (await journal.deliveries(until)).messages
        page, middle = await journal.deliveries(begun, 1)
        assert page == found[:1]
        assert (await journal.deliveries(middle)).messages == found[1:]
        assert (await other.deliveries(begun)).messages[0].message == event("m2")
        assert (await journal.deliveries("", 0)).until == until
        await journal.deliveries("nonsense")

    @scenario
    async def test_a_paused_run_is_found_when_it_is_to_be_cancelled_only(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        for run_id in ("sent", "cancelled"):
            ownership = await journal.create(started(run_id))
            await journal.append(ownership, [RunPaused(run_id=run_id, at=NOW)])
            await journal.release(ownership)
        await journal.post("sent", event("m1"))
        await journal.post("cancelled", event("m2"))
        assert not await journal.runs_with_pending()
        await journal.post("cancelled", event("m3", kind="cancel"))
        assert list(await journal.runs_with_pending()) == ["cancelled"]
        await journal.claim("cancelled")
        assert not await journal.runs_with_pending()

    @scenario
    async def test_a_message_is_posted_together_with_records(self, journals: Journals) -> None:
        journal = await journals.open()
        await journal.create(started("parent"))
        child = await journal.create(started("child"))
        posts = [("parent", event("m1", {"ok": True})), ("nobody", event("m2"))]
        await journal.append(child, [finished("child")], posts)
        [entry] = await journal.inbox("parent")
        assert entry.message == event("m1", {"ok": True})

    @scenario
    async def test_runs_are_found_by_the_key_that_they_kept(self, journals: Journals) -> None:
        journal = await journals.open()
        ownership = await journal.create(started())
        await journal.append(ownership, [kept(key="order-7")])
        workflow = started().workflow
        await journal.append(
            await journal.create(started("second")), [kept("second", key="order-7")]
        )
        await journal.append(await journal.create(started("none")), [kept("none", key="order-8")])
        assert await journal.post_to_key(workflow, "order-7", event("m1", {"n": 1})) == 2
        assert await journal.post_to_key(workflow, "order-7", event("m1", {"n": 1})) == 0
        assert await journal.post_to_key(workflow, "order-9", event("m2")) == 0
        assert await journal.post_to_key("another", "order-7", event("m2")) == 0
        for run_id in ("run", "second"):
            [entry] = await journal.pending(run_id)
            assert entry.message == event("m1", {"n": 1})
        assert not await journal.pending("none")
        assert [each.run_id for each in (await journal.deliveries("")).messages] == [
            "run", "second",
        ]  # fmt: skip
        await journal.append(ownership, [finished()])
        assert await journal.post_to_key(workflow, "order-7", event("m3")) == 1
        assert len(await journal.inbox("run")) == 1

    @scenario
    async def test_a_message_to_a_key_reaches_all_however_many(self, journals: Journals) -> None:
        journal = await journals.open()
        names = [f"run-{number}" for number in range(1_100)]

        async def wait(run_id: str) -> None:
            ownership = await journal.create(started(run_id))
            await journal.append(ownership, [kept(run_id, key="k")])
            await journal.release(ownership)

        await asyncio.gather(*map(wait, names))
        assert await journal.post_to_key(started().workflow, "k", event("m1")) == len(names)
        assert sorted(await journal.runs_with_pending(5_000)) == sorted(names)

    @scenario
    async def test_a_large_message_to_a_key_is_whole_for_each_run(self, journals: Journals) -> None:
        journal = await journals.open()
        for run_id in ("one", "two"):
            await journal.append(await journal.create(started(run_id)), [kept(run_id, key="k")])
        large = event("m1", "x" * 600_000)
        assert await journal.post_to_key(started().workflow, "k", large) == 2
        for run_id in ("one", "two"):
            [entry] = await journal.pending(run_id)
            assert entry.message == large

    @scenario
    async def test_an_imported_run_waits_on(self, journals: Journals) -> None:
        journal = await journals.open()
        ownership = await journal.create(started())
        state = kept(timers={"t": _LATER}, timers_set=("t",), accepts=("go",))
        await journal.append(ownership, [state, step(name="a")])
        archive = await journal.export("run")
        await journal.append(ownership, [finished()])
        assert await journal.prune(_LATER) == 1
        await journal.import_(archive)
        paused = RunPaused(run_id="run", at=NOW, by="import")
        assert list(await journal.tail("run")) == [started(), state, step(name="a"), paused]
        ownership = await journal.claim("run")
        await journal.append(ownership, [state])
        await journal.release(ownership)
        assert await journal.next_due(NOW) == _LATER
        assert list(await journal.due(_LATER)) == ["run"]
