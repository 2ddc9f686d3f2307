"""Runs that keep their state: what reaches them, and what they do, each once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.host.runs.machines import CALLER, COUNTER, PARENT, begun, seen

from qtforge_sdk import Run
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.records import (
    CheckpointSaved,
    RunAmended,
    RunFinished,
    RunPaused,
    RunStarted,
    StepSucceeded,
)


def test_events_are_handled_in_their_order_and_each_once(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, COUNTER)
        for number in range(5):
            await lab.post(run_id, "event", "note", number, f"n{number}")
            await lab.post(run_id, "event", "note", number, f"n{number}")
        assert (await lab.resume(run_id)).status == "waiting"
        assert await seen(lab, run_id) == [0, 1, 2, 3, 4]
        await lab.post(run_id, "event", "note", 0, "n0")
        await lab.resume(run_id)
        assert await seen(lab, run_id) == [0, 1, 2, 3, 4]
        assert not await lab.journal.pending(run_id)

    play(case)


@pytest.mark.parametrize("after", [False, True])
def test_an_event_whose_handler_dies_is_handled_once_all_the_same(play: Any, after: bool) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, COUNTER)
        await lab.post(run_id, "event", "note", 1)
        await lab.post(run_id, "event", "note", 2)
        await lab.start(
            lambda it: isinstance(it, CheckpointSaved) and it.event == "note", after=after
        )
        await lab.dies(lab.engine.resume(run_id))
        await lab.end()
        assert await seen(lab, run_id) == ([1] if after else [])
        assert list(await lab.journal.runs_with_pending()) == [run_id]
        await lab.resume(run_id)
        assert await seen(lab, run_id) == [1, 2]

    play(case)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_event_that_comes_as_the_run_goes_to_rest_is_handled(play: Any, moment: str) -> None:
    async def case(lab: Any) -> None:
        release = lab.mortal.inner.release
        sent: list[Any] = []

        async def release_late(ownership: Any, **how: Any) -> None:
            if moment == "after":
                await release(ownership, **how)
            if not sent:
                sent.append(await lab.post(ownership.run_id, "event", "note", "late"))
            if moment == "before":
                await release(ownership, **how)

        lab.mortal.inner.release = release_late
        run_id = await begun(lab, COUNTER)
        assert await seen(lab, run_id) == ["late"]

    play(case)


def test_a_run_that_is_wanted_again_as_it_ends_to_rest_is_taken_up_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        arrived = lab.mortal.inner.pending
        posted: list[Any] = []

        async def arrived_early(run_id: str, after: int = 0) -> Any:
            found = await arrived(run_id, after)
            if not posted:  # what was read is old, and somebody wakes a run that seems to go on
                posted.append(await lab.post(run_id, "event", "note", "late"))
                lab.supervisor.wake(run_id)
            return found

        lab.mortal.inner.pending = arrived_early
        run_id = await begun(lab, COUNTER)
        assert await seen(lab, run_id) == ["late"]

    play(case)


def test_a_paused_machine_waits_again_after_it_was_resumed(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, COUNTER)
        await lab.post(run_id, "pause")
        assert list(await lab.journal.runs_with_pending()) == [run_id]
        assert (await lab.resume(run_id)).status == "paused"
        await lab.post(run_id, "event", "note", "meanwhile")
        await lab.post(run_id, "pause")  # once more
        assert not await lab.journal.runs_with_pending()
        assert (await lab.resume(run_id)).status == "waiting"
        assert await lab.status(run_id) == "waiting"
        assert await seen(lab, run_id) == ["meanwhile"]
        assert not await lab.journal.runs_with_pending()
        assert not await lab.journal.unfinished()
        assert len(await lab.records(run_id, RunPaused)) == 1

    play(case)


def test_a_waiting_machine_is_cancelled(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, COUNTER)
        await lab.post(run_id, "cancel")
        assert (await lab.resume(run_id)).status == "cancelled"
        assert not await lab.journal.pending(run_id)

    play(case)


@pytest.mark.parametrize(("kind", "status"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_busy_machine_is_paused_at_its_next_wait_and_cancelled_at_once(
    play: Any, kind: str, status: str
) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, CALLER % "do.wait")
        await lab.post(run_id, "event", "go")
        going = asyncio.ensure_future(lab.engine.resume(run_id))
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        assert await lab.status(run_id) == "running"
        await lab.post(run_id, kind)
        await asyncio.sleep(0.01)
        if kind == "pause":
            assert not going.done()
            lab.desk.gate.set()
        assert (await asyncio.wait_for(going, 60)).status == status
        if kind == "pause":
            assert (await lab.resume(run_id)).status == "waiting"
            assert (await lab.kept(run_id)).state["data"] == {"answer": "waited"}
            assert lab.desk.asked == ["1.ask"]

    play(case)


def test_a_waiting_machine_is_amended_once_and_stirs_nobody_after(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, COUNTER)
        value = {"name": "more", "from": "on", "to": "off", "trigger": "more"}
        patch = [{"op": "add", "path": "/transitions/-", "value": value}]
        await lab.post(run_id, "amend", data={"patch": patch})
        assert (await lab.resume(run_id)).status == "waiting"
        assert not await lab.journal.runs_with_pending()
        await lab.resume(run_id)
        assert len(await lab.records(run_id, RunAmended)) == 1
        await lab.post(run_id, "event", "more")
        assert (await lab.resume(run_id)).status == "succeeded"

    play(case)


@pytest.mark.parametrize("live", [False, True])
def test_an_amended_machine_says_at_once_for_what_it_waits_now(play: Any, live: bool) -> None:
    async def case(lab: Any) -> None:
        lab.engine.active_runs.linger_s = 60.0 if live else 0.0
        waiting = asyncio.ensure_future(begun(lab, COUNTER))
        await lab.until(lambda: lab.journal.runs(RunQuery(waiting_for="note")))
        (summary,) = await lab.journal.runs(RunQuery())
        value = {"name": "more", "from": "on", "to": "off", "trigger": "more"}
        patch = [
            {"op": "add", "path": "/transitions/-", "value": value},
            {"op": "replace", "path": "/transitions/0/trigger", "value": "remark"},
        ]
        await lab.post(summary.run_id, "amend", data={"patch": patch})
        if live:
            await lab.engine.active_runs.deliver_pending(summary.run_id)
            await lab.until(lambda: lab.journal.runs(RunQuery(waiting_for="more")))
            await lab.end()
        else:
            await lab.resume(summary.run_id)
        await waiting
        (summary,) = await lab.journal.runs(RunQuery(waiting_for="more"))
        assert (summary.status, summary.accepts) == ("waiting", ("end", "more", "remark"))

    play(case)


def test_a_call_that_fails_comes_as_an_event(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, CALLER % "do.fail")
        await lab.post(run_id, "event", "go")
        assert (await lab.resume(run_id)).status == "waiting"
        assert (await lab.kept(run_id)).label == "failed"

    play(case)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("place", range(1, 9))
def test_a_child_is_begun_once_and_its_end_heard_once_wherever_they_die(
    play: Any, place: int, after: bool
) -> None:
    async def child(run: Run) -> Any:
        return (await run.request("one", "do.ok", {}))["done"]

    async def case(lab: Any) -> None:
        lab.script(child, "child")
        run_id = await begun(lab, PARENT)
        await lab.post(run_id, "event", "go")
        left = [place]

        def dies(record: Any) -> bool:
            left[0] -= 1
            return left[0] == 0

        await lab.start(dies, after=after)
        async with lab.dispatching():
            for _ in range(200):  # it ends, or its process dies
                await asyncio.sleep(0)
        await lab.start()
        async with lab.dispatching():
            await lab.has(run_id, "succeeded")
        parent, *children = lab.store.runs
        assert (parent, len(children)) == (run_id, 1)
        (end,) = await lab.records(run_id, RunFinished)
        assert end.result["data"] == {"answer": "succeeded"}
        handled = [each.event for each in await lab.records(run_id, CheckpointSaved) if each.event]
        assert handled == ["go", "workflow.begin"]
        assert len(await lab.records(children[0], RunFinished)) == 1
        assert len(await lab.records(children[0], StepSucceeded)) == 1

    play(case)


def test_a_cancelled_machine_cancels_the_machine_that_it_began(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.machine(COUNTER, "child")
        run_id = await begun(lab, PARENT)
        await lab.post(run_id, "event", "go")
        await lab.resume(run_id)
        _, child = lab.store.runs
        await lab.has(child, "waiting")
        await lab.post(run_id, "cancel")
        assert (await lab.resume(run_id)).status == "cancelled"
        await lab.has(child, "cancelled")

    play(case)


async def parent_of_machine(run: Run) -> Any:
    return (await run.run_workflow("child", {}))["state"]


def test_a_run_waits_for_the_machine_that_is_its_step_over_the_end_of_its_process(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        lab.machine(COUNTER, "child")
        going = asyncio.ensure_future(lab.engine.execute(lab.script(parent_of_machine), {}))
        await lab.until(lambda: _begun(lab, 2))
        run_id, child = lab.store.runs
        await lab.has(child, "waiting")
        closing = asyncio.ensure_future(lab.engine.close())
        await asyncio.sleep(0.01)
        assert await lab.status(run_id) == "running"  # not paused: nobody wanted that
        going.cancel()
        await asyncio.wait({going, closing}, timeout=60)
        assert not await lab.records(run_id, RunPaused)
        await lab.start()
        async with lab.dispatching():
            await lab.post(child, "event", "note", 1)
            await lab.post(child, "event", "end")
            await lab.has(run_id, "succeeded")
        (end,) = await lab.records(run_id, RunFinished)
        assert end.result == "off"

    play(case)


async def _begun(lab: Any, count: int) -> bool:
    return len(lab.store.runs) == count


def test_a_machine_forgets_the_steps_that_led_to_what_it_keeps(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, CALLER % "do.ok")
        for _ in range(3):
            await lab.post(run_id, "event", "go")
        await lab.resume(run_id)
        assert lab.desk.asked == ["1.ask", "2.ask", "3.ask"]
        first, *others = await lab.journal.tail(run_id)
        assert isinstance(first, RunStarted)
        assert [type(each) for each in others] == [CheckpointSaved]

    play(case)
