"""Replace the process of ``serve`` or ``worker`` by a new one with its socket and its lock."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable, MutableMapping
from typing import Final, NoReturn

import msgspec

__all__ = ["Successor", "execute_again"]

_VARIABLE: Final = "QTFORGE_SERVE_DESCRIPTORS"


class Successor(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of ``serve`` hands over to the one that replaces it.

    Attributes:
        lock: The descriptor that holds the lock of the state directory.
        listening: The descriptor of the socket that listens; None without HTTP.
        worker: The name of a worker's folder; "" for ``serve``.
    """

    lock: int
    listening: int | None
    worker: str = ""

    @classmethod
    def of(cls, lock: int, listening: socket.socket | None, worker: str = "") -> Successor:
        """Keep the lock and the socket, also when their owners close them."""
        return cls(
            lock=os.dup(lock),
            listening=None if listening is None else os.dup(listening.fileno()),
            worker=worker,
        )

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Successor | None:
        """Return what the process before has handed over; None at an ordinary start.

        The variable is removed, so that no child of this process takes it for its own.
        """
        lock, _, rest = environ.pop(_VARIABLE, "").partition(",")
        listening, _, worker = rest.partition(",")
        if not lock.isdecimal() or not _is(int(lock), stat.S_ISREG):
            return None
        has_socket = listening.isdecimal() and _is(int(listening), stat.S_ISSOCK)
        return cls(lock=int(lock), listening=int(listening) if has_socket else None, worker=worker)

    def replace_this_process(self) -> NoReturn:
        """Execute the same command again.

        Raises:
            OSError: The interpreter is no longer there.
        """
        descriptors = [self.lock] if self.listening is None else [self.lock, self.listening]
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        numbers = f"{self.lock},{'' if self.listening is None else self.listening}"
        os.environ[_VARIABLE] = f"{numbers},{self.worker}"
        execute_again()


def execute_again() -> NoReturn:
    """Replace this process by one that executes the same command.

    Raises:
        OSError: The interpreter is no longer there.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own


def _is(descriptor: int, kind: Callable[[int], bool]) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    os.set_inheritable(descriptor, False)
    return kind(mode)
