"""The distributions of the environment that runs: what is there, and how it is put back."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name

from qtforge_host.installer import Installer
from qtforge_sdk.errors import QtForgeError

__all__ = ["Environment", "InstallFailedError", "Saved"]

_TIMEOUT_S: Final = 1800


class InstallFailedError(QtForgeError):
    """pip or uv failed; what it has said is the cause.

    Args:
        what: What happened, in one line.
        why: The last lines of its output.
        fix: How to fix it.
    """

    code = "plugins.install_failed"


@dataclass(frozen=True, slots=True)
class Saved:
    """The files of distributions as they were.

    Attributes:
        folder: Where the copies are.
        files: Each file and its copy.
        versions: The versions of all distributions, by canonical name.
    """

    folder: Path
    files: Mapping[Path, Path]
    versions: Mapping[str, str]


class Environment:
    """Installs into the environment that runs, and puts it back.

    Args:
        installer: pip or uv.
    """

    def __init__(self, installer: Installer) -> None:
        self.installer: Final = installer

    def versions(self) -> dict[str, str]:
        """Return the version of each installed distribution, by canonical name."""
        importlib.invalidate_caches()
        importlib.metadata.MetadataPathFinder().invalidate_caches()
        found: dict[str, str] = {}
        for each in importlib.metadata.distributions():
            with contextlib.suppress(KeyError, TypeError, AttributeError):
                found.setdefault(canonicalize_name(each.metadata["Name"]), each.version)
        return found

    def plan(self, words: Sequence[str], scratch: Path) -> list[dict[str, Any]] | None:
        """Return what an installation would install, as pip reports it; None where uv can't tell.

        Raises:
            InstallFailedError: It can't be resolved.
        """
        if self.installer.name != "pip":
            self.call("install", "--dry-run", *words)
            return None
        report = scratch / "report.json"
        self.call("install", "--dry-run", "--quiet", "--report", str(report), *words)
        planned: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))["install"]
        return planned

    def save(self, names: Collection[str], folder: Path) -> Saved:
        """Copy the files of some distributions, so that `restore` can put them back."""
        files: dict[Path, Path] = {}
        for name in names:
            try:
                listed = importlib.metadata.distribution(name).files or ()
            except importlib.metadata.PackageNotFoundError:
                continue
            for each in listed:
                path = Path(os.path.normpath(each.locate()))
                if path.is_file() and path.suffix != ".pyc":
                    copy = folder / str(len(files))
                    shutil.copy2(path, copy)
                    files[path] = copy
        return Saved(folder, files, self.versions())

    def restore(self, saved: Saved) -> None:
        """Put the distributions back that were saved, and remove what came since.

        Raises:
            InstallFailedError: What came since can't be removed.
        """
        now = self.versions()
        changed = [name for name, version in now.items() if saved.versions.get(name) != version]
        if changed:
            self.call("uninstall", *changed)
        for path, copy in saved.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(copy, path)
        importlib.invalidate_caches()

    def call(self, verb: str, *words: str) -> str:
        """Call pip or uv, and return what it has said.

        Raises:
            InstallFailedError: It failed.
        """
        what = f"{self.installer.name} {verb} failed"
        try:
            done = self.installer.call(self.installer.command(verb, words), _TIMEOUT_S)
        except TimeoutError as error:
            raise InstallFailedError(what, str(error)) from error
        if not done.succeeded:
            fix = "correct what it says; nothing was changed" if verb == "install" else ""
            raise InstallFailedError(what, done.last_lines, fix)
        return done.output
