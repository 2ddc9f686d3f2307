"""Runs that are live in a process: they linger, are reached, and are left in order."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from typing import Any

import pytest
from tests.host.runs.machines import CALLER, COUNTER, TIMER, begun, labelled, seen

from qtforge_host.runs.errors import RunEndedError
from qtforge_sdk import Run
from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.journal import InboxMessage
from qtforge_sdk.journal_errors import StaleOwnerError
from qtforge_sdk.records import CheckpointSaved, RunCancelRequested


def note(data: Any, message_id: str = "n1") -> InboxMessage:
    now = datetime.datetime.now(datetime.UTC)
    return InboxMessage(message_id=message_id, kind="event", at=now, name="note", data=data)


def test_an_event_is_answered_with_what_came_of_it_live_or_not(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, COUNTER)
        record = await lab.supervisor.send(run_id, note(1), timeout_s=60)
        assert (record.event_id, record.outcome, record.state["data"]) == (
            "n1", "taken", {"seen": [1]},
        )  # fmt: skip
        lab.engine.active_runs.linger_s = 60
        assert (await lab.supervisor.send(run_id, note(2, "n2"), timeout_s=60)).event_id == "n2"
        control = lab.engine.active_runs.get(run_id)
        assert (await lab.supervisor.send(run_id, note(3, "n3"), timeout_s=60)).event_id == "n3"
        assert lab.engine.active_runs.get(run_id) is control  # it stayed
        again = await lab.supervisor.send(run_id, note(1), timeout_s=60)
        assert (again.event_id, again.state["data"]) == ("n1", {"seen": [1]})
        assert await seen(lab, run_id) == [1, 2, 3]

    play(case)


def test_who_sends_to_a_run_of_another_process_hears_what_came_of_it(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.engine.active_runs.linger_s = 60
        run_id = await lab.supervisor.start(lab.machine(COUNTER), {})
        await lab.has(run_id, "waiting")
        here = lab.engine
        other = await lab.beside()
        record = await other.send(run_id, note("far"), timeout_s=60)
        assert record.state["data"] == {"seen": ["far"]}
        assert here.active_runs.get(run_id) is not None

    play(case)


def test_an_event_for_a_run_that_has_ended_has_no_outcome(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, COUNTER)
        end = InboxMessage(
            message_id="end", kind="event", at=datetime.datetime.now(datetime.UTC), name="end"
        )
        assert (await lab.supervisor.send(run_id, end, timeout_s=60)).label == "off"
        await lab.has(run_id, "succeeded")
        assert await lab.supervisor.send(run_id, note(1), timeout_s=60) is None

    play(case)


def test_an_event_that_is_handed_over_as_the_run_goes_to_rest_is_not_lost(play: Any) -> None:
    async def case(lab: Any) -> None:
        release = lab.mortal.inner.release
        given: list[Any] = []

        async def release_late(ownership: Any, **options: Any) -> None:
            if not given:
                event = ReceivedEvent(event_id="h1", name="note", data="handed", at=lab.clock.now())
                given.append(asyncio.ensure_future(lab.supervisor.deliver(ownership.run_id, event)))
                await asyncio.sleep(0)
            await release(ownership, **options)

        lab.mortal.inner.release = release_late
        run_id = await begun(lab, COUNTER)
        assert (await asyncio.wait_for(given[0], 60)).event_id == "h1"
        assert await seen(lab, run_id) == ["handed"]

    play(case)


def test_a_timer_of_a_live_run_fires_once_also_where_the_run_was_taken_up(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, TIMER % "60s")
        await lab.start()
        lab.engine.active_runs.linger_s = 3600
        lab.supervisor.wake(run_id)
        await lab.until(lambda: idle(lab, run_id))
        await lab.clock.advance(59)
        assert (await lab.kept(run_id)).label == "on"
        await lab.clock.advance(1)
        await lab.until(lambda: labelled(lab, run_id, "off"))
        await lab.clock.advance(3600)
        events = [each.event for each in await lab.records(run_id, CheckpointSaved) if each.event]
        assert len(events) == 1

    play(case)


async def idle(lab: Any, run_id: str) -> bool:
    control = lab.engine.active_runs.get(run_id)
    return control is not None and control.idle_since is not None


def test_a_timer_that_was_cancelled_or_set_anew_does_not_fire(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.engine.active_runs.linger_s = 3600
        stopped, moved = [
            await lab.supervisor.start(lab.machine(TIMER % "60s"), {}) for _ in range(2)
        ]
        for run_id in (stopped, moved):
            await lab.until(lambda each=run_id: idle(lab, each))
        await lab.clock.advance(30)
        for run_id, name in ((stopped, "stop"), (moved, "again")):
            await lab.post(run_id, "event", name)
            await lab.until(lambda each=run_id: handled(lab, each, 1))
        await lab.clock.advance(59)
        assert [await handled(lab, each, 1) for each in (stopped, moved)] == [True, True]
        await lab.clock.advance(1)
        await lab.until(lambda: handled(lab, moved, 2))
        assert await handled(lab, stopped, 1)

    play(case)


async def handled(lab: Any, run_id: str, count: int) -> bool:
    return len([each for each in await lab.records(run_id, CheckpointSaved) if each.event]) == count


def test_a_run_with_nothing_to_do_rests_after_a_while(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.active_runs._SWEEP_S", 0.01)

    async def case(lab: Any) -> None:
        lab.engine.active_runs.linger_s = 0.02
        run_id = await lab.supervisor.start(lab.machine(COUNTER), {})
        await lab.until(lambda: gone(lab, run_id))
        assert await lab.status(run_id) == "waiting"

    play(case)


async def gone(lab: Any, run_id: str) -> bool:
    return lab.engine.active_runs.get(run_id) is None


def test_an_engine_that_ends_lets_waiting_runs_rest_and_busy_ones_end_within_its_grace(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        lab.engine.active_runs.linger_s = 3600
        waits = await lab.supervisor.start(lab.machine(COUNTER, "waits"), {})
        works = await lab.supervisor.start(lab.machine(CALLER % "do.wait", "works"), {})
        await lab.post(works, "event", "go")
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        closing = asyncio.ensure_future(lab.engine.close(5))
        await lab.until(lambda: gone(lab, waits))
        assert not closing.done()
        lab.desk.gate.set()
        await asyncio.wait_for(closing, 60)
        assert (await lab.kept(works)).state["data"] == {"answer": "waited"}
        assert [await lab.status(each) for each in (waits, works)] == ["waiting", "waiting"]

    play(case)


@pytest.mark.parametrize("error", [StaleOwnerError("r", 1), RunEndedError("r", "failed")])
def test_an_event_to_a_run_that_is_just_released_waits_in_its_inbox(
    play: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def approval(run: Run) -> Any:
        return await run.wait_event("yes")

    async def case(lab: Any) -> None:
        run_id = await lab.supervisor.start(lab.script(approval), {})
        await lab.until(lambda: awaits(lab, run_id, 1))
        control = lab.engine.active_runs.get(run_id)
        deliver = control.deliver

        async def released(*given: Any, **named: Any) -> None:
            raise error

        monkeypatch.setattr(control, "deliver", released)
        message = InboxMessage(message_id="s1", kind="event", at=lab.clock.now(), name="yes")
        assert await lab.supervisor.send(run_id, message, timeout_s=0.1) is None
        assert [each.message for each in await lab.journal.pending(run_id)] == [message]
        monkeypatch.setattr(control, "deliver", deliver)
        await lab.supervisor.active_runs.deliver_pending(run_id)
        await lab.has(run_id, "succeeded")

    play(case)


def test_an_engine_that_ends_does_not_wait_for_code_that_only_waits_for_events(play: Any) -> None:
    async def approval(run: Run) -> Any:
        return await run.gather(run.wait_event("yes"), run.wait_event("no"), first=1)

    async def case(lab: Any) -> None:
        waits = await lab.supervisor.start(lab.script(approval), {})
        await lab.until(lambda: awaits(lab, waits, 2))
        await asyncio.wait_for(lab.engine.close(3600), 60)
        assert await lab.status(waits) == "waiting"
        assert not await lab.records(waits, RunCancelRequested)
        await lab.post(waits, "event", "no")
        assert (await lab.resume(waits)).status == "succeeded"

    play(case)


async def awaits(lab: Any, run_id: str, count: int) -> bool:
    return len(lab.engine.active_runs.awaited_events(run_id)) == count


def test_code_that_works_beside_a_wait_has_the_grace(play: Any) -> None:
    async def both(run: Run) -> Any:
        return await run.gather(run.wait_event("yes"), run.request("hold", "do.wait", {}), first=1)

    async def case(lab: Any) -> None:
        works = await lab.supervisor.start(lab.script(both), {})
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        await lab.until(lambda: awaits(lab, works, 1))
        closing = asyncio.ensure_future(lab.engine.close(3600))
        await asyncio.sleep(1.5)
        assert not closing.done()
        lab.desk.gate.set()
        await asyncio.wait_for(closing, 60)
        assert await lab.status(works) == "succeeded"

    play(case)


def test_a_busy_run_is_left_as_it_is_when_the_grace_is_over(play: Any) -> None:
    async def case(lab: Any) -> None:
        works = await lab.supervisor.start(lab.machine(CALLER % "do.wait"), {})
        await lab.post(works, "event", "go")
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        await asyncio.wait_for(lab.engine.close(0), 60)
        assert await lab.status(works) == "running"
        assert not await lab.records(works, RunCancelRequested)
        lab.supervisor.wake(works)  # it takes nothing up any more
        assert await gone(lab, works)
        lab.desk.gate.set()
        assert (await lab.resume(works)).status == "waiting"
        assert lab.desk.asked == ["1.ask", "1.ask"]

    play(case)


def test_the_child_of_a_run_that_is_left_is_left_too(play: Any) -> None:
    async def child(run: Run) -> Any:
        return await run.request("hold", "do.wait", {})

    async def parent(run: Run) -> Any:
        return await run.run_workflow("child", {})

    async def case(lab: Any) -> None:
        lab.script(child, "child")
        run_id = await lab.supervisor.start(lab.script(parent), {})
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        await asyncio.wait_for(lab.engine.close(0), 60)
        assert [await lab.status(each) for each in lab.store.runs] == ["running", "running"]
        lab.desk.gate.set()
        assert (await lab.resume(run_id)).result == "waited"

    play(case)


def test_a_message_is_not_overtaken_while_a_resumed_run_reads_its_inbox(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, COUNTER)
        active_runs, journal = lab.engine.active_runs, lab.engine.journal
        active_runs.linger_s = 60
        await active_runs.ensure_watching()
        pending, number = journal.pending, 0

        async def overtaken(*given: Any) -> Any:
            """Read the inbox; before the reader has it, the watch passes a later message."""
            nonlocal number
            found = await pending(*given)
            if number < 3:
                number += 1
                reads = active_runs.inbox_reads
                await lab.post(run_id, "event", "note", number, message_id=f"n{number}")
                async with asyncio.timeout(60):
                    while active_runs.inbox_reads < reads + 2:  # noqa: ASYNC110 - the watch ends it
                        await asyncio.sleep(0.005)
            return found

        journal.pending = overtaken
        lab.supervisor.wake(run_id)

        async def has_seen() -> bool:
            return len(await seen(lab, run_id)) == 3

        await lab.until(has_seen)
        assert await seen(lab, run_id) == [1, 2, 3]

    play(case)


def test_whoever_waits_for_a_run_that_has_just_ended_does_not_wait_for_ever(play: Any) -> None:
    async def case(lab: Any) -> None:
        active_runs = (await lab.start()).active_runs
        with active_runs.executing("r"):
            handle = active_runs.handle("r")
        await asyncio.wait_for(handle.until_ended(), 10)

    play(case)


def test_a_run_that_ignores_its_cancellation_is_left_once(
    play: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("qtforge_host.runs.active_runs._REST_S", 0.02)
    begins, ends = asyncio.Event(), asyncio.Event()

    async def work(run: Run) -> None:
        begins.set()
        while not ends.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await ends.wait()

    async def case(lab: Any) -> None:
        task = lab.engine.active_runs.spawn(lab.engine.execute(lab.script(work), {}))
        await begins.wait()
        for _ in range(3):  # each owner of the engine closes it
            await lab.engine.close()
        assert caplog.text.count("is left") == 1
        ends.set()
        await asyncio.wait([task])

    play(case)
