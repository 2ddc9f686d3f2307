"""Which processes are alive: each holds a lock that the operating system frees at its end."""

from __future__ import annotations

import datetime
import os
import socket
import sys
import uuid
import weakref
from pathlib import Path
from typing import Final

import msgspec

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["OwnerLocks"]

_ATTEMPTS: Final = 10
_LOCKED_BYTE: Final = 1 << 20  # far behind the content, which others must be able to read


class _Content(msgspec.Struct, frozen=True):
    pid: int
    hostname: str
    started_at: datetime.datetime


class OwnerLocks:
    """The locks of all processes that use a state directory, and this process's own.

    Args:
        directory: Where the lock files are.

    Attributes:
        owner: This process's name; "" until `acquire`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor = -1
        self._dead: set[str] = set()  # once dead, always dead: names are never used again
        self.owner = ""

    def acquire(self) -> None:
        """Take a new name, and hold its lock until `release` or the process's end.

        Raises:
            OSError: The lock file can't be made.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        for _ in range(_ATTEMPTS):
            owner = uuid.uuid4().hex
            descriptor = os.open(self._path(owner), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            try:
                held = _try_lock(descriptor) and self._write(descriptor, owner)
            except OSError:
                os.close(descriptor)
                self._path(owner).unlink(missing_ok=True)
                raise
            if held:
                self._descriptor, self.owner = descriptor, owner
                _close_in_children(self)
                return
            os.close(descriptor)
        raise OSError(f"no lock in {self._directory} could be kept")

    def release(self) -> None:
        """Give the name up; may be called twice."""
        if self._descriptor >= 0:
            if sys.platform != "win32":
                self._path(self.owner).unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def is_alive(self, owner: str) -> bool:
        """Return whether a process still holds its lock; a dead one's file is removed."""
        if owner == self.owner:
            return self._descriptor >= 0
        if owner in self._dead:
            return False
        try:
            descriptor = os.open(self._path(owner), os.O_RDWR)
        except FileNotFoundError:
            self._dead.add(owner)
            return False
        except PermissionError:
            return True  # another user's; nothing tells that it is dead
        try:
            if not _try_lock(descriptor):
                return True
            if sys.platform != "win32":
                self._path(owner).unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        self._dead.add(owner)
        return False

    def alive(self) -> list[str]:
        """Return the names of all processes that live."""
        return [path.stem for path in self._directory.glob("*.lock") if self.is_alive(path.stem)]

    def describe(self, owner: str) -> str:
        """Return a process in words, such as ``process 4711 on host ada``."""
        try:
            content = msgspec.json.decode(self._path(owner).read_bytes(), type=_Content)
        except (OSError, msgspec.MsgspecError):
            return f"the process {owner}"
        return f"process {content.pid} on host {content.hostname}"

    def sweep(self) -> None:
        """Remove the files of dead processes."""
        for path in self._directory.glob("*.lock"):
            self.is_alive(path.stem)

    def _write(self, descriptor: int, owner: str) -> bool:
        now = datetime.datetime.now(datetime.UTC)
        os.write(descriptor, msgspec.json.encode(_Content(os.getpid(), socket.gethostname(), now)))
        # Between making and locking it, another process may have taken it for a dead one's.
        try:
            return os.path.samestat(os.fstat(descriptor), self._path(owner).stat())
        except FileNotFoundError:
            return False

    def _path(self, owner: str) -> Path:
        return self._directory / f"{owner}.lock"

    def close_in_child(self) -> None:
        """Close the copy that a forked child got; it would outlive this process's own."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _close_in_children(locks: OwnerLocks) -> None:
    reference = weakref.ref(locks)

    def close() -> None:
        found = reference()
        if found is not None:
            found.close_in_child()

    if sys.platform != "win32":
        os.register_at_fork(after_in_child=close)


if sys.platform == "win32":

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:

    def _try_lock(descriptor: int) -> bool:
        # Not lockf: those locks go when any copy of the file is closed in the process.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
