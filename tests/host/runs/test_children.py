"""Runs that nobody executes are ended from their journal, with those that they started."""

from __future__ import annotations

from typing import Any

import pytest

from qtforge_host.runs.children import cancel_family
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Compensation, Run
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.journal_errors import RunOwnedError
from qtforge_sdk.records import CompensationStarted, RunFinished, StepSucceeded

TWO = """
[[stages]]
name = "one"
operation = "do.ok"
[[stages]]
name = "two"
operation = "do.wait"
"""


def stored(lab: Any, workflow: Workflow, name: str, text: str = TWO) -> Workflow:
    """Return a workflow whose definition its journal holds, unlike one in Python."""
    made: Workflow = lab.sequential(text)
    kept = Workflow(
        definition=made.definition,
        orchestrator=workflow.orchestrator,
        source=workflow.source,
        text=made.text,
    )
    lab.workflows[name] = kept
    return kept


def succeeded(record: object) -> bool:
    return isinstance(record, StepSucceeded)


async def parent(run: Run) -> Any:
    return await run.run_workflow("child", {})


async def cancel(lab: Any, run_id: str) -> bool:
    return await cancel_family(lab.journal, run_id, by="ada", reason="enough", at=lab.clock.now())


async def ends(lab: Any) -> list[tuple[str, str]]:
    found = [await lab.records(run_id, RunFinished) for run_id in lab.store.runs]
    return [(end.status, end.error.message) for each in found for end in each]


def test_a_run_is_ended_with_its_children_from_the_journal_alone(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.workflows["child"] = lab.sequential(TWO)
        run_id = await lab.crash(stored(lab, lab.script(parent), "w"), succeeded)
        await lab.end()
        assert await cancel(lab, run_id)
        assert await ends(lab) == [
            ("cancelled", "cancelled by ada"),
            ("cancelled", f"cancelled by its parent run {run_id}"),
        ]
        assert not any(each.owner_alive for each in await lab.journal.runs(RunQuery()))

    play(case)


def test_a_family_in_which_something_is_to_be_undone_is_left_to_a_process_with_plugins(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        lab.workflows["child"] = lab.sequential('on_cancel = "compensate"\n' + TWO)
        run_id = await lab.crash(stored(lab, lab.script(parent), "w"), succeeded)
        await lab.end()
        assert not await cancel(lab, run_id)
        assert await ends(lab) == []

    play(case)


def test_a_run_that_is_half_undone_is_not_ended_from_the_journal(play: Any) -> None:
    async def code(run: Run) -> None:
        undo = Compensation(topic="do.ok", message={})
        await run.request("one", "do.ok", {}, compensation=undo)
        await run.request("two", "do.fail", {})

    async def case(lab: Any) -> None:
        workflow = stored(lab, lab.script(code), "w")
        run_id = await lab.crash(workflow, lambda it: isinstance(it, CompensationStarted))
        await lab.end()
        assert not await cancel(lab, run_id)
        assert await ends(lab) == []

    play(case)


def test_a_run_that_a_live_process_executes_is_not_ended_behind_its_back(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.workflows["child"] = lab.sequential(TWO)
        run_id = await lab.crash(stored(lab, lab.script(parent), "w"), succeeded)
        await lab.start()
        child = list(lab.store.runs)[1]
        await lab.engine.journal.claim(run_id)
        with pytest.raises(RunOwnedError):
            await cancel(lab, run_id)
        await lab.engine.journal.release(await lab.engine.journal.claim(run_id))
        await lab.engine.journal.claim(child)  # somebody resumed the child alone
        assert await cancel(lab, run_id)
        assert [status for status, _ in await ends(lab)] == ["cancelled"]
        ((_, asked),) = await lab.journal.inbox(child)
        assert (asked.kind, asked.by) == ("cancel", f"its parent run {run_id}")

    play(case)
