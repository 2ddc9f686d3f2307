"""A plugin is upgraded by pip while ``serve`` runs: what runs is what is recorded."""

from __future__ import annotations

import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.serving import PLUGIN, Server, Serving, until

SOURCE = '''
from qtforge_sdk import Plugin, hookimpl, operation

STAGES = """
name = "{name}"
kind = "sequential"
version = "1.0.0"
result = "${{stages.only.data}}"

[[stages]]
name = "only"
operation = "up.{name}"
"""


class Up(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [STAGES.format(name=name) for name in ("say", "work")]

    @operation("up.say")
    async def say(self, message: object) -> str:
        return "VERSION"

    @operation("up.work", execution="process")
    def work(self, message: object) -> str:
        return "VERSION"
'''


def _wheel(folder: Path, version: str) -> Path:
    """Write a wheel of the plugin whose code says its version."""
    path = folder / f"acme_up-{version}-py3-none-any.whl"
    info = f"acme_up-{version}.dist-info"
    files = {
        "acme_up.py": SOURCE.replace("VERSION", version),
        f"{info}/METADATA": (
            f"Metadata-Version: 2.1\nName: acme-up\nVersion: {version}\n"
            "Requires-Dist: qtforge-sdk>=1.0,<2\n"
        ),
        f"{info}/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        f"{info}/entry_points.txt": "[qtforge.plugins]\nacme-up = acme_up:Up\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


class Upgradable:
    """A virtual environment that has this one's packages, and the plugin in version 1.0."""

    def __init__(self, site: Any, folder: Path) -> None:
        self._folder = folder
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        python = folder / "venv" / "bin" / "python"
        (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        ours = sysconfig.get_path("purelib")
        (packages / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
        self.serving = Serving(site, folder, str(python))
        self.install("1.0")

    def install(self, version: str) -> None:
        wheel = _wheel(self._folder, version)
        words = ["install", "-q", "-U", "--no-deps", "--no-index", str(wheel)]
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", self.serving.python, *words], check=True
        )


@pytest.fixture
def upgradable(site: Any, tmp_path: Path) -> Iterator[Upgradable]:
    site.plugin("steps", source=PLUGIN)
    folder = tmp_path / "upgradable"
    folder.mkdir()
    made = Upgradable(site, folder)
    yield made
    made.serving.close()


def _said(server: Server, workflow: str = "say") -> tuple[str, str] | None:
    """Run a workflow; return its code's version and the recorded one, or None while none runs."""
    try:
        answer = server.post(
            "/v1/runs", {"workflow": workflow, "input": {}}, params={"wait": "60s"}
        )
    except httpx2.TransportError:  # the process is being replaced
        return None
    if answer.status_code != 200:
        return None
    run = server.run(answer.json()["run_id"])
    if run.get("status") != "succeeded":
        return None
    (stage,) = run["stages"]
    return run["result"], stage["plugin_version"]


@pytest.mark.timeout(600)
def test_serve_executes_itself_again_with_the_new_version(upgradable: Upgradable) -> None:
    serving = upgradable.serving
    server = serving.serve("--grace", "1s")
    parked = server.start("steps", word="a")["run_id"]
    until(lambda: serving.done == ["first a"])
    assert _said(server) == ("1.0", "1.0")
    assert _said(server, "work") == ("1.0", "1.0")

    upgradable.install("2.0")
    found = {("1.0", "1.0")}

    def says_the_new_version() -> bool:
        found.update({said} if (said := _said(server)) else ())
        return ("2.0", "2.0") in found

    until(says_the_new_version)
    assert found == {("1.0", "1.0"), ("2.0", "2.0")}
    assert _said(server, "work") == ("2.0", "2.0")
    assert server.process.poll() is None
    assert "acme-up 1.0" in server.error
    again = serving.cli("serve", "--port", "0")
    assert again.returncode == 4, again.stderr
    (serving.folder / "go").touch()
    until(lambda: server.run(parked)["status"] == "succeeded")
    assert serving.done == ["first a", "second", "third a"]
    assert server.end() == 0


@pytest.mark.timeout(600)
def test_without_that_the_imported_version_runs_and_is_recorded(upgradable: Upgradable) -> None:
    server = upgradable.serving.serve("--no-reexec", "--rate", "1000/s")
    assert _said(server) == ("1.0", "1.0")
    upgradable.install("2.0")
    until(lambda: "was reinstalled (acme-up 1.0)" in server.error)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "the new configuration is not used" in server.error)
    assert _said(server) == ("1.0", "1.0")
    # A worker process would import the new version.
    run_id = server.start("work", wait="60s")["run_id"]
    assert server.run(run_id)["error"]["code"] == "plugin.replaced"
    assert server.end() == 0
