"""Installed distributions as they were when their code was imported.

pip replaces the metadata of a distribution that it upgrades or installs again, or adds others
beside them (``--target``), so they show whether what is installed is still what was imported. An
edit of an editable installation's source changes none of them.
"""

from __future__ import annotations

import asyncio
import functools
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["ImportedDistributions", "InstalledDistribution"]

_FILES: Final = ("METADATA", "RECORD", "PKG-INFO", "entry_points.txt")
_OWN: Final = ("qtforge_host-", "qtforge_sdk-")
_POLL_S: Final = 2.0

Files = Mapping[str, tuple[int, int]]
"""The time of the last change in nanoseconds and the size in bytes, by the file's name."""


class InstalledDistribution(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution as it was when its code was imported.

    Attributes:
        metadata_path: Its ``.dist-info`` or ``.egg-info``; "" where it is not on the disk.
        files: The state of the metadata's files.
        folder_ns: When something was last added to the folder that it is in, or removed.
    """

    metadata_path: str
    files: Files
    folder_ns: int = 0

    @classmethod
    def read(cls, metadata_path: str) -> InstalledDistribution:
        """Return a distribution as it is installed now."""
        return cls(
            metadata_path=metadata_path,
            files=_files(metadata_path),
            folder_ns=_folder_ns(metadata_path),
        )

    def is_changed(self) -> bool:
        """Return whether it was upgraded, installed again or removed meanwhile."""
        return _files(self.metadata_path) != self.files or self._is_installed_beside()

    def _is_installed_beside(self) -> bool:
        """Return whether it has new metadata: pip's ``--target`` leaves the old ones there."""
        now_ns = _folder_ns(self.metadata_path)
        if now_ns == self.folder_ns:
            return False
        own = Path(self.metadata_path)
        return any(
            _ctime_ns(found) > self.folder_ns
            for found in _metadata_in(own.parent, now_ns).get(_stem(own), ())
            if found.name != own.name
        )


class ImportedDistributions:
    """The distributions that a process has imported, to notice when one is replaced.

    Made before the process imports plugins.

    Args:
        path: Where distributions are installed, as ``sys.path``.
        poll_s: How often to look, in seconds.
    """

    def __init__(self, path: Sequence[str], poll_s: float = _POLL_S) -> None:
        self._poll_s = poll_s
        self._installed = {
            str(folder): InstalledDistribution.read(str(folder))
            for place in dict.fromkeys(path)
            for pattern in ("*.dist-info", "*.egg-info")
            for folder in _sorted_glob(Path(place), pattern)
        }
        self._imported: set[str] = set()

    def add(self, metadata_paths: Iterable[str]) -> None:
        """Add these distributions, and those of all modules that are imported now."""
        modules = {name.partition(".")[0] for name in list(sys.modules)}
        self._imported.update(metadata_paths)
        for path in self._installed.keys() - self._imported:
            if Path(path).name.startswith(_OWN) or modules & _top_level_names(Path(path)):
                self._imported.add(path)

    def changed(self) -> list[str]:
        """Return the imported distributions that are not installed as they were."""
        return [
            Path(path).name.rpartition(".")[0].replace("-", " ").replace("_", "-")
            for path in sorted(self._imported)
            if (known := self._installed.get(path)) is not None and known.is_changed()
        ]

    async def until_replaced(self) -> list[str]:
        """Wait until distributions were replaced, and pip has finished.

        Returns:
            Name and version of each, as they were.
        """
        seen: object = None
        while True:
            await asyncio.sleep(self._poll_s)
            found = await asyncio.to_thread(self.changed)
            now = [_files(path) for path in sorted(self._imported)], _names(self._installed)
            if found and now == seen:
                return found
            seen = now if found else None


def _folder_ns(metadata_path: str) -> int:
    if not metadata_path:
        return 0
    try:
        return Path(metadata_path).parent.stat().st_mtime_ns
    except OSError:  # also within a zip file
        return 0


def _ctime_ns(path: Path) -> int:
    try:
        return path.stat().st_ctime_ns
    except OSError:
        return 0


@functools.lru_cache(32)
def _metadata_in(folder: Path, folder_ns: int) -> Mapping[str, Sequence[Path]]:
    """Return the metadata in a folder, as it is since a time, by normalized name."""
    found: dict[str, list[Path]] = {}
    for path in _sorted_glob(folder, "*-info"):
        found.setdefault(_stem(path), []).append(path)
    return found


def _stem(metadata: Path) -> str:
    """Return the normalized name of the distribution that a metadata folder is of."""
    stem, _, kind = metadata.name.rpartition(".")
    # In a name that was not normalized a hyphen may stand before the version, and never in it;
    # an egg's folder has the version of Python last.
    name = stem.rpartition("-")[0] if kind == "dist-info" else stem.partition("-")[0]
    return re.sub(r"[-_.]+", "-", name or stem).lower()


def _names(installed: Iterable[str]) -> list[str]:
    """Return all distributions that are beside these."""
    folders = {Path(path).parent for path in installed}
    return [str(found) for folder in sorted(folders) for found in _sorted_glob(folder, "*-info")]


def _sorted_glob(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _top_level_names(metadata: Path) -> set[str]:
    """Return the names of a distribution's modules and packages at the top level."""
    try:
        lines = (metadata / "RECORD").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    names = {line.partition(",")[0].strip('"').partition("/")[0] for line in lines}
    return {name.partition(".")[0] for name in names if not name.endswith(".dist-info")} - {""}


def _files(metadata_path: str) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    if not metadata_path:
        return found
    for name in _FILES:
        try:
            state = (Path(metadata_path) / name).stat()
        except OSError:  # also within a zip file
            continue
        found[name] = (state.st_mtime_ns, state.st_size)
    return found
