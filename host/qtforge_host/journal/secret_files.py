"""`SecretFiles`: the secrets of runs, in a file for each run, apart from the journal's database.

So neither the database and its log nor a backup of them contains a secret, and deleting a run
deletes the bytes.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Final

from qtforge_sdk.files import private_folder, sync_folder
from qtforge_sdk.journal import RunSecret, is_run_id
from qtforge_sdk.journal_kit.secret_lines import decode_secrets, encode_secrets

__all__ = ["SecretFiles"]

_ABANDONED_S: Final = 3600.0  # after which a file without a run belongs to none that begins


class SecretFiles:
    """The files of all runs; each is readable by its owner alone.

    Args:
        directory: Their folder; made for the first one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, run_id: str, lines: bytes) -> None:
        """Append lines to a run's file, and return when they are on the disk.

        Raises:
            OSError: They can't be written.
        """
        path = self._path(run_id)
        if not self._directory.is_dir():
            private_folder(self._directory)
        is_new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with open(descriptor, "ab", buffering=0) as file:
            # One write: of two processes, neither cuts the other's lines.
            if file.write(lines) != len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self._directory)

    def has(self, run_id: str) -> bool:
        """Return whether a run has secrets."""
        return is_run_id(run_id) and self._path(run_id).exists()

    def read(self, run_id: str) -> dict[str, RunSecret]:
        """Return a run's secrets.

        Raises:
            OSError: The file can't be read.
        """
        try:
            return decode_secrets(self._path(run_id).read_bytes())
        except FileNotFoundError:
            return {}

    def runs(self) -> list[str]:
        """Return the runs that have secrets."""
        return sorted(each.stem for each in self._directory.glob("*.jsonl"))

    def without_values(self, run_id: str) -> bytes:
        """Return the lines of a run's file without the values, which are said to be missing.

        Raises:
            OSError: The file can't be read.
        """
        found = {
            reference: each if each.name else RunSecret(is_missing=True)
            for reference, each in self.read(run_id).items()
        }
        return encode_secrets(run_id, found)

    def delete(self, run_id: str, *, at_once: bool) -> None:
        """Delete a run's file, if it is not that of a run that is just beginning.

        Args:
            run_id: A run that the journal does not hold.
            at_once: Whether it did before.
        """
        path = self._path(run_id)
        try:
            if at_once or time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
        except FileNotFoundError:
            pass

    def _path(self, run_id: str) -> Path:
        return self._directory / f"{run_id}.jsonl"
