"""The sample plugins: with their own tests, and installed beside the host, used as a user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Installation

pytestmark = [pytest.mark.venv, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted(path.parent for path in (ROOT / "sample_plugins").glob("*/pyproject.toml"))
# A plugin author's, to copy.
REPOSITORIES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))


def distribution_name(source: Path) -> str:
    """Return the name in a distribution's metadata."""
    project = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["name"])


class Terminal:
    """``qtforge-host`` in the fresh environment, in a home of its own."""

    def __init__(self, installation: Installation) -> None:
        self._program = installation.bin / "qtforge-host"
        self.state = installation.folder / "state"
        self._environment = {
            "HOME": str(installation.folder),
            "PATH": os.environ["PATH"],
            "QTFORGE_STATE_DIR": str(self.state),
            "PYTHONUTF8": "1",
        }
        self._folder = installation.folder

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self._program), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=120,
            env=self._environment,
            cwd=self._folder,
        )

    def json(self, *words: str | Path) -> Any:
        done = self(*words, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def terminal(installation: Installation) -> Terminal:
    installation.install(*map(distribution_name, SAMPLES))
    return Terminal(installation)


@pytest.mark.parametrize("sample", [*SAMPLES, *REPOSITORIES], ids=lambda path: str(path.name))
def test_its_own_tests_pass_with_the_kit_and_no_other_plugin(
    sample: Path, new_installation: Any
) -> None:
    alone = new_installation(sample.name)
    copy = alone.copy(sample)
    alone.install("qtforge-host[testing]", f"{distribution_name(sample)}[test]")
    shutil.copytree(sample / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [str(alone.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=copy,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_samples_are_listed_and_what_lacks_its_extra_names_the_pip_line(
    terminal: Terminal,
) -> None:
    rows = {row["name"]: row for row in terminal.json("plugins", "list")["plugins"]}
    for name in ("audit-log", "folder-report", "subtitle-parser"):
        assert rows[name]["state"] == "ready", rows[name]
    parser = rows["document-parser"]
    assert (parser["state"], parser["code"]) == ("unmet", "plugin.missing_extra")
    assert parser["fix"] == "pip install 'qtforge-host[documents]'"


def test_a_workflow_that_lacks_its_plugins_says_how_to_get_them(terminal: Terminal) -> None:
    said = terminal("run", "document-processing", "a.md")
    assert (said.returncode, said.stdout) == (1, "")
    assert "document-parser >= 1.0.0: 'document-parser' is unmet" in said.stderr
    assert "fix: pip install 'qtforge-host[documents]'" in said.stderr


def test_a_format_is_added_to_a_topic_that_others_answer_too(
    terminal: Terminal, tmp_path: Path
) -> None:
    talk = tmp_path / "talk.srt"
    talk.write_text("1\n00:00:01,000 --> 00:00:02,500\nHello, subtitles\n\n")
    words = ("--set", f"document.name={talk.name}", "--set", f"document.path={talk}")
    answer = terminal.json("bus", "request", "document.parse", *words)["response"]
    assert answer["parsed_content"].strip() == "Hello, subtitles"
    assert answer["metadata"]["media_type"] == "application/x-subrip"
    other = terminal("bus", "request", "document.parse", "--set", "document.name=a.txt")
    assert other.returncode == 1
    assert "subtitle-parser accepts message.document.name" in other.stderr


def test_a_contributed_workflow_and_command_are_run(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("twelve bytes")
    run = terminal.json("run", "folder-report", "--set", f"path={tmp_path}")
    assert run["status"] == "succeeded"
    assert [stage["plugin"] for stage in run["stages"]] == ["folder-report", "folder-report"]
    said = terminal("folder-report", tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("1 file")
    missing = terminal("run", "folder-report", "--set", "path=/nonexistent", "--json")
    assert (missing.returncode, json.loads(missing.stdout)["error"]["code"]) == (
        1,
        "folder.not_found",
    )


def test_an_observer_writes_down_what_was_asked(terminal: Terminal, tmp_path: Path) -> None:
    assert terminal("run", "folder-report", "--set", f"path={tmp_path}").returncode == 0
    audit = terminal.state / "plugins" / "audit-log" / "audit.jsonl"
    entries = [json.loads(line) for line in audit.read_text().splitlines()]
    assert {"folder.scan", "report.write"} <= {entry["topic"] for entry in entries}


def test_a_workflow_of_the_open_workflow_specification_is_run(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "greet.yaml").write_text(
        "document: { dsl: '1.0.3', namespace: default, name: greet, version: '2.1.0' }\n"
        "do: [ { make: { set: { text: '${ \"Hello, \" + .name }' } } } ]\n"
    )
    config = tmp_path / "config.toml"
    config.write_text(f"[plugins.open-workflow.config]\nfolder = '{tmp_path}'\n")
    run = terminal.json("--config", config, "run", "greet", "--set", "name=Ada")
    assert (run["kind"], run["status"]) == ("open-workflow", "succeeded")
    assert run["result"] == {"text": "Hello, Ada"}
    (tmp_path / "greet.yaml").write_text("document: {}\ndo: [ { make: {} } ]\n")
    said = terminal("--config", config, "workflows", "validate", "greet")
    assert said.returncode != 0
    assert "source/do/0/make: it does nothing" in said.stdout + said.stderr


def test_a_built_in_plugin_moved_into_a_distribution_of_its_own_still_works(
    terminal: Terminal, installation: Installation, tmp_path: Path
) -> None:
    """A built-in uses nothing but the SDK and entry points."""
    source = (
        ROOT / "builtin_plugins" / "qtforge_builtin_plugins" / "orchestrators" / "sequential.py"
    ).read_text(encoding="utf-8")
    text = source.replace('kind: ClassVar[str] = "sequential"', 'kind: ClassVar[str] = "moved"')
    folder = installation.write_plugin("acme-orders", plugins={}, source=text)
    project = folder / "pyproject.toml"
    project.write_text(
        project.read_text()
        + '[project.entry-points."qtforge.orchestrators"]\n'
        + 'moved = "acme_orders:SequentialOrchestrator"\n'
    )
    installation.pip("install", "--quiet", "--no-deps", "--no-build-isolation", str(folder))
    workflow = tmp_path / "moved.toml"
    workflow.write_text(
        'name = "moved"\nkind = "moved"\n[[stages]]\nname = "scan"\noperation = "folder.scan"\n'
        f'message = {{ path = "{tmp_path}" }}\n'
    )
    run = terminal.json("run", workflow)
    assert (run["kind"], run["status"]) == ("moved", "succeeded")
