"""Waits when the clock is set back or forward: no wait gets longer, and none is missed."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qtforge_host.runs.waiting import Until
from qtforge_sdk import Run
from qtforge_sdk.errors import StageFailedError
from qtforge_sdk.policies import Retry
from qtforge_sdk.records import CheckpointSaved, StepFailed, TimerFired, TimerSet
from qtforge_sdk.testing import VirtualClock

WAIT_S = 100
DAY = datetime.timedelta(days=1)


class Wall(VirtualClock):
    """A clock whose time of day can be set; the seconds pass all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = datetime.timedelta()

    def now(self) -> datetime.datetime:
        return super().now() + self.ahead


async def sleeps(run: Run) -> None:
    await run.sleep(WAIT_S)


async def waits(run: Run) -> str:
    try:
        await run.wait_event("never", timeout=WAIT_S)
    except StageFailedError as error:
        return str(error)
    return ""


async def gathers(run: Run) -> None:
    step = run.request("stuck", "do.wait", {}, timeout=9 * WAIT_S, required=False)
    await run.gather(step, deadline=WAIT_S)


async def retries(run: Run) -> None:
    retry = Retry(max_attempts=2, initial_delay=WAIT_S, max_delay=WAIT_S, jitter=0)
    await run.request("flaky", "do.ok", {}, retry=retry)


async def is_late(run: Run) -> None:
    await run.request("stuck", "do.wait", {}, timeout=9 * WAIT_S)


WAITS: dict[str, tuple[Callable[[Run], Awaitable[Any]], type[Any]]] = {
    "a sleep": (sleeps, TimerSet),
    "the timeout of a wait": (waits, TimerSet),
    "the deadline of a gathering": (gathers, TimerSet),
    "the delay of a retry": (retries, StepFailed),
}
MACHINE = f"""
initial = "waits"
result = "done"
[states.waits]
timeout = {{ after = "{WAIT_S}s", event = "late" }}
[states.done]
final = true
[[transitions]]
name = "ends"
from = "waits"
to = "done"
trigger = "late"
"""
AT_NOON = """
initial = "waits"
result = "done"
[states.waits]
entry = ["noon"]
[states.done]
final = true
[[transitions]]
name = "ends"
from = "waits"
to = "done"
trigger = "late"
[actions.noon]
type = "timer"
at = "2026-01-01T12:00:00Z"
event = "late"
"""


async def set_clock(lab: Any) -> Wall:
    lab.clock = lab.desk.clock = Wall()
    lab.desk.failures["flaky"] = 1
    await lab.start()
    return lab.clock  # type: ignore[no-any-return]


def check_sound(state: Any, records: list[Any]) -> None:
    for each in records:
        for name in ("late_s", "duration_s"):
            assert getattr(each, name, 0.0) >= 0.0
    assert state.duration_s is None or state.duration_s >= 0.0


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("passed_s", [0, 60])
def test_a_wait_is_not_longer_when_the_clock_is_set_back_meanwhile(
    play: Any, wait: str, passed_s: int
) -> None:
    code, _ = WAITS[wait]

    async def case(lab: Any) -> None:
        clock = await set_clock(lab)
        running = asyncio.ensure_future(lab.engine.execute(lab.script(code), {}))
        await clock.advance(passed_s)
        clock.ahead = -DAY
        await clock.advance(WAIT_S - passed_s - 1)
        assert not running.done()
        await clock.advance(2)
        state = await asyncio.wait_for(running, 60)
        assert state.status == "succeeded", state.error
        check_sound(state, await lab.records(state.run_id, object))

    play(case)


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_takes_its_whole_time_at_most_when_the_clock_was_set_back_between_two_processes(
    play: Any, wait: str
) -> None:
    code, kind = WAITS[wait]

    async def case(lab: Any) -> None:
        clock = await set_clock(lab)
        run_id = await lab.crash(lab.script(code), lambda record: isinstance(record, kind))
        began_s = clock.monotonic()
        clock.ahead = -DAY
        async with clock.auto():
            state = await lab.resume(run_id)
        assert state.status == "succeeded", state.error
        assert clock.monotonic() - began_s <= WAIT_S + 1
        check_sound(state, await lab.records(run_id, object))

    play(case)


@pytest.mark.parametrize("wait", [each for each in WAITS if "retry" not in each])
def test_a_wait_ends_when_the_clock_is_set_past_its_end(
    play: Any, monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    monkeypatch.setattr("qtforge_host.runs.run.LOOK_S", 0.02)
    code, _ = WAITS[wait]

    async def case(lab: Any) -> None:
        clock = await set_clock(lab)
        running = asyncio.ensure_future(lab.engine.execute(lab.script(code), {}))
        await clock.advance(1)
        clock.ahead = DAY
        state = await asyncio.wait_for(running, 60)
        assert state.status == "succeeded", state.error
        assert clock.monotonic() == 1

    play(case)


def test_a_run_does_not_get_more_time_when_the_clock_is_set_back(play: Any) -> None:
    async def case(lab: Any) -> None:
        clock = await set_clock(lab)
        workflow = lab.script(is_late, timeout=WAIT_S)
        run_id = await lab.crash(workflow, lambda record: type(record).__name__ == "RunStarted")
        clock.ahead = -DAY
        async with clock.auto():
            state = await lab.resume(run_id)
        assert (state.status, state.error.code) == ("failed", "run.timeout")
        assert clock.monotonic() <= WAIT_S + 1

    play(case)


@pytest.mark.parametrize("lingers", [True, False], ids=["in memory", "at rest"])
def test_the_timer_of_a_machine_fires_although_the_clock_was_set_back(
    play: Any, monkeypatch: pytest.MonkeyPatch, lingers: bool
) -> None:
    monkeypatch.setattr("qtforge_host.runs.timers._POLL_S", 0.02)
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.02)

    async def case(lab: Any) -> None:
        clock = await set_clock(lab)
        lab.engine.active_runs.linger_s = 30.0 if lingers else 0.0
        async with lab.dispatching():
            run_id = await lab.supervisor.start(lab.machine(MACHINE), {})
            await lab.has(run_id, "waiting")
            await asyncio.sleep(0.05)  # until the recovery loop has looked
            clock.ahead = -DAY
            await asyncio.sleep(0.1)
            assert await lab.status(run_id) == "waiting"
            await clock.advance(WAIT_S + 1)
            await lab.has(run_id, "succeeded")
        fired = [each for each in await lab.records(run_id, CheckpointSaved) if each.late_s]
        assert all(each.late_s >= 0 for each in fired)

    play(case)


def test_a_timer_for_a_time_of_day_waits_for_that_time(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.timers._POLL_S", 0.02)
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.02)
    hour_s = 3600

    async def case(lab: Any) -> None:
        clock = await set_clock(lab)
        async with lab.dispatching():
            run_id = await lab.supervisor.start(lab.machine(AT_NOON), {})
            await lab.has(run_id, "waiting")
            await clock.advance(10 * hour_s)
            clock.ahead = datetime.timedelta(hours=-2)
            await clock.advance(3 * hour_s)
            await asyncio.sleep(0.1)
            assert await lab.status(run_id) == "waiting"
            await clock.advance(1 * hour_s)
            await lab.has(run_id, "succeeded")

    play(case)


def test_of_two_timers_the_one_that_was_set_after_the_clock_went_back_may_come_first() -> None:
    clock = Wall()
    before = Until(clock.now() + datetime.timedelta(seconds=50), 50, clock)
    clock.ahead = -DAY
    after = Until(clock.now() + datetime.timedelta(seconds=60), 60, clock)
    assert before.left_s < after.left_s
    assert after.due < before.due
    assert before.is_before_due
    assert not after.is_before_due


def test_a_timer_that_fired_before_the_clock_was_set_back_has_fired(play: Any) -> None:
    async def code(run: Run) -> str:
        await run.sleep(WAIT_S)
        await run.step("next", lambda: None)
        return "done"

    async def case(lab: Any) -> None:
        clock = await set_clock(lab)
        await lab.start(lambda record: isinstance(record, TimerFired))
        running = asyncio.ensure_future(lab.engine.execute(lab.script(code), {}))
        await clock.advance(WAIT_S)
        await lab.dies(running)
        began_s = clock.monotonic()
        clock.ahead = -DAY
        async with clock.auto():
            state = await lab.resume(next(iter(lab.store.runs)))
        assert (state.result, clock.monotonic()) == ("done", began_s)

    play(case)
