"""A decision is made once: a resumed run keeps it."""

from __future__ import annotations

from typing import Any

from qtforge_builtin_plugins.orchestrators.conditional import (
    ConditionalDefinition,
    ConditionalOrchestrator,
)
from qtforge_builtin_plugins.orchestrators.rules import Rule
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Run
from qtforge_sdk.records import ChildStarted, StepSucceeded


def routing(target: str) -> Workflow:
    definition = ConditionalDefinition(
        name="w", kind="conditional", rules=(Rule(name="all", condition="true", target=target),)
    )
    return Workflow(
        definition=definition, orchestrator=ConditionalOrchestrator(), source="test", text=""
    )


def after(step: str) -> Any:
    return lambda record: isinstance(record, StepSucceeded) and record.step == step


async def asks(run: Run) -> Any:
    await run.request("one", "do.ok", {})
    return await run.request("two", "do.ok", {})


def test_rules_that_changed_meanwhile_do_not_change_what_was_decided(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.script(asks, "first")
        lab.script(asks, "second")
        lab.workflows["w"] = routing("first")
        run_id = await lab.crash(lab.workflows["w"], after("routing_decision"))
        lab.workflows["w"] = routing("second")
        state = await lab.resume(run_id)
        assert state.status == "succeeded"
        assert state.steps["routing_decision"].data["target_pipeline"] == "first"
        (begun,) = await lab.records(run_id, ChildStarted)
        assert (await lab.journal.records(begun.child_run_id))[0].workflow == "first"

    play(case)


def test_the_pipeline_is_taken_up_where_it_was_with_the_run_that_started_it(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.script(asks, "first")
        lab.workflows["w"] = routing("first")
        run_id = await lab.crash(lab.workflows["w"], after("one"))
        state = await lab.resume(run_id)
        assert state.status == "succeeded"
        assert lab.desk.asked == ["one", "two"]
        assert len(lab.store.runs) == 2

    play(case)
