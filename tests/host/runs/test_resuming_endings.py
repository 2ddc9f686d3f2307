"""A run that was being cancelled, undone or was over time when its process died."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from qtforge_sdk import Compensation, Run
from qtforge_sdk.records import (
    CompensationFailed,
    CompensationSucceeded,
    RunCancelRequested,
    StepFailed,
    StepSucceeded,
    TimerSet,
)


def succeeded(step: str) -> Callable[[object], bool]:
    return lambda record: isinstance(record, StepSucceeded) and record.step == step


def of(kind: type[object]) -> Callable[[object], bool]:
    return lambda record: isinstance(record, kind)


def undone_by(step: str) -> Compensation:
    return Compensation(topic="do.ok", message={"undo": step})


async def fails_at_the_end(run: Run) -> None:
    for step in ("one", "two"):
        await run.request(step, "do.ok", {}, compensation=undone_by(step))
    await run.request("three", "do.fail", {})


async def waits_after_one(run: Run) -> None:
    await run.request("one", "do.ok", {}, compensation=undone_by("one"))
    await run.request("two", "do.wait", {})


def test_a_cancellation_that_only_was_recorded_is_done_when_the_run_is_taken_up(play: Any) -> None:
    async def case(lab: Any) -> None:
        workflow = lab.script(waits_after_one, on_cancel="compensate")
        run_id = await lab.crash(workflow, succeeded("one"))
        await lab.end()
        ownership = await lab.journal.claim(run_id)
        asked = RunCancelRequested(run_id=run_id, at=lab.clock.now(), by="ada", message_id="m1")
        await lab.journal.append(ownership, [asked])
        await lab.journal.release(ownership)
        state = await lab.resume(run_id)
        assert (state.status, state.error.message) == ("cancelled", "cancelled by ada")
        assert lab.desk.asked == ["one", "one/compensation"]

    play(case)


def test_a_cancellation_whose_process_died_while_it_compensated_goes_on(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start(of(CompensationSucceeded))
        workflow = lab.script(waits_after_one, on_cancel="compensate")
        going = asyncio.ensure_future(lab.engine.execute(workflow, {}))
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        run_id = next(iter(lab.store.runs))
        await lab.post(run_id, "cancel")
        await lab.dies(going)
        state = await lab.resume(run_id)
        assert (state.status, state.error.message) == ("cancelled", "cancelled by ada")
        assert lab.desk.asked == ["one", "two", "one/compensation"]

    play(case)


def test_a_run_that_was_cancelled_while_nobody_ran_is_cancelled_when_it_is_resumed(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        workflow = lab.script(fails_at_the_end, on_cancel="compensate")
        run_id = await lab.crash(workflow, succeeded("two"))
        await lab.post(run_id, "cancel")
        state = await lab.resume(run_id)
        assert state.status == "cancelled"
        assert lab.desk.asked == ["one", "two", "two/compensation", "one/compensation"]

    play(case)


@pytest.mark.parametrize("after", [False, True])
def test_a_compensation_that_was_killed_in_the_middle_goes_on(play: Any, after: bool) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(
            lab.script(fails_at_the_end), of(CompensationSucceeded), after=after
        )
        state = await lab.resume(run_id)
        assert (state.status, state.error.code, state.error.stage) == (
            "compensated", "desk.closed", "three",
        )  # fmt: skip
        again = [] if after else ["two/compensation"]
        assert lab.desk.asked == [
            "one", "two", "three", "two/compensation", *again, "one/compensation",
        ]  # fmt: skip

    play(case)


def test_a_compensation_that_failed_for_good_is_not_tried_again(play: Any) -> None:
    async def code(run: Run) -> None:
        await run.request("one", "do.ok", {}, compensation=undone_by("one"))
        stuck = Compensation(topic="do.fail", message={})
        await run.request("two", "do.ok", {}, compensation=stuck)
        await run.request("three", "do.fail", {})

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), of(CompensationFailed))
        state = await lab.resume(run_id)
        assert state.status == "failed"
        assert lab.desk.asked.count("two/compensation") == 1
        assert lab.desk.asked[-1] == "one/compensation"

    play(case)


def test_parallel_steps_are_undone_in_the_reverse_of_the_order_in_which_they_ended(
    play: Any,
) -> None:
    async def code(run: Run) -> None:
        await run.gather(
            run.request("slow", "do.wait", {}, compensation=undone_by("slow")),
            quick(run),
        )
        await run.request("three", "do.fail", {})

    async def quick(run: Run) -> None:
        await run.request("quick", "do.ok", {}, compensation=undone_by("quick"))

    async def case(lab: Any) -> None:
        await lab.start(lambda record: isinstance(record, StepFailed))
        going = asyncio.ensure_future(lab.engine.execute(lab.script(code), {}))
        run_id = ""

        async def quick_is_done() -> object:
            nonlocal run_id
            run_id = next(iter(lab.store.runs), "")
            return run_id and await lab.records(run_id, StepSucceeded)

        await lab.until(quick_is_done)
        lab.desk.gate.set()
        await lab.dies(going)
        state = await lab.resume(run_id)
        assert state.status == "compensated"
        assert lab.desk.asked[-2:] == ["slow/compensation", "quick/compensation"]

    play(case)


def test_a_run_that_is_over_time_when_it_is_taken_up_fails_and_is_compensated(play: Any) -> None:
    async def code(run: Run) -> None:
        await run.request("one", "do.ok", {}, compensation=undone_by("one"))
        await run.request("two", "do.wait", {})

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code, timeout="1h"), succeeded("one"))
        await lab.clock.advance(3601)
        state = await lab.resume(run_id)
        assert (state.status, state.error.code) == ("compensated", "run.timeout")
        assert lab.desk.asked[-1] == "one/compensation"

    play(case)


def test_a_run_without_time_left_at_its_resuming_asks_nothing_more(play: Any) -> None:
    async def side(run: Run, step: str) -> None:
        await run.request(step, "do.ok", {}, compensation=undone_by(step))

    async def code(run: Run) -> None:
        await run.request("one", "do.ok", {}, compensation=undone_by("one"))
        await run.gather(side(run, "two"), run.gather(run.gather(side(run, "three"))))
        await run.sleep(5)

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code, timeout="1m"), succeeded("three"))
        asked = lab.desk.asked[:]
        await lab.clock.advance(61)
        state = await lab.resume(run_id)
        assert (state.status, state.error.code) == ("compensated", "run.timeout")
        held = [step for step, each in state.steps.items() if each.status == "succeeded"]
        assert lab.desk.asked == [*asked, *(f"{step}/compensation" for step in held[::-1])]

    play(case)


def test_a_run_without_time_left_does_not_sleep_either(play: Any) -> None:
    async def code(run: Run) -> None:
        await run.request("one", "do.ok", {})
        await run.sleep(3600)

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code, timeout="1m"), succeeded("one"))
        await lab.clock.advance(61)
        state = await lab.resume(run_id)
        assert (state.status, state.error.code) == ("failed", "run.timeout")
        assert await lab.records(run_id, TimerSet) == []

    play(case)
