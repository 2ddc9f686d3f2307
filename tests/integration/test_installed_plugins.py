"""Plugins built as wheels and installed into a fresh virtual environment."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import Distribution
from typing import IO, TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Installation

pytestmark = [pytest.mark.venv, pytest.mark.timeout(600)]

LIST = """
import json, pathlib, sys
import qtforge_host
from importlib.metadata import version
from qtforge_host.plugins.resolution import resolve
from qtforge_host.config.settings import load_settings
from qtforge_host.plugins.discovery import scan
from qtforge_host.plugins.quarantine import FailureMemory
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.registry import Registry

def registry():
    settings = load_settings(None, environ={}, state_dir=pathlib.Path(sys.argv[1]))
    resolution = resolve(
        scan(),
        settings,
        sdk_version=version("qtforge-sdk"),
        failures=FailureMemory(settings.state_dir),
    )
    return Registry(resolution, settings)

def rows():
    return [
        {
            "name": one.candidate.name,
            "distribution": one.candidate.distribution,
            "version": one.candidate.version,
            "builtin": one.candidate.builtin,
            "state": one.status.state,
            "code": one.status.code,
            "reason": one.status.reason,
            "fix": one.status.fix,
        }
        for one in registry()
    ]
"""
EDITABLE = ("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable")
OURS = ("acme-greeter", "acme-choir")


def _list(installation: Installation) -> dict[str, dict[str, Any]]:
    program = f"{LIST}\nprint(json.dumps(rows()))"
    rows = json.loads(installation.run(program, str(installation.folder / "state")))
    return {row["name"]: row for row in rows}


def test_installed_wheels_are_listed_as_ready_without_being_imported(
    installation: Installation,
) -> None:
    rows = _list(installation)

    for name in OURS:
        assert (rows[name]["state"], rows[name]["version"]) == ("ready", "1.0.0")
        assert rows[name]["distribution"] == name
        assert not rows[name]["builtin"]
    program = f"{LIST}\nrows()\nprint([m for m in sys.modules if m.startswith('acme_')])"
    assert installation.run(program, str(installation.folder / "state")) == "[]\n"


def test_the_host_runs_from_the_wheel_and_not_from_the_checkout(
    installation: Installation,
) -> None:
    program = "import qtforge_host; print(qtforge_host.__file__)"

    assert installation.run(program).startswith(str(installation.venv))


def test_installed_wheels_load_in_the_order_of_their_requirements(
    installation: Installation,
) -> None:
    program = f"""{LIST}
found = registry()
wanted = [one for one in found.accepted if one.name in {OURS!r}]
outcome = PluginLoader().load(wanted, import_timeout_s=60)
print([type(loaded.plugin).__name__ for loaded in outcome.loaded], outcome.failed)
"""

    loaded = installation.run(program, str(installation.folder / "state"))

    assert loaded == "['Greeter', 'Choir'] {}\n"


def test_an_editable_reinstall_adds_a_plugin_to_a_living_process(
    installation: Installation,
) -> None:
    source = "class One:\n    pass\nclass Two(One):\n    pass\n"
    folder = installation.write_plugin("acme-pair", plugins={"one": "One"}, source=source)
    installation.pip(*EDITABLE, str(folder))
    program = f"""{LIST}
for _ in sys.stdin:
    print(json.dumps([row["name"] for row in rows()]), flush=True)
"""
    process = subprocess.Popen(
        [str(installation.python), "-I", "-c", program, str(installation.folder / "state")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=installation.folder,
    )
    try:
        assert {"one", "two"} & _ask(process) == {"one"}
        installation.write_plugin("acme-pair", plugins={"one": "One", "two": "Two"}, source=source)
        installation.pip(*EDITABLE, str(folder))

        assert {"one", "two"} & _ask(process) == {"one", "two"}

        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait(timeout=60)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        installation.pip("uninstall", "--quiet", "--yes", "acme-pair")


def test_a_plugin_whose_metadata_is_torn_costs_itself_and_what_requires_it(
    installation: Installation,
) -> None:
    (metadata,) = installation.venv.rglob("acme_greeter-1.0.0.dist-info/METADATA")
    kept = metadata.read_bytes()
    metadata.unlink()
    try:
        rows = _list(installation)
    finally:
        metadata.write_bytes(kept)

    assert rows["acme-greeter"]["state"] == "broken"
    assert rows["acme-greeter"]["code"] == "plugin.missing_metadata"
    assert rows["acme-choir"]["state"] == "unmet"
    assert rows["acme-choir"]["fix"] == "pip install --force-reinstall acme-greeter"


def test_wheels_carry_the_type_marker_and_the_licence(installation: Installation) -> None:
    for name in ("qtforge_host", "qtforge_sdk"):
        (folder,) = installation.venv.rglob(f"{name}-*.dist-info")
        files = [str(file) for file in Distribution.at(folder).files or ()]
        assert f"{name}/py.typed" in files
        assert any(file.endswith("licenses/LICENSE") for file in files)


def _ask(process: subprocess.Popen[str]) -> set[str]:
    given, answered = process.stdin, process.stdout
    assert given is not None
    assert answered is not None
    given.write("\n")
    given.flush()
    return set(json.loads(_line(answered)))


def _line(stream: IO[str]) -> str:
    line = stream.readline()  # the test's own time limit ends a wait that is in vain
    assert line, "the process has ended"
    return line
