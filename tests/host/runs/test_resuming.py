"""A run that was interrupted goes on where it was, in another process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qtforge_sdk import Compensation, Run
from qtforge_sdk.policies import Retry
from qtforge_sdk.records import (
    ChildStarted,
    CompensationFailed,
    CompensationSucceeded,
    EventReceived,
    RunBlocked,
    RunCancelRequested,
    RunFinished,
    RunPaused,
    RunResumed,
    RunRewound,
    RunStarted,
    StepFailed,
    StepSucceeded,
    TimerFired,
    TimerSet,
)

Case = Callable[[Any], Awaitable[None]]


@pytest.fixture
def play(lab: Any) -> Callable[[Case], None]:
    """Play a case in a fresh lab."""

    def run(case: Case) -> None:
        async def main() -> None:
            async with lab() as it:
                await case(it)

        asyncio.run(main())

    return run


def succeeded(step: str) -> Callable[[object], bool]:
    return lambda record: isinstance(record, StepSucceeded) and record.step == step


def of(kind: type[object]) -> Callable[[object], bool]:
    return lambda record: isinstance(record, kind)


async def two_steps(run: Run) -> Any:
    one = await run.request("one", "do.ok", {"word": "a"})
    two = await run.request("two", "do.ok", {"word": one["word"] + "b"})
    return two["word"]


def undone_by(step: str) -> Compensation:
    return Compensation(topic="do.ok", message={"undo": step})


async def fails_at_the_end(run: Run) -> None:
    for step in ("one", "two"):
        await run.request(step, "do.ok", {}, compensation=undone_by(step))
    await run.request("three", "do.fail", {})


def test_a_step_whose_result_is_journaled_answers_from_the_journal(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), succeeded("one"))
        assert lab.desk.asked == ["one"]
        view = await lab.resume(run_id)
        assert (view.status, view.result) == ("succeeded", "ab")
        assert lab.desk.asked == ["one", "two"]
        (resumed,) = await lab.records(run_id, RunResumed)
        assert resumed.owner

    play(case)


def test_a_step_that_was_answered_but_not_journaled_is_asked_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), succeeded("one"), after=False)
        view = await lab.resume(run_id)
        assert (view.status, view.result) == ("succeeded", "ab")
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
        view = await lab.resume(run_id)
        assert (view.status, view.result) == ("succeeded", "ab")
        assert await lab.journal.records(run_id) == before

    play(case)


def test_a_run_that_ended_while_it_was_looked_at_is_not_opened_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), of(RunFinished), after=False)
        engine = await lab.start()
        journal = engine._journal.inner
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
        view = await engine.resume(run_id)
        assert (view.status, view.result) == ("succeeded", "ab")
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
        for view in (await lab.resume(run_id), await lab.engine.execute(workflow, {})):
            assert view.status == "failed"
            assert view.error.code == "run.duplicate_step"
            assert "'same'" in view.error.message

    play(case)


async def other_topic(run: Run) -> None:
    await run.request("one", "do.fail", {})


async def missing_step(run: Run) -> str:
    return "nothing was asked"


async def other_step(run: Run) -> None:
    await run.request("eins", "do.ok", {})


@pytest.mark.parametrize(
    ("changed", "step"), [(other_topic, "one"), (missing_step, "one"), (other_step, "eins")]
)
def test_code_that_asks_for_other_steps_has_diverged_and_the_step_is_named(
    play: Any, changed: Any, step: str
) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), succeeded("one"))
        lab.script(changed)
        view = await lab.resume(run_id)
        assert view.status == "failed"
        assert (view.error.code, view.error.stage) == ("run.diverged", step)
        assert f"'{step}'" in view.error.message
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
        view = await lab.resume(run_id)
        assert view.result == ["a", "b", "c"]
        assert "b" in kept
        assert sorted(lab.desk.asked[len(before) :]) == sorted(set("abc") - set(kept))

    play(case)


def test_a_timer_waits_only_for_what_is_left(play: Any) -> None:
    async def code(run: Run) -> str:
        await run.sleep(3600)
        return "slept"

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), of(TimerSet))
        await lab.clock.advance(3000)
        async with lab.clock.auto():
            view = await lab.resume(run_id)
        assert view.result == "slept"
        assert lab.clock.monotonic() == pytest.approx(3600)
        assert len(await lab.records(run_id, TimerSet)) == 1

    play(case)


def test_a_timer_that_came_due_while_nobody_ran_fires_at_once_and_says_how_late(play: Any) -> None:
    async def code(run: Run) -> str:
        await run.sleep(60, name="nap")
        return "slept"

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), of(TimerSet))
        await lab.clock.advance(100)
        assert (await lab.resume(run_id)).result == "slept"
        (fired,) = await lab.records(run_id, TimerFired)
        assert (fired.name, fired.late_s) == ("nap", 40)

    play(case)


def test_a_retry_waits_only_for_what_is_left_and_counts_on(play: Any) -> None:
    async def code(run: Run) -> None:
        policy = Retry(max_attempts=3, initial_delay="1h", max_delay="2h", jitter=0)
        await run.request("one", "do.ok", {}, retry=policy)

    async def case(lab: Any) -> None:
        lab.desk.failures["one"] = 9
        run_id = await lab.crash(lab.script(code), of(StepFailed))
        await lab.clock.advance(600)
        async with lab.clock.auto():
            view = await lab.resume(run_id)
        assert (view.status, view.steps["one"].attempts) == ("failed", 3)
        assert lab.desk.times == [0, 3600, 3600 + 7200]

    play(case)


def test_an_event_that_came_while_nobody_ran_is_taken(play: Any) -> None:
    async def code(run: Run) -> Any:
        await run.request("one", "do.ok", {})
        return await run.wait_event("approved")

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), succeeded("one"))
        await lab.post(run_id, "event", "approved", {"by": "bob"})
        assert (await lab.resume(run_id)).result == {"by": "bob"}

    play(case)


def test_an_event_that_a_step_took_is_not_given_to_another_after_resuming(play: Any) -> None:
    async def code(run: Run) -> Any:
        return await run.gather(
            run.wait_event("go", step="slow"), run.wait_event("go", step="quick")
        )

    async def late(run: Run) -> Any:
        return await run.gather(run.wait_event("go", step="quick"))

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(late), of(RunStarted))
        await lab.post(run_id, "event", "go", 1)
        await lab.start(succeeded("quick"))
        await lab.dies(lab.engine.resume(run_id))
        lab.script(code)
        await lab.post(run_id, "event", "go", 2)
        assert (await lab.resume(run_id)).result == [2, 1]

    play(case)


def test_a_child_run_is_taken_up_with_its_parent_and_not_begun_again(play: Any) -> None:
    async def parent(run: Run) -> Any:
        await run.request("before", "do.ok", {})
        return await run.run_workflow("child", {})

    async def case(lab: Any) -> None:
        lab.script(two_steps, "child")
        run_id = await lab.crash(lab.script(parent), succeeded("one"))
        view = await lab.resume(run_id)
        assert view.result == "ab"
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
        await asyncio.wait_for(lab.desk.arrived.wait(), 5)
        above = asyncio.ensure_future(lab.engine.resume(run_id))
        await asyncio.sleep(0.01)
        lab.desk.gate.set()
        views = await asyncio.wait_for(asyncio.gather(below, above), 5)
        assert [view.result for view in views] == ["waited", "waited"]
        assert lab.desk.asked == ["one", "hold"]

    play(case)


def test_a_paused_run_rests_until_it_is_resumed(play: Any) -> None:
    async def code(run: Run) -> Any:
        await run.request("one", "do.wait", {})
        return (await run.request("two", "do.ok", {}))["done"]

    async def case(lab: Any) -> None:
        going = asyncio.ensure_future(lab.engine.execute(lab.script(code), {}))
        await asyncio.wait_for(lab.desk.arrived.wait(), 5)
        run_id = next(iter(lab.store.runs))
        await lab.post(run_id, "pause")
        await asyncio.sleep(0.01)
        lab.desk.gate.set()
        view = await asyncio.wait_for(going, 5)
        assert (view.status, view.rests, list(view.steps)) == ("paused", True, ["one"])
        assert await lab.journal.unfinished() == ()
        assert len(await lab.records(run_id, RunPaused)) == 1
        view = await lab.resume(run_id)  # the pause in its inbox has been dealt with
        assert (view.status, view.result) == ("succeeded", "two")
        assert lab.desk.asked == ["one", "two"]

    play(case)


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
        view = await lab.resume(run_id)
        assert (view.status, view.error.message) == ("cancelled", "cancelled by ada")
        assert lab.desk.asked == ["one", "one/compensation"]

    play(case)


def test_a_cancellation_whose_process_died_while_it_compensated_goes_on(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start(of(CompensationSucceeded))
        workflow = lab.script(waits_after_one, on_cancel="compensate")
        going = asyncio.ensure_future(lab.engine.execute(workflow, {}))
        await asyncio.wait_for(lab.desk.arrived.wait(), 5)
        run_id = next(iter(lab.store.runs))
        await lab.post(run_id, "cancel")
        await lab.dies(going)
        view = await lab.resume(run_id)
        assert (view.status, view.error.message) == ("cancelled", "cancelled by ada")
        assert lab.desk.asked == ["one", "two", "one/compensation"]

    play(case)


def test_a_run_that_was_cancelled_while_nobody_ran_is_cancelled_when_it_is_resumed(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        workflow = lab.script(fails_at_the_end, on_cancel="compensate")
        run_id = await lab.crash(workflow, succeeded("two"))
        await lab.post(run_id, "cancel")
        view = await lab.resume(run_id)
        assert view.status == "cancelled"
        assert lab.desk.asked == ["one", "two", "two/compensation", "one/compensation"]

    play(case)


def test_a_plugin_of_another_major_version_blocks_the_run_until_it_is_accepted(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(two_steps), succeeded("one"))
        lab.versions = {"desk": "2.0.0"}
        view = await lab.resume(run_id)
        assert (view.status, view.error.code) == ("blocked", "run.blocked")
        assert "desk was 1.0.0 and is 2.0.0" in view.error.message
        assert lab.desk.asked == ["one"]
        (blocked,) = await lab.records(run_id, RunBlocked)
        assert blocked.plugins == {"desk": "2.0.0"}
        view = await lab.resume(run_id, versions="any", note="accepted by ada")
        assert (view.status, view.result) == ("succeeded", "ab")
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


@pytest.mark.parametrize("after", [False, True])
def test_a_compensation_that_was_killed_in_the_middle_goes_on(play: Any, after: bool) -> None:
    async def case(lab: Any) -> None:
        run_id = await lab.crash(
            lab.script(fails_at_the_end), of(CompensationSucceeded), after=after
        )
        view = await lab.resume(run_id)
        assert (view.status, view.error.code, view.error.stage) == (
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
        view = await lab.resume(run_id)
        assert view.status == "failed"
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
        view = await lab.resume(run_id)
        assert view.status == "compensated"
        assert lab.desk.asked[-2:] == ["slow/compensation", "quick/compensation"]

    play(case)


def test_a_run_that_is_over_time_when_it_is_taken_up_fails_and_is_compensated(play: Any) -> None:
    async def code(run: Run) -> None:
        await run.request("one", "do.ok", {}, compensation=undone_by("one"))
        await run.request("two", "do.wait", {})

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code, timeout="1h"), succeeded("one"))
        await lab.clock.advance(3601)
        view = await lab.resume(run_id)
        assert (view.status, view.error.code) == ("compensated", "run.timeout")
        assert lab.desk.asked[-1] == "one/compensation"

    play(case)


def test_a_received_event_is_recorded_once_however_often_the_inbox_is_read(play: Any) -> None:
    async def code(run: Run) -> Any:
        return [await run.wait_event("go", step=name) for name in ("first", "second")]

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), of(RunStarted))
        await lab.post(run_id, "event", "go", 1)
        await lab.start()
        going = asyncio.ensure_future(lab.engine.resume(run_id))
        await lab.until(lambda: lab.records(run_id, EventReceived))
        await lab.post(run_id, "event", "go", 2)
        assert (await asyncio.wait_for(going, 5)).result == [1, 2]
        assert len(await lab.records(run_id, EventReceived)) == 2

    play(case)


async def parent_of_child(run: Run) -> Any:
    return await run.run_workflow("child", {})


def test_a_child_that_its_parent_did_not_come_to_record_is_not_begun_twice(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.script(two_steps, "child")
        workflow = lab.script(parent_of_child)
        await lab.start(lambda record: isinstance(record, RunStarted) and record.parent is not None)
        await lab.dies(lab.engine.execute(workflow, {}))
        run_id, child = lab.store.runs
        assert await lab.records(run_id, ChildStarted) == []
        view = await lab.resume(run_id)
        assert view.result == "ab"
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
        await asyncio.wait_for(lab.desk.arrived.wait(), 5)
        run_id, below = lab.store.runs
        await lab.post(below, "pause")
        await asyncio.sleep(0.01)
        lab.desk.gate.set()
        view = await asyncio.wait_for(going, 5)
        assert view.status == "paused"
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


def test_the_time_to_wait_for_an_event_goes_on_while_nobody_runs(play: Any) -> None:
    async def code(run: Run) -> Any:
        return await run.wait_event("go", timeout=3600)

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), of(TimerSet))
        await lab.clock.advance(3000)
        async with lab.clock.auto():
            view = await lab.resume(run_id)
        assert (view.status, view.error.code) == ("failed", "run.event_timeout")
        assert lab.clock.monotonic() == pytest.approx(3600)

    play(case)


def test_an_event_that_is_waited_for_anew_has_its_whole_time_again(play: Any) -> None:
    async def code(run: Run) -> Any:
        return await run.wait_event("go", timeout=3600)

    async def case(lab: Any) -> None:
        async with lab.clock.auto():
            view = await lab.engine.execute(lab.script(code), {})
            assert (view.status, lab.clock.monotonic()) == ("failed", 3600)
            await lab.end()
            ownership = await lab.journal.claim(view.run_id)
            anew = RunRewound(run_id=view.run_id, at=lab.clock.now(), steps=["event go"])
            await lab.journal.append(ownership, [anew])
            await lab.journal.release(ownership)
            assert (await lab.resume(view.run_id)).status == "failed"
            assert lab.clock.monotonic() == 7200

    play(case)
