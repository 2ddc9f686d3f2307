"""A run and those that it started go on together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from qtforge_sdk import Compensation, Run
from qtforge_sdk.errors import StageFailedError
from qtforge_sdk.records import (
    ChildStarted,
    RunFinished,
    RunPaused,
    RunStarted,
    StepFailed,
    StepSucceeded,
)

UNDO = Compensation(topic="do.ok", message={})


def succeeded(step: str) -> Callable[[object], bool]:
    return lambda record: isinstance(record, StepSucceeded) and record.step == step


async def two_steps(run: Run) -> Any:
    one = await run.request("one", "do.ok", {"word": "a"})
    two = await run.request("two", "do.ok", {"word": one["word"] + "b"})
    return two["word"]


async def parent_of_child(run: Run) -> Any:
    return await run.run_workflow("child", {})


def test_a_child_run_is_taken_up_with_its_parent_and_not_begun_again(play: Any) -> None:
    async def parent(run: Run) -> Any:
        await run.request("before", "do.ok", {})
        return await run.run_workflow("child", {})

    async def case(lab: Any) -> None:
        lab.script(two_steps, "child")
        run_id = await lab.crash(lab.script(parent), succeeded("one"))
        state = await lab.resume(run_id)
        assert state.result == "ab"
        assert lab.desk.asked == ["before", "one", "two"]
        (begun,) = await lab.records(run_id, ChildStarted)
        assert len(lab.store.runs) == 2
        assert len(await lab.records(begun.child_run_id, RunFinished)) == 1

    play(case)


def test_a_child_that_is_already_taken_up_is_waited_for_by_its_parent(play: Any) -> None:
    async def child(run: Run) -> Any:
        await run.request("one", "do.ok", {})
        return await run.request("hold", "do.wait", {})

    async def parent(run: Run) -> Any:
        return await run.run_workflow("child", {})

    async def case(lab: Any) -> None:
        lab.script(child, "child")
        run_id = await lab.crash(lab.script(parent), succeeded("one"))
        (begun,) = await lab.records(run_id, ChildStarted)
        await lab.start()
        below = asyncio.ensure_future(lab.engine.resume(begun.child_run_id))
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        above = asyncio.ensure_future(lab.engine.resume(run_id))
        await asyncio.sleep(0.01)
        lab.desk.gate.set()
        views = await asyncio.wait_for(asyncio.gather(below, above), 60)
        assert [state.result for state in views] == ["waited", "waited"]
        assert lab.desk.asked == ["one", "hold"]

    play(case)


def test_a_child_that_its_parent_did_not_come_to_record_is_not_begun_twice(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.script(two_steps, "child")
        workflow = lab.script(parent_of_child)
        await lab.start(lambda record: isinstance(record, RunStarted) and record.parent is not None)
        await lab.dies(lab.engine.execute(workflow, {}))
        run_id, child = lab.store.runs
        assert await lab.records(run_id, ChildStarted) == []
        state = await lab.resume(run_id)
        assert state.result == "ab"
        assert list(lab.store.runs) == [run_id, child]
        assert lab.desk.asked == ["one", "two"]

    play(case)


def test_a_run_rests_with_its_child_and_goes_on_with_it(play: Any) -> None:
    async def child(run: Run) -> Any:
        await run.request("hold", "do.wait", {})
        return (await run.request("after", "do.ok", {}))["done"]

    async def case(lab: Any) -> None:
        lab.script(child, "child")
        going = asyncio.ensure_future(lab.engine.execute(lab.script(parent_of_child), {}))
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        run_id, below = lab.store.runs
        await lab.post(below, "pause")
        await asyncio.sleep(0.01)
        lab.desk.gate.set()
        state = await asyncio.wait_for(going, 60)
        assert state.status == "paused"
        (paused,) = await lab.records(run_id, RunPaused)
        assert paused.by == f"its child run {below}, which is paused"
        assert (await lab.resume(run_id)).result == "after"
        assert lab.desk.asked == ["hold", "after"]

    play(case)


def test_a_run_whose_child_is_blocked_rests_and_does_not_fail(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.script(two_steps, "child")
        run_id = await lab.crash(lab.script(parent_of_child), succeeded("one"))
        lab.versions = {"desk": "2.0.0"}
        assert (await lab.resume(run_id)).status == "paused"
        child = list(lab.store.runs)[1]
        assert (await lab.resume(child, versions="any")).status == "succeeded"
        assert (await lab.resume(run_id)).result == "ab"

    play(case)


async def waiting(run: Run) -> Any:
    await run.request("one", "do.ok", {}, compensation=UNDO)
    return await run.request("hold", "do.wait", {})


async def parent_of_parent(run: Run) -> Any:
    return await run.run_workflow("middle", {})


@pytest.mark.parametrize("on_cancel", ["stop", "compensate"])
def test_the_children_of_a_run_that_is_cancelled_at_its_resuming_are_cancelled_too(
    play: Any, on_cancel: str
) -> None:
    async def case(lab: Any) -> None:
        lab.script(waiting, "child", on_cancel=on_cancel)
        lab.script(parent_of_child, "middle")
        run_id = await lab.crash(lab.script(parent_of_parent), succeeded("one"))
        await lab.post(run_id, "cancel")
        assert (await lab.resume(run_id)).status == "cancelled"
        ends = [await lab.records(each, RunFinished) for each in lab.store.runs]
        assert [[end.status for end in each] for each in ends] == [["cancelled"]] * 3
        middle = list(lab.store.runs)[1]
        assert ends[2][0].error.message == f"cancelled by its parent run {middle}"
        undone = ["one/compensation"] if on_cancel == "compensate" else []
        assert lab.desk.asked == ["one", *undone]

    play(case)


def test_the_child_of_a_run_that_fails_at_its_resuming_is_cancelled(play: Any) -> None:
    begun = asyncio.Event()

    async def begins_and_waits(run: Run) -> None:
        begun.set()
        await waiting(run)

    async def bad(run: Run) -> None:
        await begun.wait()
        await run.request("bad", "do.fail", {})

    async def code(run: Run) -> None:
        await run.gather(run.run_workflow("child", {}), bad(run))

    async def case(lab: Any) -> None:
        lab.script(begins_and_waits, "child")
        run_id = await lab.crash(lab.script(code), lambda it: isinstance(it, StepFailed))
        child = list(lab.store.runs)[1]
        assert (await lab.resume(run_id)).status == "failed"
        (end,) = await lab.records(child, RunFinished)
        assert end.status == "cancelled"

    play(case)


def test_a_child_that_is_blocked_is_cancelled_with_its_parent(play: Any) -> None:
    async def case(lab: Any) -> None:
        workflow = lab.sequential("""
[[stages]]
name = "one"
operation = "do.ok"
[[stages]]
name = "two"
operation = "do.wait"
""")
        lab.workflows["child"] = workflow
        run_id = await lab.crash(lab.script(parent_of_child), succeeded("one"))
        child = list(lab.store.runs)[1]
        lab.versions = {"desk": "2.0.0"}
        assert (await lab.resume(child)).status == "blocked"
        await lab.post(run_id, "cancel")
        assert (await lab.resume(run_id)).status == "cancelled"
        (end,) = await lab.records(child, RunFinished)
        assert end.status == "cancelled"
        assert lab.desk.asked == ["one"]

    play(case)


async def held(run: Run) -> Any:
    await run.request("one", "do.ok", {}, compensation=UNDO)
    return await run.request("hold", "do.wait", {})


def test_a_child_that_another_process_executes_is_waited_for(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.script(held, "child")
        run_id = await lab.crash(lab.script(parent_of_child), succeeded("one"))
        (begun,) = await lab.records(run_id, ChildStarted)
        await lab.start()
        other = await lab.beside()
        below = asyncio.ensure_future(other.engine.resume(begun.child_run_id))
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        above = asyncio.ensure_future(lab.engine.resume(run_id))
        for _ in range(20):
            await lab.clock.advance(1)
        assert not above.done()
        lab.desk.gate.set()
        await asyncio.wait_for(below, 60)
        await lab.clock.advance(1)
        state = await asyncio.wait_for(above, 60)
        assert (state.status, state.result) == ("succeeded", "waited")
        assert lab.desk.asked == ["one", "hold"]

    play(case)


def test_a_child_that_its_other_process_releases_is_soon_taken_over(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.run.LOOK_S", 3600.0)

    async def case(lab: Any) -> None:
        lab.script(held, "child")
        run_id = await lab.crash(lab.script(parent_of_child), succeeded("one"))
        (begun,) = await lab.records(run_id, ChildStarted)
        await lab.start()
        client = lab.client()
        ownership = await client.claim(begun.child_run_id)
        above = asyncio.ensure_future(lab.engine.resume(run_id))
        await lab.clock.advance(1)
        assert not lab.desk.pending.is_set()
        await client.release(ownership)
        lab.desk.gate.set()
        await lab.clock.advance(1)
        assert (await asyncio.wait_for(above, 60)).result == "waited"

    play(case)


def test_a_child_that_is_paused_in_another_process_stays_paused_and_its_parent_rests(
    play: Any,
) -> None:
    """Whoever resumed the parent has said so of children that were paused then, of no other."""

    async def case(lab: Any) -> None:
        lab.script(held, "child")
        run_id = await lab.crash(lab.script(parent_of_child), succeeded("one"))
        (begun,) = await lab.records(run_id, ChildStarted)
        await lab.start()
        client = lab.client()
        ownership = await client.claim(begun.child_run_id)
        above = asyncio.ensure_future(lab.engine.resume(run_id))
        await lab.clock.advance(1)
        paused = RunPaused(run_id=begun.child_run_id, at=lab.clock.now(), by="somebody")
        await client.append(ownership, [paused])
        await client.release(ownership)
        await lab.clock.advance(1)
        assert (await asyncio.wait_for(above, 60)).status == "paused"
        assert (await client.summary(begun.child_run_id)).status == "paused"
        assert not lab.desk.pending.is_set()
        lab.desk.gate.set()
        assert (await lab.resume(run_id)).result == "waited"  # now it is said of the child, too

    play(case)


def test_a_run_that_waits_for_another_processs_child_can_be_paused(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.script(held, "child")
        run_id = await lab.crash(lab.script(parent_of_child), succeeded("one"))
        (begun,) = await lab.records(run_id, ChildStarted)
        await lab.start()
        await lab.client().claim(begun.child_run_id)
        above = asyncio.ensure_future(lab.engine.resume(run_id))
        await lab.clock.advance(1)
        await lab.post(run_id, "pause")
        await lab.engine.active_runs.deliver_pending(run_id)
        assert (await asyncio.wait_for(above, 60)).status == "paused"

    play(case)


async def in_time(run: Run) -> Any:
    try:
        await run.gather(run.run_workflow("child", {}), deadline=10)
    except StageFailedError:
        return "late"


@pytest.mark.parametrize("known", [True, False])
def test_a_child_whose_time_passed_while_nobody_ran_is_cancelled_and_undone(
    play: Any, known: bool
) -> None:
    def dies(record: object) -> bool:
        if known:
            return succeeded("one")(record)
        return isinstance(record, RunStarted) and record.parent is not None

    async def case(lab: Any) -> None:
        lab.script(held, "child", on_cancel="compensate")
        run_id = await lab.crash(lab.script(in_time), dies)
        child = list(lab.store.runs)[1]
        await lab.clock.advance(60)
        state = await lab.resume(run_id)
        assert (state.status, state.result) == ("succeeded", "late")
        assert await lab.status(child) == "cancelled"
        assert lab.desk.asked == (["one", "one/compensation"] if known else [])
        assert list(lab.store.runs) == [run_id, child]

    play(case)


def test_a_late_child_is_cancelled_too_if_the_process_died_before_it_came_to_that(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        lab.script(held, "child")
        run_id = await lab.crash(lab.script(in_time), succeeded("one"))
        child = list(lab.store.runs)[1]
        await lab.clock.advance(60)
        await lab.start(lambda record: isinstance(record, StepFailed))
        await lab.dies(lab.engine.resume(run_id))
        assert await lab.status(child) == "running"
        assert (await lab.resume(run_id)).result == "late"
        assert await lab.status(child) == "cancelled"

    play(case)


def test_a_late_child_that_another_process_executes_is_asked_to_end(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.script(held, "child")
        run_id = await lab.crash(lab.script(in_time), succeeded("one"))
        child = list(lab.store.runs)[1]
        await lab.start()
        other = await lab.beside()
        below = asyncio.ensure_future(other.engine.resume(child))
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        above = asyncio.ensure_future(lab.engine.resume(run_id))
        for _ in range(12):
            await lab.clock.advance(1)
        assert (await asyncio.wait_for(above, 60)).result == "late"
        await other.active_runs.deliver_pending(child)
        assert (await asyncio.wait_for(below, 60)).status == "cancelled"

    play(case)
