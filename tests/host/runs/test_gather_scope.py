"""Steps done at once: a deadline for all, enough of them, a bound; the same after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from qtforge_host.runs.state import RunState
from qtforge_sdk import Run
from qtforge_sdk.policies import Fallback, Retry
from qtforge_sdk.records import (
    RunFinished,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TimerFired,
    TimerSet,
)


def ask(run: Run, step: str, topic: str = "do.ok", **options: Any) -> Any:
    return run.request(step, topic, {}, timeout=1000, required=False, **options)


async def some_wait(run: Run) -> list[bool]:
    """Two answer at once, one fails, two never answer; at most three are asked at once."""
    answers = await run.gather(
        ask(run, "quick"),
        ask(run, "stuck", "do.wait"),
        ask(run, "broken", "do.fail"),
        ask(run, "hung", "do.wait"),
        ask(run, "quick too"),
        deadline=10,
        concurrency=3,
        name="all",
    )
    return [answer is not None for answer in answers]


async def two_are_enough(run: Run) -> list[bool]:
    answers = await run.gather(
        ask(run, "stuck", "do.wait"),
        ask(run, "broken", "do.fail"),
        ask(run, "one"),
        ask(run, "two"),
        ask(run, "hung", "do.wait"),
        first=2,
    )
    return [answer is not None for answer in answers]


def told(state: RunState) -> Any:
    errors = {name: step.error and step.error.code for name, step in state.steps.items()}
    states = {name: step.status for name, step in state.steps.items()}
    return state.status, state.result, sorted(states.items()), sorted(errors.items(), key=str)


def test_what_came_before_the_deadline_is_kept_and_the_rest_is_late(play: Any) -> None:
    async def case(lab: Any) -> None:
        async with lab.clock.auto():
            state = await lab.engine.execute(lab.script(some_wait), {})
        assert state.result == [True, False, False, False, True]
        assert state.degraded
        assert lab.clock.monotonic() == pytest.approx(10)
        late = [each for each in await lab.records(state.run_id, StepFailed) if not each.required]
        codes = {each.step: each.error.code for each in late}
        assert codes == {"broken": "desk.closed", "stuck": "run.late", "hung": "run.late"}
        (fired,) = await lab.records(state.run_id, TimerFired)
        assert fired.name == "all"

    play(case)


def test_a_step_whose_turn_never_came_is_late_without_being_asked(play: Any) -> None:
    async def code(run: Run) -> Any:
        return await run.gather(
            ask(run, "stuck", "do.wait"), ask(run, "behind"), deadline=5, concurrency=1
        )

    async def case(lab: Any) -> None:
        async with lab.clock.auto():
            state = await lab.engine.execute(lab.script(code), {})
        assert state.result == [None, None]
        assert state.steps["behind"].error.code == "run.late"
        assert lab.desk.asked == ["stuck"]

    play(case)


def test_nobody_is_late_when_all_were_in_time(play: Any) -> None:
    async def code(run: Run) -> Any:
        await run.gather(ask(run, "a"), ask(run, "b"), deadline=5, concurrency=1, first=9)
        return "done"

    async def case(lab: Any) -> None:
        state = await lab.engine.execute(lab.script(code), {})
        assert (state.result, state.degraded) == ("done", False)
        assert await lab.records(state.run_id, TimerFired) == []

    play(case)


def test_as_soon_as_enough_have_succeeded_the_others_are_skipped(play: Any) -> None:
    async def case(lab: Any) -> None:
        state = await lab.engine.execute(lab.script(two_are_enough), {})
        assert state.result == [False, False, True, True, False]
        skipped = await lab.records(state.run_id, StepSkipped)
        assert sorted(each.step for each in skipped) == ["hung", "stuck"]
        assert skipped[0].reason.startswith("run.not_needed")

    play(case)


def test_a_late_step_is_not_retried_and_its_fallback_is_not_asked(play: Any) -> None:
    retry = Retry(max_attempts=9, initial_delay="8s", backoff=1, jitter=0)

    async def code(run: Run) -> Any:
        return await run.gather(
            ask(run, "flaky", "do.fail", retry=retry, fallback=Fallback(topic="do.ok")),
            ask(run, "content", "do.wait", fallback=Fallback(value="what there was")),
            deadline=20,
        )

    async def case(lab: Any) -> None:
        async with lab.clock.auto():
            state = await lab.engine.execute(lab.script(code), {})
        assert state.result == [None, "what there was"]
        assert lab.clock.monotonic() == pytest.approx(20)
        assert lab.desk.asked == ["flaky", "content", "flaky", "flaky"]
        assert state.steps["flaky"].error.code == "run.late"

    play(case)


def test_a_resumed_run_keeps_the_deadline_that_it_had(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(some_wait), of_step(StepSucceeded, "quick too"))
        await lab.clock.advance(4)
        async with lab.clock.auto():
            state = await lab.resume(run_id)
        assert state.result == [True, False, False, False, True]
        assert lab.clock.monotonic() == pytest.approx(10)
        assert len(await lab.records(run_id, TimerSet)) == 1

    play(case)


def test_a_deadline_that_passed_while_nobody_ran_asks_nobody_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(some_wait), of_step(StepSucceeded, "quick"))
        asked = list(lab.desk.asked)
        await lab.clock.advance(60)
        state = await lab.resume(run_id)
        assert lab.desk.asked == asked
        assert state.result[0] is True
        assert state.steps["quick too"].status in ("succeeded", "warning")

    play(case)


def test_a_late_step_that_is_done_again_has_a_deadline_of_its_own(play: Any) -> None:
    from qtforge_host.runs.reset import reset_run

    async def code(run: Run) -> Any:
        await some_wait(run)
        await run.request("end", "do.ok", {})

    async def case(lab: Any) -> None:
        lab.desk.failures["end"] = 1
        async with lab.clock.auto():
            state = await lab.engine.execute(lab.script(code), {})
        assert state.status == "failed"
        await lab.clock.advance(1000)
        again = await reset_run(lab.journal, state.run_id, "stuck", at=lab.clock.now())
        assert "all" in again
        lab.desk.gate.set()
        state = await lab.resume(state.run_id)
        assert (state.status, state.steps["stuck"].status) == ("succeeded", "succeeded")

    play(case)


def test_a_gathering_within_a_gathering_ends_with_it(play: Any) -> None:
    async def pair(run: Run) -> Any:
        return await run.gather(
            ask(run, "inner stuck", "do.wait"), ask(run, "inner"), deadline=1000, name="inner time"
        )

    async def code(run: Run) -> Any:
        return await run.gather(pair(run), ask(run, "outer", "do.wait"), deadline=3)

    async def case(lab: Any) -> None:
        async with lab.clock.auto():
            state = await lab.engine.execute(lab.script(code), {})
        assert lab.clock.monotonic() == pytest.approx(3)
        inner, outer = state.result
        assert (inner[0], inner[1]["done"], outer) == (None, "inner", None)
        assert state.steps["inner stuck"].error.code == "run.late"

    play(case)


def test_a_child_run_of_a_late_step_is_cancelled_and_is_not_bound_by_its_parents_number(
    play: Any,
) -> None:
    async def child(run: Run) -> Any:
        await run.request("one", "do.ok", {})
        await run.request("two", "do.ok", {})
        await run.request("three", "do.wait", {}, timeout=1000)

    async def caught(run: Run) -> Any:
        return await run.run_workflow("child", {})

    async def code(run: Run) -> Any:
        return await run.gather(caught(run), ask(run, "mine"), deadline=7, first=2)

    async def case(lab: Any) -> None:
        lab.script(child, "child")
        async with lab.clock.auto():
            state = await lab.engine.execute(lab.script(code), {})
        assert state.error.code == "run.late"  # a child that is required
        runs = lab.store.runs
        (found,) = [run_id for run_id in runs if run_id != state.run_id]
        (end,) = await lab.records(found, RunFinished)
        assert end.status == "cancelled"

    play(case)


def test_cancelling_the_run_ends_a_gathering_at_once(play: Any) -> None:
    async def case(lab: Any) -> None:
        running = asyncio.ensure_future(lab.engine.execute(lab.script(some_wait), {}))
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        run_id = next(iter(lab.store.runs))
        await lab.post(run_id, "cancel")
        state = await asyncio.wait_for(running, 60)
        assert state.status == "cancelled"
        assert await lab.records(run_id, TimerFired) == []

    play(case)


def test_a_paused_run_asks_none_of_those_that_wait_for_their_turn(play: Any) -> None:
    async def code(run: Run) -> Any:
        steps = [ask(run, "first", "do.wait"), ask(run, "second"), ask(run, "third")]
        return await run.gather(*steps, concurrency=1)

    async def case(lab: Any) -> None:
        running = asyncio.ensure_future(lab.engine.execute(lab.script(code), {}))
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        run_id = next(iter(lab.store.runs))
        await lab.post(run_id, "pause")
        await lab.until(lambda: pauses(lab, run_id))
        lab.desk.gate.set()
        state = await asyncio.wait_for(running, 60)
        assert (state.status, lab.desk.asked) == ("paused", ["first"])
        state = await lab.resume(run_id)
        assert (state.status, lab.desk.asked) == ("succeeded", ["first", "second", "third"])

    play(case)


async def pauses(lab: Any, run_id: str) -> bool:
    """Whether the request to pause has reached the run."""
    return not lab.engine.active_runs[run_id].is_clear


def of_step(kind: type[Any], step: str) -> Callable[[object], bool]:
    return lambda record: isinstance(record, kind) and record.step == step


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("code", [some_wait, two_are_enough], ids=lambda each: each.__name__)
def test_killed_at_any_write_it_ends_as_if_it_had_not_been(
    play: Any, code: Any, after: bool
) -> None:
    async def case_of(lab: Any, write: int) -> tuple[Any, bool]:
        left = write

        def dies(record: object) -> bool:
            nonlocal left
            if not isinstance(record, StepStarted):
                left -= 1
            return left == 0

        workflow = lab.script(code)
        lab.store.runs.clear()
        lab.desk.asked.clear()
        await lab.start(dies, after=after)
        died = False
        async with lab.clock.auto():
            try:
                state = await asyncio.wait_for(lab.engine.execute(workflow, {}), 60)
            except BaseException as error:
                if type(error).__name__ != "Crash":
                    raise
                died = True
        if died:
            known = set()
            if lab.store.runs:
                run_id = next(iter(lab.store.runs))
                outcomes = (StepSucceeded, StepFailed, StepSkipped)
                known = {each.step for each in await lab.records(run_id, outcomes)}
            lab.desk.asked.clear()
            async with lab.clock.auto():
                if lab.store.runs:
                    state = await lab.resume(run_id)
                else:
                    await lab.start()
                    state = await lab.engine.execute(workflow, {})
            assert not known & set(lab.desk.asked)
        records = await lab.records(state.run_id, (StepSucceeded, StepFailed, StepSkipped))
        ends = [each.step for each in records]
        assert len(ends) == len(set(ends)) == 5
        return told(state), died

    async def case(lab: Any) -> None:
        undisturbed, died = await case_of(lab, 0)
        assert not died
        write, deaths = 1, 0
        while True:
            found, died = await case_of(lab, write)
            assert found == undisturbed, f"write {write}"
            if not died:
                break
            write, deaths = write + 1, deaths + 1
        assert deaths >= 6

    play(case)
