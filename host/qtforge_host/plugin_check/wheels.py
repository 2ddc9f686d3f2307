"""Build a project's wheel without a trace in its folder, and unpack wheels."""

from __future__ import annotations

import importlib.metadata
import shutil
import tomllib
import zipfile
from pathlib import Path
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement

from qtforge_host.installer import Installer
from qtforge_sdk.errors import QtForgeError

__all__ = ["PackageError", "build_wheel", "read_project", "unpack"]

_LEFT_OUT: Final = shutil.ignore_patterns(
    ".venv", "venv", ".tox", ".nox", "build", "dist", "*.egg-info", "__pycache__", "node_modules",
    ".mypy_cache", ".pytest_cache", ".ruff_cache",
)  # fmt: skip
_BUILD_TIMEOUT_S: Final = 600
_MAX_FILES: Final = 20_000
_MAX_BYTES: Final = 1 << 30


class PackageError(QtForgeError):
    """A project can't be built, or a wheel can't be read.

    Args:
        what: What happened, in one line.
        why: The cause.
        fix: How to fix it.
    """

    code = "plugin.not_a_package"
    exit_code = 2
    http_status = 422


def read_project(folder: Path) -> dict[str, Any]:
    """Return the ``pyproject.toml`` of a project.

    Raises:
        PackageError: There is none, or it is no TOML.
    """
    file = folder / "pyproject.toml"
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        fix = "name a project's folder, a wheel or an installed plugin"
        raise PackageError(f"{folder} is no project", "it has no pyproject.toml", fix) from error
    except (OSError, ValueError) as error:
        raise PackageError(f"{file} can't be read", str(error), "correct it") from error


def build_wheel(folder: Path, scratch: Path) -> Path:
    """Build a project's wheel from a copy of it.

    What its build needs is fetched, unless all of that is installed here.

    Args:
        folder: The project's folder.
        scratch: An empty folder for the copy and the wheel.

    Raises:
        PackageError: It can't be built; the last lines of the build's output say why.
    """
    project = read_project(folder)
    copy, target = scratch / "source" / folder.resolve().name, scratch / "wheel"
    try:
        shutil.copytree(folder, copy, ignore=_LEFT_OUT, symlinks=True)
    except (OSError, shutil.Error) as error:
        raise PackageError(f"{folder} can't be copied", str(error), "check its files") from error
    isolated = not _are_installed(project.get("build-system", {}).get("requires", ["setuptools"]))
    installer, what = Installer.found(), f"{folder} can't be built"
    command = installer.build_command(copy, target, isolated=isolated)
    try:
        done = installer.call(command, _BUILD_TIMEOUT_S)
    except TimeoutError as error:
        raise PackageError(what, str(error), "build it by hand") from error
    wheels = sorted(target.glob("*.whl"))
    if not done.succeeded or not wheels:
        why = done.last_lines.replace(str(copy), str(folder))
        raise PackageError(what, why, "correct its pyproject.toml")
    return wheels[0]


def _are_installed(requirements: object) -> bool:
    """Return whether what a build needs is installed in this environment."""
    if not isinstance(requirements, list):
        return False
    for text in requirements:
        try:
            wanted = Requirement(str(text))
            if not wanted.specifier.contains(importlib.metadata.version(wanted.name), True):
                return False
        except (InvalidRequirement, importlib.metadata.PackageNotFoundError):
            return False
    return True


def unpack(wheel: Path, site: Path) -> None:
    """Unpack a wheel into a folder, as an installation does, without its scripts.

    Raises:
        PackageError: It is no wheel, or larger than 1 GiB.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = archive.infolist()
            if len(members) > _MAX_FILES or sum(each.file_size for each in members) > _MAX_BYTES:
                raise PackageError(f"{wheel} is too large", "it has more than 1 GiB", "")
            archive.extractall(site)  # names that lead out of the folder are made harmless
    except FileNotFoundError as error:
        fix = "check the path's spelling"
        raise PackageError(f"there is no file {wheel}", "", fix) from error
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise PackageError(f"{wheel} is no wheel", str(error), "build it again") from error
    for data in site.glob("*.data"):
        for scheme in ("purelib", "platlib"):
            if (data / scheme).is_dir():
                shutil.copytree(data / scheme, site, dirs_exist_ok=True)
        shutil.rmtree(data)
