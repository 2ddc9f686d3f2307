"""Workflows that are done last: after a success, a failure or a cancellation, once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qtforge_host.runs.children import cancel_family
from qtforge_host.runs.reset import reset_run
from qtforge_host.testing import WorkflowKit
from qtforge_sdk import OperationError
from qtforge_sdk.records import RunPaused, StepSucceeded

LAST = """
[[finally]]
name = "tidy"
workflow = "tidying"
input = { why = "${run.status}" }
[[finally]]
name = "tell"
operation = "do.ok"
"""
CHILD = """name = "tidying"
kind = "sequential"
result = "${stages.two.data}"
[[stages]]
name = "one"
operation = "room.sweep"
message = { why = "${input.why}" }
[[stages]]
name = "two"
operation = "room.sweep"
message = { why = "${input.why}" }
"""
STAGES = {
    "succeeded": "",
    "failed": '[[stages]]\nname = "bad"\noperation = "do.fail"\n',
    "compensated": '[[stages]]\nname = "bad"\noperation = "do.fail"\n',
}
FIRST = '[[stages]]\nname = "first"\noperation = "do.ok"\n'
UNDONE = FIRST + 'compensation = { operation = "do.ok" }\n'


def definition(status: str, kind: str = "sequential") -> str:
    first = UNDONE if status == "compensated" else FIRST
    stages = first + STAGES[status]
    if kind == "graph":
        stages = stages.replace('name = "bad"', 'name = "bad"\nneeds = ["first"]')
    return f'name = "w"\nkind = "{kind}"\n{stages}{LAST}'


@pytest.mark.parametrize("kind", ["sequential", "graph"])
@pytest.mark.parametrize("status", list(STAGES))
def test_a_workflow_that_is_done_last_survives_a_crash_at_every_write(
    workflows: WorkflowKit, kind: str, status: str
) -> None:
    workflows.fake("do.ok", "done")
    workflows.fake("do.fail", OperationError("step.refused", "no", retryable=False))
    workflows.fake("room.sweep", lambda message: f"swept: {message['why']}")
    workflows.add(CHILD)
    workflows.add(definition(status, kind))
    found = workflows.run("w")
    assert found.status == status
    assert found.steps["finally/tidy"].data == f"swept: {status}"
    report = workflows.crash_at_every_write("w")
    assert report.status == status
    report.check()


def test_a_workflow_that_fails_last_is_a_warning(workflows: WorkflowKit) -> None:
    workflows.fake("do.ok", "done")
    workflows.fake("room.sweep", OperationError("room.locked", "no", retryable=False))
    workflows.add(CHILD)
    workflows.add(definition("succeeded"))
    report = workflows.crash_at_every_write("w")
    report.check()
    found = workflows.run("w")
    assert found.status == "succeeded"
    assert found.steps["finally/tidy"].status == "warning"
    assert found.steps["finally/tell"].status == "succeeded"


WAITING = FIRST + '[[stages]]\nname = "waits"\noperation = "do.wait"\ntimeout = "1h"\n'
PARENT = WAITING + LAST


async def waits_for_go(run: Any) -> str:
    told = await run.wait_event("go")
    return f"{run.input['why']}, {told['by']}"


async def child_of(lab: Any) -> str:
    """Return the id of the run that is done last, when it waits."""

    async def waits() -> bool:
        for each in lab.store.runs:
            found = await lab.journal.records(each)
            if found[0].workflow == "tidying":
                return True
        return False

    await lab.until(waits)
    (found,) = [
        each
        for each in lab.store.runs
        if (await lab.journal.records(each))[0].workflow == "tidying"
    ]
    return str(found)


async def concluding(lab: Any, *, cancelled: bool) -> tuple[str, str, asyncio.Task[Any]]:
    """Execute a run until the workflow waits that is done last; return both runs."""
    lab.script(waits_for_go, "tidying")
    going = asyncio.ensure_future(lab.engine.execute(lab.staged("graph", PARENT), {}))
    await asyncio.wait_for(lab.desk.pending.wait(), 60)
    run_id = next(iter(lab.store.runs))
    if cancelled:
        await lab.post(run_id, "cancel")
    else:
        lab.desk.gate.set()
    return run_id, await child_of(lab), going


@pytest.mark.parametrize(("cancelled", "status"), [(True, "cancelled"), (False, "succeeded")])
def test_a_run_waits_for_the_workflow_that_is_done_last(
    play: Any, cancelled: bool, status: str
) -> None:
    async def case(lab: Any) -> None:
        _, child, going = await concluding(lab, cancelled=cancelled)
        await lab.post(child, "event", "go", {"by": "ada"})
        state = await asyncio.wait_for(going, 60)
        assert state.status == status
        assert state.steps["finally/tidy"].data == f"{status}, ada"
        assert lab.desk.asked[-1] == "finally/tell"

    play(case)


def test_cancelling_that_workflow_ends_the_wait(play: Any) -> None:
    async def case(lab: Any) -> None:
        _, child, going = await concluding(lab, cancelled=True)
        await lab.post(child, "cancel")
        state = await asyncio.wait_for(going, 60)
        assert state.status == "cancelled"
        assert state.steps["finally/tidy"].status == "warning"
        assert state.steps["finally/tell"].status == "succeeded"

    play(case)


@pytest.mark.parametrize(("cancelled", "status"), [(True, "cancelled"), (False, "succeeded")])
def test_a_run_is_paused_with_the_workflow_that_is_done_last_and_resumed_with_it(
    play: Any, cancelled: bool, status: str
) -> None:
    async def case(lab: Any) -> None:
        run_id, child, going = await concluding(lab, cancelled=cancelled)
        await lab.post(child, "pause")
        state = await asyncio.wait_for(going, 60)
        assert state.status == "paused"
        assert await lab.records(run_id, RunPaused)
        await lab.post(child, "event", "go", {"by": "ada"})
        state = await lab.resume(run_id)
        assert state.status == status
        assert state.steps["finally/tidy"].data == f"{status}, ada"
        assert lab.desk.asked.count("finally/tell") == 1

    play(case)


def test_a_resumed_run_does_not_cancel_the_workflow_that_is_done_last(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, child, going = await concluding(lab, cancelled=True)
        await lab.end()
        going.cancel()
        await asyncio.wait([going])
        await lab.post(child, "event", "go", {"by": "ada"})
        state = await lab.resume(run_id)
        assert state.status == "cancelled"
        assert state.steps["finally/tidy"].data == "cancelled, ada"

    play(case)


def test_a_run_that_nobody_executes_is_not_cancelled_without_its_last_stages(play: Any) -> None:
    async def case(lab: Any) -> None:
        def dies(record: object) -> bool:
            return isinstance(record, StepSucceeded) and record.step == "first"

        lab.script(waits_for_go, "tidying")
        run_id = await lab.crash(lab.staged("graph", PARENT), dies)
        await lab.end()
        journal = lab.client()
        at = lab.clock.now()
        assert not await cancel_family(journal, run_id, by="ada", reason="", at=at)
        assert (await journal.summary(run_id)).finished_at is None

    play(case)


def test_a_retried_run_runs_that_workflow_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        async def tidying(run: Any) -> str:
            return str(run.input["why"])

        lab.script(tidying, "tidying")
        lab.desk.failures["first"] = 1
        workflow = lab.staged("sequential", FIRST + LAST)
        state = await lab.engine.execute(workflow, {})
        assert state.steps["finally/tidy"].data == "failed"
        await reset_run(lab.journal, state.run_id, at=lab.clock.now(), workflow=workflow)
        state = await lab.resume(state.run_id)
        assert state.steps["finally/tidy"].data == "succeeded"

    play(case)
