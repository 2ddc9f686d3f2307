"""Files of runs: a folder for each run that writes files; it lives as long as the run.

A fork has results of another run, and so refers to that run's files. A marker in the folder
records it, and the folder remains until no run refers to it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Journal
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.run_logs import LogKeeper

__all__ = ["EXPORT_SUFFIX", "RunFiles"]

EXPORT_SUFFIX: Final = ".qtforge-run"
"""The end of the names of files with exported runs."""

_MARKERS: Final = ".forks"


class RunFiles:
    """The folders of all runs.

    Args:
        folder: Their parent; it may not exist.
        logs: Keeps the logs of runs, which go with them; None where no run is deleted.
    """

    def __init__(self, folder: Path, logs: LogKeeper | None = None) -> None:
        self.folder = folder
        self._logs = logs

    def share(self, run_id: str, fork: str) -> None:
        """Keep the files that a run refers to as long as a fork of it exists.

        Raises:
            OSError: The disk is full.
        """
        for folder in self._folders():
            if folder.name == run_id or (folder / _MARKERS / run_id).exists():
                (folder / _MARKERS).mkdir(exist_ok=True)
                (folder / _MARKERS / fork).touch()

    def size(self, run_id: str) -> tuple[int, int]:
        """Return the number of files of a run, and their bytes."""
        files = [each for each in (self.folder / run_id).rglob("*") if each.is_file()]
        own = [each for each in files if each.parent.name != _MARKERS]
        return len(own), sum(each.stat().st_size for each in own)

    async def orphans(self, journal: Journal) -> list[Path]:
        """Return the folders to which no run of a journal refers."""
        return [each for each in self._folders() if not await _is_needed(each, journal)]

    async def sweep(self, journal: Journal) -> int:
        """Remove the folders to which no run of a journal refers; return how many."""
        import shutil  # slow to import, and needed here only

        found = await self.orphans(journal)
        for folder in found:  # what remains is removed the next time
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return len(found)

    async def remove_logs(self, run_ids: Sequence[str]) -> None:
        """Remove the logs of runs that were deleted."""
        if self._logs is not None and run_ids:
            with contextlib.suppress(QtForgeError):  # they go with their age
                await self._logs.remove_logs(run_ids)

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(each for each in self.folder.iterdir() if each.is_dir())


async def _is_needed(folder: Path, journal: Journal) -> bool:
    markers = folder / _MARKERS
    forks = [each.name for each in markers.iterdir()] if markers.is_dir() else []
    for run_id in (folder.name, *forks):
        if await _exists(journal, run_id):
            return True
    return False


async def _exists(journal: Journal, run_id: str) -> bool:
    try:
        await journal.summary(run_id)
    except RunNotFoundError:
        return False
    return True
