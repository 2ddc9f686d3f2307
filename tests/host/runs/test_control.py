"""What others ask of a run while it goes on: pause, cancel, amend, send it events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qtforge_sdk import Compensation, Run
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.policies import Retry
from qtforge_sdk.records import (
    CompensationSucceeded,
    EventReceived,
    RunCancelRequested,
    RunFinished,
    StepSucceeded,
)


async def begun(lab: Any, workflow: Any, given: Any = None) -> tuple[str, asyncio.Task[Any]]:
    """Execute a workflow until its handler `do.wait` has been asked."""
    going = asyncio.ensure_future(lab.engine.execute(workflow, given or {}))
    await asyncio.wait_for(lab.desk.pending.wait(), 60)
    return next(reversed(lab.store.runs)), going


async def seen(lab: Any, run_id: str) -> None:
    """Wait until the run has taken in what was sent before, by a mark sent behind it."""
    before = len(await lab.records(run_id, EventReceived))
    await lab.post(run_id, "event", "mark")

    async def there() -> bool:
        return len(await lab.records(run_id, EventReceived)) > before

    await lab.until(there)


def undone_by(step: str) -> Compensation:
    return Compensation(topic="do.ok", message={"undo": step})


async def waits(run: Run) -> Any:
    await run.request("one", "do.ok", {}, compensation=undone_by("one"))
    await run.request("two", "do.wait", {})
    return "done"


def test_a_cancellation_reaches_the_handler_and_ends_the_run(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await begun(lab, lab.script(waits))
        await lab.post(run_id, "cancel")
        state = await asyncio.wait_for(going, 60)
        assert (state.status, state.error.code) == ("cancelled", "run.cancelled")
        assert state.error.message == "cancelled by ada"
        assert state.steps["two"].status == "failed"
        assert lab.desk.asked == ["one", "two"]  # the definition says to stop, not to undo

    play(case)


def test_a_cancellation_compensates_where_the_definition_says_so(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await begun(lab, lab.script(waits, on_cancel="compensate"))
        await lab.post(run_id, "cancel")
        assert (await asyncio.wait_for(going, 60)).status == "cancelled"
        assert lab.desk.asked == ["one", "two", "one/compensation"]

    play(case)


def test_a_second_cancellation_does_not_interrupt_what_undoes(play: Any) -> None:
    async def code(run: Run) -> None:
        slow = Compensation(topic="do.wait", message={})
        await run.request("one", "do.ok", {}, compensation=slow)
        await run.sleep(3600)

    async def case(lab: Any) -> None:
        workflow = lab.script(code, on_cancel="compensate")
        going = asyncio.ensure_future(lab.engine.execute(workflow, {}))

        async def sleeps() -> bool:
            return bool(lab.clock.waiting)

        await lab.until(sleeps)
        run_id = next(iter(lab.store.runs))
        await lab.post(run_id, "cancel")
        await asyncio.wait_for(lab.desk.pending.wait(), 60)  # it is being undone
        await lab.post(run_id, "cancel")
        await seen(lab, run_id)
        lab.desk.gate.set()
        assert (await asyncio.wait_for(going, 60)).status == "cancelled"
        assert len(await lab.records(run_id, CompensationSucceeded)) == 1
        assert len(await lab.records(run_id, RunCancelRequested)) == 2

    play(case)


def test_a_caller_who_is_cancelled_cancels_the_run(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await begun(lab, lab.script(waits))
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(going, 60)
        (end,) = await lab.records(run_id, RunFinished)
        assert end.status == "cancelled"

    play(case)


def test_a_pause_takes_effect_after_the_step_in_hand(play: Any) -> None:
    async def code(run: Run) -> None:
        await waits(run)
        await run.request("three", "do.ok", {})

    async def case(lab: Any) -> None:
        run_id, going = await begun(lab, lab.script(code))
        await lab.post(run_id, "pause")
        await seen(lab, run_id)
        assert not going.done()  # the step in hand is not lost
        lab.desk.gate.set()
        state = await asyncio.wait_for(going, 60)
        assert (state.status, list(state.steps)) == ("paused", ["one", "two"])
        (summary,) = await lab.journal.runs(RunQuery())
        assert (summary.status, summary.owner_alive) == ("paused", False)

    play(case)


def test_a_pause_lets_every_parallel_step_come_to_its_end(play: Any) -> None:
    async def left(run: Run) -> None:
        await run.request("left", "do.wait", {})

    async def right(run: Run) -> None:
        await run.request("right", "do.wait", {})
        await run.request("after", "do.ok", {})

    async def code(run: Run) -> str:
        await run.gather(left(run), right(run))
        return "done"

    async def case(lab: Any) -> None:
        run_id, going = await begun(lab, lab.script(code))
        await lab.post(run_id, "pause")
        await seen(lab, run_id)
        lab.desk.gate.set()
        assert (await asyncio.wait_for(going, 60)).status == "paused"
        kept = {each.step for each in await lab.records(run_id, StepSucceeded)}
        assert kept == {"left", "right"}
        assert (await lab.resume(run_id)).result == "done"
        assert sorted(lab.desk.asked) == ["after", "left", "right"]

    play(case)


@pytest.mark.parametrize("waiting", ["sleep", "event"])
def test_a_run_that_waits_can_be_paused(play: Any, waiting: str) -> None:
    async def code(run: Run) -> str:
        if waiting == "sleep":
            await run.sleep(3600)
        else:
            await run.wait_event("go")
        return "done"

    async def case(lab: Any) -> None:
        going = asyncio.ensure_future(lab.engine.execute(lab.script(code), {}))
        await asyncio.sleep(0.01)
        run_id = next(iter(lab.store.runs))
        await lab.post(run_id, "pause")
        assert (await asyncio.wait_for(going, 60)).status == "paused"
        await lab.clock.advance(3600)
        await lab.post(run_id, "event", "go")
        assert (await lab.resume(run_id)).result == "done"

    play(case)


def test_a_run_can_be_paused_between_two_attempts_and_waits_for_what_is_left(play: Any) -> None:
    async def code(run: Run) -> Any:
        policy = Retry(max_attempts=2, initial_delay="24h", max_delay="24h", jitter=0)
        return (await run.request("one", "do.ok", {}, retry=policy))["done"]

    async def case(lab: Any) -> None:
        lab.desk.failures["one"] = 1
        going = asyncio.ensure_future(lab.engine.execute(lab.script(code), {}))

        async def sleeps() -> bool:
            return bool(lab.clock.waiting)

        await lab.until(sleeps)
        run_id = next(iter(lab.store.runs))
        await lab.post(run_id, "event", "nothing")  # does not end the wait
        await lab.clock.advance(3600)
        await lab.post(run_id, "pause")
        assert (await asyncio.wait_for(going, 60)).status == "paused"
        await lab.clock.advance(3600)
        async with lab.clock.auto():
            state = await lab.resume(run_id)
        assert (state.result, state.steps["one"].attempts) == ("one", 2)
        assert lab.desk.times == [0, 24 * 3600]

    play(case)


def test_an_event_ends_the_wait_for_it_and_each_is_taken_once_in_order(play: Any) -> None:
    async def code(run: Run) -> list[Any]:
        found = []
        for step in ("a", "b"):
            found.append(await run.wait_event("go", step=step))
        return found

    async def case(lab: Any) -> None:
        going = asyncio.ensure_future(lab.engine.execute(lab.script(code), {}))
        await asyncio.sleep(0.01)
        run_id = next(iter(lab.store.runs))
        await lab.post(run_id, "event", "other", 0)
        for data in (1, 2):
            await lab.post(run_id, "event", "go", data)
        assert (await asyncio.wait_for(going, 60)).result == [1, 2]

    play(case)


def test_an_event_that_does_not_come_in_time_fails_the_step(play: Any) -> None:
    async def code(run: Run) -> Any:
        return await run.wait_event("go", timeout=24 * 3600)

    async def case(lab: Any) -> None:
        async with lab.clock.auto():
            state = await asyncio.wait_for(lab.engine.execute(lab.script(code), {}), 60)
        assert lab.clock.monotonic() == 24 * 3600
        assert (state.status, state.error.code, state.error.stage) == (
            "failed", "run.event_timeout", "event go",
        )  # fmt: skip

    play(case)


def test_a_message_to_a_run_that_has_just_ended_harms_no_other_run(play: Any) -> None:
    async def case(lab: Any) -> None:
        ended, going = await begun(lab, lab.script(waits))
        journal, posted = lab.engine.journal.inner, lab.engine.journal.inner.deliveries

        async def posted_late(after: str, limit: int = 1000) -> Any:
            found = await posted(after, limit)
            if any(
                each.run_id == ended for each in found.messages
            ):  # it ends while its inbox is read
                lab.desk.gate.set()
                await going
            return found

        journal.deliveries = posted_late
        await lab.post(ended, "event", "late")
        assert (await asyncio.wait_for(going, 60)).status == "succeeded"
        lab.desk.gate.clear()
        lab.desk.pending.clear()
        run_id, going_on = await begun(lab, lab.script(waits))
        await lab.post(run_id, "cancel")  # still heard
        assert (await asyncio.wait_for(going_on, 60)).status == "cancelled"

    play(case)


def test_a_message_that_came_while_the_run_was_being_made_is_heard(play: Any) -> None:
    async def code(run: Run) -> Any:
        return await run.wait_event("go")

    async def case(lab: Any) -> None:
        _, other = await begun(lab, lab.script(waits, "other"))  # so the inboxes are watched

        async def post(run_id: str) -> None:
            await lab.post(run_id, "event", "go", "early")
            await asyncio.sleep(0.01)  # the watch has seen it, and found nobody to tell

        work = lab.engine.execute(lab.script(code), {}, on_started=post)
        assert (await asyncio.wait_for(work, 60)).result == "early"
        lab.desk.gate.set()
        await asyncio.wait_for(other, 60)

    play(case)


def test_the_engine_ends_also_while_an_inbox_is_being_read(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await begun(lab, lab.script(waits))
        journal, reading = lab.engine.journal.inner, asyncio.Event()

        async def never(after: str, limit: int = 1000) -> Any:
            reading.set()
            await asyncio.sleep(3600)

        journal.deliveries = never
        await lab.post(run_id, "event", "go")
        await asyncio.wait_for(reading.wait(), 60)
        lab.desk.gate.set()
        await asyncio.wait_for(going, 60)
        await asyncio.wait_for(lab.engine.close(), 60)

    play(case)


def test_a_journal_that_can_not_be_written_neither_fails_a_step_nor_undoes_anything(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await begun(lab, lab.script(waits))
        journal = lab.engine.journal.inner
        append = journal.append

        async def full(ownership: Any, records: Any, posts: Any = ()) -> None:
            raise StateDirectoryError("/state", "the disk is full")

        journal.append = full
        lab.desk.gate.set()
        with pytest.raises(StateDirectoryError):
            await asyncio.wait_for(going, 60)
        journal.append = append
        assert lab.desk.asked == ["one", "two"]
        assert (await lab.resume(run_id)).result == "done"

    play(case)


async def waits_and_more(run: Run) -> Any:
    await waits(run)
    await run.request("three", "do.ok", {})


async def interrupted(lab: Any, workflow: Any) -> str:
    def dies(record: object) -> bool:
        return isinstance(record, StepSucceeded) and record.step == "one"

    lab.desk.gate.set()
    run_id: str = await lab.crash(workflow, dies)
    return run_id


def test_a_pause_that_the_dead_process_did_not_see_does_not_stop_a_resumed_run(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await interrupted(lab, lab.script(waits))
        await lab.post(run_id, "pause")
        assert (await lab.resume(run_id)).status == "succeeded"

    play(case)


def test_a_pause_after_the_resuming_stops_the_run_all_the_same(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await interrupted(lab, lab.script(waits_and_more))
        await lab.post(run_id, "pause")
        lab.desk.gate.clear()
        lab.desk.pending.clear()
        await lab.start()
        going = asyncio.ensure_future(lab.engine.resume(run_id))
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        await lab.post(run_id, "pause")
        await seen(lab, run_id)
        lab.desk.gate.set()
        assert (await asyncio.wait_for(going, 60)).status == "paused"

    play(case)


def test_a_cancellation_that_the_dead_process_did_not_see_ends_a_resumed_run(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await interrupted(lab, lab.script(waits))
        await lab.post(run_id, "pause")
        await lab.post(run_id, "cancel")
        assert (await lab.resume(run_id)).status == "cancelled"

    play(case)
