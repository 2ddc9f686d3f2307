"""Two commits side by side: each with its own files, wheels and virtual environment.

The commits' dependencies are shared: they are links to what is installed here. What a commit needs
in another version is installed for it alone.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.installation import SCRIPT, install_plugin, link_packages

__all__ = ["Side", "UnknownCommitError", "make_side", "resolve_commit"]

_OURS = frozenset({"qtforge-host", "qtforge-sdk"})
_UNUSED = frozenset({"dev", "testing", "postgresql"})  # extras that no benchmark needs
_PLUGINS = 50
_PIP_TIMEOUT_S = 600
_ECHO = """\
from qtforge_sdk import Plugin, operation


class Echo(Plugin):
    @operation("compare.echo")
    async def echo(self, message: dict) -> dict:
        return message
"""


class UnknownCommitError(ValueError):
    """Git knows no such commit here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One commit, ready to run.

    Attributes:
        name: "base" or "head".
        commit: Its full hash.
        checkout: The commit's files.
        python: An interpreter with the commit's packages.
        script: What ``qtforge-host`` starts.
        plugins: A folder with installed plugins, for PYTHONPATH.
    """

    name: str
    commit: str
    checkout: Path
    python: Path
    script: Path
    plugins: Path

    @property
    def environment(self) -> dict[str, str]:
        """A new user's environment variables, with a home of the side's own."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(self.checkout.parent / "home"), "PYTHONUTF8": "1"}


def resolve_commit(repository: Path, name: str) -> str:
    """Return a commit's full hash.

    Args:
        repository: The checkout.
        name: A hash, a tag or a branch.

    Raises:
        UnknownCommitError: There is none of that name.
    """
    done = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"],
        cwd=repository, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise UnknownCommitError(f"git knows no commit {name!r} in {repository}")
    return done.stdout.strip()


def make_side(repository: Path, folder: Path, name: str, commit: str) -> Side:
    """Unpack a commit, build its wheels and install them.

    Args:
        repository: The checkout whose commit it is.
        folder: An empty or missing folder for the side.
        name: "base" or "head".
        commit: A full hash.

    Raises:
        subprocess.CalledProcessError: Git or pip failed.
    """
    checkout, wheels = folder / "checkout", folder / "wheels"
    _unpack(repository, commit, checkout)
    _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(checkout / "sdk"), str(checkout))
    python, site = _make_environment(folder / "environment")
    built = sorted(wheels.glob("*.whl"))
    _pip("--python", str(python), "install", "--no-deps", "--no-compile", *map(str, built))
    missing = _missing(built)
    if missing:
        _pip("--python", str(python), "install", *map(str, missing))
    present = {
        canonicalize_name(each.name)
        for each in importlib.metadata.distributions(path=[str(site)])
        if each.name
    }
    link_packages(site, without=present | _OURS)
    script = folder / "environment" / "qtforge-host"
    script.write_text(SCRIPT, encoding="utf-8")
    plugins = folder / "plugins"
    for number in range(_PLUGINS):
        install_plugin(plugins, number)
    _install_echo(plugins)
    (folder / "home").mkdir()
    return Side(
        name=name, commit=commit, checkout=checkout, python=python, script=script, plugins=plugins
    )


def _unpack(repository: Path, commit: str, target: Path) -> None:
    # An archive and not a worktree: nothing of it stays in the repository, however this ends.
    packed = subprocess.run(
        ["git", "archive", "--format=tar", commit],
        cwd=repository, capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(target, filter="data")


def _make_environment(folder: Path) -> tuple[Path, Path]:
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(folder)
    variables = {"base": str(folder), "platbase": str(folder)}
    paths = sysconfig.get_paths("venv", variables)
    return Path(paths["scripts"]) / "python", Path(paths["purelib"])


def _missing(wheels: list[Path]) -> list[Requirement]:
    """Return what the wheels require and this environment lacks or has in another version."""
    found = []
    for wheel in wheels:
        with ZipFile(wheel) as archive:
            (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
            metadata = BytesParser().parsebytes(archive.read(name))
        extras = {"", *metadata.get_all("Provides-Extra", [])} - _UNUSED
        for text in metadata.get_all("Requires-Dist", []):
            requirement = Requirement(text)
            marker = requirement.marker
            wanted = marker is None or any(marker.evaluate({"extra": each}) for each in extras)
            if wanted and canonicalize_name(requirement.name) not in _OURS:
                requirement.marker = None
                if not _is_here(requirement):
                    found.append(requirement)
    return found


def _is_here(requirement: Requirement) -> bool:
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=True)


def _install_echo(site: Path) -> None:
    metadata = site / "compare_echo-1.0.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: compare-echo\nVersion: 1.0.0\n"
        "Requires-Dist: qtforge-sdk<2,>=1.0\n",
        encoding="utf-8",
    )
    (metadata / "entry_points.txt").write_text(
        "[qtforge.plugins]\ncompare-echo = compare_echo:Echo\n", encoding="utf-8"
    )
    (site / "compare_echo.py").write_text(_ECHO, encoding="utf-8")
