"""What is read of runs that wait: what was sent to them, and whose timers are due."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.encoding import UnreadableError, decode_message
from qtforge_host.journal.instants import from_us, to_us
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_sdk.journal import PostedMessage
from qtforge_sdk.journal_errors import JournalDamagedError

__all__ = ["WaitingQueries"]

_POSTED: Final = """SELECT run_id, position, checksum, payload
    FROM inbox JOIN runs ON runs.key = inbox.run WHERE position > ? ORDER BY position LIMIT ?"""
_STIRRED: Final = """SELECT DISTINCT run_id, owner FROM arrivals
    JOIN runs ON runs.key = arrivals.run WHERE status = 'waiting' LIMIT ?"""
_DUE: Final = """SELECT run_id, owner, due FROM timers JOIN runs ON runs.key = timers.run
    WHERE due <= ? AND status = 'waiting' ORDER BY due LIMIT ?"""
_CORRELATED: Final = """SELECT run_id FROM runs WHERE correlation = ? AND workflow = ?
    AND finished_at IS NULL ORDER BY key LIMIT ?"""
_END_OF_TIME: Final = (1 << 63) - 1


class WaitingQueries:
    """Reads; for one thread at a time.

    Args:
        connection: Its own.
        directory: The state directory, for errors.
        locks: Tells which owners live.
        blobs: Where large values are.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        directory: Path,
        locks: OwnerLocks,
        blobs: BlobFiles,
    ) -> None:
        self._connection = connection
        self._directory = directory
        self._locks = locks
        self._blobs = blobs

    def posted(self, after: int, limit: int) -> tuple[PostedMessage, ...]:
        """Return what was sent to any run; see `Journal`."""
        found = []
        for run_id, position, checksum, payload in self._connection.execute(
            _POSTED, (after, limit)
        ).fetchall():
            try:
                message = decode_message(payload, checksum, self._blobs.read)
            except UnreadableError as error:
                what = f"message {position}: {error}"
                raise JournalDamagedError(str(self._directory), run_id, None, what) from error
            found.append(PostedMessage(run_id, position, message))
        return tuple(found)

    def last_position(self) -> int:
        """Return the position of the newest message; see `Journal`."""
        (found,) = self._connection.execute("SELECT max(position) FROM inbox").fetchone()
        return int(found or 0)

    def correlated(self, workflow: str, key: str, limit: int) -> tuple[str, ...]:
        """Return unfinished runs with a correlation key; see `Journal`."""
        rows = self._connection.execute(_CORRELATED, (key, workflow, limit))
        return tuple(run_id for (run_id,) in rows)

    def stirred(self, limit: int) -> tuple[str, ...]:
        """Return waiting runs that were sent something; see `Journal`."""
        return self._ownerless(self._connection.execute(_STIRRED, (limit,)))

    def due(self, before: datetime.datetime, limit: int) -> tuple[str, ...]:
        """Return waiting runs with a timer that is due; see `Journal`."""
        rows = self._connection.execute(_DUE, (to_us(before), limit))
        return self._ownerless((run_id, owner) for run_id, owner, _ in rows)

    def next_due(self) -> datetime.datetime | None:
        """Return when the next timer is due; see `Journal`."""
        for run_id, owner, due in self._connection.execute(_DUE, (_END_OF_TIME, 1000)):
            if self._ownerless([(run_id, owner)]):
                return from_us(due)
        return None

    def _ownerless(self, rows: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
        alive: dict[str | None, bool] = {None: False}
        found: dict[str, None] = {}
        for run_id, owner in rows:
            if owner not in alive:
                alive[owner] = owner is not None and self._locks.is_alive(owner)
            if not alive[owner]:
                found[run_id] = None
        return tuple(found)
