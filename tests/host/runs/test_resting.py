"""Runs without checkpoints that wait for long rest without a process, and are woken again."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.host.runs.machines import COUNTER

from qtforge_host.runs.recovery import RecoveryLoop
from qtforge_host.testing.mortal_journal import Crash
from qtforge_sdk import Record, Run
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.policies import Retry
from qtforge_sdk.records import (
    ChildStarted,
    EventReceived,
    RunFinished,
    RunWaiting,
    StepFailed,
    StepSucceeded,
    TimerFired,
)
from qtforge_sdk.testing import VirtualClock

AFTER_S = 0.05


class Wall(VirtualClock):
    """The seconds pass, however the time of day is set."""

    ahead = datetime.timedelta()

    def now(self) -> datetime.datetime:
        return super().now() + self.ahead


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.01)
    monkeypatch.setattr("qtforge_host.runs.active_runs._SWEEP_S", 0.01)


@contextlib.asynccontextmanager
async def serving(lab: Any, after_s: float = AFTER_S) -> AsyncIterator[None]:
    """Execute runs as ``serve`` does: those that wait rest."""
    lab.engine.active_runs.linger_s = after_s
    lab.engine.active_runs.rests_all = True
    loop = RecoveryLoop(lab.supervisor, lab.mortal, lab.clock)
    work = asyncio.ensure_future(loop.run())
    await loop.ready.wait()
    try:
        yield
    finally:
        work.cancel()
        await asyncio.wait({work})


async def is_free(lab: Any) -> bool:
    """Return whether no run executes in the process."""
    return bool(lab.engine.active_runs.count() == 0)


async def rests(lab: Any, *run_ids: str) -> None:
    """Wait until runs rest, and nothing of them is in memory."""
    for run_id in run_ids:
        await lab.has(run_id, "waiting")
    await lab.until(lambda: is_free(lab))


async def approval(run: Run) -> Any:
    before = await run.request("before", "do.ok", {})
    answer = await run.wait_event("yes")
    await run.request("after", "do.ok", {})
    return [before["done"], answer]


def test_a_run_that_waits_for_an_event_rests_and_continues_with_it(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        async with serving(lab):
            run_id = await lab.supervisor.start(lab.script(approval), {})
            await rests(lab, run_id)
            (waits,) = await lab.records(run_id, RunWaiting)
            assert (waits.until, waits.events, waits.children) == (None, ("yes",), ())
            (found,) = await lab.journal.runs(RunQuery(waiting_for="yes"))
            assert (found.run_id, found.owner_alive) == (run_id, False)
            await lab.post(run_id, "event", "yes", 7)
            await lab.has(run_id, "succeeded")
        (end,) = await lab.records(run_id, RunFinished)
        assert end.result == ["before", 7]
        assert lab.desk.asked == ["before", "after"]
        assert not await lab.records(run_id, StepFailed)

    play(case)


async def has_asked(lab: Any, step: str, times: int) -> bool:
    return bool(lab.desk.asked.count(step) == times)


async def fetch(run: Run) -> Any:
    delay = run.input["seconds"]
    policy = Retry(max_attempts=3, initial_delay=delay, backoff=1, max_delay=delay, jitter=0)
    return await run.request(run.input["step"], "do.ok", {}, retry=policy)


def test_a_run_rests_until_the_next_attempt_of_its_step(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        lab.desk.failures = {"short": 1, "long": 2}
        async with serving(lab, 30.0):
            short = await lab.supervisor.start(lab.script(fetch), {"step": "short", "seconds": 29})
            long = await lab.supervisor.start(lab.script(fetch), {"step": "long", "seconds": 3600})
            await lab.has(long, "waiting")
            (waits,) = await lab.records(long, RunWaiting)
            (failed,) = await lab.records(long, StepFailed)
            assert waits.until == failed.next_at == lab.clock.now() + datetime.timedelta(hours=1)
            assert await lab.status(short) == "running"
            await lab.clock.advance(30)
            await lab.has(short, "succeeded")
            assert not await lab.records(short, RunWaiting)
            await lab.clock.advance(3600)
            await lab.until(lambda: has_asked(lab, "long", 2))
            await lab.has(long, "waiting")
            await lab.clock.advance(3600)
            await lab.has(long, "succeeded")
        assert [each.attempt for each in await lab.records(long, StepFailed)] == [1, 2]

    play(case)


def test_a_long_sleep_rests_and_a_short_one_does_not(play: Any) -> None:
    async def sleeper(run: Run) -> Any:
        await run.sleep(run.input["seconds"])
        return "slept"

    async def case(lab: Any) -> None:
        await lab.start()
        async with serving(lab, 30.0):
            short = await lab.supervisor.start(lab.script(sleeper), {"seconds": 29})
            long = await lab.supervisor.start(lab.script(sleeper), {"seconds": 3600})
            await lab.has(long, "waiting")
            assert await lab.status(short) == "running"
            (waits,) = await lab.records(long, RunWaiting)
            assert waits.until == lab.clock.now() + datetime.timedelta(hours=1)
            await lab.clock.advance(30)
            await lab.has(short, "succeeded")
            assert not await lab.records(short, RunWaiting)
            await lab.clock.advance(3600)
            await lab.has(long, "succeeded")
        assert len(await lab.records(long, TimerFired)) == 1

    play(case)


def test_a_run_rests_with_its_child_and_is_woken_by_its_end(play: Any) -> None:
    async def parent(run: Run) -> Any:
        return await run.run_workflow("child", {})

    async def grandparent(run: Run) -> Any:
        return await run.run_workflow("parent", {})

    async def case(lab: Any) -> None:
        await lab.start()
        lab.script(approval, "child")
        lab.script(parent, "parent")
        async with serving(lab):
            above = await lab.supervisor.start(lab.script(grandparent), {})
            await rests(lab, above)
            run_ids = list(lab.store.runs)
            assert {await lab.status(each) for each in run_ids} == {"waiting"}
            (waits,) = await lab.records(above, RunWaiting)
            assert waits.children == (run_ids[1],)
            await lab.post(run_ids[2], "event", "yes", 7)
            await lab.has(above, "succeeded")
        assert [await lab.status(each) for each in run_ids] == ["succeeded"] * 3
        (end,) = await lab.records(above, RunFinished)
        assert end.result == ["before", 7]
        assert lab.desk.asked == ["before", "after"]

    play(case)


def test_a_run_rests_while_its_child_is_a_machine_that_waits(play: Any) -> None:
    async def parent(run: Run) -> Any:
        await run.run_workflow("m", {})
        return "done"

    async def case(lab: Any) -> None:
        await lab.start()
        lab.machine(COUNTER)
        async with serving(lab):
            above = await lab.supervisor.start(lab.script(parent), {})
            await rests(lab, above)
            (begun,) = await lab.records(above, ChildStarted)
            await lab.post(begun.child_run_id, "event", "end")
            await lab.has(above, "succeeded")

    play(case)


def test_a_child_that_never_rests_sends_its_parent_nothing(play: Any) -> None:
    async def child(run: Run) -> Any:
        return await run.request("one", "do.ok", {})

    async def parent(run: Run) -> Any:
        return await run.run_workflow("child", {})

    async def case(lab: Any) -> None:
        await lab.start()
        lab.script(child, "child")
        async with serving(lab):
            above = await lab.supervisor.start(lab.script(parent), {})
            await lab.has(above, "succeeded")
        assert not await lab.journal.inbox(above)
        assert not await lab.records(above, EventReceived)

    play(case)


def test_a_run_that_works_beside_a_wait_stays(play: Any) -> None:
    async def both(run: Run) -> Any:
        return await run.gather(run.wait_event("yes"), run.request("hold", "do.wait", {}))

    async def case(lab: Any) -> None:
        await lab.start()
        async with serving(lab):
            run_id = await lab.supervisor.start(lab.script(both), {})
            await asyncio.wait_for(lab.desk.pending.wait(), 60)
            await asyncio.sleep(4 * AFTER_S)
            assert await lab.status(run_id) == "running"
            assert lab.engine.active_runs.waiting() == 0
            lab.desk.gate.set()
            await rests(lab, run_id)
            await lab.post(run_id, "event", "yes", 1)
            await lab.has(run_id, "succeeded")
        assert lab.desk.asked == ["hold"]

    play(case)


def test_branches_that_wait_for_their_turn_do_not_keep_a_run_in_memory(play: Any) -> None:
    async def branch(run: Run, name: str) -> Any:
        await run.wait_event(name)
        return (await run.request(name, "do.ok", {}))["done"]

    async def turns(run: Run) -> Any:
        names = ("a", "b", "c")
        return await run.gather(*(branch(run, name) for name in names), concurrency=1)

    async def case(lab: Any) -> None:
        await lab.start()
        async with serving(lab):
            run_id = await lab.supervisor.start(lab.script(turns), {})
            for name in ("a", "b", "c"):
                await rests(lab, run_id)
                await lab.post(run_id, "event", name)
                await lab.until(lambda name=name: received(lab, run_id, name))
            await lab.has(run_id, "succeeded")
        assert sorted(lab.desk.asked) == ["a", "b", "c"]

    async def received(lab: Any, run_id: str, name: str) -> bool:
        return name in [each.name for each in await lab.records(run_id, EventReceived)]

    play(case)


@pytest.mark.parametrize("bound", ["gather", "event", "run"])
def test_a_run_that_rests_is_woken_by_what_bounds_its_wait(play: Any, bound: str) -> None:
    async def bounded(run: Run) -> Any:
        if bound == "gather":
            return await run.gather(run.wait_event("yes"), deadline=600)
        return await run.wait_event("yes", timeout=600 if bound == "event" else None)

    async def case(lab: Any) -> None:
        await lab.start()
        workflow = lab.script(bounded, timeout="10m" if bound == "run" else None)
        async with serving(lab):
            run_id = await lab.supervisor.start(workflow, {})
            await rests(lab, run_id)
            (waits,) = await lab.records(run_id, RunWaiting)
            assert waits.until == lab.clock.now() + datetime.timedelta(minutes=10)
            await lab.clock.advance(601)
            await lab.has(run_id, "failed")

    play(case)


@pytest.mark.parametrize("kind", ["cancel", "pause"])
def test_a_run_that_rests_can_be_cancelled_and_paused(play: Any, kind: str) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        async with serving(lab):
            run_id = await lab.supervisor.start(lab.script(approval), {})
            await rests(lab, run_id)
            await lab.post(run_id, kind)
            await lab.has(run_id, "cancelled" if kind == "cancel" else "paused")

    play(case)


def test_the_cancellation_of_a_run_that_rests_reaches_its_child(play: Any) -> None:
    async def parent(run: Run) -> Any:
        return await run.run_workflow("child", {})

    async def case(lab: Any) -> None:
        await lab.start()
        lab.script(approval, "child")
        async with serving(lab):
            above = await lab.supervisor.start(lab.script(parent), {})
            await rests(lab, above)
            await lab.post(above, "cancel")
            await lab.has(above, "cancelled")
            await lab.has(list(lab.store.runs)[1], "cancelled")

    play(case)


def test_a_parent_in_memory_that_is_cancelled_cancels_its_child_that_rests(play: Any) -> None:
    async def parent(run: Run) -> Any:
        return await run.gather(run.run_workflow("child", {}), run.request("hold", "do.wait", {}))

    async def case(lab: Any) -> None:
        await lab.start()
        lab.script(approval, "child")
        async with serving(lab):
            above = await lab.supervisor.start(lab.script(parent), {})
            await lab.until(lambda: begun(lab, above))
            below = list(lab.store.runs)[1]
            await lab.has(below, "waiting")
            await lab.post(above, "cancel")
            await lab.has(above, "cancelled")
            await lab.has(below, "cancelled")

    async def begun(lab: Any, above: str) -> bool:
        return bool(await lab.records(above, ChildStarted))

    play(case)


def test_an_event_that_a_run_does_not_wait_for_is_kept_and_the_run_rests_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        async with serving(lab):
            run_id = await lab.supervisor.start(lab.script(approval), {})
            await rests(lab, run_id)
            await lab.post(run_id, "event", "else")
            await lab.until(lambda: waited(lab, run_id, 2))
            assert len(await lab.records(run_id, EventReceived)) == 1
            await lab.post(run_id, "event", "yes", 7)
            await lab.has(run_id, "succeeded")

    async def waited(lab: Any, run_id: str, count: int) -> bool:
        return len(await lab.records(run_id, RunWaiting)) == count

    play(case)


@pytest.mark.parametrize("swallows", ["returns", "raises"])
def test_code_that_swallows_the_interruption_rests_all_the_same(play: Any, swallows: str) -> None:
    async def stubborn(run: Run) -> Any:
        try:
            return await run.wait_event("yes")
        except BaseException:  # noqa: BLE001 - what a plugin may do
            if swallows == "returns":
                return "nothing"
            raise ValueError("no") from None

    async def case(lab: Any) -> None:
        await lab.start()
        async with serving(lab):
            run_id = await lab.supervisor.start(lab.script(stubborn), {})
            await rests(lab, run_id)
            await lab.post(run_id, "event", "yes", 7)
            await lab.has(run_id, "succeeded")
        (end,) = await lab.records(run_id, RunFinished)
        assert end.result == 7

    play(case)


def test_a_run_that_a_user_waits_for_stays_in_memory(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        run_id = await lab.supervisor.start(lab.script(approval), {})
        await lab.until(lambda: awaits(lab, run_id))
        await asyncio.sleep(4 * AFTER_S)
        assert lab.engine.active_runs.waiting() == lab.engine.active_runs.count() == 1

    async def awaits(lab: Any, run_id: str) -> bool:
        return bool(lab.engine.active_runs.awaited_events(run_id))

    play(case)


def test_many_runs_that_rest_cost_no_task(play: Any) -> None:
    count = 250  # with a task for each, many more than the few that a process has

    async def case(lab: Any) -> None:
        await lab.start()
        async with serving(lab):
            before = len(asyncio.all_tasks())
            workflow = lab.script(approval)
            run_ids = [await lab.supervisor.start(workflow, {}) for _ in range(count)]
            await lab.until(lambda: is_free(lab))
            await lab.until(lambda: tasks_at_most(before + 5))
            assert {await lab.status(each) for each in run_ids} == {"waiting"}

    async def tasks_at_most(most: int) -> bool:
        return len(asyncio.all_tasks()) <= most

    play(case)


class Counting:
    """Dies at one of the writes of all runs."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def __call__(self, record: Record) -> bool:
        self.count += 1
        return self.count == self.at


async def family(lab: Any) -> str:
    """Play a parent that sleeps, and awaits a child that waits for an event; return its id."""

    async def parent(run: Run) -> Any:
        await run.sleep(3600)
        return await run.run_workflow("child", {})

    lab.script(approval, "child")
    return str(await lab.supervisor.start(lab.script(parent), {}))


async def play_family(lab: Any) -> None:
    """Do for the runs what comes from outside, until the parent has ended."""
    posted = False
    while True:
        run_ids = list(lab.store.runs)
        if run_ids and await lab.status(run_ids[0]) == "succeeded":
            return
        if len(run_ids) > 1 and not posted and await lab.status(run_ids[1]) == "waiting":
            await lab.post(run_ids[1], "event", "yes", 7, message_id="yes")
            posted = True
        elif len(run_ids) == 1 and await lab.status(run_ids[0]) == "waiting":
            lab.clock.ahead += datetime.timedelta(hours=2)
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("after", [False, True])
def test_a_family_that_rests_survives_a_kill_at_every_write(play: Any, after: bool) -> None:
    async def case(lab: Any) -> None:
        lab.clock = Wall()
        at, died = 1, True
        while died:
            lab.store.runs.clear()
            lab.desk.asked.clear()
            dies = Counting(at)
            await lab.start(dies, after=after)
            with contextlib.suppress(Crash):
                async with asyncio.timeout(60):
                    async with serving(lab):
                        await family(lab)
                        playing = asyncio.ensure_future(play_family(lab))
                        await lab.until(lambda playing=playing: ended(lab, playing))
                        playing.cancel()
            died = lab.mortal.dead
            if died and not lab.store.runs:
                at += 1
                continue  # nothing was begun
            await lab.start()
            async with asyncio.timeout(60), serving(lab):
                await play_family(lab)
            above, below = list(lab.store.runs)
            (end,) = await lab.records(above, RunFinished)
            assert end.result == ["before", 7]
            assert len(await lab.records(below, RunFinished)) == 1
            steps = [each.step for each in await lab.records(below, StepSucceeded)]
            assert sorted(steps) == ["after", "before", "event yes"]
            assert not await lab.journal.check()
            at += 1
        assert at > 20

    async def ended(lab: Any, playing: asyncio.Future[None]) -> bool:
        return bool(lab.mortal.dead) or playing.done()

    play(case)


def test_the_end_of_a_process_does_not_wait_for_a_parent_whose_child_waits(play: Any) -> None:
    async def parent(run: Run) -> Any:
        await run.run_workflow("m", {})

    async def above_it(run: Run) -> Any:
        await run.run_workflow("parent", {})

    async def case(lab: Any) -> None:
        lab.machine(COUNTER)
        lab.script(parent, "parent")
        for workflow in (lab.workflows["parent"], lab.script(above_it)):
            await lab.start()
            run_id = await lab.supervisor.start(workflow, {})
            await lab.until(lambda: machine_waits(lab))
            await asyncio.wait_for(lab.engine.close(3600), 60)
            assert await lab.status(run_id) == "running"
            lab.store.runs.clear()

    async def machine_waits(lab: Any) -> bool:
        return bool(lab.engine.active_runs.waiting() == 1)

    play(case)


def test_a_timer_of_a_run_that_rests_fires_in_time_although_the_clock_was_set_back(
    play: Any,
) -> None:
    async def sleeper(run: Run) -> Any:
        await run.sleep(600)

    async def case(lab: Any) -> None:
        lab.clock = Wall()
        await lab.start()
        async with serving(lab):
            run_id = await lab.supervisor.start(lab.script(sleeper), {})
            await rests(lab, run_id)
            lab.clock.ahead = datetime.timedelta(hours=-1)
            await asyncio.sleep(4 * AFTER_S)
            await lab.clock.advance(601)
            await lab.has(run_id, "succeeded")

    play(case)
