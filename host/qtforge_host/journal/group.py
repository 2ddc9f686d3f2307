"""Group commit: all waiting jobs in one transaction, so that many appends share one fsync."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.journal import admissions
from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.schema import (
    INSERT_RUNS,
    MOST_ROWS,
    append_checked,
    insert_many,
    insert_run,
)
from qtforge_host.journal.search_index import (
    ADD_WORDS,
    INDEXED_AT_ONCE,
    MARK_NEW,
    count_new,
    index_words,
    set_error_words,
)
from qtforge_host.journal.waiting_rows import WaitingRows
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Admission, Ownership, Posted
from qtforge_sdk.journal_errors import RunExistsError, StaleOwnerError
from qtforge_sdk.journal_kit.encoding import Blob, Encoded
from qtforge_sdk.journal_kit.jobs import Append, Change, CheckpointRow, Create, Job, RunRow

__all__ = ["GroupCommit"]

_EPOCHS: Final = """SELECT json_group_object(key, CASE WHEN owner = ? THEN epoch ELSE 0 END)
    FROM runs WHERE key IN (SELECT value FROM json_each(?))"""
_INSERT_RECORDS: Final = "INSERT INTO records (run, position, checksum, payload)"
_HAS_RUN: Final = "SELECT 1 FROM runs WHERE run_id = ?"
_LAST: Final = "SELECT max(position) FROM records WHERE run = ?"
_SET_STATUS: Final = """UPDATE runs SET status = new.value ->> 1, finished_at = new.value ->> 2,
    owner = CASE WHEN new.value ->> 2 IS NULL THEN owner END,
    holds = CASE WHEN new.value ->> 2 IS NULL THEN holds ELSE 0 END,
    error_code = new.value ->> 3, error_plugin = new.value ->> 4
    FROM json_each(?) AS new WHERE runs.key = new.value ->> 0"""


def _nothing() -> None:
    """Do nothing; the default of ``meanwhile``."""


class GroupCommit:
    """Writes groups of jobs; used by one thread.

    Args:
        connection: Its own connection.
        owner: This process's name.
        blobs: The large values.

    Attributes:
        connection: For a `Change`.
        owner: This process's name.
        blobs: The large values.
        waiting: Writes timers and messages of waiting runs.
    """

    def __init__(self, connection: sqlite3.Connection, owner: str, blobs: BlobFiles) -> None:
        self.connection = connection
        self.owner = owner
        self.blobs = blobs
        self.waiting = WaitingRows(connection)
        self._last_positions: dict[int, int] = {}  # of the runs that this process owns
        # Status, label and events in the row of each run with checkpoints.
        self._shown: dict[int, tuple[str, str, str]] = {}
        self._not_indexed: int | None = None  # how many runs, about; None before it is known

    def commit(self, jobs: Sequence[Job], meanwhile: Callable[[], None] = _nothing) -> list[Any]:
        """Do all jobs in one transaction, in order; new runs first.

        Args:
            jobs: At least one.
            meanwhile: Called before the commit, during which the interpreter lock is free;
                may be called twice.

        Returns:
            The outcome of each job, or the QtForgeError that refused just that job.

        Raises:
            sqlite3.Error: Nothing was written.
            OSError: Nothing was written.
        """
        try:
            if self._append_alone(jobs, meanwhile):
                return [None] * len(jobs)
            self.connection.execute("BEGIN IMMEDIATE")
            outcomes = self._do(jobs)
            self._index()
            meanwhile()
            self.connection.execute("COMMIT")
        except BaseException:
            self._last_positions.clear()
            self._shown.clear()
            self._not_indexed = None
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        return outcomes

    def add_records(self, key: int, entries: Sequence[Encoded]) -> None:
        """Write a run's next records; the caller has checked that it may."""
        rows: list[int | bytes] = []
        for position, entry in self._number(key, entries):
            rows += (key, position, entry.checksum, entry.payload)
        insert_many(self.connection, _INSERT_RECORDS, 4, rows)

    def add_blobs(self, key: int, blobs: Iterable[Blob]) -> None:
        """Refer to large values from a run, and make sure that their files exist.

        Raises:
            OSError: A file can't be written.
        """
        for blob in blobs:
            self.blobs.ensure(blob)
            self.connection.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (blob.sum, key))

    def post(self, run_id: str, message_id: str, message: Encoded) -> Posted | None:
        """Put a message into a run's inbox.

        Returns:
            Its position, and whether it is new; None when there is no such run.
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

    def note_new_words(self, count: int) -> None:
        """Note that the index of words does not have so many runs as they are."""
        if count and self._not_indexed is not None:
            self._not_indexed += count

    def forget(self, key: int) -> None:
        """Drop what is cached of a run whose owner has changed."""
        self._last_positions.pop(key, None)
        self._shown.pop(key, None)

    def _append_alone(self, jobs: Sequence[Job], meanwhile: Callable[[], None]) -> bool:
        """Append in a single statement, if nothing else is to do and every ownership is valid.

        Returns:
            Whether it was done; nothing was written when not.
        """
        values: list[Any] = []
        taken: dict[int, int] = {}
        for job in jobs:
            if not isinstance(job, Append) or job.status is not None or not self._is_mine(job):
                return False
            if job.answered or job.posts:
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
            plain = [each for each in creates if each[1].keys is None]
            if plain:
                self._create(plain, outcomes)
            if len(plain) < len(creates):
                for place, new in creates:
                    if new.keys is not None:
                        self._create_with_keys(place, new, outcomes)
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

    def _index(self) -> None:
        """Index the words of runs, once there are many of them."""
        if self._not_indexed is None:
            self._not_indexed = count_new(self.connection)
        if self._not_indexed >= INDEXED_AT_ONCE:
            index_words(self.connection)
            self._not_indexed = count_new(self.connection)  # another process may have done it

    def _create(self, creates: Sequence[tuple[int, Create]], outcomes: list[Any]) -> None:
        keys = self._create_rows([job.row for _, job in creates])
        rows: list[int | bytes] = []
        words: list[int | str] = []
        for (place, job), key in zip(creates, keys, strict=True):
            run_id = job.row[0]
            if key is None:
                outcomes[place] = RunExistsError(run_id)
                continue
            self._last_positions[key] = 0  # a key is never used again
            words += (key, *job.search)
            for position, entry in self._number(key, job.entries):
                self.add_blobs(key, entry.blobs)
                rows += (key, position, entry.checksum, entry.payload)
            if job.row.owner is not None:
                outcomes[place] = Ownership(run_id=run_id, epoch=1, owner=self.owner, key=key)
        insert_many(self.connection, _INSERT_RECORDS, 4, rows)
        insert_many(self.connection, ADD_WORDS, 4, words)
        insert_many(self.connection, MARK_NEW, 1, words[::4])
        self.note_new_words(len(words) // 4)

    def _create_with_keys(self, place: int, job: Create, outcomes: list[Any]) -> None:
        """Create a run with tags or keys, unless another run keeps it from that."""
        found = Admission()
        if job.admission is not None:
            row = self.connection.execute(_HAS_RUN, (job.row.run_id,)).fetchone()
            if row is not None:
                outcomes[place] = RunExistsError(job.row.run_id)
                return
            try:
                found = admissions.admission(self.connection, job.admission, job.is_queued)
                admissions.refuse(job.admission, found)
            except QtForgeError as error:
                outcomes[place] = error
                return
        self._create([(place, job)], outcomes)
        if isinstance(outcomes[place], RunExistsError):
            return
        if job.keys is not None:
            admissions.store_keys(self.connection, job.keys, job.row.run_id)
        if found.cancels and job.admission is not None:
            admissions.cancel(self, job.admission, found.cancels)
        if job.is_queued:
            outcomes[place] = found.cancels

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
        statuses: dict[int, Sequence[str | int | None]] = {}  # the last one of each run
        ended: list[int] = []
        checkpoints: list[tuple[int, int, CheckpointRow]] = []
        answered: list[tuple[int, str]] = []
        errors: dict[int, str] = {}
        for place, job in waiting:
            key = job.ownership.key
            if not self._is_mine(job) or epochs.get(key) != job.ownership.epoch:
                outcomes[place] = StaleOwnerError(job.ownership.run_id, job.ownership.epoch)
                continue
            for entry in job.entries:
                if entry.blobs:
                    self.add_blobs(key, entry.blobs)
            if job.checkpoint is not None:
                position = job.checkpoint.position_after(self._last(key))
                checkpoints.append((key, position, job.checkpoint))
            answered += [(key, message_id) for message_id in job.answered]
            for position, entry in self._number(key, job.entries):
                rows += (key, position, entry.checksum, entry.payload)
            if job.status is not None and not self._has_status(job):
                statuses[key] = (key, *msgspec.structs.astuple(job.status))
                errors[key] = job.error_words
                if job.status.finished_at_us is not None:
                    # For the rest of the group the run has no owner.
                    del epochs[key]
                    self.forget(key)
                    ended.append(key)
            for run_id, message_id, message in job.posts:
                self.post(run_id, message_id, message)
        insert_many(self.connection, _INSERT_RECORDS, 4, rows)
        if statuses:
            new = msgspec.json.encode(list(statuses.values())).decode()
            self.connection.execute(_SET_STATUS, (new,))
            set_error_words(self.connection, errors)
        self.waiting.save(checkpoints)
        self.waiting.drop(answered, ended)

    def _has_status(self, job: Append) -> bool:
        """Return whether the run's row has the new status already.

        Most events leave a state machine waiting; then two indexes need no update.
        """
        key, row = job.ownership.key, job.checkpoint
        if row is None or job.status is None:
            self._shown.pop(key, None)
            return False
        new = (job.status.status, row.label, row.accepts)
        old = self._shown.get(key)
        self._shown[key] = new
        row.shows = old is None or old[1:] != new[1:]
        return old is not None and old[0] == new[0]

    def _epochs(self, keys: set[int]) -> dict[int, int]:
        asked = msgspec.json.encode(list(keys)).decode()
        (found,) = self.connection.execute(_EPOCHS, (self.owner, asked)).fetchone()
        return msgspec.json.decode(found, type=dict[int, int])

    def _number(self, key: int, entries: Sequence[Encoded]) -> Iterable[tuple[int, Encoded]]:
        """Return a run's next records with their positions, and reserve these."""
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
