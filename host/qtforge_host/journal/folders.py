"""Making a folder's names durable: a file's own fsync does not keep its name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["sync_folder"]


def sync_folder(folder: Path) -> None:
    """Return when the disk has the names in a folder.

    Raises:
        OSError: The folder can't be opened or synced.
    """
    if sys.platform == "win32":
        return  # a folder can't be opened there; NTFS journals its names
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
