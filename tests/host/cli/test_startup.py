"""What a start imports: the less, the sooner it is there, and never a plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import qtforge_sdk

PLUGIN = "installed_plugin_that_is_never_imported"
HEAVY = {"asyncio", "cel", "email", "msgspec", "multiprocessing", "packaging", "pluggy", "rich",
         "sqlite3", "stevedore", "tomllib"}  # fmt: skip
NEEDED_BY_A_LISTING = {"email", "msgspec", "packaging"}
NEEDED_BY_RUNS = {"asyncio", "msgspec", "sqlite3"}
SELDOM_NEEDED = {"ctypes", "html", "http", "jsonpatch", "ssl", "statistics", "zoneinfo"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed plugin."""
    folder = tmp_path / "site"
    metadata = folder / "never_imported-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: never-imported\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(f"[qtforge.plugins]\nnever-imported = {PLUGIN}:P\n")
    (folder / f"{PLUGIN}.py").write_text("class P: ...\n")
    return folder


def imported(site: Path, environment: dict[str, str], *words: str) -> tuple[set[str], str]:
    """Return the modules that a command imported, and what it printed.

    What the interpreter imports before the command is left out: an editable install or a
    test runner's hook may need much.
    """
    env = {**environment, "PYTHONPATH": str(site)}
    before = _modules(env, "-c", "pass")[0]
    after, out = _modules(env, "-m", "qtforge_host.cli.main", *words)
    return after - before, out


def _modules(environment: dict[str, str], *words: str) -> tuple[set[str], str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        env=environment, capture_output=True, encoding="utf-8", timeout=120, check=True,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}, done.stdout


def tops(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def test_help_imports_click_and_the_command_line_alone(
    site: Path, environment: dict[str, str]
) -> None:
    modules, out = imported(site, environment, "--help")
    assert "plugins" in out
    assert "click" in modules
    assert not tops(modules) & {*HEAVY, "logging", "qtforge_sdk", "qtforge_builtin_plugins", PLUGIN}
    assert {name for name in modules if name.startswith("qtforge_host.")} <= {
        "qtforge_host.cli", "qtforge_host.cli.late_ssl", "qtforge_host.cli.main",
        "qtforge_host.cli.terminal",
    }  # fmt: skip


def test_listing_plugins_imports_no_plugin_and_nothing_that_runs_one(
    site: Path, environment: dict[str, str]
) -> None:
    modules, out = imported(site, environment, "plugins", "list")
    assert "never-imported" in out
    assert "qtforge_host.plugins.discovery" in modules
    assert not tops(modules) & {*HEAVY - NEEDED_BY_A_LISTING, "qtforge_builtin_plugins", PLUGIN}
    assert not modules & {
        "qtforge_host.app",
        "qtforge_host.plugins.loading",
        "qtforge_host.plugins.hooks",
    }


MACHINE = """\
name = "asks"
kind = "reactive"
initial = "open"

[states.open]

[states.closed]
final = true

[[transitions]]
name = "close"
from = "open"
to = "closed"
trigger = "close"
"""


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> str:
    """The id of a run that waits in the queue."""
    (tmp_path / "asks.toml").write_text(MACHINE)
    words = ("run", str(tmp_path / "asks.toml"), "--detach", "--json")
    return str(
        json.loads(_modules(environment, "-m", "qtforge_host.cli.main", *words)[1])["run_id"]
    )


@pytest.mark.parametrize("words", ["runs list", "runs show RUN"])
def test_what_shows_runs_imports_nothing_that_finds_checks_or_executes_something(
    words: str, run: str, site: Path, environment: dict[str, str]
) -> None:
    modules, out = imported(site, environment, *words.replace("RUN", run).split())
    assert run in out
    assert not tops(modules) & {*HEAVY - NEEDED_BY_RUNS, "qtforge_builtin_plugins", PLUGIN}
    assert not tops(modules) & {"hashlib", "shutil", *SELDOM_NEEDED}
    assert not modules & {
        "importlib.metadata",
        "qtforge_host.api.nodes",
        "qtforge_host.app",
        "qtforge_host.bus.message_bus",
        "qtforge_host.expressions",
        "qtforge_host.journal.inspection",
        "qtforge_host.journal.repairing",
        "qtforge_host.plugins.declarations",
        "qtforge_host.plugins.discovery",
        "qtforge_host.plugins.loading",
        "qtforge_host.plugins.resolution",
        "qtforge_host.runs.engine",
        "qtforge_host.workflows.definitions",
    }


def test_what_executes_a_run_imports_nothing_that_few_runs_need(
    run: str, site: Path, environment: dict[str, str]
) -> None:
    modules, _ = imported(site, environment, "send", run, "close")
    assert "qtforge_host.runs.engine" in modules
    assert not tops(modules) & {"cel", "rich", "multiprocessing", *SELDOM_NEEDED - {"json"}}


STAGE = """\
name = "answers"
kind = "sequential"

[[stages]]
name = "only"
operation = "started.answer"
message = {}
"""
OPERATION = """\
from typing import Any
from qtforge_sdk import Plugin, operation

class P(Plugin):
    @operation("started.answer")
    async def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        return {}
"""


def test_a_run_imports_what_compiles_expressions_where_it_has_one(
    site: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (site / f"{PLUGIN}.py").write_text(OPERATION)
    file = tmp_path / "answers.toml"
    compiler = {"cel", "qtforge_host.expressions.expression"}
    for condition, needed in ((None, set()), ("1 < 2", compiler)):
        when = "" if condition is None else f"when = {json.dumps(condition)}\n"
        file.write_text(STAGE + when)
        modules, out = imported(site, environment, "run", str(file))
        assert "succeeded" in out
        assert modules & compiler == needed
        assert not tops(modules) & {"multiprocessing", "rich", *SELDOM_NEEDED}


def test_the_plugin_would_be_noticed_if_something_imported_it(
    site: Path, environment: dict[str, str]
) -> None:
    env = {**environment, "PYTHONPATH": str(site)}
    assert PLUGIN in _modules(env, "-c", f"import {PLUGIN}")[0]


def test_an_error_of_the_sdk_is_imported_without_its_messages_or_pluggy() -> None:
    modules, _ = _modules(dict(os.environ), "-c", "import qtforge_sdk.errors")
    assert "qtforge_sdk.errors" in modules
    assert not tops(modules) & {"pluggy", "msgspec"}
    assert "qtforge_sdk.messages" not in modules


def test_every_name_and_module_of_the_sdk_is_there_when_it_is_asked_for() -> None:
    names = ", ".join(qtforge_sdk.__all__)
    code = (
        "import qtforge_sdk\n"
        "assert set(qtforge_sdk.__all__) <= set(dir(qtforge_sdk))\n"
        "assert qtforge_sdk.messages.Document is qtforge_sdk.Document\n"
        "from qtforge_sdk import *\n"
        f"assert None not in ({names})\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


def test_a_name_that_the_sdk_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'qtforge_sdk' has no attribute 'Nothing'"):
        qtforge_sdk.Nothing  # type: ignore[attr-defined]  # noqa: B018
