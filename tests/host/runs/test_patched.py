"""Code that changes while runs of it wait: patches, and code that does not fit any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from qtforge_sdk import Run
from qtforge_sdk.errors import DuplicateStepError
from qtforge_sdk.records import RunBlocked, RunFinished, StepStarted, StepSucceeded, TimerSet


def succeeded(step: str) -> Callable[[object], bool]:
    return lambda record: isinstance(record, StepSucceeded) and record.step == step


def began(step: str) -> Callable[[object], bool]:
    return lambda record: isinstance(record, StepStarted) and record.step == step


async def old(run: Run) -> None:
    await run.request("one", "do.ok", {})
    await run.request("charge", "do.ok", {})
    await run.request("last", "do.ok", {})


async def new(run: Run) -> bool:
    await run.request("one", "do.ok", {})
    if await run.patched("two-step-charge"):
        await run.request("reserve", "do.ok", {})
        await run.request("take", "do.ok", {})
    else:
        await run.request("charge", "do.ok", {})
    await run.request("last", "do.ok", {})
    return await run.patched("two-step-charge")


@pytest.mark.parametrize(("done", "answer"), [("one", True), ("charge", False), ("last", False)])
def test_an_old_run_does_the_new_code_unless_it_has_passed_the_place(
    play: Any, done: str, answer: bool
) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(old), succeeded(done))
        lab.script(new)
        state = await lab.resume(run_id)
        assert (state.status, state.result) == ("succeeded", answer)
        assert state.steps["patch two-step-charge"].data is answer
        changed = ["reserve", "take"] if answer else ["charge"]
        assert lab.desk.asked == ["one", *changed, "last"]

    play(case)


@pytest.mark.parametrize("died", ["patch p", "reserve", "last"])
def test_the_first_answer_is_given_again_in_every_process_and_every_branch(
    play: Any, died: str
) -> None:
    answers: list[bool] = []

    async def code(run: Run) -> None:
        async def branch(name: str) -> None:
            answers.append(await run.patched("p"))
            await run.request(name, "do.ok", {})

        await run.gather(branch("reserve"), branch("take"))
        for _ in range(2):
            answers.append(await run.patched("p"))
        await run.request("last", "do.ok", {})
        answers.append(await run.patched("p"))

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), succeeded(died))
        state = await lab.resume(run_id)
        assert state.status == "succeeded"
        assert set(answers) == {True}
        kept = await lab.records(run_id, StepSucceeded)
        assert [each.step for each in kept].count("patch p") == 1

    play(case)


def test_a_run_that_sleeps_after_the_place_has_passed_it(play: Any) -> None:
    async def sleeps(run: Run) -> None:
        await run.request("one", "do.ok", {})
        await run.sleep("1d")
        await run.request("charge", "do.ok", {})

    async def changed(run: Run) -> bool:
        await run.request("one", "do.ok", {})
        if answer := await run.patched("p"):
            await run.request("reserve", "do.ok", {})
        await run.sleep("1d")
        await run.request("charge", "do.ok", {})
        return answer

    async def case(lab: Any) -> None:
        workflow = lab.script(sleeps)
        run_id = await lab.crash(workflow, lambda record: isinstance(record, TimerSet))
        lab.script(changed)
        async with lab.clock.auto():
            state = await lab.resume(run_id)
        assert (state.status, state.result) == ("succeeded", False)

    play(case)


def test_a_patch_that_the_code_no_longer_asks_for_is_no_divergence(play: Any) -> None:
    async def without(run: Run) -> None:
        for name in ("one", "reserve", "take", "last"):
            await run.request(name, "do.ok", {})

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(new), succeeded("take"))
        lab.script(without)
        assert (await lab.resume(run_id)).status == "succeeded"

    play(case)


def test_a_step_with_the_name_of_a_patch_is_refused(play: Any) -> None:
    async def code(run: Run) -> None:
        await run.request("patch p", "do.ok", {})
        with pytest.raises(DuplicateStepError):
            await run.patched("p")
        for name in ("", 5, "x\n\x1b[31m", "x" * 201):
            with pytest.raises(ValueError, match="is no name of a patch"):
                await run.patched(cast(str, name))

    async def case(lab: Any) -> None:
        state = await (await lab.start()).execute(lab.script(code), {})
        assert state.status == "succeeded"

    play(case)


async def renamed(run: Run) -> None:
    await run.request("one", "do.ok", {})
    await run.request("pay", "do.ok", {})
    await run.request("last", "do.ok", {})


def test_a_run_that_its_code_does_not_fit_is_blocked_until_there_is_code_that_does(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(old), succeeded("charge"))
        lab.script(renamed)
        state = await lab.resume(run_id)
        assert state.status == "blocked"
        assert "'charge'" in state.error.message
        assert "'pay'" in state.error.message
        assert lab.desk.asked == ["one", "charge"]  # nothing done, nothing undone
        (blocked,) = await lab.records(run_id, RunBlocked)
        assert (blocked.code, blocked.step) == ("run.diverged", "pay")
        await lab.engine.resume(run_id, unpause=False)  # the same code: not tried again
        assert len(await lab.records(run_id, RunBlocked)) == 1
        await lab.engine.resume(run_id)  # asked for: tried again
        assert len(await lab.records(run_id, RunBlocked)) == 2
        await lab.start()
        await lab.engine.resume(run_id, unpause=False)  # another process: tried again
        assert len(await lab.records(run_id, RunBlocked)) == 3
        lab.script(old)
        assert (await lab.resume(run_id)).status == "succeeded"
        assert lab.desk.asked == ["one", "charge", "last"]

    play(case)


@pytest.mark.parametrize("change", ["renamed", "removed"])
def test_a_step_in_flight_that_the_code_no_longer_does_blocks_the_run(
    play: Any, change: str
) -> None:
    async def removed(run: Run) -> None:
        await run.request("one", "do.ok", {})

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(old), began("charge"))
        lab.script(renamed if change == "renamed" else removed)
        state = await lab.resume(run_id)
        assert (state.status, state.error.code) == ("blocked", "run.diverged")
        assert "charge" in f"{state.error.stage} {state.error.message}"
        assert set(lab.desk.asked) == {"one", "charge"}
        lab.script(old)
        assert (await lab.resume(run_id)).status == "succeeded"

    play(case)


def test_steps_in_flight_beside_each_other_are_done_again_with_new_ones(play: Any) -> None:
    async def beside(run: Run) -> None:
        await asyncio.gather(*(run.request(name, "do.ok", {}) for name in ("a", "b", "c")))

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(beside), began("a"))
        assert (await lab.resume(run_id)).status == "succeeded"
        assert set(lab.desk.asked) == {"a", "b", "c"}

    play(case)


@pytest.mark.parametrize(("on_cancel", "status"), [("stop", "cancelled"), ("compensate", "failed")])
def test_a_run_that_its_code_does_not_fit_can_be_cancelled(
    play: Any, on_cancel: str, status: str
) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(old, on_cancel=on_cancel), succeeded("charge"))
        lab.script(renamed, on_cancel=on_cancel)
        assert (await lab.resume(run_id)).status == "blocked"
        await lab.post(run_id, "cancel")
        state = await lab.resume(run_id)
        assert (state.status, state.error.code) == (status, "run.diverged")
        assert len(await lab.records(run_id, RunFinished)) == 1

    play(case)
