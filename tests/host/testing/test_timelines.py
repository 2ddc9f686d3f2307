"""A run's timeline, and the stored copies that tests compare it with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.testing import PluginTestHost, WorkflowKit
from qtforge_host.testing.timelines import Timelines
from qtforge_sdk import OperationError, Run, workflow
from qtforge_sdk.policies import Retry

BUSY = OperationError("greeting.busy", "busy", retryable=True)


@workflow("greet")
async def greet(run: Run, given: Mapping[str, Any]) -> Any:
    retry = Retry(max_attempts=3, initial_delay="1h", max_delay="8h", jitter=0.5)
    await run.request("make", "greeting.make", {"name": given["name"]}, retry=retry)
    await run.sleep("1d", name="tomorrow")
    return await run.run_workflow("store", {}, step="store")


@workflow("store")
async def store(run: Run) -> Any:
    return await run.wait_event("stored", timeout="2d")


def play(kit: WorkflowKit) -> str:
    kit.add(greet, store)
    kit.fake("greeting.make", BUSY, BUSY, {"text": "Hello"})
    run = kit.run("greet", {"name": "Ada"})
    kit.advance("90m")
    kit.runs[1].send("stored")
    assert run.status == "succeeded"
    return run.timeline


def test_a_timeline_is_the_stored_one_in_every_execution(
    workflows: WorkflowKit, tmp_path: Path
) -> None:
    timeline = play(workflows)
    assert timeline == workflows.snapshot("greet")
    with PluginTestHost(tmp_path) as host, WorkflowKit(host) as again:
        assert play(again) == timeline


def test_a_different_timeline_is_not_equal(workflows: WorkflowKit) -> None:
    workflows.add(greet, store)
    workflows.fake("greeting.make", BUSY, {"text": "Hello"})
    run = workflows.run("greet", {"name": "Ada"})
    stored = Timelines(Path(__file__).parent / "timelines")
    assert run.timeline != stored.find("greet")
    assert "attempt 2" in run.timeline


def test_a_timeline_is_written_when_asked_and_compared_from_then_on(tmp_path: Path) -> None:
    folder = tmp_path / "timelines"
    writing, comparing = Timelines(folder, update=True), Timelines(folder)
    with pytest.raises(FileNotFoundError, match="--update-timelines"):
        comparing.find("new")
    one, two = "one\n", "two\n"
    assert one == writing.find("new")
    assert one == comparing.find("new")
    assert two != comparing.find("new")
    assert two == writing.find("new")
    assert comparing.find("new") == "two\n"


@pytest.mark.parametrize("name", ["../up", "", "a/b", "name\n", ".hidden"])
def test_a_name_that_is_no_file_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a timeline"):
        Timelines(tmp_path).find(name)
