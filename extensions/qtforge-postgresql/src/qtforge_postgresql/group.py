"""Group commit: all waiting jobs as one transaction, and most of them as one statement.

What keeps a process out that was believed dead is the row of its owner. Each group begins by
updating that row, which locks it; a process that takes over the runs of a dead one deletes the
row first. So the epochs of runs need no lock of their own: only their owner changes them, and it
writes with one connection.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from psycopg.types.numeric import Int8  # of one size: a plan is made for each type of an array

from qtforge_postgresql.admissions import (
    Key,
    admission,
    keys_of,
    lock_keys,
    need_no_place,
    store_keys,
)
from qtforge_postgresql.run_words import set_error_words, store_words
from qtforge_postgresql.session import Session
from qtforge_postgresql.waiting_rows import WaitingRows, merge_checkpoints
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Admission, Ownership, Posted
from qtforge_sdk.journal_errors import RunExistsError, RunNotFoundError, StaleOwnerError
from qtforge_sdk.journal_kit.admission import place_message, refuse
from qtforge_sdk.journal_kit.encoding import Blob, Encoded, encode_message
from qtforge_sdk.journal_kit.jobs import Append, Change, CheckpointRow, Create, Job, RunRow
from qtforge_sdk.records import RunStarted

__all__ = ["Group", "LapsedError", "RunState", "Write", "WrittenError"]

# Owner, group and lease; the group's number keeps a repeated statement from doing it twice.
_ME: Final = """me AS (
    UPDATE {s}.owners SET grp = %b, expires = clock_timestamp() + lease
    WHERE owner = %b AND grp < %b RETURNING owner
)"""
_FENCE: Final = f"WITH {_ME} SELECT owner FROM me"
# A subquery for each run, so that each is one look into the index of keys whatever the planner
# believes of the table. The owner is no condition: its index has all runs that it ever had until
# they are vacuumed.
_OWN: Final = """own AS (
    SELECT asked.key FROM unnest(%b::bigint[], %b::bigint[]) AS asked (key, epoch)
    WHERE asked.epoch = (
        SELECT CASE WHEN runs.owner = (SELECT owner FROM me) THEN epoch END
        FROM {s}.runs WHERE runs.key = asked.key
    )
)"""
# Appends to one run, as most groups are while little happens, are planned once. The server plans
# a statement anew for each group as long as that seems to save more than it costs: for arrays of
# any length it assumes ten looks into the index, and here there is one whatever is given.
_OWN_RUN: Final = """own AS (
    SELECT key FROM {s}.runs WHERE key = %b::bigint
        AND %b::bigint = CASE WHEN owner = (SELECT owner FROM me) THEN epoch END
)"""
_NEW: Final = """new AS (
    INSERT INTO {s}.runs (run_id, workflow, kind, status, started_at, finished_at, owner, epoch,
        parent, pool, priority, not_before, needs, title, schedule, started_by, error_code,
        error_plugin)
    SELECT run_id, workflow, kind, status, started_at, finished_at,
        CASE WHEN epoch > 0 THEN me.owner END, epoch, parent, pool, priority, not_before, needs,
        title, schedule, given.started_by, error_code, error_plugin
    FROM me, unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[],
        %b::bigint[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::text[],
        %b::text[], %b::text[], %b::text[], %b::text[], %b::text[])
        AS given (run_id, workflow, kind, status, started_at, finished_at,
            epoch, parent, pool, priority, not_before, needs, title, schedule, started_by,
            error_code, error_plugin)
    ON CONFLICT (run_id) DO NOTHING RETURNING run_id, key
)"""
_STATUS_TYPES: Final = ("bigint", "text", "bigint", "text", "text", "bigint", "bigint", "text",
    "text", "text")  # fmt: skip
_ERROR_TYPES: Final = ("bigint", "text")


def _status(statuses: str, errors: str) -> tuple[str, str]:
    """Return the parts of a statement that set the statuses and errors of runs from these rows."""
    return f"""status AS (
    UPDATE {{s}}.runs SET status = given.status, finished_at = given.finished_at,
        owner = CASE WHEN given.finished_at IS NULL THEN owner END,
        holds = CASE WHEN given.finished_at IS NULL THEN holds ELSE 0 END,
        kept = coalesce(given.kept, runs.kept), kept_at = coalesce(given.kept_at, runs.kept_at),
        label = coalesce(given.label, runs.label),
        accepts = coalesce(given.accepts, runs.accepts),
        correlation = coalesce(nullif(given.correlation, ''), runs.correlation),
        error_code = given.error_code, error_plugin = given.error_plugin
    FROM {statuses}
        AS given (key, status, finished_at, error_code, error_plugin, kept, kept_at, label,
            accepts, correlation)
    WHERE runs.key = given.key AND given.key IN (SELECT key FROM own)
)""", f"""errors AS (
    UPDATE {{s}}.searched SET error = given.error
    FROM {errors} AS given (key, error)
    WHERE searched.run = given.key AND searched.error <> given.error
        AND given.key IN (SELECT key FROM own)
)"""  # fmt: skip


def _arrays(types: Sequence[str]) -> str:
    """Return the source of any number of rows, given by columns."""
    return f"unnest({', '.join(f'%b::{each}[]' for each in types)})"


def _row(types: Sequence[str]) -> str:
    """Return the source of one row."""
    return f"(SELECT {', '.join(f'%b::{each}' for each in types)})"


_STATUS: Final = _status(_arrays(_STATUS_TYPES), _arrays(_ERROR_TYPES))
_STATUS_RUN: Final = _status(_row(_STATUS_TYPES), _row(_ERROR_TYPES))
# Timers and messages of runs that do not end in this group: `_ENDED` drops those of the others.
_WAITING: Final = """gone AS (
    DELETE FROM {s}.timers USING unnest(%b::bigint[], %b::text[]) AS given (run, name)
    WHERE timers.run = given.run AND timers.name = given.name
        AND given.run IN (SELECT key FROM own)
), running AS (
    INSERT INTO {s}.timers SELECT run, name, due
    FROM unnest(%b::bigint[], %b::text[], %b::bigint[]) AS given (run, name, due)
    WHERE run IN (SELECT key FROM own)
    ON CONFLICT (run, name) DO UPDATE SET due = excluded.due
), handled AS (
    DELETE FROM {s}.arrivals USING unnest(%b::bigint[], %b::bigint[]) AS given (run, position)
    WHERE arrivals.run = given.run AND arrivals.position = given.position
        AND given.run IN (SELECT key FROM own)
), answered AS (
    DELETE FROM {s}.arrivals USING unnest(%b::bigint[], %b::text[]) AS given (run, message_id)
        JOIN {s}.inbox USING (run, message_id)
    WHERE arrivals.run = given.run AND arrivals.position = inbox.position
        AND given.run IN (SELECT key FROM own)
)"""
_ENDED: Final = """ended AS (
    SELECT key FROM own WHERE key = ANY (%b::bigint[])
), timers AS (
    DELETE FROM {s}.timers WHERE run IN (SELECT key FROM ended)
), arrivals AS (
    DELETE FROM {s}.arrivals WHERE run IN (SELECT key FROM ended)
)"""
_GIVEN: Final = """unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::bytea[]) WITH ORDINALITY
        AS given (run, position, checksum, payload, place)"""
_RECORDS: Final = f"""records AS (
    INSERT INTO {{s}}.records (run, position, checksum, payload)
    SELECT run, position, checksum, payload FROM {_GIVEN}
    WHERE run IN (SELECT key FROM own) ORDER BY place
)"""
_FIRST_RECORDS: Final = """firsts AS (
    INSERT INTO {s}.records (run, position, checksum, payload)
    SELECT new.key, 1, checksum, payload
    FROM unnest(%b::text[], %b::bigint[], %b::bytea[]) WITH ORDINALITY
        AS given (run_id, checksum, payload, place)
    JOIN new USING (run_id) ORDER BY place
)"""
_FIRST_WORDS: Final = """words AS (
    INSERT INTO {s}.searched (run, words, error, tags)
    SELECT new.key, words, error, tags
    FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[])
        AS given (run_id, words, error, tags)
    JOIN new USING (run_id)
)"""
_ANSWER: Final = "SELECT (SELECT count(*) FROM me), "
_OWN_ANSWER: Final = "ARRAY(SELECT key FROM own)"
_NO_OWN_ANSWER: Final = "'{{}}'::bigint[]"
_NEW_ANSWER: Final = """, ARRAY(SELECT run_id FROM new ORDER BY key),
    ARRAY(SELECT key FROM new ORDER BY key)"""
_WAKE: Final = ", pg_notify(%b, '')"
_INSERT_RECORDS: Final = f"""INSERT INTO {{s}}.records (run, position, checksum, payload)
    SELECT run, position, checksum, payload FROM {_GIVEN} ORDER BY place"""
_GROUP: Final = "SELECT grp FROM {s}.owners WHERE owner = %s"
_EPOCHS: Final = """SELECT runs.key FROM {s}.runs JOIN unnest(%b::bigint[], %b::bigint[])
    AS asked (key, epoch) ON runs.key = asked.key AND runs.epoch = asked.epoch"""
_FOUND: Final = """SELECT run_id, runs.key FROM {s}.runs
    JOIN unnest(%b::text[], %b::bytea[]) AS asked (run_id, payload) USING (run_id)
    JOIN {s}.records ON run = runs.key AND position = 1 AND records.payload = asked.payload"""
_INSERT_RUN: Final = """INSERT INTO {s}.runs (run_id, workflow, kind, status, started_at,
        finished_at, owner, epoch, parent, pool, priority, not_before, needs, title, schedule,
        started_by, error_code, error_plugin)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (run_id) DO NOTHING RETURNING key"""
# In the order of keys, which every process keeps: two that lock the same rows never deadlock.
_LOCK: Final = """SELECT key, run_id, owner, epoch, finished_at FROM {s}.runs
    WHERE key = ANY (%b::bigint[]) OR run_id = ANY (%b::text[])
    ORDER BY key FOR NO KEY UPDATE"""
_LISTENERS: Final = """SELECT name, topics, capacity FROM {s}.listeners
    ORDER BY name FOR NO KEY UPDATE"""
_SET_STATUS: Final = """UPDATE {s}.runs SET status = given.status, finished_at = given.finished_at,
        owner = CASE WHEN given.finished_at IS NULL THEN owner END,
        holds = CASE WHEN given.finished_at IS NULL THEN holds ELSE 0 END,
        error_code = given.error_code, error_plugin = given.error_plugin
    FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::text[])
        AS given (key, status, finished_at, error_code, error_plugin)
    WHERE runs.key = given.key"""
_HAS_RUN: Final = "SELECT 1 FROM {s}.runs WHERE run_id = %s"
_LAST: Final = """SELECT key, (SELECT coalesce(max(position), 0) FROM {s}.records WHERE run = key)
    FROM unnest(%b::bigint[]) AS asked (key)"""
# A row that is locked can't be deleted by a `prune` that has seen no reference to it yet.
_HELD_BLOBS: Final = (
    "SELECT sum FROM {s}.blobs WHERE sum = ANY (%b::bytea[]) ORDER BY sum FOR KEY SHARE"
)
_ADD_BLOB: Final = """INSERT INTO {s}.blobs VALUES (%b, %b)
    ON CONFLICT (sum) DO UPDATE SET sum = excluded.sum"""
_REFER: Final = "INSERT INTO {s}.blob_refs VALUES (%b, %b) ON CONFLICT DO NOTHING"
_NOTIFY: Final = "SELECT pg_notify(%s, '')"


_PLANS_GROUPS: Final = 500  # that are written with the same plans: the tables grow meanwhile
_PLANS_S: Final = 10.0  # likewise of a process that writes less
_NOT_SAVED: Final = (None, None, None, None, None)  # of a run without a new checkpoint


class LapsedError(Exception):
    """Another process has taken over from this one: it has no row any more."""


class WrittenError(Exception):
    """The group was written by an earlier attempt, whose answer was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What a `Change` does, and which rows it locks, so that all are locked in one order.

    Attributes:
        do: Writes; see `Change`.
        run_ids: Runs whose rows it locks.
        blobs: Large values that it refers to.
        post: Instead of ``do``: a message to its run, with its id. Its outcome is a `Posted`;
            neighbours of this kind are written together.
        listens: Whether it locks the listeners.
        key: A unique or concurrency key that it locks before any row.
    """

    do: Callable[[Group], Any]
    run_ids: Sequence[str] = ()
    blobs: Sequence[Blob] = ()
    post: tuple[str, str, Encoded] | None = None
    listens: bool = False
    key: Key | None = None

    def __call__(self, group: Group) -> Any:
        """Write."""
        return self.do(group)


@dataclass(slots=True)
class RunState:
    """The locked row of a run, as it is after the jobs so far."""

    key: int
    run_id: str
    owner: str | None
    epoch: int
    finished_at: int | None


@dataclass(slots=True)
class _Appends:
    """The rows of several appends, and what they change."""

    records: list[tuple[int, int, int, bytes]] = field(default_factory=list)
    statuses: dict[int, Sequence[Any]] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    checkpoints: list[tuple[int, int, CheckpointRow]] = field(default_factory=list)
    answered: list[tuple[int, str]] = field(default_factory=list)
    posts: list[tuple[str, str, Encoded]] = field(default_factory=list)


class Group:
    """Writes groups of jobs; used by one thread.

    Args:
        session: The connection; `use` gives another one.
        channel: The name under which waking writes are notified.

    Attributes:
        session: For a `Change`.
        owner: This process's name; the store gives it another one when it was taken over.
        waiting: Writes timers and messages of waiting runs.
        listeners: Name, topics and capacity of all listeners, locked; for a `Change` that says so.
    """

    def __init__(self, session: Session, channel: str) -> None:
        self.session = session
        self.owner = ""
        self.listeners: list[tuple[str, str, int]] = []
        self.waiting = WaitingRows(session)
        self._channel = channel
        self._last_positions: dict[int, int] = {}  # of the runs that this process owns
        self._states: dict[str, RunState] = {}  # of the runs that are locked
        self._states_by_key: dict[int, RunState] = {}
        self._wakes = False
        self._plans_groups = 0
        self._plans_until = time.monotonic() + _PLANS_S
        self._sent: list[Any] | None = None  # outcomes of a group whose commit was not answered

    def use(self, session: Session) -> None:
        """Write with another connection from now on."""
        self.session = session
        self.waiting = WaitingRows(session)
        self.reset()

    def reset(self) -> None:
        """Drop what is cached."""
        self._last_positions.clear()
        self._unlock()

    def write(self, jobs: Sequence[Job], number: int, meanwhile: Callable[[], None]) -> list[Any]:
        """Do all jobs in one transaction, in order; new runs first.

        Args:
            jobs: At least one.
            number: The group's; greater than that of any group before.
            meanwhile: Called before the server is waited for.

        Returns:
            The outcome of each job, or the QtForgeError that refused just that job.

        Raises:
            LapsedError: This process has no row any more; nothing was written.
            WrittenError: An earlier attempt has written it.
            psycopg.Error: Nothing was written, or it is not known whether the commit was done.
        """
        try:
            self._renew_plans()
            if self._is_plain(jobs):
                return self._write_plain(jobs, number, meanwhile)
            outcomes: list[Any] = [None] * len(jobs)
            with self.session.transaction():
                if self.session.row(_FENCE, (number, self.owner, number)) is None:
                    self._refuse(number)
                self._do(jobs, outcomes)
                if self._wakes:
                    self.session.execute(_NOTIFY, (self._channel,))
                meanwhile()
                self._sent = outcomes
        except BaseException:
            self.reset()
            raise
        self._unlock()
        self._sent = None
        return outcomes

    def _renew_plans(self) -> None:
        """Now and then have plans made anew: one for a table of few rows may read all of it."""
        self._plans_groups += 1
        if self._plans_groups > _PLANS_GROUPS or time.monotonic() > self._plans_until:
            self.session.renew_plans()
            self._plans_groups, self._plans_until = 1, time.monotonic() + _PLANS_S

    def outcomes_of_written(self, jobs: Sequence[Job]) -> list[Any]:
        """Return the outcomes of a group that was written, and whose answer was lost."""
        self.reset()
        outcomes, self._sent = self._sent, None
        return self._recovered(jobs) if outcomes is None else outcomes

    def _recovered(self, jobs: Sequence[Job]) -> list[Any]:
        """Return the outcomes of a plain group: it changes no epoch, and no payload."""
        appends = [job for job in jobs if isinstance(job, Append)]
        keys = [job.ownership.key for job in appends]
        epochs = [job.ownership.epoch for job in appends]
        valid = {row[0] for row in self.session.rows(_EPOCHS, (keys, epochs))}
        names = [job.row.run_id for job in jobs if isinstance(job, Create)]
        payloads = [job.entry.payload for job in jobs if isinstance(job, Create)]
        found = dict(self.session.rows(_FOUND, (names, payloads)))
        refused = self._refused(jobs)
        recovered: list[Any] = []
        for place, job in enumerate(jobs):
            if place in refused:
                recovered.append(refused[place])
            elif isinstance(job, Create):
                key = found.get(job.row.run_id)
                recovered.append(self._own(job, key) if key else _exists(job))
            elif isinstance(job, Append):
                is_valid = job.ownership.key in valid
                recovered.append(None if is_valid else _stale(job))
        return recovered

    @staticmethod
    def _is_plain(jobs: Sequence[Job]) -> bool:
        """Return whether a group is written as one statement."""
        epochs: dict[int, int] = {}
        for job in jobs:
            if isinstance(job, Create):
                if job.more or job.entry.blobs or job.keys is not None:
                    return False
                continue
            if not isinstance(job, Append) or job.posts:
                return False
            epoch = job.ownership.epoch
            if epochs.setdefault(job.ownership.key, epoch) != epoch:
                return False
            for entry in job.entries:
                if entry.blobs:
                    return False
        return True

    # What a `Change` does.

    def insert_run(self, row: RunRow) -> int | None:
        """Insert a run's row, and return its key; None where there is a run of that id."""
        found = self.session.row(_INSERT_RUN, row)
        return None if found is None else int(found[0])

    def state(self, run_id: str) -> RunState | None:
        """Return the locked row of a run that the `Write` names; None where there is none."""
        return self._states.get(run_id)

    def add_records(self, key: int, entries: Sequence[Encoded]) -> None:
        """Write a run's next records; the caller has checked that it may."""
        self._read_last([key])
        first = self._last_positions[key] + 1
        self._insert([(key, place, each.checksum, each.payload)
                      for place, each in enumerate(entries, first)])  # fmt: skip
        self._last_positions[key] = first + len(entries) - 1

    def refer(self, key: int, blobs: Iterable[Blob]) -> None:
        """Refer to large values from a run."""
        for blob in blobs:
            self.session.execute(_REFER, (key, blob.sum))

    def post(self, messages: Sequence[tuple[str, str, Encoded]]) -> list[Posted | None]:
        """Put messages into the inboxes of runs that are locked.

        Args:
            messages: Each with its run and its id.

        Returns:
            What was done with each; None where there is no such run.
        """
        rows: list[tuple[int, str, Encoded, bool]] = []
        for run_id, message_id, message in messages:
            state = self._states.get(run_id)
            if state is not None:
                self.refer(state.key, message.blobs)
                rows.append((state.key, message_id, message, state.finished_at is None))
        if not rows:
            return [None] * len(messages)
        self._wakes = True
        posted = iter(self.waiting.post(rows))
        return [next(posted) if run_id in self._states else None for run_id, _, _ in messages]

    def forget(self, key: int) -> None:
        """Drop what is cached of a run whose owner has changed."""
        self._last_positions.pop(key, None)

    # One statement.

    def _refused(self, jobs: Sequence[Job]) -> dict[int, QtForgeError]:
        """Return what is refused without asking the server, by the job's place."""
        refused: dict[int, QtForgeError] = {}
        names: set[str] = set()
        ended: set[int] = set()
        for place, job in enumerate(jobs):
            if isinstance(job, Create):
                if job.row.run_id in names:
                    refused[place] = _exists(job)
                names.add(job.row.run_id)
            elif isinstance(job, Append):
                key = job.ownership.key
                if job.ownership.owner != self.owner or key in ended:
                    refused[place] = _stale(job)
                elif job.status is not None and job.status.finished_at_us is not None:
                    ended.add(key)
        return refused

    def _write_plain(
        self, jobs: Sequence[Job], number: int, meanwhile: Callable[[], None]
    ) -> list[Any]:
        self._sent = None
        refused = self._refused(jobs)
        creates: list[tuple[int, Create]] = []
        appends: list[tuple[int, Append]] = []
        for place, job in enumerate(jobs):
            if place not in refused:
                if isinstance(job, Create):
                    creates.append((place, job))
                elif isinstance(job, Append):
                    appends.append((place, job))
        epochs = {job.ownership.key: job.ownership.epoch for _, job in appends}
        self._read_last(epochs)
        given: list[Any] = [number, self.owner, number]
        is_one_run = len(epochs) == 1
        if is_one_run:
            given += epochs.popitem()
        elif epochs:
            given += [list(epochs), list(epochs.values())]
        rows = _Appends()
        for _, job in appends:
            self._add(job, rows)
        saved = merge_checkpoints(rows.checkpoints)
        if rows.statuses:
            # In the order of keys, in which others lock rows for their messages.
            statuses = [(*row, *saved.rows.get(key, _NOT_SAVED)) for key, row in
                        sorted(rows.statuses.items())]  # fmt: skip
            errors = sorted(rows.errors.items())
            given += statuses[0] if is_one_run else _columns(statuses, len(_STATUS_TYPES))
            given += errors[0] if is_one_run else _columns(errors, len(_ERROR_TYPES))
        waits = saved.leaves_waiting(rows.answered, rows.ended)
        given += waits
        if rows.ended:
            given.append(rows.ended)
        if rows.records:
            given += _columns(rows.records, 4)
        if creates:
            given += _columns(((*job.row[:6], *job.row[7:]) for _, job in creates), 17)
            given += _columns(
                (
                    (job.row.run_id, Int8(job.entry.checksum), job.entry.payload)
                    for _, job in creates
                ),
                3,
            )
            given += _columns(((job.row.run_id, *job.search) for _, job in creates), 4)
        wakes = any(not job.row.epoch for _, job in creates)  # one is queued
        if wakes:
            given.append(self._channel)
        statement = _plain_statement(
            wakes=wakes,
            has_appends=bool(appends),
            is_one_run=is_one_run,
            has_new=bool(creates),
            has_status=bool(rows.statuses),
            has_waiting=bool(waits),
            has_ended=bool(rows.ended),
            has_records=bool(rows.records),
        )
        meanwhile()
        answer = self.session.alone(statement, given)
        if not answer[0]:
            self._refuse(number)
        outcomes: list[Any] = [refused.get(place) for place in range(len(jobs))]
        valid = set(answer[1])
        for place, job in appends:
            if job.ownership.key not in valid:
                outcomes[place] = _stale(job)
                self.forget(job.ownership.key)
        for key in rows.ended:
            self.forget(key)
        if creates:
            keys = dict(zip(answer[2], answer[3], strict=True))
            for place, created in creates:
                new = keys.get(created.row.run_id)
                outcomes[place] = _exists(created) if new is None else self._own(created, new)
        return outcomes

    def _refuse(self, number: int) -> None:
        """Raise why the owner's row was not updated."""
        row = self.session.row(_GROUP, (self.owner,))
        if row is None:
            raise LapsedError
        if row[0] >= number:
            raise WrittenError
        raise LapsedError  # it was deleted and is there again: impossible, and safe

    # Several statements.

    def _do(self, jobs: Sequence[Job], outcomes: list[Any]) -> None:
        self._wakes = False
        self._lock_keys(jobs)
        self._add_blobs(jobs)
        creates = [(place, job) for place, job in enumerate(jobs) if isinstance(job, Create)]
        cancelled: list[tuple[RunStarted, Sequence[str]]] = []
        for place, created in creates:
            outcomes[place] = self._create(created, cancelled)
            self._wakes |= not created.row.epoch
        self._lock(jobs, itertools.chain.from_iterable(each for _, each in cancelled))
        for started, run_ids in cancelled:
            self._cancel(started, run_ids)
        numbered = ((place, job) for place, job in enumerate(jobs) if not isinstance(job, Create))
        for kind, some in itertools.groupby(numbered, lambda each: _kind(each[1])):
            if kind == "append":
                self._append([(n, job) for n, job in some if isinstance(job, Append)], outcomes)
            elif kind == "post":
                self._post(some, outcomes)
            else:
                self._change(some, outcomes)

    def _post(self, posts: Iterable[tuple[int, Job]], outcomes: list[Any]) -> None:
        found = [
            (place, job.do.post)
            for place, job in posts
            if isinstance(job, Change) and isinstance(job.do, Write) and job.do.post
        ]
        posted = self.post([message for _, message in found])
        for (place, message), outcome in zip(found, posted, strict=True):
            outcomes[place] = RunNotFoundError(message[0]) if outcome is None else outcome

    def _change(self, changes: Iterable[tuple[int, Job]], outcomes: list[Any]) -> None:
        for place, job in changes:
            if isinstance(job, Change):
                self._wakes |= job.wakes
                try:
                    outcomes[place] = job.do(self)
                except QtForgeError as error:
                    outcomes[place] = error

    def _add_blobs(self, jobs: Sequence[Job]) -> None:
        blobs: dict[bytes, bytes] = {}
        for job in jobs:
            if isinstance(job, Create):
                for entry in job.entries:
                    blobs.update(entry.blobs)
            elif isinstance(job, Append):
                for entry in itertools.chain(job.entries, (each for _, _, each in job.posts)):
                    blobs.update(entry.blobs)
            elif isinstance(job.do, Write):
                blobs.update(job.do.blobs)
        if blobs:
            held = {row[0] for row in self.session.rows(_HELD_BLOBS, (list(blobs),))}
            for sum_ in sorted(blobs.keys() - held):
                self.session.execute(_ADD_BLOB, (sum_, blobs[sum_]))

    def _lock_keys(self, jobs: Sequence[Job]) -> None:
        """Lock the unique and concurrency keys of all jobs, before any row."""
        keys: list[Key] = []
        for job in jobs:
            if isinstance(job, Create) and job.admission is not None:
                keys += keys_of(job.admission)
            elif isinstance(job, Change) and isinstance(job.do, Write) and job.do.key is not None:
                keys.append(job.do.key)
        lock_keys(self.session, keys)

    def _cancel(self, started: RunStarted, run_ids: Sequence[str]) -> None:
        """Ask runs to cancel for a new one; those that are queued need no place any more."""
        message = place_message(started)
        self.post([(each, message.message_id, encode_message(each, message)) for each in run_ids])
        need_no_place(self.session, run_ids)

    def _create(
        self, job: Create, cancelled: list[tuple[RunStarted, Sequence[str]]]
    ) -> Ownership | QtForgeError | Sequence[str]:
        found = Admission()
        if job.admission is not None:
            if self.session.row(_HAS_RUN, (job.row.run_id,)) is not None:
                return _exists(job)
            try:
                found = admission(self.session, job.admission, is_queued=not job.row.epoch)
                refuse(job.admission, found)
            except QtForgeError as error:
                return error
        key = self.insert_run(job.row._replace(owner=self.owner if job.row.epoch else None))
        if key is None:
            return _exists(job)
        store_words(self.session, key, job.search)
        if job.keys is not None:
            store_keys(self.session, job.keys, key)
        if job.admission is not None and found.cancels:
            cancelled.append((job.admission, found.cancels))
        for entry in job.entries:
            self.refer(key, entry.blobs)
        self._insert(
            [(key, place, each.checksum, each.payload) for place, each in enumerate(job.entries, 1)]
        )
        return self._own(job, key) or found.cancels

    def _lock(self, jobs: Sequence[Job], run_ids: Iterable[str] = ()) -> None:
        keys: set[int] = set()
        names: set[str] = set(run_ids)
        listens = False
        for job in jobs:
            if isinstance(job, Append):
                keys.add(job.ownership.key)
                names.update(run_id for run_id, _, _ in job.posts)
            elif isinstance(job, Change) and isinstance(job.do, Write):
                names.update(job.do.run_ids)
                listens |= job.do.listens
        if keys or names:
            for row in self.session.rows(_LOCK, (list(keys), list(names))):
                state = RunState(*row)
                self._states[state.run_id] = self._states_by_key[state.key] = state
        if listens:
            self.listeners = self.session.rows(_LISTENERS)

    def _unlock(self) -> None:
        self._states.clear()
        self._states_by_key.clear()
        self.listeners = []

    def _append(self, waiting: Sequence[tuple[int, Append]], outcomes: list[Any]) -> None:
        self._read_last({job.ownership.key for _, job in waiting})
        rows = _Appends()
        for place, job in waiting:
            state = self._states_by_key.get(job.ownership.key)
            if state is None or (state.owner, state.epoch) != (self.owner, job.ownership.epoch):
                outcomes[place] = _stale(job)
                continue
            if job.ownership.owner != self.owner:
                outcomes[place] = _stale(job)
                continue
            for entry in job.entries:
                self.refer(state.key, entry.blobs)
            self._add(job, rows)
            if job.status is not None:
                state.finished_at = job.status.finished_at_us
                if state.finished_at is not None:
                    state.owner = None  # for the rest of the group too
        if rows.records:
            self._insert(rows.records)
        if rows.statuses:
            self.session.execute(_SET_STATUS, _columns(rows.statuses.values(), 5))
            set_error_words(self.session, rows.errors)
        self.waiting.save(rows.checkpoints)
        self.waiting.drop(rows.answered, rows.ended)
        for key in rows.ended:
            self.forget(key)
        if rows.posts:
            self.post(rows.posts)

    # Both.

    def _add(self, job: Append, rows: _Appends) -> None:
        """Add the rows of an append, and reserve the positions of its records."""
        key = job.ownership.key
        last = self._last_positions.get(key, 0)
        if job.checkpoint is not None:
            rows.checkpoints.append((key, job.checkpoint.position_after(last), job.checkpoint))
        for entry in job.entries:
            last += 1
            rows.records.append((key, last, Int8(entry.checksum), entry.payload))
        self._last_positions[key] = last
        if job.answered:
            rows.answered += [(key, message_id) for message_id in job.answered]
        if job.status is not None:
            rows.statuses[key] = (key, *msgspec.structs.astuple(job.status))
            rows.errors[key] = job.error_words
            if job.status.finished_at_us is not None:
                rows.ended.append(key)
        rows.posts += job.posts

    def _insert(self, records: Sequence[tuple[int, int, int, bytes]]) -> None:
        self.session.execute(_INSERT_RECORDS, _columns(records, 4))

    def _own(self, job: Create, key: int) -> Ownership | None:
        """Return the outcome of a new run; None where nobody owns it yet."""
        if not job.row.epoch:
            return None
        self._last_positions[key] = 1
        return Ownership(run_id=job.row.run_id, epoch=1, owner=self.owner, key=key)

    def _read_last(self, keys: Iterable[int]) -> None:
        """Read the positions of runs' last records, where they are not known."""
        unknown = [key for key in keys if key not in self._last_positions]
        if unknown:
            self._last_positions.update(self.session.rows(_LAST, (unknown,)))


@functools.cache
def _plain_statement(
    *,
    wakes: bool,
    has_appends: bool,
    is_one_run: bool,
    has_new: bool,
    has_status: bool,
    has_waiting: bool,
    has_ended: bool,
    has_records: bool,
) -> str:
    """Return the statement that writes a group of new runs and plain appends."""
    parts = [_ME]
    parts += [_OWN_RUN if is_one_run else _OWN] * has_appends
    parts += (_STATUS_RUN if is_one_run else _STATUS) * has_status
    parts += [_WAITING] * has_waiting
    parts += [_ENDED] * has_ended
    parts += [_RECORDS] * has_records
    parts += [_NEW, _FIRST_RECORDS, _FIRST_WORDS] * has_new
    own = _OWN_ANSWER if has_appends else _NO_OWN_ANSWER
    return f"WITH {', '.join(parts)} {_ANSWER}{own}{_NEW_ANSWER * has_new}{_WAKE * wakes}"


def _columns(rows: Iterable[Sequence[Any]], count: int) -> list[list[Any]]:
    """Return the columns of rows, each an array for `unnest`."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(count)]


def _kind(job: Job) -> str:
    if isinstance(job, Append):
        return "append"
    if isinstance(job, Change) and isinstance(job.do, Write) and job.do.post is not None:
        return "post"
    return "change"


def _exists(job: Create) -> RunExistsError:
    return RunExistsError(job.row.run_id)


def _stale(job: Append) -> StaleOwnerError:
    return StaleOwnerError(job.ownership.run_id, job.ownership.epoch)
