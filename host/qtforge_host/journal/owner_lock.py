"""The processes that use a journal: each holds a lock that ends with the process."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import sys
import uuid
from pathlib import Path
from typing import Final

import msgspec

from qtforge_sdk.files import close_in_children, private_folder, try_lock

__all__ = ["OwnerLocks", "OwnerProcess"]

_ATTEMPTS: Final = 10


class OwnerProcess(msgspec.Struct, frozen=True):
    """The process that holds a lock, as its file says."""

    pid: int
    hostname: str
    started_at: datetime.datetime


class OwnerLocks:
    """The locks of all processes that use a state directory, and this process's own.

    Args:
        directory: The folder of the lock files.

    Attributes:
        owner: This process's unique name; "" before `acquire`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor = -1
        self._dead: set[str] = set()  # names are never reused, so that a dead one stays dead
        self.owner = ""

    def acquire(self) -> None:
        """Choose a new name, and hold its lock until `release` or the end of the process.

        Raises:
            OSError: The lock file can't be made.
        """
        private_folder(self._directory)
        for _ in range(_ATTEMPTS):
            owner = uuid.uuid4().hex
            descriptor = os.open(self._path(owner), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            try:
                held = try_lock(descriptor) and self._write(descriptor, owner)
            except OSError:
                os.close(descriptor)
                self._path(owner).unlink(missing_ok=True)
                raise
            if held:
                self._descriptor, self.owner = descriptor, owner
                close_in_children(self)
                return
            os.close(descriptor)
        raise OSError(f"no lock in {self._directory} could be kept")

    def release(self) -> None:
        """Release the lock; may be called twice."""
        if self._descriptor >= 0:
            if sys.platform != "win32":
                self._path(self.owner).unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def is_alive(self, owner: str) -> bool:
        """Return whether a process holds its lock; the file of a dead process is removed."""
        if owner == self.owner:
            return self._descriptor >= 0
        if owner in self._dead:
            return False
        try:
            descriptor = _opened(self._path(owner))
        except FileNotFoundError:
            self._dead.add(owner)
            return False
        except OSError:
            return True  # another user's; it may be alive
        try:
            if not try_lock(descriptor):
                return True
            if sys.platform != "win32":
                with contextlib.suppress(OSError):  # the folder can't be written
                    self._path(owner).unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        self._dead.add(owner)
        return False

    def alive(self) -> list[str]:
        """Return the names of all processes that are alive."""
        return [path.stem for path in self._directory.glob("*.lock") if self.is_alive(path.stem)]

    def describe(self, owner: str) -> str:
        """Return a description of a process, such as ``process 4711 on host ada``."""
        process = self.process(owner)
        if process is None:
            return f"the process {owner}"
        return f"process {process.pid} on host {process.hostname}"

    def process(self, owner: str) -> OwnerProcess | None:
        """Return which process has a name; None where its file can't be read."""
        try:
            return msgspec.json.decode(self._path(owner).read_bytes(), type=OwnerProcess)
        except (OSError, msgspec.MsgspecError):
            return None

    def sweep(self) -> None:
        """Remove the files of dead processes."""
        for path in self._directory.glob("*.lock"):
            self.is_alive(path.stem)

    def _write(self, descriptor: int, owner: str) -> bool:
        now = datetime.datetime.now(datetime.UTC)
        os.write(
            descriptor, msgspec.json.encode(OwnerProcess(os.getpid(), socket.gethostname(), now))
        )
        # Before the lock, another process may have removed the file as a dead process's.
        try:
            return os.path.samestat(os.fstat(descriptor), self._path(owner).stat())
        except FileNotFoundError:
            return False

    def _path(self, owner: str) -> Path:
        return self._directory / f"{owner}.lock"

    def close(self) -> None:
        """Close the lock, and leave its file; what a forked child does with its copy."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _opened(path: Path) -> int:
    """Open a lock file; only for reading where it can't be written, which is enough to try it."""
    try:
        return os.open(path, os.O_RDWR)
    except FileNotFoundError:
        raise
    except OSError:
        return os.open(path, os.O_RDONLY)
