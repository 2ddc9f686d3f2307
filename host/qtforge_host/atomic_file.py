"""Files that several processes write: replaced whole, under a lock with a deadline."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["exclusive_lock", "write_atomically"]

_POLL_S: Final = 0.02


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file, so that a reader sees the old content or the new, also after a crash.

    Args:
        path: Its folder is made where it is missing.
        content: All of it.

    Raises:
        OSError: It can't be written; the old content stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def exclusive_lock(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock of a file: ``<path>.lock`` beside it, let go when the process ends.

    Args:
        path: The file that is to be changed.
        timeout_s: How long to wait for another process, in seconds.

    Raises:
        TimeoutError: Another process held it all that time.
        OSError: The lock file can't be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock_path = path.with_name(f"{path.name}.lock")
    deadline = time.monotonic() + timeout_s
    with lock_path.open("ab") as file:
        while not _try_lock(file.fileno()):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"another process has held {lock_path} for {timeout_s:g} s")
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            _unlock(file.fileno())


if sys.platform == "win32":

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
