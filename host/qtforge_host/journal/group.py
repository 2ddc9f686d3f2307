"""One transaction for everything that waits: many appends share one fsync."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.encoding import Blob, Encoded
from qtforge_host.journal.schema import POSITION_BITS
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Ownership
from qtforge_sdk.journal_errors import RecordNotStorableError, StaleOwnerError

__all__ = ["Append", "Change", "GroupCommit", "Job", "StatusChange"]

# How many rows one statement inserts: sqlite3 gives the interpreter lock up and takes it
# back at every statement, so a statement for each row would cost more than the row.
_CHUNKS: Final = tuple(
    (rows, "INSERT INTO records VALUES " + ",".join(["(?,?,?)"] * rows))  # noqa: S608 - constant
    for rows in (64, 16, 4, 1)
)
_EPOCHS: Final = """SELECT json_group_object(key, CASE WHEN owner = ? THEN epoch ELSE 0 END)
    FROM runs WHERE key IN (SELECT value FROM json_each(?))"""
_LAST_ID: Final = "SELECT max(id) FROM records WHERE id BETWEEN ? AND ?"
_SET_STATUS: Final = """UPDATE runs SET status = ?, finished_at = ?,
    owner = CASE WHEN ? THEN NULL ELSE owner END WHERE key = ?"""


class StatusChange(msgspec.Struct, frozen=True):
    """What records make of their run's row."""

    status: str
    finished_at_us: int | None


class Append(msgspec.Struct, frozen=True):
    """Records that are kept if the ownership is good."""

    ownership: Ownership
    entries: Sequence[Encoded]
    status: StatusChange | None


class Change(msgspec.Struct, frozen=True):
    """Anything else that is written.

    Attributes:
        do: Gives the outcome; a QtForgeError is one too, if nothing was written before it.
        wakes: Whether those who wait for changes are told.
        apart: Whether it touches nothing that an append of the same group can touch.
    """

    do: Callable[[GroupCommit], Any]
    wakes: bool = False
    apart: bool = False


Job = Append | Change


class GroupCommit:
    """Writes groups of jobs; belongs to one thread.

    Args:
        connection: Its own.
        owner: This process's name.
        blobs: Where large values are.

    Attributes:
        connection: For a `Change`.
        owner: This process's name.
        blobs: Where large values are.
    """

    def __init__(self, connection: sqlite3.Connection, owner: str, blobs: BlobFiles) -> None:
        self.connection = connection
        self.owner = owner
        self.blobs = blobs
        self._last_ids: dict[int, int] = {}  # of the runs that this process writes

    def commit(self, jobs: Sequence[Job]) -> list[Any]:
        """Do jobs in order, in one transaction.

        Returns:
            Each job's outcome, or the QtForgeError that refused it alone.

        Raises:
            sqlite3.Error: Nothing of them was written.
            OSError: The same.
        """
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            outcomes = self._do(jobs)
            self.connection.execute("COMMIT")
        except BaseException:
            self._last_ids.clear()
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        return outcomes

    def add_records(self, key: int, entries: Sequence[Encoded]) -> None:
        """Write a run's next records; who calls has made sure that they may be."""
        rows: list[int | bytes] = []
        self._number(key, entries, rows)
        self._insert(rows)

    def add_blobs(self, key: int, blobs: Iterable[Blob]) -> None:
        """Refer to large values from a run, and make sure of their files.

        Raises:
            OSError: A file can't be written.
        """
        for blob in blobs:
            self.blobs.ensure(blob)
            self.connection.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (blob.sum, key))

    def forget(self, key: int) -> None:
        """Drop what is remembered of a run that has got another owner, or none."""
        self._last_ids.pop(key, None)

    def _do(self, jobs: Sequence[Job]) -> list[Any]:
        outcomes: list[Any] = [None] * len(jobs)
        waiting: list[tuple[int, Append]] = []
        for place, job in enumerate(jobs):
            if isinstance(job, Append):
                waiting.append((place, job))
                continue
            if waiting and not job.apart:
                self._append(waiting, outcomes)
                waiting = []
            try:
                outcomes[place] = job.do(self)
            except QtForgeError as error:
                outcomes[place] = error
        if waiting:
            self._append(waiting, outcomes)
        return outcomes

    def _append(self, waiting: Sequence[tuple[int, Append]], outcomes: list[Any]) -> None:
        epochs = self._epochs({job.ownership.key for _, job in waiting})
        rows: list[int | bytes] = []
        statuses = []
        for place, job in waiting:
            key = job.ownership.key
            mine = job.ownership.owner == self.owner
            if not mine or epochs.get(key) != job.ownership.epoch:
                outcomes[place] = StaleOwnerError(job.ownership.run_id, job.ownership.epoch)
                continue
            if self._last_id(key) + len(job.entries) > _last_of(key):
                outcomes[place] = RecordNotStorableError(
                    job.ownership.run_id, "the next record", "the run has as many as a run may have"
                )
                continue
            for entry in job.entries:
                if entry.blobs:
                    self.add_blobs(key, entry.blobs)
            self._number(key, job.entries, rows)
            if job.status is not None:
                ends = job.status.finished_at_us is not None
                statuses.append((job.status.status, job.status.finished_at_us, ends, key))
                if ends:  # the rest of the group finds the run without an owner
                    del epochs[key]
                    self.forget(key)
        self._insert(rows)
        if statuses:
            self.connection.executemany(_SET_STATUS, statuses)

    def _epochs(self, keys: set[int]) -> dict[int, int]:
        asked = msgspec.json.encode(list(keys)).decode()
        (found,) = self.connection.execute(_EPOCHS, (self.owner, asked)).fetchone()
        return msgspec.json.decode(found, type=dict[int, int])

    def _number(self, key: int, entries: Sequence[Encoded], rows: list[int | bytes]) -> None:
        last_id = self._last_id(key)
        for entry in entries:
            last_id += 1
            rows += (last_id, entry.checksum, entry.payload)
        self._last_ids[key] = last_id

    def _last_id(self, key: int) -> int:
        last_id = self._last_ids.get(key)
        if last_id is None:
            first = key << POSITION_BITS
            (found,) = self.connection.execute(_LAST_ID, (first, _last_of(key))).fetchone()
            last_id = self._last_ids[key] = first if found is None else found
        return last_id

    def _insert(self, rows: list[int | bytes]) -> None:
        start = 0
        for count, statement in _CHUNKS:
            while len(rows) - start >= 3 * count:
                self.connection.execute(statement, rows[start : start + 3 * count])
                start += 3 * count


def _last_of(key: int) -> int:
    """Return the largest id that a run's records may have."""
    return key << POSITION_BITS | (1 << POSITION_BITS) - 1
