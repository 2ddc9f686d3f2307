"""A run that was interrupted goes on where it was, in another process."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

import pytest

from qtforge_sdk import Run
from qtforge_sdk.records import (
    RunBlocked,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    StepSucceeded,
)

DAY = datetime.date(2026, 1, 2)


def succeeded(step: str) -> Callable[[object], bool]:
    return lambda record: isinstance(record, StepSucceeded) and record.step == step


def of(kind: type[object]) -> Callable[[object], bool]:
    return lambda record: isinstance(record, kind)


async def two_steps(run: Run) -> Any:
    one = await run.request("one", "do.ok", {"word": "a"})
    two = await run.request("two", "do.ok", {"word": one["word"] + "b"})
    return two["word"]


async def other_topic(run: Run) -> None:
    await run.request("one", "do.fail", {})


async def missing_step(run: Run) -> str:
    return "nothing was asked"


async def other_step(run: Run) -> None:
    await run.request("eins", "do.ok", {})


def test_a_step_whose_result_is_journaled_answers_from_the_journal(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), succeeded("one"))
        assert lab.desk.asked == ["one"]
        state = await lab.resume(run_id)
        assert (state.status, state.result) == ("succeeded", "ab")
        assert lab.desk.asked == ["one", "two"]
        (resumed,) = await lab.records(run_id, RunResumed)
        assert resumed.owner

    play(case)


def test_a_step_that_was_answered_but_not_journaled_is_asked_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), succeeded("one"), after=False)
        state = await lab.resume(run_id)
        assert (state.status, state.result) == ("succeeded", "ab")
        assert lab.desk.asked == ["one", "one", "two"]

    play(case)


def test_a_run_that_only_began_is_done_from_its_start(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), of(RunStarted))
        assert (await lab.resume(run_id)).result == "ab"

    play(case)


def test_a_finished_run_is_only_told(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), of(RunFinished))
        before = await lab.journal.records(run_id)
        state = await lab.resume(run_id)
        assert (state.status, state.result) == ("succeeded", "ab")
        assert await lab.journal.records(run_id) == before

    play(case)


def test_a_run_that_ended_while_it_was_looked_at_is_not_opened_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), of(RunFinished), after=False)
        engine = await lab.start()
        journal = engine.journal.inner
        claim = journal.claim

        async def claim_late(run_id: str) -> Any:  # its owner ends it before it dies
            other = await claim(run_id)
            now = lab.clock.now()
            ended = RunFinished(
                run_id=run_id, at=now, status="succeeded", degraded=False,
                result="ab", summary="", error=None,
            )  # fmt: skip
            await journal.append(other, [ended])
            return await claim(run_id)

        journal.claim = claim_late
        state = await engine.resume(run_id)
        assert (state.status, state.result) == ("succeeded", "ab")
        assert len(await lab.records(run_id, RunFinished)) == 1
        assert await lab.records(run_id, RunResumed) == []

    play(case)


def test_two_steps_of_one_name_fail_the_run_also_when_it_is_resumed(play: Any) -> None:
    async def code(run: Run) -> None:
        await run.request("same", "do.ok", {})
        await run.request("same", "do.ok", {})

    async def case(lab: Any) -> None:
        workflow = lab.script(code)
        run_id = await lab.crash(workflow, succeeded("same"))
        for state in (await lab.resume(run_id), await lab.engine.execute(workflow, {})):
            assert state.status == "failed"
            assert state.error.code == "run.duplicate_step"
            assert "'same'" in state.error.message

    play(case)


@pytest.mark.parametrize(
    ("changed", "step"), [(other_topic, "one"), (missing_step, "one"), (other_step, "eins")]
)
def test_code_that_asks_for_other_steps_has_diverged_and_the_step_is_named(
    play: Any, changed: Any, step: str
) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), succeeded("one"))
        lab.script(changed)
        state = await lab.resume(run_id)
        assert state.status == "blocked"
        assert (state.error.code, state.error.stage) == ("run.diverged", step)
        assert f"'{step}'" in state.error.message
        assert lab.desk.asked == ["one"]  # nothing else was done

    play(case)


def test_steps_in_parallel_keep_their_results_whichever_came_first(play: Any) -> None:
    async def code(run: Run) -> Any:
        made = await run.gather(*(run.request(name, "do.ok", {}) for name in "abc"))
        return [each["done"] for each in made]

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), succeeded("b"), after=True)
        kept = [each.step for each in await lab.records(run_id, StepSucceeded)]
        before = list(lab.desk.asked)
        state = await lab.resume(run_id)
        assert state.result == ["a", "b", "c"]
        assert "b" in kept
        assert sorted(lab.desk.asked[len(before) :]) == sorted(set("abc") - set(kept))

    play(case)


def test_a_paused_run_rests_until_it_is_resumed(play: Any) -> None:
    async def code(run: Run) -> Any:
        await run.request("one", "do.wait", {})
        return (await run.request("two", "do.ok", {}))["done"]

    async def case(lab: Any) -> None:
        going = asyncio.ensure_future(lab.engine.execute(lab.script(code), {}))
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        run_id = next(iter(lab.store.runs))
        await lab.post(run_id, "pause")
        await asyncio.sleep(0.01)
        lab.desk.gate.set()
        state = await asyncio.wait_for(going, 60)
        assert (state.status, state.rests, list(state.steps)) == ("paused", True, ["one"])
        assert await lab.journal.unfinished() == ()
        assert len(await lab.records(run_id, RunPaused)) == 1
        state = await lab.resume(run_id)  # the pause in its inbox has been dealt with
        assert (state.status, state.result) == ("succeeded", "two")
        assert lab.desk.asked == ["one", "two"]

    play(case)


def test_a_plugin_of_another_major_version_blocks_the_run_until_it_is_accepted(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), succeeded("one"))
        lab.versions = {"desk": "2.0.0"}
        state = await lab.resume(run_id)
        assert (state.status, state.error.code) == ("blocked", "run.blocked")
        assert "desk was 1.0.0 and is 2.0.0" in state.error.message
        assert lab.desk.asked == ["one"]
        (blocked,) = await lab.records(run_id, RunBlocked)
        assert blocked.plugins == {"desk": "2.0.0"}
        state = await lab.resume(run_id, versions="any", note="accepted by ada")
        assert (state.status, state.result) == ("succeeded", "ab")
        (resumed,) = await lab.records(run_id, RunResumed)
        assert resumed.note == "accepted by ada; desk was 1.0.0 and is 2.0.0"

    play(case)


def test_a_plugin_of_the_same_major_version_goes_on_and_says_so(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), succeeded("one"))
        lab.versions = {"desk": "1.1.0"}
        assert (await lab.resume(run_id)).result == "ab"
        (resumed,) = await lab.records(run_id, RunResumed)
        assert resumed.note == "desk was 1.0.0 and is 1.1.0"

    play(case)


def test_a_run_that_stays_blocked_is_recorded_as_blocked_once(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), succeeded("one"))
        lab.versions = {"desk": "2.0.0"}
        for _ in range(3):
            assert (await lab.resume(run_id)).status == "blocked"
        assert len(await lab.records(run_id, RunBlocked)) == 1
        lab.versions = {"desk": "3.0.0"}
        assert "is 3.0.0" in (await lab.resume(run_id)).error.message
        assert len(await lab.records(run_id, RunBlocked)) == 2

    play(case)


def test_a_live_run_sees_an_answer_as_a_resumed_one_does(play: Any) -> None:
    seen: list[Any] = []

    async def code(run: Run) -> Any:
        seen.append(run.input["given"])
        seen.append(await run.step("one", lambda: {"pair": (1, {2}), "day": DAY, "at": DAY}))
        seen.append(run.steps["one"].data)
        await run.request("two", "do.ok", {})
        return (1, 2)

    async def case(lab: Any) -> None:
        await lab.start(succeeded("two"))
        await lab.dies(lab.engine.execute(lab.script(code), {"given": (1, 2)}))
        live = seen[:]
        seen.clear()
        state = await lab.resume(next(iter(lab.store.runs)))
        assert live == seen
        assert live[0] == [1, 2]
        assert live[1]["pair"] == [1, [2]]
        assert state.result == [1, 2]

    play(case)
