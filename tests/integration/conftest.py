"""A fresh virtual environment with the host, the SDK and two small plugins, from wheels."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted(path.parent for path in (ROOT / "sample_plugins").glob("*/pyproject.toml"))
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))
SETUPTOOLS = "setuptools>=77"
PIP_TIMEOUT_S = 300


def pip(*arguments: str) -> None:
    """Run pip."""
    ended = subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        capture_output=True,
        text=True,
        timeout=PIP_TIMEOUT_S,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    assert ended.returncode == 0, ended.stderr


def copy_source(source: Path, folder: Path) -> Path:
    """Copy a distribution's source below a folder."""
    target = folder / "sources" / (source.name if source != ROOT else "qtforge-host")
    unneeded = ("tests", "sample_plugins", "sdk", "docs", "examples", "benchmarks")
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", *unneeded)
    shutil.copytree(source, target, ignore=ignored)
    return target


def write_plugin(
    folder: Path, name: str, *, version: str = "1.0.0", plugins: Mapping[str, str], source: str
) -> Path:
    """Write a distribution of one module; plugins are entry points, name to class."""
    root = folder / "sources" / name
    module = name.replace("-", "_")
    (root / "src").mkdir(parents=True, exist_ok=True)
    lines = [f'{plugin} = "{module}:{found}"' for plugin, found in plugins.items()]
    (root / "pyproject.toml").write_text(
        "[build-system]\n"
        f'requires = ["{SETUPTOOLS}"]\n'
        'build-backend = "setuptools.build_meta"\n'
        "[project]\n"
        f'name = "{name}"\nversion = "{version}"\n'
        'dependencies = ["qtforge-sdk>=1.0,<2"]\n'
        '[project.entry-points."qtforge.plugins"]\n' + "\n".join(lines) + "\n"
    )
    (root / "src" / f"{module}.py").write_text(textwrap.dedent(source))
    return root


def _collect_wheels(folder: Path, *requirements: str) -> None:
    place = str(folder)
    pip("wheel", "--quiet", "--no-build-isolation", "--find-links", place, "--wheel-dir", place,
        *requirements)  # fmt: skip


class Wheelhouse:
    """Wheels of this project's distributions, of two small plugins, and of all that they need.

    Args:
        folder: Where the wheels are; absent until they are built.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def build(self, scratch: Path) -> None:
        """Build what is ours, and fetch the rest."""
        unfinished = scratch / "wheels"
        unfinished.mkdir()
        sources = [
            copy_source(ROOT / "sdk", scratch),
            f"{copy_source(ROOT, scratch)}[testing]",
            *(f"{copy_source(sample, scratch)}[test]" for sample in (*SAMPLES, *EXAMPLES)),
            write_plugin(
                scratch, "acme-greeter", plugins={"acme-greeter": "Greeter"}, source=GREETER
            ),
            write_plugin(scratch, "acme-choir", plugins={"acme-choir": "Choir"}, source=CHOIR),
            SETUPTOOLS,
        ]
        _collect_wheels(unfinished, *map(str, sources))
        unfinished.rename(self.folder)

    def add(self, requirement: str) -> None:
        """Fetch what else a requirement needs."""
        _collect_wheels(self.folder, requirement)


class Installation:
    """A virtual environment and the folder that its sources are in.

    Args:
        folder: Where they are made.
        wheelhouse: What is installed.
    """

    def __init__(self, folder: Path, wheelhouse: Wheelhouse) -> None:
        self.folder = folder
        self._wheelhouse = wheelhouse
        self.venv = folder / "venv"
        self.bin = self.venv / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / "python"
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(self.venv)], check=True, timeout=120
        )

    def install(self, *requirements: str) -> None:
        """Install from the wheelhouse alone; only what is imported is compiled."""
        links = ["--no-compile", "--no-index", "--find-links", str(self._wheelhouse.folder)]
        self.pip("install", "--quiet", *links, *requirements)

    def pip(self, *arguments: str) -> None:
        """Run the pip of the tests' own environment on this one."""
        pip("--python", str(self.python), *arguments)

    def copy(self, source: Path) -> Path:
        """Copy a distribution's source, so that its build leaves no trace in the checkout."""
        return copy_source(source, self.folder)

    def write_plugin(
        self, name: str, *, version: str = "1.0.0", plugins: Mapping[str, str], source: str
    ) -> Path:
        """Write a distribution of one module; plugins are entry points, name to class."""
        return write_plugin(self.folder, name, version=version, plugins=plugins, source=source)

    def run(self, program: str, *arguments: str) -> str:
        """Run a program in the environment, elsewhere than in the checkout; return its stdout."""
        ended = subprocess.run(
            [str(self.python), "-I", "-c", program, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


GREETER = """
from qtforge_sdk import Plugin, operation

class Greeter(Plugin):
    @operation("greeting.make")
    async def make(self, request: dict) -> dict:
        return {"text": f"Hello, {request['name']}"}
"""

CHOIR = """
from qtforge_sdk import Plugin

class Choir(Plugin):
    requires = ("acme-greeter >= 1.0",)
"""


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Wheelhouse:
    """All that the tests install, built once, whichever worker comes first."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    made = Wheelhouse(shared / "wheelhouse")
    with (shared / "wheelhouse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as long as pip takes, which has a time limit
        if not made.folder.exists():
            made.build(tmp_path_factory.mktemp("building"))
    return made


@pytest.fixture(scope="module")
def new_installation(
    tmp_path_factory: pytest.TempPathFactory, wheelhouse: Wheelhouse
) -> Callable[[str], Installation]:
    """Make empty environments, by name."""
    return lambda name: Installation(tmp_path_factory.mktemp(name), wheelhouse)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Wheelhouse) -> Installation:
    """The host, the SDK and two plugins, installed from wheels."""
    made = Installation(tmp_path_factory.mktemp("installation"), wheelhouse)
    made.install("qtforge-host", "acme-greeter", "acme-choir", SETUPTOOLS)
    return made
