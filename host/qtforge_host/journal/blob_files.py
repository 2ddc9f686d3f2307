"""Large values in files that are named by their content: ``<2 hex>/<sha256>``."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from qtforge_sdk.files import sync_folder, write_atomically
from qtforge_sdk.journal_kit.encoding import Blob, UnreadableError

__all__ = ["BlobFiles"]


_MOST_VERIFIED: Final = 4096
_ABANDONED_S: Final = 3600.0  # a temporary file older than this belongs to no living process


class BlobFiles:
    """The folder of large values; a file is written before the record that refers to it.

    Args:
        directory: The folder; made for the first value.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._verified: dict[bytes, tuple[int, int, int]] = {}  # files as they were last read

    def write(self, blob: Blob) -> None:
        """Write a value, and return when it is on the disk.

        Raises:
            OSError: It can't be written.
        """
        path = self._path(blob.sum)
        if self._is_written(path, blob):
            return
        folder_is_new = not path.parent.exists()
        write_atomically(path, blob.content)
        sync_folder(path.parent)
        if folder_is_new:
            sync_folder(self._directory)
            sync_folder(self._directory.parent)

    def ensure(self, blob: Blob) -> None:
        """Write a value again if `sweep` has deleted its file since it was written.

        Raises:
            OSError: It can't be written.
        """
        if not self._path(blob.sum).exists():
            self.write(blob)

    def read(self, sum_: bytes) -> bytes:
        """Return a value's content.

        Raises:
            UnreadableError: The file is missing, or its content has changed.
        """
        import hashlib  # its first import makes OpenSSL ready, in 3 ms

        try:
            content = self._path(sum_).read_bytes()
        except OSError as error:
            raise UnreadableError(f"the file of a large value can't be read: {error}") from error
        if hashlib.sha256(content).digest() != sum_:
            raise UnreadableError(f"the content of {self._path(sum_).name} does not fit its name")
        return content

    def sweep(
        self, is_referenced: Callable[[bytes], bool], sums: Collection[bytes] | None = None
    ) -> None:
        """Delete every file that no run refers to; only while no other process can write.

        Args:
            is_referenced: Whether a run refers to a value.
            sums: Only the files of these values; None for all.
        """
        if sums is not None:
            for sum_ in sums:
                if not is_referenced(sum_):
                    self._path(sum_).unlink(missing_ok=True)
            return
        now_s = time.time()
        for path in self._directory.glob("*/*"):
            try:
                sum_ = bytes.fromhex(path.name)
            except ValueError:  # a temporary name
                if now_s - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink(missing_ok=True)
                continue
            if not is_referenced(sum_):
                path.unlink(missing_ok=True)

    def _path(self, sum_: bytes) -> Path:
        name = sum_.hex()
        return self._directory / name[:2] / name

    def _is_written(self, path: Path, blob: Blob) -> bool:
        """Return whether a value is in its file; a file is read again when it has changed."""
        try:
            status = path.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            if self._verified.get(blob.sum) == seen:
                return True
            if status.st_size != len(blob.content) or not self.read(blob.sum):
                return False
        except (OSError, UnreadableError):
            return False
        if len(self._verified) >= _MOST_VERIFIED:
            self._verified.clear()
        self._verified[blob.sum] = seen
        return True
