"""Runs that wait in the queue, and who executes them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from qtforge_host.plugin_code import Author
from qtforge_host.runs.recovery import RecoveryLoop
from qtforge_host.workflows.catalog import PythonOrchestrator
from qtforge_sdk import Run
from qtforge_sdk.records import QueueEntry, RunResumed, StepSucceeded
from qtforge_sdk.workflows import PythonWorkflow

WAIT_S = 60


@contextlib.asynccontextmanager
async def executing(lab: Any, **options: Any) -> AsyncIterator[None]:
    """Execute queued runs, as ``serve`` does."""
    loop = RecoveryLoop(lab.supervisor, lab.mortal, lab.clock, **options)
    work = asyncio.ensure_future(loop.run())
    await loop.ready.wait()
    try:
        yield
    finally:
        work.cancel()
        await asyncio.wait({work})


async def quick(run: Run) -> Any:
    return await run.request("one", "do.ok", {})


async def slow(run: Run) -> Any:
    return await run.request("one", "do.wait", {})


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.01)


def test_a_queued_run_is_executed_once_by_a_process_of_its_pool(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = lab.script(quick)
        here = await lab.engine.enqueue(workflow, {}, QueueEntry(pool="a"))
        there = await lab.engine.enqueue(workflow, {}, QueueEntry(pool="b"))
        assert await lab.status(here) == "queued"
        async with executing(lab, pools=("a", "c")):
            await lab.has(here, "succeeded")
            later = await lab.engine.enqueue(workflow, {}, QueueEntry(pool="c"))
            await lab.has(later, "succeeded")
        assert await lab.status(there) == "queued"
        assert len(await lab.records(here, StepSucceeded)) == 1
        (resumed,) = await lab.records(here, RunResumed)
        assert not resumed.died

    play(case)


def test_a_run_whose_process_dies_after_it_was_taken_is_taken_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start(lambda record: isinstance(record, RunResumed), after=False)
        run_id = await lab.engine.enqueue(lab.script(quick), {}, QueueEntry())
        loop = RecoveryLoop(lab.supervisor, lab.mortal, lab.clock)
        work = asyncio.ensure_future(loop.run())
        await lab.until(lambda: _died(lab))
        work.cancel()
        await asyncio.wait({work})
        assert await lab.status(run_id) == "queued"
        await lab.start()
        async with executing(lab):
            await lab.has(run_id, "succeeded")

    play(case)


async def _died(lab: Any) -> bool:
    return bool(lab.mortal.dead)


def test_no_more_runs_are_taken_than_there_is_room_for(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = lab.script(slow)
        priorities = {
            await lab.engine.enqueue(workflow, {}, QueueEntry(priority=each)): each
            for each in (0, 5, -5, 9)
        }

        async def statuses(*wanted: str) -> bool:
            found = [
                await lab.status(each)
                for each in sorted(priorities, key=priorities.__getitem__, reverse=True)
            ]
            return found == list(wanted)

        async with executing(lab, max_runs=2):
            await lab.until(lambda: statuses("running", "running", "queued", "queued"))
            await asyncio.sleep(0.05)
            assert await statuses("running", "running", "queued", "queued")
            lab.desk.gate.set()
            await lab.until(lambda: statuses(*["succeeded"] * 4))

    play(case)


def test_a_run_waits_for_its_time(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        soon = lab.clock.now() + datetime.timedelta(seconds=0.5)
        run_id = await lab.engine.enqueue(lab.script(quick), {}, QueueEntry(not_before=soon))
        async with executing(lab):
            await asyncio.sleep(0.05)
            assert await lab.status(run_id) == "queued"
            await lab.clock.advance(0.6)
            await lab.has(run_id, "succeeded")

    play(case)


def test_a_run_in_python_is_left_to_a_process_with_its_plugin(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        known = lab.script(quick)
        code = PythonWorkflow(definition=known.definition, function=quick)
        workflow = replace(known, orchestrator=PythonOrchestrator(code, Author("desk", "2.3.0")))
        lab.workflows["w"] = workflow
        lab.versions = {"desk": "2.3.0"}
        run_id = await lab.engine.enqueue(workflow, {}, QueueEntry())
        lab.versions = {"desk": "1.0.0"}
        async with executing(lab):
            await asyncio.sleep(0.05)
            assert await lab.status(run_id) == "queued"
            lab.versions = {"desk": "2.4.1"}
            await lab.has(run_id, "succeeded")

    play(case)


def test_a_run_whose_workflow_is_not_here_rests_and_hides_no_other(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        lost = await lab.engine.enqueue(lab.script(quick, "lost"), {}, QueueEntry(priority=9))
        workflow = lab.workflows.pop("lost")
        async with executing(lab):
            await lab.until(lambda: _refused(lab, lost))
            good = await lab.engine.enqueue(lab.script(quick), {}, QueueEntry())
            await lab.has(good, "succeeded")
            assert await lab.status(lost) == "queued"
            lab.workflows["lost"] = workflow
            lab.versions = {"desk": "1.0.1"}  # the plugins have changed: it is tried at once
            await lab.has(lost, "succeeded")

    play(case)


async def _refused(lab: Any, run_id: str) -> bool:
    return run_id in lab.supervisor.refused


def test_a_queued_run_is_cancelled_without_being_executed(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        run_id = await lab.engine.enqueue(lab.script(quick), {}, QueueEntry())
        await lab.post(run_id, "cancel")
        async with executing(lab):
            await lab.has(run_id, "cancelled")
        assert lab.desk.asked == []

    play(case)
