"""What a shell completes, without importing a plugin, and silently where it can't."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CODE = """
from qtforge_sdk import hookimpl, workflow

@workflow("order")
async def order(run, given):
    await run.wait_event("paid")

class Example:
    @hookimpl
    def qtforge_workflows(self):
        return [order]
"""
Complete = Callable[..., list[str]]
WORKFLOW = """
name = "mine"
kind = "sequential"
[[stages]]
name = "only"
operation = "audit.list"
when = "false"
"""


@pytest.fixture
def complete(cli: Any) -> Complete:
    """Return what bash is offered for the last word of a line."""

    def offered(line: str, **variables: str) -> list[str]:
        words = line.split(" ")
        said = cli(
            _QTFORGE_HOST_COMPLETE="bash_complete",
            COMP_WORDS=line,
            COMP_CWORD=str(len(words) - 1),
            **variables,
        )
        assert (said.code, said.err) == (0, "")
        return [each.partition(",")[2] for each in said.out.splitlines() if each]

    return offered


@pytest.fixture
def folder(home: Path) -> Path:
    """The folder of the configuration, with a workflow and a schedule."""
    found = home / ".config" / "qtforge"
    (found / "workflows").mkdir(parents=True)
    (found / "workflows" / "mine.toml").write_text(WORKFLOW)
    (found / "workflows" / "broken.toml").write_text("name = ")
    (found / "config.toml").write_text('[schedules.nightly]\nworkflow = "mine"\ncron = "@daily"\n')
    return found


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("qtforge-host run mi", {"mine"}),
        ("qtforge-host run document-p", {"document-processing"}),
        ("qtforge-host workflows show mi", {"mine"}),
        ("qtforge-host workflows schema seq", {"sequential"}),
        ("qtforge-host plugins info http", {"http-collector"}),
        ("qtforge-host bus request document.p", {"document.parse"}),
        ("qtforge-host bus request a --plugin http", {"http-collector"}),
        ("qtforge-host runs list --workflow mi", {"mine"}),
        ("qtforge-host runs list --schedule n", {"nightly"}),
        ("qtforge-host schedules show n", {"nightly"}),
        ("qtforge-host stat", {"status"}),
        ("qtforge-host runs sh", {"show"}),
        ("qtforge-host runs list --workflow-v", {"--workflow-version"}),
        ("qtforge-host workflows new mi", set()),
    ],
)
def test_names_are_completed(complete: Complete, folder: Path, line: str, names: set[str]) -> None:
    assert set(complete(line)) == names


def test_runs_and_their_stages_are_completed(cli: Any, complete: Complete, folder: Path) -> None:
    assert cli("run", "mine").code == 0
    (run,) = [each["run_id"] for each in cli("runs", "list", "--json").json["runs"]]
    assert complete("qtforge-host runs show ") == ["last", run]
    assert complete(f"qtforge-host runs show {run[:9]}") == [run]
    assert complete("qtforge-host send l") == ["last"]
    assert complete(f"qtforge-host runs fork {run[:20]} --from ") == ["only"]
    assert complete("qtforge-host runs retry last --from o") == ["only"]
    assert complete("qtforge-host runs retry nothing --from o") == []


def test_workflows_in_python_their_events_and_pools_are_completed(
    cli: Any, site: Any, complete: Complete, home: Path
) -> None:
    site.plugin("shop", source=CODE)
    path = {"PYTHONPATH": str(site.root)}
    assert complete("qtforge-host run or", **path) == ["order"]
    (run,) = [cli("run", "order", "--detach", path=site.root).out.split()[-1]]
    assert complete("qtforge-host pools pause d", **path) == ["default"]
    assert complete("qtforge-host runs list --pool d", **path) == ["default"]
    assert complete(f"qtforge-host send {run} ", **path) == []  # it has not begun to wait
    assert complete("qtforge-host nodes show ", **path) == []


@pytest.mark.parametrize("word", ["runs show", "runs retry last --from", "plugins info", "run"])
def test_nothing_is_completed_and_nothing_said_where_the_state_is_broken(
    complete: Complete, folder: Path, tmp_path: Path, word: str
) -> None:
    (folder / "config.toml").write_text("[host\n")
    assert [each for each in complete(f"qtforge-host {word} ") if each] == []
    (folder / "config.toml").unlink()
    broken = tmp_path / "state"
    broken.write_text("no folder")
    found = complete(f"qtforge-host {word} ", QTFORGE_STATE_DIR=str(broken))
    assert found == [] or not word.startswith("runs")


def test_a_completion_reads_the_state_directory_that_is_typed(
    cli: Any, complete: Complete, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    assert cli("--state-dir", other, "run", "mine").code == 0
    assert complete("qtforge-host runs show ") == []
    assert len(complete(f"qtforge-host --state-dir {other} runs show ")) == 2


def test_a_completion_imports_no_plugin(environment: dict[str, str]) -> None:
    for line in ("run ", "bus request ", "plugins info ", "runs show ", "workflows schema "):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "qtforge_host.cli.main"],
            env={**environment, "_QTFORGE_HOST_COMPLETE": "bash_complete",
                 "_MAIN_COMPLETE": "bash_complete",
                 "COMP_WORDS": f"qtforge-host {line}", "COMP_CWORD": str(len(line.split(" ")))},
            capture_output=True, encoding="utf-8", timeout=120, check=True,
        )  # fmt: skip
        assert "qtforge_host.api.known_names" in done.stderr, line
        assert "qtforge_builtin_plugins" not in done.stderr, line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(cli: Any, shell: str) -> None:
    said = cli("completion", shell)
    assert said.code == 0
    assert "_QTFORGE_HOST_COMPLETE" in said.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=said.out, encoding="utf-8", check=True, timeout=60)
