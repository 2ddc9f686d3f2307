"""What docs/serve.md shows works as it is written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.serving import Server, Serving, until

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "serve.md"


def block(language: str, about: str = "") -> str:
    """Return the page's block of a language that has a text in it."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)
    (found,) = [each for each in blocks if about in each]
    return str(found)


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_the_commands_for_schedules_do_what_they_say(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(block("toml", "[schedules."))
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "QTFORGE_CONFIG": str(config),
        "QTFORGE_STATE_DIR": str(tmp_path / "state"),
    }
    done = subprocess.run(
        ["bash", "-ec", block("sh", "schedules pause")],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for said in ("data-aggregation", "paused: the archive is moved", "triggered", "planned"):
        assert said in done.stdout


@pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="bash or curl is not installed"
)
def test_the_requests_with_curl_do_what_they_say(serving: Serving, server: Server) -> None:
    document = ROOT / "examples" / "documents" / "contract.md"
    given = {"document": {"name": document.name, "path": str(document)}}
    run_id = server.start("document-approval", wait="20s", **given)["run_id"]
    until(lambda: server.run(run_id)["status"] == "waiting")
    script = block("sh", "curl")
    for pattern, value in (
        (r"^URL=.*$", f"URL={server.url}"),
        (r"^TOKEN=.*$", f"TOKEN={server.token}"),
        (r"^ask -N .*$", ""),  # it does not end; test_runs.py hears events
        (r"/srv/in/invoice.pdf", str(document)),
    ):
        script, count = re.subn(pattern, value, script, flags=re.M)
        assert count == 1, pattern
    script = script.replace("\nask ", "\nask -w '\\n%{http_code}\\n' ")
    done = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, timeout=120,
        env={"RUN": run_id, "PATH": "/usr/local/bin:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    codes = [line for line in done.stdout.splitlines() if re.fullmatch(r"\d{3}", line)]
    assert codes == ["200", "200", "200"], done.stdout
    assert '"workflow":"document-processing"' in done.stdout
    assert '"entered":["approved"]' in done.stdout


def test_the_files_for_systemd_and_containers_are_those_that_the_page_shows() -> None:
    for language, name in (("ini", "qtforge-host.service"), ("dockerfile", "Containerfile")):
        assert block(language) == (ROOT / "docs" / "deploy" / name).read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "qtforge-host"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "qtforge-host.service"
    unit.write_text(block("ini").replace("/opt/qtforge/bin/qtforge-host", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "qtforge-host.service" not in done.stderr
