"""Replace the process of ``serve`` by a new one, which keeps its socket and its lock."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Final, NoReturn

__all__ = ["Successor"]

_VARIABLE: Final = "QTFORGE_SERVE_DESCRIPTORS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """What a process of ``serve`` hands over to the one that replaces it.

    Attributes:
        lock: The descriptor that holds the lock of the state directory.
        listening: The descriptor of the socket that listens; None without HTTP.
    """

    lock: int
    listening: int | None

    @classmethod
    def of(cls, lock: int, listening: socket.socket | None) -> Successor:
        """Keep the lock and the socket, also when their owners close them."""
        return cls(
            lock=os.dup(lock),
            listening=None if listening is None else os.dup(listening.fileno()),
        )

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Successor | None:
        """Return what the process before has handed over; None at an ordinary start.

        The variable is removed, so that no child of this process takes it for its own.
        """
        lock, _, listening = environ.pop(_VARIABLE, "").partition(",")
        if not lock.isdecimal() or not _is(int(lock), stat.S_ISREG):
            return None
        has_socket = listening.isdecimal() and _is(int(listening), stat.S_ISSOCK)
        return cls(lock=int(lock), listening=int(listening) if has_socket else None)

    def replace_this_process(self) -> NoReturn:
        """Execute the same command again.

        Raises:
            OSError: The interpreter is no longer there.
        """
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        descriptors = [self.lock] if self.listening is None else [self.lock, self.listening]
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        os.environ[_VARIABLE] = ",".join(map(str, descriptors))
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own


def _is(descriptor: int, kind: Callable[[int], bool]) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    os.set_inheritable(descriptor, False)
    return kind(mode)
