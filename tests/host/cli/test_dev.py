"""``qtforge-host dev``: begin again when a file has changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.host.cli.conftest import Cli

from qtforge_host.api.authoring import plugins_with
from qtforge_host.cli import change_check
from qtforge_host.cli.change_check import ChangeCheck
from qtforge_host.reloading import Reloader, ReloadNotInstalledError, broken_files

pytest.importorskip("watchfiles", reason="the extra 'reload' is not installed")

DEFINITION = 'name = "brief"\nkind = "reactive"\nresult = "${{\'{}\'}}"\n[states.a]\nfinal = true\n'
END = 120.0


class Dev:
    """A process of ``dev``, whose lines are read one after the other."""

    def __init__(self, folder: Path, environment: dict[str, str], *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qtforge_host.cli.main", "dev", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
            env={**environment, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
        )  # fmt: skip

    def until(self, text: str) -> list[str]:
        """Read lines up to one that has a text; the test's time limit ends a wait in vain."""
        lines: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            lines.append(line.rstrip())
            if text in line:
                return lines
        pytest.fail(f"it ended without {text!r}: {lines}")

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(END)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def started(folder: Path, environment: dict[str, str]) -> Iterator[list[Dev]]:
    processes: list[Dev] = []
    yield processes
    for each in processes:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait(END)
        assert each.process.stdout is not None
        each.process.stdout.close()


def test_a_workflow_is_run_again_after_each_save(
    folder: Path, environment: dict[str, str], started: list[Dev]
) -> None:
    file = folder / "brief.toml"
    file.write_text(DEFINITION.format("first"))
    dev = Dev(folder, environment, "run", "brief.toml", "--json")
    started.append(dev)
    assert any('"first"' in line for line in dev.until("waiting for a change"))
    file.write_text(DEFINITION.format("second"))
    assert any('"second"' in line for line in dev.until("waiting for a change"))
    file.write_text("name = ")
    assert any("it is not TOML" in line for line in dev.until("waiting for a change"))
    assert dev.end(signal.SIGINT) == 0


def test_serve_begins_again_at_a_change_and_stays_up_where_a_file_is_broken(
    folder: Path, environment: dict[str, str], started: list[Dev]
) -> None:
    module = folder / "module.py"
    module.write_text("A = 1\n")
    dev = Dev(folder, environment, "--reload", "--port", "0", ".")
    started.append(dev)
    dev.until("listening on")
    module.write_text("A = \n")
    lines = dev.until("not restarted")
    assert any(f"{module}:1: it is not Python" in line for line in lines)
    module.write_text("A = 2\n")
    dev.until("module.py: starting again")
    dev.until("listening on")
    assert dev.end(signal.SIGTERM) == 0


FINDING = {"level": "error", "file": "", "line": None, "what": "it is wrong", "fix": ""}


class Answers:
    """Stands for commands of the host: each prints what it is given here, by its first word."""

    def __init__(self, **texts: Any) -> None:
        self._texts = texts

    def __call__(self, *words: str) -> list[str]:
        text = self._texts[words[0]]
        shown = text if isinstance(text, str) else json.dumps(text)
        return [sys.executable, "-S", "-c", f"print({shown!r})"]


@pytest.mark.parametrize(
    ("findings", "starts", "says"),
    [
        ([], True, "acme: checked: nothing found, 2 operations tried, 3 unfinished runs would con"),
        ([FINDING | {"code": "plugin.import_failed"}], False, "acme: checked: it could not be"),
        ([FINDING | {"code": "hook.failed"}], True, "acme: checked: 1 finding, 2 operations"),
        (
            [FINDING | {"code": "run.diverged"}],
            True,
            "runs would continue, 1 would be blocked",
        ),
    ],
)
def test_a_plugin_that_could_not_be_used_is_not_swapped_in(
    findings: list[Any], starts: bool, says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(change_check, "plugins_with", lambda files: ["acme"])
    report = {"findings": findings, "operations": 2, "replayed": 3}
    check = ChangeCheck(Answers(plugins={"targets": [report]}), folder / "c.toml", said.append)
    assert check([folder / "acme.py"]) is starts
    assert says in said[-1]
    assert said[:-1] == [f"error[{each['code']}]: it is wrong" for each in findings]


def test_definitions_and_the_configuration_are_checked_where_they_have_changed(
    folder: Path,
) -> None:
    said: list[str] = []
    file = folder / "workflows" / "a.toml"
    file.parent.mkdir()
    file.touch()
    problem = {"source": "a.toml", "line": 3, "path": "stages[0]", "what": "wrong"}
    answers = Answers(workflows={"workflows": [{"name": "a", "problems": [problem]}]}, config="")
    check = ChangeCheck(answers, folder / "c.toml", said.append)
    assert check([file])
    assert said == ["a.toml:3: stages[0]: wrong", "a: checked: 1 problem"]
    assert not check([folder / "c.toml"])  # it has no answer: it can't be read


def test_the_plugins_of_changed_files_are_found_without_importing_them(
    site: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("acme", source="raise SystemExit('it is imported')\nclass Example:\n    pass\n")
    monkeypatch.syspath_prepend(str(site.root))
    assert plugins_with([site.root / "acme_module.py", folder / "other.py"]) == ["acme"]
    assert plugins_with([folder / "other.py"]) == []


def test_what_it_can_not_do_is_refused_with_a_reason(cli: Cli) -> None:
    assert "there is no file or folder" in cli("dev", "--reload", "nowhere").err
    assert cli("dev", "--reload", "nowhere").code == 2
    assert "name a workflow" in cli("dev", "run").err
    assert cli("dev", "run").code == 2
    assert "dev --reload PATH" in cli("dev", "nowhere").err


def test_without_the_library_the_fix_is_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(ReloadNotInstalledError, match=r"qtforge-host\[reload\]"):
        Reloader(["true"], [], print, keeps_up=False)


def test_files_that_can_not_be_read_are_named_with_their_line(tmp_path: Path) -> None:
    texts = {"a.py": "x =\n", "b.toml": "x =\n", "c.py": "x = 1\n", "d.toml": "x = 1\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "e.py").write_bytes(b"\xff\xfe\x00")
    files = [tmp_path / name for name in (*texts, "e.py", "missing.py", "other.txt")]
    found = [Path(line.partition(":")[0]).name for line in broken_files(files)]
    assert found == ["a.py", "b.toml", "e.py"]
