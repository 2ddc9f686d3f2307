"""Whatever is gathered ends by `first` and `deadline`, and a resumed run sees the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qtforge_sdk import Compensation, Run
from qtforge_sdk.records import (
    CompensationSucceeded,
    RunFinished,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TimerFired,
)

LONG = 1_000
Make = Callable[[Any, Run], Awaitable[Any]]


def ask(run: Run, step: str, topic: str = "do.ok", **options: Any) -> Any:
    undo = Compensation(topic="do.ok", message={"undo": step}, on_failure=True)
    return run.request(step, topic, {}, timeout=5 * LONG, compensation=undo, **options)


async def event_that_comes(lab: Any, run: Run) -> Any:
    await lab.post(run.id, "event", "come", "the data", message_id="come")
    return await run.wait_event("come")


async def branch_that_ends(lab: Any, run: Run) -> list[Any]:
    return [(await ask(run, f"a{number}"))["done"] for number in range(3)]


async def nested_that_ends(lab: Any, run: Run) -> Any:
    answers = await run.gather(ask(run, "n1"), ask(run, "n2", "do.wait"), first=1)
    return [answer and answer["done"] for answer in answers]


async def slept(lab: Any, run: Run) -> str:
    await run.sleep(1)
    return "slept"


async def child_that_ends(lab: Any, run: Run) -> Any:
    return await run.run_workflow("quick child", {})


ENDS: dict[str, tuple[Make, Any]] = {
    "a step": (lambda lab, run: run.step("own", lambda: "own"), "own"),
    "a wait": (event_that_comes, "the data"),
    "a sleep": (slept, "slept"),
    "a child": (child_that_ends, "the child's"),
    "a branch": (branch_that_ends, ["a0", "a1", "a2"]),
    "a gathering": (nested_that_ends, ["n1", None]),
    "code without steps": (lambda lab, run: asyncio.sleep(0, "code"), "code"),
}


async def branch_in_a_step(lab: Any, run: Run) -> Any:
    await ask(run, "before")
    answer = await ask(run, "stuck", "do.wait", required=False)
    return [answer, await ask(run, "never", required=False)]


async def branch_in_a_sleep(lab: Any, run: Run) -> Any:
    await ask(run, "before")
    await run.sleep(LONG, name="long")
    return await ask(run, "never")


async def nested(lab: Any, run: Run) -> Any:
    await run.gather(
        branch_in_a_sleep(lab, run), ask(run, "stuck", "do.wait", required=False), concurrency=2
    )
    return await ask(run, "never too")


async def nested_that_ignores(lab: Any, run: Run) -> Any:
    return await run.gather(run.sleep(LONG), run.sleep(LONG))


STUCK: dict[str, Make] = {
    "a step": lambda lab, run: ask(run, "stuck", "do.wait", required=False),
    "a wait": lambda lab, run: run.wait_event("never"),
    "a wait with a timeout": lambda lab, run: run.wait_event("never", timeout=LONG),
    "a sleep": lambda lab, run: run.sleep(LONG),
    "a child": lambda lab, run: run.run_workflow("stuck child", {}, required=False),
    "a branch in a step": branch_in_a_step,
    "a branch in a sleep": branch_in_a_sleep,
    "a gathering": nested,
    "a gathering of sleeps": nested_that_ignores,
}


def script(lab: Any, code: Any) -> Any:
    async def quick(run: Run) -> str:
        return "the child's"

    async def stuck(run: Run) -> None:
        await run.request("in child", "do.wait", {}, timeout=5 * LONG)

    lab.script(quick, "quick child")
    lab.script(stuck, "stuck child")
    return lab.script(code)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("stuck", STUCK)
def test_the_first_that_succeeds_cuts_the_other_off(play: Any, stuck: str, ends: str) -> None:
    make, expected = ENDS[ends]

    async def code(run: Run) -> Any:
        return await run.gather(STUCK[stuck](lab_of[0], run), make(lab_of[0], run), first=1)

    lab_of: list[Any] = []

    async def case(lab: Any) -> None:
        lab_of.append(lab)
        async with lab.clock.auto():
            state = await lab.engine.execute(script(lab, code), {})
        assert (state.status, state.degraded) == ("succeeded", False), state.error
        assert state.result == [None, expected]
        assert lab.clock.monotonic() < LONG
        assert not any("never" in each for each in lab.desk.asked)
        for run_id in lab.store.runs:
            (finished,) = await lab.records(run_id, RunFinished)
            assert finished.status != "failed"

    play(case)


@pytest.mark.parametrize("stuck", STUCK)
def test_the_deadline_ends_what_is_not_done(play: Any, stuck: str) -> None:
    async def code(run: Run) -> Any:
        return await run.gather(STUCK[stuck](lab_of[0], run), ask(run, "quick"), deadline=9)

    lab_of: list[Any] = []

    async def case(lab: Any) -> None:
        lab_of.append(lab)
        async with lab.clock.auto():
            state = await lab.engine.execute(script(lab, code), {})
        assert lab.clock.monotonic() == pytest.approx(9)
        assert not any("never" in each for each in lab.desk.asked)
        if "wait" in stuck:  # as when its own time is over
            assert (state.status, state.error.code) == ("compensated", "run.late")
            return
        assert state.status == "succeeded", state.error
        continues = stuck == "a branch in a step"  # which is not required
        assert state.result[0] == ([None, None] if continues else None)
        late = {each.step for each in await lab.records(state.run_id, StepFailed)}
        cut = [each for each in await lab.records(state.run_id, TimerFired) if each.cut]
        assert late or cut

    play(case)


@pytest.mark.parametrize("ends", ENDS)
def test_without_a_deadline_and_a_number_all_are_waited_for(play: Any, ends: str) -> None:
    make, expected = ENDS[ends]

    async def code(run: Run) -> Any:
        return await run.gather(make(lab_of[0], run), run.sleep(5))

    lab_of: list[Any] = []

    async def case(lab: Any) -> None:
        lab_of.append(lab)
        async with lab.clock.auto():
            state = await lab.engine.execute(script(lab, code), {})
        assert state.result == [expected, None]
        assert lab.clock.monotonic() == pytest.approx(5)

    play(case)


def test_of_two_waits_the_first_event_counts_and_the_other_is_left_for_a_later_wait(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        begun, got_one = asyncio.Event(), asyncio.Event()

        async def code(run: Run) -> Any:
            begun.set()
            answers = await run.gather(run.wait_event("a"), run.wait_event("b"), first=1)
            got_one.set()
            return answers, await run.wait_event("a", step="a again")

        running = asyncio.ensure_future(lab.engine.execute(script(lab, code), {}))
        await asyncio.wait_for(begun.wait(), 60)
        run_id = next(iter(lab.store.runs))
        await lab.post(run_id, "event", "b", 1)
        await asyncio.wait_for(got_one.wait(), 60)
        await lab.post(run_id, "event", "a", 2)
        state = await asyncio.wait_for(running, 60)
        assert state.result == [[None, 1], 2]

    play(case)


def test_a_branch_counts_when_it_has_returned_and_not_with_its_first_step(play: Any) -> None:
    async def code(run: Run) -> Any:
        async def branch(name: str) -> list[str]:
            return [(await ask(run, f"{name}{number}"))["done"] for number in range(3)]

        return await run.gather(branch("a"), branch("b"), first=2)

    async def case(lab: Any) -> None:
        state = await lab.engine.execute(script(lab, code), {})
        assert state.result == [["a0", "a1", "a2"], ["b0", "b1", "b2"]]

    play(case)


def test_a_branch_of_which_every_step_failed_is_not_one_that_succeeded(play: Any) -> None:
    async def code(run: Run) -> Any:
        async def broken() -> str:
            await ask(run, "x", "do.fail", required=False)
            await ask(run, "y", "do.fail", required=False)
            return "returned"

        return await run.gather(broken(), slept(None, run), first=1)

    async def case(lab: Any) -> None:
        async with lab.clock.auto():
            state = await lab.engine.execute(script(lab, code), {})
        assert state.result == ["returned", "slept"]

    play(case)


def test_code_that_catches_everything_does_nothing_more_once_it_is_cut_off(play: Any) -> None:
    async def code(run: Run) -> Any:
        async def stubborn() -> str:
            try:
                await run.sleep(LONG)
            except BaseException:  # noqa: BLE001 - what badly written code does
                await ask(run, "never")
            return "stubborn"

        return await run.gather(stubborn(), slept(None, run), first=1)

    async def case(lab: Any) -> None:
        async with lab.clock.auto():
            state = await lab.engine.execute(script(lab, code), {})
        assert (state.result, lab.desk.asked) == ([None, "slept"], [])

    play(case)


@pytest.mark.parametrize("stuck", ["a step", "a branch in a step", "a gathering"])
def test_the_step_in_which_a_branch_was_cut_off_is_undone_if_the_run_fails(
    play: Any, stuck: str
) -> None:
    async def code(run: Run) -> Any:
        await run.gather(STUCK[stuck](lab_of[0], run), slept(None, run), first=1)
        await run.request("bad", "do.fail", {})

    lab_of: list[Any] = []

    async def case(lab: Any) -> None:
        lab_of.append(lab)
        async with lab.clock.auto():
            state = await lab.engine.execute(script(lab, code), {})
        assert state.status == "compensated"
        skipped = [each for each in await lab.records(state.run_id, StepSkipped) if each.cut]
        assert [each.step for each in skipped] == ["stuck"]
        undone = [each.step for each in await lab.records(state.run_id, CompensationSucceeded)]
        assert undone == (["stuck"] if stuck == "a step" else ["stuck", "before"])

    play(case)


MODES: dict[str, dict[str, Any]] = {"first": {"first": 1}, "deadline": {"deadline": 9}}


@pytest.mark.parametrize("gap", [0, 2 * LONG], ids=["at once", "after all timers were due"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stuck", STUCK)
def test_killed_at_any_write_a_run_sees_again_what_won_and_what_was_cut_off(
    play: Any, stuck: str, mode: str, gap: int
) -> None:
    async def case(lab: Any) -> None:
        async def code(run: Run) -> Any:
            steps = [STUCK[stuck](lab, run), branch_that_ends(lab, run)]
            if mode == "deadline":
                steps.append(run.sleep(3))
            found = await run.gather(*steps, **MODES[mode])
            seen = await run.step("seen", lambda: found)
            await run.step("last", lambda: None)
            return [found, seen]

        async def killed_at(write: int, *, after: bool) -> tuple[Any, bool]:
            left = write

            def dies(record: object) -> bool:
                nonlocal left
                left -= not isinstance(record, StepStarted)
                return left == 0

            lab.store.runs.clear()
            workflow = script(lab, code)
            await lab.start(dies, after=after)
            async with lab.clock.auto():
                try:
                    state = await asyncio.wait_for(lab.engine.execute(workflow, {}), 60)
                except BaseException as error:
                    if type(error).__name__ != "Crash":
                        raise
                else:
                    return state, False
            if not lab.store.runs:
                return None, True
            run_id = next(iter(lab.store.runs))
            kinds = (StepSucceeded, StepFailed, StepSkipped)
            known = {each.step for each in await lab.records(run_id, kinds)}
            lab.desk.asked.clear()
            await lab.clock.advance(gap)
            async with lab.clock.auto():
                state = await lab.resume(run_id)
            assert not known & set(lab.desk.asked)
            ends = [each.step for each in await lab.records(run_id, kinds)]
            assert len(ends) == len(set(ends))
            return state, True

        undisturbed, died = await killed_at(0, after=True)
        assert not died
        write = 0
        while died or not write:
            write += 1
            for after in (False, True):
                state, died = await killed_at(write, after=after)
                if state is None:
                    continue
                where = f"killed {'after' if after else 'before'} write {write}"
                if state.status == "succeeded":
                    assert state.result[0] == state.result[1], where
                if not gap:
                    assert state.status == undisturbed.status, (where, state.error)
                    assert state.result == undisturbed.result, where
                else:
                    error = state.error and state.error.code
                    over = ("run.late", "run.event_timeout")
                    assert state.status == "succeeded" or error in over, where
        assert write > 5

    play(case)
