"""What is read from the journal's SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, NoReturn

from qtforge_host.journal.appended_queries import read_appended
from qtforge_host.journal.archive import pack
from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.encoding import UnreadableError, decode_message, decode_record
from qtforge_host.journal.listing_queries import list_runs
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_host.journal.schema import POSITION_BITS
from qtforge_host.journal.storage_errors import is_lasting
from qtforge_host.journal.waiting_queries import WaitingQueries
from qtforge_sdk import Record
from qtforge_sdk.journal import AppendedPage, InboxEntry, RunQuery, RunSummary
from qtforge_sdk.journal_errors import JournalDamagedError, RunNotFoundError

__all__ = ["Queries", "payloads"]

_PAYLOADS: Final = "SELECT id, checksum, payload FROM records WHERE id BETWEEN ? AND ? ORDER BY id"
_UNFINISHED: Final = """SELECT run_id, owner FROM runs
    WHERE status IN ('running', 'blocked') ORDER BY key"""


def payloads(connection: sqlite3.Connection, key: int) -> list[bytes]:
    """Return the payloads of a run's records, unchecked."""
    return [payload for _, _, payload in _rows(connection, key)]


class Queries:
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
        self.waiting = WaitingQueries(connection, directory, locks, blobs)

    def records(self, run_id: str) -> tuple[Record, ...]:
        """Return a run's records; see `Journal`."""
        return self._records(run_id, self._key(run_id), 1)

    def tail(self, run_id: str) -> tuple[Record, ...]:
        """Return what a run goes on from; see `Journal`."""
        key = self._key(run_id)
        (kept,) = self._connection.execute("SELECT kept FROM runs WHERE key = ?", (key,)).fetchone()
        if kept <= 1:
            return self._records(run_id, key, 1)
        first = self._records(run_id, key, 1, 1)
        return first + self._records(run_id, key, kept)

    def _records(
        self, run_id: str, key: int, first: int, last: int = (1 << POSITION_BITS) - 1
    ) -> tuple[Record, ...]:
        found = []
        try:
            rows = _rows(self._connection, key, first, last)
            for expected, (id_, checksum, payload) in enumerate(rows, first):
                position = id_ - (key << POSITION_BITS)
                if position != expected:
                    self._damaged(run_id, expected, UnreadableError("it is missing"))
                try:
                    found.append(decode_record(payload, checksum, self._blobs.read))
                except UnreadableError as error:
                    self._damaged(run_id, position, error)
        except sqlite3.DatabaseError as error:
            if not is_lasting(error):
                raise
            self._damaged(run_id, None, error)
        if not found:
            self._damaged(run_id, first, UnreadableError("it is missing"))
        return tuple(found)

    def runs(self, query: RunQuery) -> tuple[RunSummary, ...]:
        """Return what a query asks for; see `Journal`."""
        return list_runs(self._connection, self._locks, query)

    def appended(self, after: int, limit: int, run_id: str | None) -> AppendedPage:
        """Return records of any run in their order; see `Journal`."""
        key = None if run_id is None else self._key(run_id)
        return read_appended(self._connection, self._blobs, after, limit, key)

    def unfinished(self) -> tuple[str, ...]:
        """Return the runs that may be taken up; see `Journal`."""
        rows = self._connection.execute(_UNFINISHED).fetchall()
        owners = {owner for _, owner in rows}
        alive = {owner for owner in owners if owner is not None and self._locks.is_alive(owner)}
        return tuple(run_id for run_id, owner in rows if owner not in alive)

    def inbox(self, run_id: str, after: int) -> tuple[InboxEntry, ...]:
        """Return the messages to a run; see `Journal`."""
        rows = self._connection.execute(
            "SELECT position, checksum, payload FROM inbox WHERE run = ? AND position > ?"
            " ORDER BY position",
            (self._key(run_id), after),
        ).fetchall()
        found = []
        for position, checksum, payload in rows:
            try:
                message = decode_message(payload, checksum, self._blobs.read)
            except UnreadableError as error:
                self._damaged(run_id, None, UnreadableError(f"message {position}: {error}"))
            found.append(InboxEntry(position, message))
        return tuple(found)

    def export(self, run_id: str) -> bytes:
        """Return a run as an archive; see `Journal`."""
        self._connection.execute("BEGIN")  # one state of the file for all of it
        try:
            self.records(run_id)  # nothing damaged leaves the house
            self.inbox(run_id, 0)
            key = self._key(run_id)
            rows = self._connection.execute(
                "SELECT payload FROM inbox WHERE run = ? ORDER BY position", (key,)
            )
            sums = self._connection.execute("SELECT sum FROM blobs WHERE run = ?", (key,))
            contents = [self._blobs.read(sum_) for (sum_,) in sums]
            records = payloads(self._connection, key)
            return pack(run_id, records, [payload for (payload,) in rows], contents)
        except UnreadableError as error:
            self._damaged(run_id, None, error)
        finally:
            self._connection.execute("COMMIT")

    def _key(self, run_id: str) -> int:
        row = self._connection.execute(
            "SELECT key FROM runs WHERE run_id = ?", (run_id,)
        ).fetchone()
        if row is None:
            raise RunNotFoundError(run_id)
        return int(row[0])

    def _damaged(self, run_id: str, position: int | None, error: Exception) -> NoReturn:
        raise JournalDamagedError(str(self._directory), run_id, position, str(error)) from error


def _rows(
    connection: sqlite3.Connection, key: int, first: int = 1, last: int = (1 << POSITION_BITS) - 1
) -> list[tuple[int, int, bytes]]:
    base = key << POSITION_BITS
    return connection.execute(_PAYLOADS, (base + first, base + last)).fetchall()
