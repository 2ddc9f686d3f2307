"""What is read of runs that wait: what was sent to them, and whose timers are due."""

from __future__ import annotations

import datetime
import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.encoding import UnreadableError, decode_message
from qtforge_host.journal.instants import from_us, to_us
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_sdk.journal import InboxEntry, InboxMessage, PostedMessage
from qtforge_sdk.journal_errors import JournalDamagedError

__all__ = ["WaitingQueries"]

_POSTED: Final = """SELECT run_id, position, checksum, payload
    FROM inbox JOIN runs ON runs.key = inbox.run WHERE position > ? ORDER BY position LIMIT ?"""
_FREE: Final = """status = 'waiting'
    AND (owner IS NULL OR owner NOT IN (SELECT value FROM json_each(:alive)))"""
_STIRRED: Final = f"""SELECT DISTINCT run_id
    FROM arrivals CROSS JOIN runs ON runs.key = arrivals.run
    WHERE {_FREE} LIMIT :limit"""  # noqa: S608 - of constants
_DUE: Final = f"""SELECT run_id FROM timers CROSS JOIN runs ON runs.key = timers.run
    WHERE due <= :before AND {_FREE} ORDER BY due LIMIT :limit"""  # noqa: S608 - of constants
_NEXT_DUE: Final = "SELECT due FROM timers WHERE due > ? ORDER BY due LIMIT 1"
_ARRIVED: Final = """SELECT arrivals.position, checksum, payload
    FROM arrivals CROSS JOIN inbox ON inbox.position = arrivals.position
    WHERE arrivals.run = (SELECT key FROM runs WHERE run_id = ?) AND arrivals.position > ?
    ORDER BY arrivals.position"""


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
        rows = self._connection.execute(_POSTED, (after, limit)).fetchall()
        return tuple(
            PostedMessage(run_id, position, self._message(run_id, position, checksum, payload))
            for run_id, position, checksum, payload in rows
        )

    def arrived(self, run_id: str, after: int) -> tuple[InboxEntry, ...]:
        """Return what a run has not dealt with; see `Journal`."""
        rows = self._connection.execute(_ARRIVED, (run_id, after)).fetchall()
        return tuple(InboxEntry(row[0], self._message(run_id, *row)) for row in rows)

    def last_position(self) -> int:
        """Return the position of the newest message; see `Journal`."""
        (found,) = self._connection.execute("SELECT max(position) FROM inbox").fetchone()
        return int(found or 0)

    def stirred(self, limit: int) -> tuple[str, ...]:
        """Return waiting runs that were sent something; see `Journal`."""
        rows = self._connection.execute(_STIRRED, {"alive": self._alive(), "limit": limit})
        return tuple(run_id for (run_id,) in rows)

    def due(self, before: datetime.datetime, limit: int) -> tuple[str, ...]:
        """Return waiting runs with a timer that is due; see `Journal`."""
        given = {"alive": self._alive(), "before": to_us(before), "limit": limit}
        rows = self._connection.execute(_DUE, given)
        return tuple(dict.fromkeys(run_id for (run_id,) in rows))

    def next_due(self, after: datetime.datetime) -> datetime.datetime | None:
        """Return when the next timer is due; see `Journal`."""
        row = self._connection.execute(_NEXT_DUE, (to_us(after),)).fetchone()
        return None if row is None else from_us(row[0])

    def _alive(self) -> str:
        return msgspec.json.encode(self._locks.alive()).decode()

    def _message(self, run_id: str, position: int, checksum: int, payload: bytes) -> InboxMessage:
        try:
            return decode_message(payload, checksum, self._blobs.read)
        except UnreadableError as error:
            what = f"message {position}: {error}"
            raise JournalDamagedError(str(self._directory), run_id, None, what) from error
