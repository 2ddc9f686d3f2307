"""Amendments of live parallel and conditional runs, also where the process dies at any write."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from qtforge_builtin_plugins.orchestrators.parallel import ParallelDefinition, ParallelOrchestrator
from qtforge_host.testing import WorkflowKit
from qtforge_host.testing.workflow_run import WorkflowRun
from qtforge_sdk import StepResult
from qtforge_sdk.messages import CollectRequest
from qtforge_sdk.runs import AmendingAnswer, Amendment

SOURCES = """name = "w"
kind = "parallel"
concurrency = 1
result = "${stages.a.data}"
[[sources]]
name = "a"
type = "first"
[[sources]]
name = "b"
type = "shelf"
endpoint = "wrong"
[[sources]]
name = "c"
type = "shelf"
endpoint = "not wanted"
"""


def amends(answer: Any, *patch: dict[str, Any]) -> AmendingAnswer:
    return AmendingAnswer(answer=answer, amendments=[Amendment(patch=list(patch), reason="r")])


def shelf(message: CollectRequest) -> Any:
    return [{"from": message.endpoint}]


def read(workflows: WorkflowKit) -> list[str]:
    return [call.message.endpoint for call in workflows.calls("shelf.read")]


def put(path: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


def add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def source(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "shelf", "endpoint": f"at {name}", **more}


CHANGED = [
    put("/sources/1/endpoint", "right"),
    {"op": "remove", "path": "/sources/2"},
    add("/sources/2", source("d")),
]


def refusals(found: WorkflowRun) -> list[str]:
    """Return the lines of a run's history about amendments that were refused."""
    return [
        line for line in str(found.timeline).splitlines() if "amend" in line and "refused" in line
    ]


def test_sources_that_wait_for_their_turn_are_changed_removed_and_added(
    workflows: WorkflowKit,
) -> None:
    workflows.fake("first.read", amends([{"x": 1}], *CHANGED))
    workflows.fake("shelf.read", shelf)
    workflows.add(SOURCES)
    found = workflows.run("w")
    assert found.status == "succeeded"
    assert set(found.steps) == {"a", "b", "d"}
    assert read(workflows) == ["right", "at d"]


def test_an_amended_parallel_run_survives_a_crash_at_every_write(workflows: WorkflowKit) -> None:
    workflows.fake("first.read", amends([{"x": 1}], *CHANGED))
    workflows.fake("shelf.read", shelf)
    workflows.add(SOURCES.replace('result = "${stages.a.data}"', 'deadline = "1h"'))
    report = workflows.crash_at_every_write("w")
    assert report.status == "succeeded"
    report.check()
    names = [each["source_name"] for each in report.result["source_results"]]
    assert names == ["a", "b", "d"]


def test_a_source_that_is_added_by_the_last_one_is_read_before_the_aggregation(
    workflows: WorkflowKit,
) -> None:
    lines = SOURCES.split("[[sources]]\n")[:2]
    text = "[[sources]]\n".join(lines).replace('result = "${stages.a.data}"', "quorum = 1")
    workflows.fake(
        "first.read", amends([{"x": 1}], add("/sources/1", source("d")), put("/quorum", 2))
    )
    workflows.fake("shelf.read", shelf)
    workflows.add(text)
    report = workflows.crash_at_every_write("w")
    report.check()
    assert [each["count"] for each in report.result["source_results"]] == [1, 1]


def test_sources_beside_the_amending_one_keep_what_they_began_with(workflows: WorkflowKit) -> None:
    began = asyncio.Event()

    async def slow(message: CollectRequest) -> Any:
        began.set()
        for _ in range(100):
            await asyncio.sleep(0)
        return shelf(message)

    async def first(_: Mapping[str, Any]) -> AmendingAnswer:
        await began.wait()
        return amends([{"x": 1}], put("/sources/1/endpoint", "right"))

    workflows.fake("first.read", first)
    workflows.fake("shelf.read", slow)
    workflows.add(SOURCES.replace("concurrency = 1", "concurrency = 2"))
    found = workflows.run("w")
    assert found.status == "succeeded"
    assert read(workflows) == ["wrong", "not wanted"]
    (refused,) = refusals(found)
    assert "the source 'b' has begun: it can't be changed or removed" in refused


def definition(**more: Any) -> ParallelDefinition:
    given = {"name": "w", "kind": "parallel", "sources": [source("a"), source("b")], **more}
    return msgspec.convert(given, ParallelDefinition)


@pytest.mark.parametrize(
    ("before", "after", "steps", "reasons"),
    [
        ({}, {"sources": [source("c")], "first": 1, "deadline": "1s"}, {}, []),
        ({}, {"sources": "${input.x}"}, {}, []),
        ({}, {"sources": [source("b"), source("a")]}, {"a": "succeeded"}, []),
        ({}, {"sources": [source("a"), source("c")]}, {"a": "succeeded"}, []),
        (
            {},
            {"sources": [source("a", endpoint="x")]},
            {"a": "running"},
            ["the source 'a' has begun: it can't be changed or removed"],
        ),
        (
            {},
            {"sources": [source("b")]},
            {"a": "failed"},
            ["the source 'a' has begun: it can't be changed or removed"],
        ),
        (
            {},
            {"sources": "${input.x}"},
            {"a": "succeeded"},
            ["a source has begun: the template of 'sources' can't be changed"],
        ),
        (
            {"first": 1},
            {"first": 1, "sources": [source("a"), source("b"), source("c")]},
            {"a": "running"},
            ["a source has begun: with 'first' the sources can't be changed"],
        ),
        (
            {},
            {"deadline": "1h", "first": 1, "concurrency": 4},
            {"a": "running"},
            [
                "a source has begun: 'concurrency' can't be changed",
                "a source has begun: 'deadline' can't be changed",
                "a source has begun: 'first' can't be changed",
            ],
        ),
        (
            {},
            {"sources": [source("a"), source("b"), source("c")]},
            {"a": "succeeded", "b": "warning"},
            ["all sources have been read: 'c' can't be added"],
        ),
        ({}, {"quorum": 2, "result": "x"}, {"a": "succeeded", "b": "warning"}, []),
        (
            {},
            {"quorum": 2, "aggregation": {"method": "union"}, "result": "x"},
            {"a": "succeeded", "b": "succeeded", "aggregate": "running"},
            [
                "'aggregate' has begun: 'quorum' can't be changed",
                "'aggregate' has begun: 'aggregation' can't be changed",
            ],
        ),
    ],
)
def test_what_has_begun_of_a_parallel_run_stays_as_it_is(
    before: dict[str, Any], after: dict[str, Any], steps: dict[str, Any], reasons: list[str]
) -> None:
    done = {name: StepResult(name=name, status=status) for name, status in steps.items()}
    found = ParallelOrchestrator().check_amendment(definition(**before), definition(**after), done)
    assert found == reasons


ROUTES = """name = "w"
kind = "conditional"
default = "left"
[names]
n = "${stages.look.data}"
[[stages]]
name = "look"
operation = "thing.look"
[[stages]]
name = "again"
operation = "thing.look_again"
message = { n = "${stages.look.data}" }
[[rules]]
name = "big"
condition = "n > 10"
target = "right"
"""
TARGET = """name = "NAME"
kind = "sequential"
result = "NAME"
[[stages]]
name = "go"
operation = "thing.go"
"""


@pytest.fixture
def routes(workflows: WorkflowKit) -> None:
    for name in ("left", "right"):
        workflows.add(TARGET.replace("NAME", name))
    workflows.fake("thing.go", "gone")
    workflows.fake("thing.look_again", "seen")
    workflows.add(ROUTES)


@pytest.mark.usefixtures("routes")
def test_an_amended_conditional_run_survives_a_crash_at_every_write(
    workflows: WorkflowKit,
) -> None:
    extra = {"name": "extra", "operation": "thing.go"}
    patch = [put("/rules/0/condition", "n > 1"), add("/stages/2", extra)]
    workflows.fake("thing.look", amends(5, *patch))
    report = workflows.crash_at_every_write("w")
    assert report.status == "succeeded"
    report.check()
    assert report.result["pipeline_execute"] == "right"
    assert report.result["extra"] == "gone"


@pytest.mark.usefixtures("routes")
@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ([put("/stages/0/operation", "thing.go")], "the stage 'look' has begun"),
        ([{"op": "remove", "path": "/stages/0"}], "the stage 'look' has begun"),
        ([put("/rules/0/condition", "m > 1")], "'m' is not known"),
        ([put("/rules/0/target", "rihgt")], "there is no workflow 'rihgt'"),
        ([put("/stages/1/message/n", "${stages.look.daat}")], "daat"),
    ],
)
def test_an_amendment_of_a_conditional_run_that_does_not_fit_is_refused(
    workflows: WorkflowKit, patch: list[dict[str, Any]], reason: str
) -> None:
    workflows.fake("thing.look", amends(5, *patch))
    found = workflows.run("w")
    assert (found.status, found.result["pipeline_execute"]) == ("succeeded", "left")
    (refused,) = refusals(found)
    assert reason in refused
