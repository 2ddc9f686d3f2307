"""What ``--debug`` shows of a workflow in Python that fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.forked_commands import run_command

PLUGIN = """
from qtforge_sdk import Plugin, hookimpl, workflow


def deep():
    raise ZeroDivisionError("a fault of the plugin")


@workflow("body")
async def of_body(run, given):
    deep()


@workflow("step")
async def of_step(run, given):
    async def fails():
        deep()

    await run.step("fails", fails)


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [of_body, of_step]
"""


@pytest.mark.parametrize("workflow", ["body", "step"])
@pytest.mark.parametrize("debug", [True, False])
def test_the_traceback_of_a_failed_workflow_is_shown_with_debug_alone(
    site: Any, environment: dict[str, str], tmp_path: Path, workflow: str, debug: bool
) -> None:
    site.plugin("faulty", "1.0.0", source=PLUGIN)
    words = [*(["--debug"] if debug else []), "run", workflow]
    env = {**environment, "PYTHONPATH": os.fspath(site.root)}
    done = run_command(words, timeout=60, env=env, cwd=tmp_path)
    assert done.returncode == 1
    assert "a fault of the plugin" in done.stdout
    assert ("Traceback" in done.stderr) is debug
    assert ("in deep" in done.stderr) is debug
    details = [line for line in done.stderr.splitlines() if line.startswith("DEBUG ")]
    assert [line for line in details if not line.startswith("DEBUG qtforge.")] == []
