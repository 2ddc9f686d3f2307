"""Files that are whole and on the disk once they have their name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

__all__ = ["keep_file", "sync_folder", "temporary_file"]


@contextmanager
def temporary_file(folder: Path) -> Iterator[BinaryIO]:
    """Give a new file below a folder; it is removed in the end unless `keep_file` took it."""
    place = folder / "incoming"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place, delete=False) as file:
        try:
            yield cast(BinaryIO, file)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(file.name)


def keep_file(file: BinaryIO, target: Path) -> None:
    """Give a temporary file its name for good; what had that name is replaced.

    Raises:
        OSError: It can't be written.
    """
    file.flush()
    os.fsync(file.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(file.name, target)
    for folder in (target.parent, target.parent.parent):  # the folder itself may be new
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Let a folder's names reach the disk, where the system can do that."""
    flags = getattr(os, "O_DIRECTORY", None)
    if flags is None:
        return
    descriptor = os.open(folder, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
