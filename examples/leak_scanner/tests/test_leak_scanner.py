"""Each feature of the plugin, on the host's own bus and engine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from leak_scanner import Findings, Leak, LeakScanner, leaks

from qtforge_host.testing import PluginTestHost, WorkflowKit
from qtforge_sdk.errors import HandlerFailedError, PluginError

KEY = "-----BEGIN RSA PRIVATE KEY-----"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "within").mkdir()
    (tmp_path / "a.txt").write_text("nothing here\n")
    (tmp_path / "within" / "b.py").write_text(f'x = 1\npassword = "swordfish"\n# {KEY}\n')
    return tmp_path


def test_it_finds_leaks_by_line_and_does_not_repeat_them(
    host: PluginTestHost, folder: Path
) -> None:
    host.add(LeakScanner())
    path = str(folder / "within" / "b.py")
    found = host.request("leaks.find", {"path": path}, response_type=Findings)
    assert found == Findings(path, (Leak(2, "password"), Leak(3, "private key")))
    assert "swordfish" not in str(found)


def test_further_patterns_are_configured(host: PluginTestHost, folder: Path) -> None:
    host.add(LeakScanner(), config={"patterns": {"nothing": "nothing"}})
    request = {"path": str(folder / "a.txt")}
    found = host.request("leaks.find", request, response_type=Findings)
    assert found.leaks == (Leak(1, "nothing"),)


def test_a_bad_pattern_is_named_at_the_start(host: PluginTestHost) -> None:
    with pytest.raises(PluginError, match="the pattern 'half' is not valid"):
        host.add(LeakScanner(), config={"patterns": {"half": "("}})


@pytest.mark.parametrize(
    ("request_", "topic", "code"),
    [
        ({"path": "/nowhere"}, "leaks.find", "leaks.unreadable"),
        ({"path": "large.txt"}, "leaks.find", "leaks.too_large"),
        ({"folder": "/nowhere"}, "leaks.list", "leaks.no_folder"),
    ],
)
def test_what_it_cannot_do_has_a_code(
    host: PluginTestHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    request_: dict[str, str], topic: str, code: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("large.txt").write_text("x" * 20)
    host.add(LeakScanner(), config={"max_bytes": 10})
    with pytest.raises(HandlerFailedError) as caught:
        host.request(topic, request_)
    assert caught.value.cause_code == code


def test_a_stored_document_is_looked_at(host: PluginTestHost, folder: Path) -> None:
    scanner = LeakScanner()
    host.add(scanner)
    host.publish("document.stored", {"path": str(folder / "a.txt")})
    host.publish("document.stored", {"path": str(folder / "within" / "b.py")})
    assert scanner.warned == [str(folder / "within" / "b.py")]


def test_the_workflow_counts_the_leaks_of_a_folder(workflows: WorkflowKit, folder: Path) -> None:
    workflows.add(LeakScanner())
    run = workflows.run("leak-check", {"folder": str(folder)})
    assert run.result == {"files": 2, "leaks": 2}


def test_the_workflow_survives_a_crash_at_every_write(workflows: WorkflowKit, folder: Path) -> None:
    workflows.add(LeakScanner())
    report = workflows.crash_at_every_write("leak-check", {"folder": str(folder)})
    report.check()
    assert report.result == {"files": 2, "leaks": 2}


def test_the_command_prints_places_and_exits_with_1(
    host: PluginTestHost, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host.add(LeakScanner())
    path = str(folder / "within" / "b.py")
    session: Any = SimpleNamespace(bus=host.bus)
    with (
        leaks.make_context("leaks", [path], obj=session) as context,
        pytest.raises(click.exceptions.Exit) as ended,
    ):
        host.run(leaks.invoke(context))
    assert ended.value.exit_code == 1
    assert capsys.readouterr().out == f"{path}:2: password\n{path}:3: private key\n"
