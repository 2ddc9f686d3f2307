"""Folders for work that is not finished: one that a killed process has left is found and removed.

A folder is locked as long as its process lives, so a folder that was left is recognised.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from qtforge_sdk.files import private_folder, try_lock

__all__ = ["abandoned", "work_folder"]

_PREFIX: Final = ".qtforge-"
_TRIES: Final = 10


@contextlib.contextmanager
def work_folder(parent: Path, purpose: str) -> Iterator[Path]:
    """Make a folder that is removed at the end, and remove those that dead processes have left.

    Args:
        parent: Where it is made; made when it is missing.
        purpose: What it is for, such as ``backup``; part of its name.

    Raises:
        OSError: It can't be made.
    """
    private_folder(parent)
    for left in abandoned(parent, purpose):
        shutil.rmtree(left, ignore_errors=True)
    folder, descriptor = _make(parent, purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def abandoned(parent: Path, purpose: str) -> Sequence[Path]:
    """Return the folders of this user that dead processes have left.

    Args:
        parent: Where to look.
        purpose: What they are for.
    """
    try:
        found = sorted(parent.glob(f"{_PREFIX}{purpose}-*"))
    except OSError:
        return []
    return [folder for folder in found if _is_abandoned(folder)]


def _make(parent: Path, purpose: str) -> tuple[Path, int]:
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-", dir=parent))
        # Until it is locked, another process may take it for one that was left.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            if try_lock(descriptor) and folder.is_dir():
                return folder, descriptor
            os.close(descriptor)
    raise OSError(f"the folders made in {parent} are removed at once")


def _is_abandoned(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return os.fstat(descriptor).st_uid == os.geteuid() and try_lock(descriptor)
    finally:
        os.close(descriptor)
