"""Graphs: what begins when, what a failure ends, and what is undone in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from qtforge_host.testing import WorkflowKit
from qtforge_sdk import OperationError, Plugin, operation
from qtforge_sdk.errors import WorkflowInvalidError

HEAD = 'name = "w"\nkind = "graph"\n'


def stage(name: str, *lines: str, operation: str = "step.do", more: str = "") -> str:
    written = f'message = {{ name = "{name}"{more} }}'
    return "\n".join(
        ["\n[[stages]]", f'name = "{name}"', f'operation = "{operation}"', written, *lines, ""]
    )


class Steps(Plugin):
    """Answers ``step.*``; ``done`` holds what was done, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failed = asyncio.Event()
        self.slow_began = asyncio.Event()
        self.now = 0
        self.most = 0

    @operation("step.do")
    async def do(self, message: Mapping[str, Any]) -> str:
        name = str(message["name"])
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        self.done.append(name)
        return name.upper()

    @operation("step.fail")
    async def fail(self, message: Mapping[str, Any]) -> None:
        self.done.append(f"fail {message['name']}")
        if message.get("beside_slow"):
            await self.slow_began.wait()
        self.failed.set()
        raise OperationError("step.refused", "it can't be done", retryable=False)

    @operation("step.slow")
    async def slow(self, message: Mapping[str, Any]) -> str:
        """End after what has begun beside it, and after a failure that is to come."""
        self.slow_began.set()
        if message.get("after_failure"):
            await self.failed.wait()
        for _ in range(200):
            await asyncio.sleep(0)
        self.done.append(f"slow {message['name']}")
        return "late"

    @operation("step.undo")
    async def undo(self, message: Mapping[str, Any]) -> None:
        self.done.append(f"undo {message['name']}")


def undone(name: str) -> str:
    return f'compensation = {{ operation = "step.undo", message = {{ name = "{name}" }} }}'


@pytest.fixture
def steps(workflows: WorkflowKit) -> Steps:
    made = Steps()
    workflows.add(made)
    return made


def problems(workflows: WorkflowKit, text: str) -> str:
    workflows.add(HEAD + text)
    with pytest.raises(WorkflowInvalidError) as caught:
        workflows.run("w")
    return str(caught.value)


def statuses(run: Any) -> dict[str, str]:
    return {name: step.status for name, step in run.steps.items()}


def test_a_stage_begins_when_all_that_it_needs_have_ended(
    workflows: WorkflowKit, steps: Steps
) -> None:
    text = (
        stage("last", 'needs = ["left", "right"]')
        + stage("left", 'needs = ["first"]')
        + stage("right", 'needs = ["first"]', operation="step.slow")
        + stage("first")
    )
    workflows.add(HEAD + text)
    run = workflows.run("w")
    assert run.status == "succeeded"
    assert steps.done == ["first", "left", "slow right", "last"]
    assert run.result == {"last": "LAST", "left": "LEFT", "right": "late", "first": "FIRST"}


def test_stages_that_need_nothing_run_at_once_within_the_bound(
    workflows: WorkflowKit, steps: Steps
) -> None:
    workflows.add(HEAD + "concurrency = 3\n" + "".join(stage(f"s{n}") for n in range(9)))
    assert workflows.run("w").status == "succeeded"
    assert steps.most == 3


def test_a_stage_sees_the_data_of_those_that_it_needs_indirectly(
    workflows: WorkflowKit, steps: Steps
) -> None:
    text = (
        stage("a")
        + stage("b", 'needs = ["a"]')
        + '[[stages]]\nname = "c"\nneeds = ["b"]\noperation = "step.do"\n'
        'message = { name = "${stages.a.data + stages.b.data}" }\n'
    )
    workflows.add(HEAD + 'result = "${stages.c.data}"\n' + text)
    assert workflows.run("w").result == "AB"


@pytest.mark.parametrize(("on_skipped", "status"), [("run", "succeeded"), ("skip", "skipped")])
def test_a_stage_after_a_skipped_one_runs_unless_it_says_otherwise(
    workflows: WorkflowKit, steps: Steps, on_skipped: str, status: str
) -> None:
    text = (
        stage("a", 'when = "false"')
        + stage("b", 'needs = ["a"]', f'on_skipped = "{on_skipped}"')
        + stage("c", 'needs = ["b"]', f'on_skipped = "{on_skipped}"')
    )
    workflows.add(HEAD + text)
    run = workflows.run("w")
    assert run.status == "succeeded"
    assert statuses(run) == {"a": "skipped", "b": status, "c": status}
    if on_skipped == "skip":
        assert run.steps["c"].warning == "'b' was skipped"


def test_a_stage_after_an_optional_one_that_failed_runs_without_its_data(
    workflows: WorkflowKit, steps: Steps
) -> None:
    text = (
        stage("a", "required = false", operation="step.fail")
        + stage("b", 'needs = ["a"]', 'when = "stages.a.data == null"')
        + stage("c", 'needs = ["a"]', 'on_skipped = "skip"')
    )
    workflows.add(HEAD + text)
    run = workflows.run("w")
    assert run.status == "succeeded"
    assert statuses(run) == {"a": "warning", "b": "succeeded", "c": "skipped"}


NEEDS_FIRST = 'needs = ["first"]'
FAILS = (
    stage("first", undone("first"))
    + stage("bad", NEEDS_FIRST, operation="step.fail", more=", beside_slow = true")
    + stage(
        "slow", NEEDS_FIRST, undone("slow"), operation="step.slow", more=", after_failure = true"
    )
    + stage("after_slow", 'needs = ["slow"]', undone("after_slow"))
    + stage("after_bad", 'needs = ["bad"]')
)


def test_after_a_failure_what_runs_ends_and_nothing_new_begins(
    workflows: WorkflowKit, steps: Steps
) -> None:
    workflows.add(HEAD + FAILS)
    run = workflows.run("w")
    assert run.status == "compensated"
    assert run.error is not None
    assert (run.error.code, run.error.stage) == ("step.refused", "bad")
    assert steps.done == ["first", "fail bad", "slow slow", "undo slow", "undo first"]
    assert list(run.steps) == ["first", "bad", "slow"]


def test_with_continue_what_does_not_need_the_failed_stage_is_done(
    workflows: WorkflowKit, steps: Steps
) -> None:
    workflows.add(HEAD + 'on_failure = "continue"\n' + FAILS)
    run = workflows.run("w")
    assert run.status == "compensated"
    assert steps.done == [
        "first", "fail bad", "slow slow", "after_slow", "undo after_slow", "undo slow",
        "undo first",
    ]  # fmt: skip
    assert "after_bad" not in run.steps


def test_with_cancel_what_runs_is_cut_off(workflows: WorkflowKit, steps: Steps) -> None:
    workflows.add(HEAD + 'on_failure = "cancel"\n' + FAILS)
    run = workflows.run("w")
    # The slow stage may have been done, and its compensation does not say on_failure.
    assert (run.status, run.error and run.error.stage) == ("failed", "bad")
    assert run.steps["slow"].error is not None
    assert run.steps["slow"].error.code == "run.step_cut"
    assert steps.done == ["first", "fail bad", "undo first"]


def test_what_ended_last_is_undone_first(workflows: WorkflowKit, steps: Steps) -> None:
    text = (
        stage("slow", undone("slow"), operation="step.slow")
        + stage("quick", undone("quick"))
        + stage("end", 'needs = ["slow", "quick"]', operation="step.fail")
    )
    workflows.add(HEAD + text)
    assert workflows.run("w").status == "compensated"
    assert steps.done[-2:] == ["undo slow", "undo quick"]


def test_validation_finds_cycles_unknown_names_and_what_is_out_of_reach(
    workflows: WorkflowKit, steps: Steps
) -> None:
    circle = stage("a", 'needs = ["c"]') + stage("b", 'needs = ["a"]') + stage("c", 'needs = ["b"]')
    assert "stages[0].needs: the stages need each other: a -> c -> b -> a" in problems(
        workflows, circle
    )
    unknown = stage("parse") + stage("store", 'needs = ["prase"]')
    text = problems(workflows, unknown)
    assert "stages[1].needs[0]: there is no stage 'prase' (fix: did you mean 'parse'?)" in text
    unneeded = stage("parse") + stage("store", "when = \"stages.parse.data != ''\"")
    text = problems(workflows, unneeded)
    assert "'parse' may end later" in text
    assert 'add "parse" to needs' in text
    assert "a graph workflow has at least one stage" in problems(workflows, "stages = []")
    itself = stage("a", 'needs = ["a"]')
    assert "the stages need each other: a -> a" in problems(workflows, itself)


def test_every_cycle_is_found(workflows: WorkflowKit, steps: Steps) -> None:
    several = (
        stage("a", 'needs = ["b"]') + stage("b", 'needs = ["a", "b"]') + stage("c", 'needs = ["d"]')
        + stage("d", 'needs = ["c", "a"]') + stage("e", 'needs = ["e", "c"]')
    )  # fmt: skip
    text = problems(workflows, several)
    for cycle in ("a -> b -> a", "b -> b", "c -> d -> c", "e -> e"):
        assert f"the stages need each other: {cycle} " in text
    assert "stages[4].needs: the stages need each other: e -> e" in text


def test_a_long_chain_of_stages_runs_and_is_checked(workflows: WorkflowKit, steps: Steps) -> None:
    text = stage("s0") + "".join(stage(f"s{n}", f'needs = ["s{n - 1}"]') for n in range(1, 300))
    workflows.add(HEAD + text)
    assert workflows.run("w").status == "succeeded"
    assert steps.done == [f"s{n}" for n in range(300)]
