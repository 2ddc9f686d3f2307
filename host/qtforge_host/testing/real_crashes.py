"""Processes that are forked and killed, and what they leave to those that follow them."""

from __future__ import annotations

import datetime
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from qtforge_host.testing.fakes import Fake
from qtforge_host.testing.mortal_journal import MortalJournal, kill_process
from qtforge_host.testing.traffic import Call
from qtforge_sdk import ErrorInfo
from qtforge_sdk.conversion import to_plain

__all__ = ["CaseFolder", "Ended", "in_child"]

_LIMIT_S: Final = 180  # of real time, after which a child is killed
_OUTCOME: Final = "outcome"
_DIED: Final = "died"
_NOW: Final = "now"
_CALLS: Final = "calls"
_GIVEN: Final = "given"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended in a child, as it tells its parent.

    Attributes:
        outcome: See `qtforge_host.testing.crash_sweep.outcome_of`.
        error: Why the run failed or is blocked, or None.
        advances: When each `advance` of the story ended, in seconds of the run's time.
    """

    outcome: dict[str, Any]
    error: ErrorInfo | None
    advances: list[float]


class _Given(msgspec.Struct, frozen=True):
    topic: str
    key: str
    attempt: int


class CaseFolder:
    """The files of one execution of a run: its journal, and what its processes tell.

    Args:
        folder: It exists.

    Attributes:
        folder: The same.
        journal: Where the journal is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "runs"

    def ended(self) -> Ended:
        """Return how the run ended."""
        return msgspec.msgpack.decode((self.folder / _OUTCOME).read_bytes(), type=Ended)

    def tell(self, ended: Ended) -> None:
        """Write how the run ended."""
        (self.folder / _OUTCOME).write_bytes(msgspec.msgpack.encode(ended))

    def has_died(self) -> bool:
        """Return whether a process died."""
        return (self.folder / _DIED).exists()

    def died(self) -> str:
        """Return the moment at which a process died, in words."""
        return (self.folder / _DIED).read_text(encoding="utf-8")

    def die_in(self, journal: MortalJournal, now: datetime.datetime) -> None:
        """Write the moment and the virtual time, and kill this process."""
        (self.folder / _NOW).write_text(now.isoformat(), encoding="utf-8")
        (self.folder / _DIED).write_text(str(journal.died_at), encoding="utf-8")
        kill_process()

    def now(self, start: datetime.datetime) -> datetime.datetime:
        """Return the virtual time at which a process died; the start where none did."""
        path = self.folder / _NOW
        if not path.exists():
            return start
        return datetime.datetime.fromisoformat(path.read_text(encoding="utf-8"))

    def note_call(self, call: Call) -> None:
        """Note a request, so that it is known although the process dies."""
        self._append(_CALLS, call)

    def calls(self) -> list[Call]:
        """Return the requests of all processes."""
        return [msgspec.json.decode(line, type=Call) for line in self._lines(_CALLS)]

    def share(self, topic: str, fake: Fake) -> None:
        """Let a fake continue where that of the process before ended."""
        given = [msgspec.json.decode(line, type=_Given) for line in self._lines(_GIVEN)]
        fake.begin_again((each.key, each.attempt) for each in given if each.topic == topic)
        fake.on_given = lambda key, attempt: self._append(_GIVEN, _Given(topic, key, attempt))

    def _append(self, name: str, what: object) -> None:
        line = msgspec.json.encode(to_plain(what)) + b"\n"
        file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line)  # in one piece: the process may be killed after it
        finally:
            os.close(file)

    def _lines(self, name: str) -> list[bytes]:
        path = self.folder / name
        return path.read_bytes().splitlines() if path.exists() else []


def in_child(work: Callable[[], None], limit_s: int = _LIMIT_S) -> int:
    """Do something in a forked process.

    Args:
        work: What to do; its exception is printed there.
        limit_s: Seconds of real time after which the process is killed.

    Returns:
        Its exit code: 0 when it is done, 1 when it raised, the negative number of a signal.

    Raises:
        RuntimeError: This platform has no fork.
    """
    if not hasattr(os, "fork"):
        raise RuntimeError("this platform can't fork: use crash_at_every_write without for_real")
    with warnings.catch_warnings():
        # Of threads: those of pytest and of the parent's host wait, and the child uses none.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(limit_s)
            work()
        except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
