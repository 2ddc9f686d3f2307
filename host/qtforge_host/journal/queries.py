"""What is read from the journal's SQLite file."""

from __future__ import annotations

import heapq
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

from qtforge_host.journal.archive import pack
from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.encoding import UnreadableError, decode_message, decode_record
from qtforge_host.journal.instants import from_us, to_us
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_host.journal.schema import POSITION_BITS
from qtforge_host.journal.storage_errors import is_lasting
from qtforge_host.journal.waiting_queries import WaitingQueries
from qtforge_sdk import Record
from qtforge_sdk.journal import InboxEntry, RunQuery, RunSummary
from qtforge_sdk.journal_errors import JournalDamagedError, RunNotFoundError

__all__ = ["Queries", "payloads"]

_COLUMNS: Final = """run_id, workflow, kind, status, started_at, finished_at, owner, epoch, parent,
    label, accepts, kept_at"""
_FILTER: Final = "started_at >= :since AND started_at < :until ORDER BY started_at DESC, key DESC"
# The newest of one status, and of one workflow and status, lie together in an index each.
_BY_STATUS: Final = f"SELECT {_COLUMNS}, key FROM runs WHERE status = :status AND {_FILTER}"  # noqa: S608 - of constants
_BY_WORKFLOW: Final = f"""SELECT {_COLUMNS}, key FROM runs
    WHERE workflow = :workflow AND status = :status AND {_FILTER}"""  # noqa: S608 - of constants
# One seek for each set of events that any run waits for; machines of a workflow share them.
_ACCEPTED: Final = """WITH RECURSIVE found(accepts) AS (
    SELECT min(accepts) FROM runs INDEXED BY runs_waiting WHERE status = 'waiting'
    UNION ALL
    SELECT (SELECT min(accepts) FROM runs INDEXED BY runs_waiting
        WHERE status = 'waiting' AND accepts > found.accepts)
    FROM found WHERE found.accepts IS NOT NULL
) SELECT accepts FROM found WHERE accepts IS NOT NULL"""
_BY_ACCEPTED: Final = f"""SELECT {_COLUMNS}, key FROM runs WHERE status = 'waiting'
    AND accepts = :accepts AND (:workflow IS NULL OR workflow = :workflow) AND {_FILTER}"""  # noqa: S608 - of constants
_BY_PARENT: Final = f"SELECT {_COLUMNS}, key FROM runs WHERE parent = :parent AND {_FILTER}"  # noqa: S608 - of constants
# One seek for each status that there is, however many runs have it.
_STATUSES: Final = """WITH RECURSIVE found(status) AS (
    SELECT min(status) FROM runs
    UNION ALL
    SELECT (SELECT min(status) FROM runs WHERE status > found.status) FROM found
    WHERE found.status IS NOT NULL
) SELECT status FROM found WHERE status IS NOT NULL"""
_PAYLOADS: Final = "SELECT id, checksum, payload FROM records WHERE id BETWEEN ? AND ? ORDER BY id"
_UNFINISHED: Final = """SELECT run_id, owner FROM runs
    WHERE status IN ('running', 'blocked') ORDER BY key"""
_END_OF_TIME: Final = (1 << 63) - 1

_Row = tuple[
    str, str, str, str, int, int | None, str | None, int, str | None, str, str, int | None, int
]  # fmt: skip


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
        newest = heapq.merge(
            *self._candidates(query), key=lambda row: (row[4], row[12]), reverse=True
        )
        alive: dict[str | None, bool] = {None: False}
        found = []
        for row in itertools.islice(newest, max(query.limit, 0)):
            owner = row[6]
            if owner is not None and owner not in alive:
                alive[owner] = self._locks.is_alive(owner)
            found.append(_summary(row, alive[owner]))
        return tuple(found)

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

    def _candidates(self, query: RunQuery) -> Iterator[list[_Row]]:
        given = {
            "workflow": query.workflow,
            "parent": query.parent,
            "since": to_us(query.started_since) if query.started_since else -_END_OF_TIME,
            "until": to_us(query.started_until) if query.started_until else _END_OF_TIME,
            "limit": query.limit,
        }
        if query.parent is not None:
            rows = self._connection.execute(_BY_PARENT, given).fetchall()
            yield [
                row
                for row in rows
                if query.workflow in (None, row[1])
                and (not query.statuses or row[3] in query.statuses)
                and (query.waiting_for is None or query.waiting_for in row[10].split())
            ]
            return
        if query.waiting_for is not None:
            if not query.statuses or "waiting" in query.statuses:
                for (accepts,) in self._connection.execute(_ACCEPTED).fetchall():
                    if query.waiting_for in accepts.split():
                        found = {**given, "accepts": accepts}
                        newest = self._connection.execute(f"{_BY_ACCEPTED} LIMIT :limit", found)
                        yield newest.fetchall()
            return
        statement = _BY_STATUS if query.workflow is None else _BY_WORKFLOW
        for status in query.statuses or [row[0] for row in self._connection.execute(_STATUSES)]:
            newest = self._connection.execute(
                f"{statement} LIMIT :limit", {**given, "status": status}
            )
            yield newest.fetchall()

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


def _summary(row: _Row, alive: bool) -> RunSummary:
    return RunSummary(
        run_id=row[0],
        workflow=row[1],
        kind=row[2],
        status=row[3],
        started_at=from_us(row[4]),
        finished_at=None if row[5] is None else from_us(row[5]),
        owner_alive=alive,
        epoch=row[7],
        parent=row[8],
        label=row[9],
        accepts=tuple(row[10].split()),
        waiting_since=None if row[11] is None or row[3] != "waiting" else from_us(row[11]),
    )
