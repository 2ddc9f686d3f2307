"""What has begun to be undone comes to its end: whoever cancels, and whatever dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from qtforge_sdk import Compensation, Run
from qtforge_sdk.policies import Retry
from qtforge_sdk.records import (
    CompensationFailed,
    CompensationStarted,
    CompensationSucceeded,
    RunCancelRequested,
    RunFinished,
    StepFailed,
    StepSucceeded,
)

SLOWLY = Compensation(topic="do.wait", message={})


def of(kind: type[object], step: str = "") -> Callable[[object], bool]:
    return lambda record: isinstance(record, kind) and getattr(record, "step", "") in (step, "")


def undone_by(step: str, **how: Any) -> Compensation:
    return Compensation(topic="do.ok", message={"undo": step}, **how)


async def fails_and_is_undone_slowly(run: Run) -> None:
    await run.request("one", "do.ok", {}, compensation=undone_by("one"))
    await run.request("two", "do.ok", {}, compensation=SLOWLY)
    await run.request("three", "do.fail", {})


async def is_undone(lab: Any, workflow: Any) -> tuple[str, asyncio.Task[Any]]:
    """Execute a workflow until a step is being undone."""
    going = asyncio.ensure_future(lab.engine.execute(workflow, {}))
    await asyncio.wait_for(lab.desk.pending.wait(), 60)
    return next(iter(lab.store.runs)), going


async def statuses(lab: Any, run_id: str) -> list[str]:
    return [each.status for each in await lab.records(run_id, RunFinished)]


def test_a_cancellation_does_not_end_the_compensation_of_a_failure(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await is_undone(lab, lab.script(fails_and_is_undone_slowly))
        await lab.post(run_id, "cancel")

        async def noted() -> object:
            return await lab.records(run_id, RunCancelRequested)

        await lab.until(noted)
        lab.desk.gate.set()
        state = await asyncio.wait_for(going, 60)
        assert (state.status, state.error.code) == ("compensated", "desk.closed")
        assert lab.desk.asked == ["one", "two", "three", "two/compensation", "one/compensation"]

    play(case)


def test_a_caller_who_is_cancelled_waits_for_the_compensation(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await is_undone(lab, lab.script(fails_and_is_undone_slowly))
        going.cancel()
        await asyncio.sleep(0.01)
        assert not going.done()
        lab.desk.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(going, 60)
        assert await statuses(lab, run_id) == ["compensated"]

    play(case)


@pytest.mark.parametrize("on_cancel", ["stop", "compensate"])
def test_a_caller_who_is_cancelled_twice_leaves_the_rest_to_a_resume(
    play: Any, on_cancel: str
) -> None:
    async def case(lab: Any) -> None:
        workflow = lab.script(fails_and_is_undone_slowly, on_cancel=on_cancel)
        run_id, going = await is_undone(lab, workflow)
        for _ in range(2):
            going.cancel()
            await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(going, 60)
        assert await statuses(lab, run_id) == []
        lab.desk.gate.set()
        state = await asyncio.wait_for(lab.engine.resume(run_id), 60)
        assert (state.status, state.error.code) == ("compensated", "desk.closed")
        assert lab.desk.asked[-2:] == ["two/compensation", "one/compensation"]

    play(case)


def test_what_a_cancelled_caller_began_to_undo_is_undone_by_the_next_process(play: Any) -> None:
    async def code(run: Run) -> None:
        await run.request("one", "do.ok", {}, compensation=undone_by("one"))
        await run.request("two", "do.ok", {}, compensation=undone_by("two"))
        await run.request("three", "do.wait", {})

    async def case(lab: Any) -> None:
        await lab.start(of(CompensationSucceeded, "two"))
        run_id, going = await is_undone(lab, lab.script(code, on_cancel="compensate"))
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(going, 60)
        lab.desk.gate.set()
        state = await lab.resume(run_id)
        assert state.status == "cancelled"
        assert lab.desk.asked == ["one", "two", "three", "two/compensation", "one/compensation"]

    play(case)


def test_a_cancellation_after_a_crash_does_not_end_what_is_half_undone(play: Any) -> None:
    async def side(run: Run) -> None:
        await run.request("side", "do.wait", {})

    async def main(run: Run) -> None:
        await run.request("main", "do.ok", {}, compensation=undone_by("main"))
        await run.request("bad", "do.fail", {})

    async def code(run: Run) -> None:
        await run.request("one", "do.ok", {}, compensation=undone_by("one"))
        await run.gather(run.gather(side(run)), run.gather(run.gather(main(run))))

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), of(CompensationSucceeded, "main"))
        asked = lab.desk.asked[:]
        assert asked[-1] == "main/compensation"
        await lab.post(run_id, "cancel")
        state = await lab.resume(run_id)
        assert (state.status, state.error.code) == ("compensated", "desk.closed")
        assert lab.desk.asked == [*asked, "one/compensation"]  # the step beside it is not asked
        assert len(await lab.records(run_id, RunCancelRequested)) == 1

    play(case)


def test_a_cancelled_run_is_undone_in_all_its_branches_after_a_crash(play: Any) -> None:
    async def side(run: Run) -> None:
        await run.request("side", "do.wait", {})

    async def main(run: Run) -> None:
        await run.request("main", "do.ok", {}, compensation=undone_by("main"))
        await run.request("more", "do.wait", {})

    async def code(run: Run) -> None:
        await run.gather(side(run), run.gather(run.gather(main(run))))

    async def case(lab: Any) -> None:
        run_id = await lab.crash(
            lab.script(code, on_cancel="compensate"),
            of(StepSucceeded, "main"),
        )
        await lab.post(run_id, "cancel")
        state = await lab.resume(run_id)
        assert state.status == "cancelled"
        assert "main/compensation" in lab.desk.asked

    play(case)


@pytest.mark.parametrize("more", [True, False])
def test_code_that_fails_no_more_does_not_go_on_where_it_was_half_undone(
    play: Any, more: bool
) -> None:
    async def repaired(run: Run) -> None:
        await run.request("one", "do.ok", {}, compensation=undone_by("one"))
        await run.request("two", "do.ok", {}, compensation=undone_by("two"))
        if more:
            await run.request("three", "do.ok", {})

    async def broken(run: Run) -> None:
        await run.request("one", "do.ok", {}, compensation=undone_by("one"))
        await run.request("two", "do.ok", {}, compensation=undone_by("two"))
        raise ValueError("a bug")

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(broken), of(CompensationSucceeded, "two"))
        lab.script(repaired)
        state = await lab.resume(run_id)
        assert (state.status, state.error.code) == ("compensated", "run.diverged")
        assert lab.desk.asked == ["one", "two", "two/compensation", "one/compensation"]

    play(case)


def test_a_parent_out_of_time_does_not_interrupt_what_its_child_undoes(play: Any) -> None:
    async def parent(run: Run) -> None:
        await run.run_workflow("child", {})

    async def case(lab: Any) -> None:
        lab.script(fails_and_is_undone_slowly, "child")
        run_id, going = await is_undone(lab, lab.script(parent, timeout="100ms"))
        child = list(lab.store.runs)[1]
        await lab.clock.advance(0.1)
        await asyncio.sleep(1.5)  # its deadline insists once a second
        assert not going.done()
        lab.desk.gate.set()
        state = await asyncio.wait_for(going, 60)
        assert (state.status, state.error.code) == ("failed", "run.timeout")
        assert await statuses(lab, child) == ["compensated"]
        assert await statuses(lab, run_id) == ["failed"]

    play(case)


def test_a_caller_who_is_cancelled_twice_leaves_children_to_a_resume_too(play: Any) -> None:
    async def parent(run: Run) -> None:
        await run.run_workflow("child", {})

    async def case(lab: Any) -> None:
        lab.script(fails_and_is_undone_slowly, "child")
        run_id, going = await is_undone(lab, lab.script(parent))
        child = list(lab.store.runs)[1]
        for _ in range(2):
            going.cancel()
            await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(going, 60)
        assert [await statuses(lab, each) for each in (run_id, child)] == [[], []]
        lab.desk.gate.set()
        state = await asyncio.wait_for(lab.engine.resume(run_id), 60)
        assert state.status == "failed"
        assert await statuses(lab, child) == ["compensated"]

    play(case)


def patiently() -> Retry:
    return Retry(max_attempts=3, initial_delay="1h", max_delay="2h", jitter=0)


def test_the_attempts_of_a_compensation_go_on_where_they_were_after_a_crash(play: Any) -> None:
    async def code(run: Run) -> None:
        undo = Compensation(topic="do.fail", message={}, retry=patiently())
        await run.request("one", "do.ok", {}, compensation=undo)
        await run.request("two", "do.fail", {})

    async def case(lab: Any) -> None:
        workflow = lab.script(code)
        run_id = await lab.crash(workflow, lambda it: getattr(it, "next_at", None) is not None)
        begun = lab.clock.monotonic()
        await lab.clock.advance(1800)
        async with lab.clock.auto():
            state = await lab.resume(run_id)
        assert lab.clock.monotonic() - begun == pytest.approx(3600 + 7200)
        assert state.status == "failed"
        assert lab.desk.asked.count("one/compensation") == 3
        assert state.compensations["one"].attempts == 3
        starts = await lab.records(run_id, CompensationStarted)
        assert [each.attempt for each in starts] == [1, 2, 3]
        failures = await lab.records(run_id, CompensationFailed)
        assert [each.will_retry for each in failures] == [True, True, False]

    play(case)


def test_a_run_that_ends_while_it_is_cancelled_ends_once(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await is_undone(lab, lab.script(fails_and_is_undone_slowly))
        lab.desk.gate.set()
        for _ in range(5):
            await lab.post(run_id, "cancel")
        state = await asyncio.wait_for(going, 60)
        assert state.status == "compensated"
        assert await statuses(lab, run_id) == ["compensated"]
        assert len(await lab.records(run_id, StepFailed)) == 1

    play(case)
