"""One transaction for everything that waits: many appends share one fsync."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.encoding import Blob, Encoded
from qtforge_host.journal.schema import (
    INSERT_RUNS,
    MOST_ROWS,
    RunRow,
    append_checked,
    insert_many,
    insert_run,
)
from qtforge_host.journal.waiting_rows import KeptRow, WaitingRows
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Ownership
from qtforge_sdk.journal_errors import RunExistsError, StaleOwnerError

__all__ = ["Append", "Change", "Create", "GroupCommit", "Job", "StatusChange"]

_EPOCHS: Final = """SELECT json_group_object(key, CASE WHEN owner = ? THEN epoch ELSE 0 END)
    FROM runs WHERE key IN (SELECT value FROM json_each(?))"""
_INSERT_RECORDS: Final = "INSERT INTO records (run, position, checksum, payload)"
_LAST: Final = "SELECT max(position) FROM records WHERE run = ?"
_SET_STATUS: Final = """UPDATE runs SET status = new.value ->> 1, finished_at = new.value ->> 2,
    owner = CASE WHEN new.value ->> 2 IS NULL THEN owner END
    FROM json_each(?) AS new WHERE runs.key = new.value ->> 0"""


class StatusChange(msgspec.Struct, frozen=True):
    """What records make of their run's row."""

    status: str
    finished_at_us: int | None


class Append(msgspec.Struct, frozen=True):
    """Records that are kept if the ownership is good."""

    ownership: Ownership
    entries: Sequence[Encoded]
    status: StatusChange | None
    kept: KeptRow | None = None
    posts: Sequence[tuple[str, str, Encoded]] = ()
    answered: Sequence[str] = ()


class Create(msgspec.Struct, frozen=True):
    """A new run with its first record; the outcome is an `Ownership`."""

    row: RunRow
    entry: Encoded


class Change(msgspec.Struct, frozen=True):
    """Anything else that is written.

    Attributes:
        do: Gives the outcome; a QtForgeError is one too, if nothing was written before it.
        wakes: Whether those who wait for changes are told.
    """

    do: Callable[[GroupCommit], Any]
    wakes: bool = False


Job = Append | Create | Change


def _nothing() -> None:
    """What is done meanwhile, where there is nothing to do."""


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
        waiting: What is written of runs that wait.
    """

    def __init__(self, connection: sqlite3.Connection, owner: str, blobs: BlobFiles) -> None:
        self.connection = connection
        self.owner = owner
        self.blobs = blobs
        self.waiting = WaitingRows(connection)
        self._last_positions: dict[int, int] = {}  # of the runs that this process writes
        self._shown: dict[int, tuple[str, str, str]] = {}  # of those that keep their state

    def commit(self, jobs: Sequence[Job], meanwhile: Callable[[], None] = _nothing) -> list[Any]:
        """Do jobs in order, in one transaction; new runs, which no other job can touch, first.

        Args:
            jobs: At least one.
            meanwhile: Called before the longest of it, which leaves the interpreter to others;
                perhaps twice.

        Returns:
            Each job's outcome, or the QtForgeError that refused it alone.

        Raises:
            sqlite3.Error: Nothing of them was written.
            OSError: The same.
        """
        try:
            if self._append_alone(jobs, meanwhile):
                return [None] * len(jobs)
            self.connection.execute("BEGIN IMMEDIATE")
            outcomes = self._do(jobs)
            meanwhile()
            self.connection.execute("COMMIT")
        except BaseException:
            self._last_positions.clear()
            self._shown.clear()
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        return outcomes

    def add_records(self, key: int, entries: Sequence[Encoded]) -> None:
        """Write a run's next records; who calls has made sure that they may be."""
        rows: list[int | bytes] = []
        for position, entry in self._number(key, entries):
            rows += (key, position, entry.checksum, entry.payload)
        insert_many(self.connection, _INSERT_RECORDS, 4, rows)

    def add_blobs(self, key: int, blobs: Iterable[Blob]) -> None:
        """Refer to large values from a run, and make sure of their files.

        Raises:
            OSError: A file can't be written.
        """
        for blob in blobs:
            self.blobs.ensure(blob)
            self.connection.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (blob.sum, key))

    def post(self, run_id: str, message_id: str, message: Encoded) -> int | None:
        """Put a message into a run's inbox.

        Returns:
            Its position; None when there is no such run.
        """
        row = self.connection.execute(
            "SELECT key, finished_at FROM runs WHERE run_id = ?", (run_id,)
        ).fetchone()
        if row is None:
            return None
        key, finished_at = row
        if message.blobs:
            self.add_blobs(key, message.blobs)
        return self.waiting.post(key, message_id, message, arrives=finished_at is None)

    def forget(self, key: int) -> None:
        """Drop what is remembered of a run that has got another owner, or none."""
        self._last_positions.pop(key, None)
        self._shown.pop(key, None)

    def _append_alone(self, jobs: Sequence[Job], meanwhile: Callable[[], None]) -> bool:
        """Append in a single statement, if nothing else is to be done and all ownerships are good.

        Returns:
            Whether it was done; nothing was written when not.
        """
        values: list[Any] = []
        taken: dict[int, int] = {}
        for job in jobs:
            if not isinstance(job, Append) or job.status is not None or not self._is_mine(job):
                return False
            key = job.ownership.key
            last = taken.get(key) or self._last(key)
            epoch: int | None = job.ownership.epoch
            for entry in job.entries:
                if entry.blobs:
                    return False
                last += 1
                values += (key, last, entry.checksum, entry.payload, epoch)
                epoch = None
            taken[key] = last
        if len(values) > 5 * MOST_ROWS:
            return False
        meanwhile()
        if not append_checked(self.connection, self.owner, values):
            self._last_positions.clear()
            return False
        self._last_positions.update(taken)
        return True

    def _do(self, jobs: Sequence[Job]) -> list[Any]:
        outcomes: list[Any] = [None] * len(jobs)
        creates = [(place, job) for place, job in enumerate(jobs) if isinstance(job, Create)]
        if creates:
            self._create(creates, outcomes)
        waiting: list[tuple[int, Append]] = []
        for place, job in enumerate(jobs):
            if isinstance(job, Append):
                waiting.append((place, job))
            elif isinstance(job, Change):
                if waiting:
                    self._append(waiting, outcomes)
                    waiting = []
                try:
                    outcomes[place] = job.do(self)
                except QtForgeError as error:
                    outcomes[place] = error
        if waiting:
            self._append(waiting, outcomes)
        return outcomes

    def _create(self, creates: Sequence[tuple[int, Create]], outcomes: list[Any]) -> None:
        keys = self._create_rows([job.row for _, job in creates])
        rows: list[int | bytes] = []
        for (place, job), key in zip(creates, keys, strict=True):
            run_id = job.row[0]
            if key is None:
                outcomes[place] = RunExistsError(run_id)
                continue
            self._last_positions[key] = 0  # a key is never used again
            self.add_blobs(key, job.entry.blobs)
            for position, entry in self._number(key, [job.entry]):
                rows += (key, position, entry.checksum, entry.payload)
            outcomes[place] = Ownership(run_id=run_id, epoch=1, owner=self.owner, key=key)
        insert_many(self.connection, _INSERT_RECORDS, 4, rows)

    def _create_rows(self, rows: Sequence[RunRow]) -> list[int | None]:
        """Return each run's key; None where there is a run of that name."""
        if 1 < len(rows) <= MOST_ROWS:
            values = [value for row in rows for value in row]
            with contextlib.suppress(sqlite3.IntegrityError):  # one of them is there already
                last = insert_many(self.connection, INSERT_RUNS, len(rows[0]), values)
                return list(range(last - len(rows) + 1, last + 1))
        return [insert_run(self.connection, row) for row in rows]

    def _append(self, waiting: Sequence[tuple[int, Append]], outcomes: list[Any]) -> None:
        epochs = self._epochs({job.ownership.key for _, job in waiting})
        rows: list[int | bytes] = []
        statuses: dict[int, tuple[int, str, int | None]] = {}  # the last of each run
        ended: list[int] = []
        kept: list[tuple[int, int, KeptRow]] = []
        answered: list[tuple[int, str]] = []
        for place, job in waiting:
            key = job.ownership.key
            if not self._is_mine(job) or epochs.get(key) != job.ownership.epoch:
                outcomes[place] = StaleOwnerError(job.ownership.run_id, job.ownership.epoch)
                continue
            for entry in job.entries:
                if entry.blobs:
                    self.add_blobs(key, entry.blobs)
            if job.kept is not None:
                position = self._last(key) + 1 + job.kept.place
                kept.append((key, position, job.kept))
            answered += [(key, message_id) for message_id in job.answered]
            for position, entry in self._number(key, job.entries):
                rows += (key, position, entry.checksum, entry.payload)
            if job.status is not None and not self._is_shown(job):
                statuses[key] = (key, job.status.status, job.status.finished_at_us)
                if job.status.finished_at_us is not None:
                    # The rest of the group finds the run without an owner.
                    del epochs[key]
                    self.forget(key)
                    ended.append(key)
            for run_id, message_id, message in job.posts:
                self.post(run_id, message_id, message)
        insert_many(self.connection, _INSERT_RECORDS, 4, rows)
        if statuses:
            new = msgspec.json.encode(list(statuses.values())).decode()
            self.connection.execute(_SET_STATUS, (new,))
        self.waiting.keep(kept)
        self.waiting.settle(answered, ended)

    def _is_shown(self, job: Append) -> bool:
        """Return whether the run's row says already what it is to say of its status.

        Most events leave an instance waiting, and two indexes as they are.
        """
        key, row = job.ownership.key, job.kept
        if row is None or job.status is None:
            self._shown.pop(key, None)
            return False
        says = (job.status.status, row.label, row.accepts)
        known = self._shown.get(key)
        self._shown[key] = says
        row.shows = known is None or known[1:] != says[1:]
        return known is not None and known[0] == says[0]

    def _epochs(self, keys: set[int]) -> dict[int, int]:
        asked = msgspec.json.encode(list(keys)).decode()
        (found,) = self.connection.execute(_EPOCHS, (self.owner, asked)).fetchone()
        return msgspec.json.decode(found, type=dict[int, int])

    def _number(self, key: int, entries: Sequence[Encoded]) -> Iterable[tuple[int, Encoded]]:
        """Return a run's next records with their positions, which are taken then."""
        last = self._last(key)
        self._last_positions[key] = last + len(entries)
        return enumerate(entries, last + 1)

    def _is_mine(self, job: Append) -> bool:
        return job.ownership.owner == self.owner

    def _last(self, key: int) -> int:
        """Return the position of a run's last record."""
        last = self._last_positions.get(key)
        if last is None:
            (found,) = self.connection.execute(_LAST, (key,)).fetchone()
            last = self._last_positions[key] = found or 0
        return last
