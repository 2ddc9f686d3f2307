"""Files that several processes write: atomic replacement, and locks that end with a process."""

from __future__ import annotations

import errno
import os
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = [
    "close_in_children",
    "exclusive_lock",
    "keep_file",
    "private_file",
    "private_folder",
    "sync_folder",
    "temporary_file",
    "try_lock",
    "unlock",
    "write_atomically",
]

_POLL_S: Final = 0.02
_LOCKED_BYTE: Final = 1 << 20  # of Windows: far after the content, which stays readable


class _Closeable(Protocol):
    def close(self) -> object: ...


# Of the process, as fork is: closing these in a child leaves them open in the parent.
_CLOSED_IN_CHILDREN: Final[weakref.WeakSet[_Closeable]] = weakref.WeakSet()


def close_in_children(thing: _Closeable) -> None:
    """Close a file or socket in every child that is forked from now on.

    A forked child has a copy of each descriptor: it would hold a lock, or a port, after this
    process has ended. Programs that are started need nothing: Python's descriptors are not
    inherited by them.

    Args:
        thing: What has a ``close``; forgotten when nothing else refers to it.
    """
    _CLOSED_IN_CHILDREN.add(thing)


def _close_all() -> None:
    for thing in list(_CLOSED_IN_CHILDREN):
        with suppress(OSError):
            thing.close()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_all)


def private_folder(folder: Path) -> None:
    """Make a folder and its missing parents, which only this user can open.

    Args:
        folder: The folder; nothing is changed when it is there.

    Raises:
        OSError: It can't be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(0o700, exist_ok=True)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def private_file(path: Path) -> None:
    """Make an empty file that only this user can open; one that is there stays as it is.

    Raises:
        OSError: It can't be made.
    """
    os.close(_private(path, os.O_RDWR | os.O_CREAT))


def _private(path: str | Path, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file, so that a reader sees the old content or the new, also after a crash.

    Args:
        path: The file; its folder is made when it is missing.
        content: The whole new content.

    Raises:
        OSError: It can't be written; the old content remains.
    """
    import tempfile  # slow to import, and most commands write no file

    private_folder(path.parent)
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
def temporary_file(folder: Path) -> Iterator[BinaryIO]:
    """Open a new file in a folder; it is deleted at the end unless `keep_file` renamed it.

    Args:
        folder: The folder; it is made when it is missing. It must be on the file system of
            the name that `keep_file` gives it.

    Raises:
        OSError: The file can't be made.
    """
    import tempfile  # as in `write_atomically`

    private_folder(folder)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        try:
            yield cast(BinaryIO, file)
        finally:
            Path(file.name).unlink(missing_ok=True)


def keep_file(file: BinaryIO, path: Path) -> None:
    """Rename a temporary file, and return when its content and its name are on the disk.

    Args:
        file: From `temporary_file`.
        path: Its new name; an existing file is replaced.

    Raises:
        OSError: It can't be written.
    """
    file.flush()
    os.fsync(file.fileno())
    private_folder(path.parent)
    os.replace(file.name, path)
    for folder in (path.parent, path.parent.parent):  # the folder itself may be new
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk.

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


@contextmanager
def exclusive_lock(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock of a file, ``<path>.lock``; it is released when the process ends.

    Args:
        path: The file that is to be changed.
        timeout_s: How long to wait for another process, in seconds.

    Raises:
        TimeoutError: Another process held the lock all that time.
        OSError: The lock file can't be opened.
    """
    private_folder(path.parent)
    lock_path = path.with_name(f"{path.name}.lock")
    deadline = time.monotonic() + timeout_s
    with open(lock_path, "ab", opener=_private) as file:
        close_in_children(file)
        while not try_lock(file.fileno()):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"another process has held {lock_path} for {timeout_s:g} s")
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            unlock(file.fileno())


if sys.platform == "win32":

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for this descriptor; return False when another one holds the lock."""
        return _lock_byte(descriptor, msvcrt.LK_NBLCK)

    def unlock(descriptor: int) -> None:
        """Release the lock of a descriptor."""
        _lock_byte(descriptor, msvcrt.LK_UNLCK)

    def _lock_byte(descriptor: int, mode: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, mode, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for this descriptor; return False when another one holds the lock.

        Closing the descriptor releases the lock.
        """
        # Not lockf: it releases a lock when any descriptor of the file is closed in the process.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Release the lock of a descriptor."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)
