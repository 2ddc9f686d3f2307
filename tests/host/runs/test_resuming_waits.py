"""Timers, retries and events go on while nobody runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from qtforge_sdk import Run
from qtforge_sdk.policies import Retry
from qtforge_sdk.records import (
    EventReceived,
    RunReset,
    RunStarted,
    StepFailed,
    StepSucceeded,
    TimerFired,
    TimerSet,
)


def succeeded(step: str) -> Callable[[object], bool]:
    return lambda record: isinstance(record, StepSucceeded) and record.step == step


def of(kind: type[object]) -> Callable[[object], bool]:
    return lambda record: isinstance(record, kind)


def test_a_timer_waits_only_for_what_is_left(play: Any) -> None:
    async def code(run: Run) -> str:
        await run.sleep(3600)
        return "slept"

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), of(TimerSet))
        await lab.clock.advance(3000)
        async with lab.clock.auto():
            state = await lab.resume(run_id)
        assert state.result == "slept"
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
            state = await lab.resume(run_id)
        assert (state.status, state.steps["one"].attempts) == ("failed", 3)
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
        assert (await asyncio.wait_for(going, 60)).result == [1, 2]
        assert len(await lab.records(run_id, EventReceived)) == 2

    play(case)


def test_the_time_to_wait_for_an_event_goes_on_while_nobody_runs(play: Any) -> None:
    async def code(run: Run) -> Any:
        return await run.wait_event("go", timeout=3600)

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), of(TimerSet))
        await lab.clock.advance(3000)
        async with lab.clock.auto():
            state = await lab.resume(run_id)
        assert (state.status, state.error.code) == ("failed", "run.event_timeout")
        assert lab.clock.monotonic() == pytest.approx(3600)

    play(case)


def test_an_event_that_is_waited_for_anew_has_its_whole_time_again(play: Any) -> None:
    async def code(run: Run) -> Any:
        return await run.wait_event("go", timeout=3600)

    async def case(lab: Any) -> None:
        async with lab.clock.auto():
            state = await lab.engine.execute(lab.script(code), {})
            assert (state.status, lab.clock.monotonic()) == ("failed", 3600)
            await lab.end()
            ownership = await lab.journal.claim(state.run_id)
            anew = RunReset(run_id=state.run_id, at=lab.clock.now(), steps=["event go"])
            await lab.journal.append(ownership, [anew])
            await lab.journal.release(ownership)
            assert (await lab.resume(state.run_id)).status == "failed"
            assert lab.clock.monotonic() == 7200

    play(case)
