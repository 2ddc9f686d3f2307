"""A fresh virtual environment with the host, the SDK and two small plugins, from wheels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIP_TIMEOUT_S = 300


class Installation:
    """A virtual environment and the folder that its sources and wheels are in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / "venv"
        self.bin = self.venv / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / "python"
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(self.venv)], check=True, timeout=120
        )

    def pip(self, *arguments: str) -> None:
        """Run the pip of the tests' own environment on this one."""
        ended = subprocess.run(
            [sys.executable, "-m", "pip", "--python", str(self.python), *arguments],
            capture_output=True,
            text=True,
            timeout=PIP_TIMEOUT_S,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
        assert ended.returncode == 0, ended.stderr

    def copy(self, source: Path) -> Path:
        """Copy a distribution's source, so that its build leaves no trace in the checkout."""
        target = self.folder / "sources" / (source.name if source != ROOT else "qtforge-host")
        unneeded = ("tests", "sample_plugins", "sdk", "docs", "examples", "benchmarks")
        ignored = shutil.ignore_patterns(
            ".*", "build", "dist", "*.egg-info", "__pycache__", *unneeded
        )
        shutil.copytree(source, target, ignore=ignored)
        return target

    def write_plugin(
        self, name: str, *, version: str = "1.0.0", plugins: Mapping[str, str], source: str
    ) -> Path:
        """Write a distribution of one module; plugins are entry points, name to class."""
        folder = self.folder / "sources" / name
        module = name.replace("-", "_")
        (folder / "src").mkdir(parents=True, exist_ok=True)
        lines = [f'{plugin} = "{module}:{found}"' for plugin, found in plugins.items()]
        (folder / "pyproject.toml").write_text(
            "[build-system]\n"
            'requires = ["setuptools>=77"]\n'
            'build-backend = "setuptools.build_meta"\n'
            "[project]\n"
            f'name = "{name}"\nversion = "{version}"\n'
            'dependencies = ["qtforge-sdk>=1.0,<2"]\n'
            '[project.entry-points."qtforge.plugins"]\n' + "\n".join(lines) + "\n"
        )
        (folder / "src" / f"{module}.py").write_text(textwrap.dedent(source))
        return folder

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


@pytest.fixture(scope="module")
def new_installation(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Installation]:
    """Make empty environments, by name."""
    return lambda name: Installation(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The host, the SDK and two plugins, built as wheels and installed."""
    made = Installation(tmp_path_factory.mktemp("installation"))
    sources = [
        made.copy(ROOT / "sdk"),
        made.copy(ROOT),
        made.write_plugin("acme-greeter", plugins={"acme-greeter": "Greeter"}, source=GREETER),
        made.write_plugin("acme-choir", plugins={"acme-choir": "Choir"}, source=CHOIR),
    ]
    wheels = made.folder / "wheels"
    made.pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), *map(str, sources))
    made.pip("install", "--quiet", *(str(wheel) for wheel in sorted(wheels.iterdir())))
    return made
