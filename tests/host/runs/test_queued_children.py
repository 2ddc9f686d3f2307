"""Children that wait in the queue for a process that may execute them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from qtforge_host.runs.recovery import RecoveryLoop
from qtforge_host.testing.mortal_journal import Crash
from qtforge_sdk import Record, Run
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.records import (
    ChildStarted,
    QueueEntry,
    RunFinished,
    RunStarted,
    RunWaiting,
    StepFailed,
    StepSucceeded,
)

AFTER_S = 0.05


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.01)
    monkeypatch.setattr("qtforge_host.runs.active_runs._SWEEP_S", 0.01)
    monkeypatch.setattr("qtforge_host.runs.run._POLL_CHILD_S", 0.01)


@contextlib.asynccontextmanager
async def serving(lab: Any, *pools: str) -> AsyncIterator[None]:
    """Execute runs as ``serve --pool`` does."""
    lab.engine.active_runs.linger_s = AFTER_S
    lab.engine.active_runs.rests_all = True
    loop = RecoveryLoop(lab.supervisor, lab.mortal, lab.clock, pools=pools or ("default",))
    work = asyncio.ensure_future(loop.run())
    await loop.ready.wait()
    try:
        yield
    finally:
        work.cancel()
        await asyncio.wait({work})


async def one_step(run: Run) -> Any:
    return (await run.request("one", "do.ok", {}))["done"]


async def parent(run: Run) -> Any:
    before = await run.request("before", "do.ok", {})
    answer = await run.run_workflow("child", {}, pool="gpu", priority=3)
    return [before["done"], answer]


def test_a_child_of_a_pool_waits_for_a_process_of_it_and_its_parent_rests(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        lab.script(one_step, "child")
        async with serving(lab):
            above = await lab.supervisor.start(lab.script(parent), {})
            await lab.has(above, "waiting")
            (begun,) = await lab.records(above, ChildStarted)
            (found,) = await lab.journal.runs(RunQuery(parent=above))
            assert (found.run_id, found.status) == (begun.child_run_id, "queued")
            assert (found.pool, found.priority) == ("gpu", 3)
        async with serving(lab, "default", "gpu"):
            await lab.has(above, "succeeded")
        (end,) = await lab.records(above, RunFinished)
        assert end.result == ["before", "one"]
        assert lab.desk.asked == ["before", "one"]

    play(case)


def test_a_child_whose_plugins_are_missing_here_waits_for_a_process_that_has_them(
    play: Any,
) -> None:
    async def above_it(run: Run) -> Any:
        return await run.run_workflow("child", {})

    async def case(lab: Any) -> None:
        await lab.start()
        lab.script(one_step, "child", requires=("ocr",))
        async with serving(lab):
            above = await lab.supervisor.start(lab.script(above_it), {})
            await lab.has(above, "waiting")
            (found,) = await lab.journal.runs(RunQuery(parent=above))
            (first,) = await lab.records(found.run_id, RunStarted)
            assert first.queue == QueueEntry(needs={"ocr": "*"})
            assert found.status == "queued"
            lab.versions = {**lab.versions, "ocr": "2.0"}
            await lab.has(above, "succeeded")

    play(case)


def test_a_queued_run_is_not_begun_where_a_plugin_has_another_version(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = lab.script(one_step, requires=("ocr>=2",))
        lab.versions = {**lab.versions, "ocr": "1.0"}
        async with serving(lab):
            run_id = await lab.engine.enqueue(workflow, {}, QueueEntry(needs={"ocr": "1"}))
            await lab.until(lambda: refused(lab, run_id))
            assert await lab.status(run_id) == "queued"

    async def refused(lab: Any, run_id: str) -> bool:
        return run_id in lab.supervisor.refused

    play(case)


def test_a_started_child_of_a_pool_is_queued(play: Any) -> None:
    async def starter(run: Run) -> Any:
        await run.start_workflow("child", {}, step="begin", event="ended", pool="gpu")
        return (await run.wait_event("ended"))["result"]

    async def case(lab: Any) -> None:
        await lab.start()
        lab.script(one_step, "child")
        async with serving(lab):
            above = await lab.supervisor.start(lab.script(starter), {})
            await lab.has(above, "waiting")
        async with serving(lab, "default", "gpu"):
            await lab.has(above, "succeeded")
        (end,) = await lab.records(above, RunFinished)
        assert end.result == "one"

    play(case)


def test_a_command_that_stays_waits_for_a_queued_child_that_another_process_executes(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        lab.script(one_step, "child")
        other = await lab.beside()
        loop = RecoveryLoop(other, other.engine.journal, lab.clock, pools=("gpu",))
        going = asyncio.ensure_future(lab.engine.execute(lab.script(parent), {}))
        work = asyncio.ensure_future(loop.run())
        state = await asyncio.wait_for(going, 60)
        work.cancel()
        await asyncio.wait({work})
        assert state.result == ["before", "one"]
        assert not await lab.records(state.run_id, RunWaiting)

    play(case)


def test_a_queued_child_is_cancelled_with_its_parent(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        lab.script(one_step, "child")
        async with serving(lab):
            above = await lab.supervisor.start(lab.script(parent), {})
            await lab.has(above, "waiting")
            (found,) = await lab.journal.runs(RunQuery(parent=above))
            await lab.post(above, "cancel")
            await lab.has(above, "cancelled")
            await lab.has(found.run_id, "cancelled")
        assert lab.desk.asked == ["before"]

    play(case)


def test_a_pool_that_is_no_name_fails_the_step(play: Any) -> None:
    async def wrong(run: Run) -> Any:
        return await run.run_workflow("child", {}, pool="../x")

    async def case(lab: Any) -> None:
        await lab.start()
        lab.script(one_step, "child")
        state = await lab.engine.execute(lab.script(wrong), {})
        assert state.status == "failed"
        (failed,) = await lab.records(state.run_id, StepFailed)
        assert failed.error.code == "run.pool_invalid"

    play(case)


class Counting:
    """Dies at one of the writes of all runs."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def __call__(self, record: Record) -> bool:
        self.count += 1
        return self.count == self.at


@pytest.mark.parametrize("after", [False, True])
def test_a_queued_child_and_its_parent_survive_a_kill_at_every_write(
    play: Any, after: bool
) -> None:
    async def case(lab: Any) -> None:
        at, died = 1, True
        while died:
            lab.store.runs.clear()
            dies = Counting(at)
            at += 1
            await lab.start(dies, after=after)
            lab.script(one_step, "child")
            with contextlib.suppress(Crash):
                async with serving(lab, "default", "gpu"):
                    await lab.supervisor.start(lab.script(parent), {})
                    await lab.until(lambda: over(lab))
            died = lab.mortal.dead
            if not lab.store.runs:
                continue  # nothing was begun
            above = next(iter(lab.store.runs))
            await lab.start()
            async with serving(lab, "default", "gpu"):
                await lab.has(above, "succeeded")
            (end,) = await lab.records(above, RunFinished)
            assert end.result == ["before", "one"]
            _, below = list(lab.store.runs)
            assert len(await lab.records(below, RunFinished)) == 1
            assert len(await lab.records(below, StepSucceeded)) == 1
            assert not await lab.journal.check()
        assert at > 10

    async def over(lab: Any) -> bool:
        if lab.mortal.dead:
            return True
        found = list(lab.store.runs)
        return bool(found) and await lab.status(found[0]) == "succeeded"

    play(case)
