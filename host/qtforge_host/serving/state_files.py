"""``<state>/serve`` and ``<state>/workers``: locks, tokens and marks of processes that stay up."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from qtforge_host.serving.errors import AlreadyServingError, WorkerNameTakenError
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.files import (
    close_in_children,
    exclusive_lock,
    private_file,
    private_folder,
    try_lock,
    write_atomically,
)

__all__ = ["ServeFolder"]

_TOKEN_BYTES: Final = 32
_KEY_BYTES: Final = 32
_LOCK_S: Final = 10.0


class ServeFolder:
    """What a process that stays up keeps of its own in a state directory.

    Args:
        state_dir: The state directory; it may not exist yet.
        worker: The name of a ``worker``; "" for ``serve``, of which there is one.

    Attributes:
        state_dir: The state directory.
        worker: The name of the folder of a ``worker``, or "".
    """

    def __init__(self, state_dir: Path, worker: str = "") -> None:
        self.state_dir = state_dir
        self.worker = worker
        self._folder = state_dir / "workers" / worker if worker else state_dir / "serve"

    @property
    def token_path(self) -> Path:
        """The file with the token."""
        return self._folder / "token"

    @property
    def tokens_path(self) -> Path:
        """The file with the hashes of the tokens that were created."""
        return self._folder / "tokens.json"

    @property
    def address_path(self) -> Path:
        """The file that says at which URL the process listens."""
        return self._folder / "address"

    @property
    def marks_path(self) -> Path:
        """The file that says whose code is in progress."""
        return self._folder / "plugin-code"

    @property
    def crash_path(self) -> Path:
        """The file that says where the process crashed."""
        return self._folder / "crash"

    @contextlib.contextmanager
    def lock(self, held: int | None = None) -> Iterator[int]:
        """Be the only such process; the operating system frees the lock at a process's end.

        Args:
            held: A descriptor that holds the lock already, from the process before; or None.

        Yields:
            The descriptor that holds the lock; a duplicate of it keeps the lock.

        Raises:
            AlreadyServingError: Another one serves.
            WorkerNameTakenError: Another worker has the name.
            StateDirectoryError: The folder can't be written.
        """
        pid_path = self._folder / "process"
        with contextlib.ExitStack() as stack:
            try:
                private_folder(self._folder)
                opened: Path | int = pid_path.with_name("process.lock") if held is None else held
                if isinstance(opened, Path):
                    private_file(opened)
                file = stack.enter_context(open(opened, "ab"))
                close_in_children(file)
                descriptor = file.fileno()
                if not try_lock(descriptor):
                    pid = _read_pid(pid_path)
                    if self.worker:
                        raise WorkerNameTakenError(self.worker, str(self.state_dir), pid)
                    raise AlreadyServingError(str(self.state_dir), pid)
                write_atomically(pid_path, f"{os.getpid()}\n".encode())
            except OSError as error:
                raise StateDirectoryError(str(self._folder), str(error)) from error
            yield descriptor

    @property
    def log_path(self) -> Path:
        """The file with the output of a ``serve`` that another command has started."""
        return self._folder / "log"

    def is_served(self) -> bool:
        """Return whether a process serves the state directory now.

        Raises:
            StateDirectoryError: The lock can't be read.
        """
        path = self._folder / "process.lock"
        try:
            with path.open("ab") as file:
                return not try_lock(file.fileno())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StateDirectoryError(str(path), str(error)) from error

    def address(self) -> str | None:
        """Return the URL at which the process listens; None where it has not said one.

        Raises:
            StateDirectoryError: The file can't be read.
        """
        try:
            return self.address_path.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StateDirectoryError(str(self.address_path), str(error)) from error

    def make_token(self) -> None:
        """Make the token when there is none yet; only its owner can read the file.

        Raises:
            StateDirectoryError: It can't be read or written.
        """
        try:
            if not self.token_path.exists():
                # mkstemp, beneath it, makes files that only their owner can read.
                made = secrets.token_urlsafe(_TOKEN_BYTES)
                write_atomically(self.token_path, f"{made}\n".encode())
        except OSError as error:
            raise StateDirectoryError(str(self.token_path), str(error)) from error
        self.read_token()

    def session_key(self) -> bytes:
        """Return the key that signs logins in the browser; it is made where there is none.

        Raises:
            StateDirectoryError: It can't be read or written, or others may change it.
        """
        path = self._folder / "session-key"
        try:
            if not path.exists():
                private_folder(self._folder)
                with exclusive_lock(path, _LOCK_S):
                    if not path.exists():
                        write_atomically(path, secrets.token_bytes(_KEY_BYTES))
            if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise StateDirectoryError(
                    str(path), "other users can read or change it",
                    "remove it: all logins in the browser end, and a new one is made",
                )  # fmt: skip
            found = path.read_bytes()
        except OSError as error:
            raise StateDirectoryError(str(path), str(error)) from error
        if len(found) != _KEY_BYTES:
            raise StateDirectoryError(
                str(path), "it is damaged", "remove it, and a new one is made"
            )
        return found

    def read_token(self) -> str | None:
        """Return the token; None where there is none.

        Raises:
            StateDirectoryError: It can't be read, is empty, or others may change it.
        """
        try:
            if self.token_path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise StateDirectoryError(
                    str(self.token_path),
                    "other users can change it",
                    f"chmod 600 {self.token_path}, or remove it, and a new one is made",
                )
            found = self.token_path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StateDirectoryError(str(self.token_path), str(error)) from error
        if not found:
            raise StateDirectoryError(
                str(self.token_path), "it is empty", "remove it, and a new one is made"
            )
        return found


def _read_pid(path: Path) -> str:
    """Return the number of the process that serves; "" where it is not known, or has ended."""
    try:
        pid = path.read_text(encoding="ascii").strip()
        os.kill(int(pid), 0)
    except PermissionError:  # another user's process
        return pid
    except (OSError, ValueError, OverflowError):
        return ""
    return pid
