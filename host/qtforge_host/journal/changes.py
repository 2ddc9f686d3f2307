"""Writes other than appends; each is a `Change` that runs in a group's transaction."""

from __future__ import annotations

import datetime
import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from qtforge_host.journal.admissions import DROP_TAGS, give_place, store_keys, store_tags
from qtforge_host.journal.group import GroupCommit
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_host.journal.queries import listening, payloads
from qtforge_host.journal.schema import insert_run
from qtforge_host.journal.search_index import drop_words, store_words
from qtforge_sdk.journal import Announcement, Ownership, Posted, Publication, is_run_id
from qtforge_sdk.journal_errors import (
    RunExistsError,
    RunNotFoundError,
    RunOwnedError,
    StaleOwnerError,
)
from qtforge_sdk.journal_kit.appending import (
    checkpoint_row,
    handled_messages,
    keys_row,
    run_row,
)
from qtforge_sdk.journal_kit.archive import Archive
from qtforge_sdk.journal_kit.encoding import Encoded, to_us
from qtforge_sdk.journal_kit.jobs import Change
from qtforge_sdk.journal_kit.search_words import search_row
from qtforge_sdk.records import CheckpointSaved, RunFinished, RunWaiting

__all__ = [
    "AT_ONCE",
    "DIED",
    "announce",
    "claim",
    "delete",
    "drain",
    "import_archive",
    "keep_value",
    "listen",
    "note_needs",
    "pause_pool",
    "post",
    "post_to_key",
    "prune",
    "publish",
    "release",
    "remove_publications",
    "sweep",
    "take",
]

AT_ONCE: Final = 500
"""So many runs are deleted by one change, so that other writes can run in between."""

# The newest record's id must not be reused: when its run is deleted, an empty record remains.
_DROP_MARKS: Final = "DELETE FROM records WHERE run = 0 AND id < (SELECT max(id) FROM records)"
_NEWEST: Final = "SELECT run FROM records ORDER BY id DESC LIMIT 1"
_MARK: Final = """UPDATE records SET run = 0, position = id, checksum = 0, payload = x''
    WHERE id = (SELECT max(id) FROM records)"""
_SUMS: Final = "SELECT sum FROM blobs WHERE run = ?"
_PUBLISH: Final = """INSERT INTO publications (listener, message_id, at, checksum, payload)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (listener, message_id) DO NOTHING"""
_DROP_OLD: Final = """DELETE FROM publications WHERE listener = :listener AND (at < :oldest
    OR position <= (SELECT position FROM publications WHERE listener = :listener
        ORDER BY position DESC LIMIT 1 OFFSET :capacity))"""
_ADD_SEQUENCE: Final = """INSERT INTO sqlite_sequence SELECT 'inbox', 0
    WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'inbox')"""
_RAISE_SEQUENCE: Final = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'inbox'"
# A run that has not ended may still ask for its children.
_IS_NOT_NEEDED: Final = """NOT EXISTS (SELECT 1 FROM runs AS above
    WHERE above.run_id = runs.parent AND above.finished_at IS NULL)"""
_OLD_RUNS: Final = f"""SELECT key FROM runs WHERE finished_at < ? AND {_IS_NOT_NEEDED}
    ORDER BY key LIMIT ?"""  # noqa: S608 - of constants
_OLD_RUN: Final = f"""SELECT key FROM runs WHERE run_id = ? AND finished_at < ?
    AND {_IS_NOT_NEEDED}"""  # noqa: S608 - of constants


DIED: Final = "-"
"""The owner of a run that nobody executes, and whose last process died; no process has it."""

_RELEASE: Final = """UPDATE runs SET owner = :next, rest_until = :rest,
    served = coalesce(:served, served) WHERE key = :key AND epoch = :epoch AND owner = :owner"""
_NOTE_NEEDS: Final = """UPDATE runs SET served = needs.value FROM json_each(?) AS needs
    WHERE run_id = needs.key AND owner = ?"""
_DROP_NODES: Final = "DELETE FROM nodes WHERE owner NOT IN (SELECT value FROM json_each(?))"
_ANNOUNCE: Final = """INSERT INTO nodes (owner, announced, changed_at) VALUES (?, ?, ?)
    ON CONFLICT (owner) DO UPDATE SET announced = excluded.announced,
        changed_at = excluded.changed_at"""
_DRAIN: Final = """INSERT INTO nodes (owner, draining, changed_at) VALUES (?, ?, ?)
    ON CONFLICT (owner) DO UPDATE SET draining = excluded.draining,
        changed_at = excluded.changed_at"""


def claim(run_id: str, locks: OwnerLocks) -> Change:
    """Return the change that claims a run; its outcome is an `Ownership`."""

    def do(group: GroupCommit) -> Ownership:
        row = group.connection.execute(
            "SELECT key, owner, epoch FROM runs WHERE run_id = ?", (run_id,)
        ).fetchone()
        if row is None:
            raise RunNotFoundError(run_id)
        key, owner, epoch = row
        if owner not in (None, group.owner) and locks.is_alive(owner):
            raise RunOwnedError(run_id, locks.describe(owner))
        group.connection.execute(
            "UPDATE runs SET owner = ?, epoch = ? WHERE key = ?", (group.owner, epoch + 1, key)
        )
        group.forget(key)
        return Ownership(
            run_id=run_id,
            epoch=epoch + 1,
            owner=group.owner,
            key=key,
            took_over=owner not in (None, group.owner),
        )

    return Change(do)


def take(run_ids: Sequence[str], locks: OwnerLocks, now_us: int) -> Change:
    """Return the change that owns those of some runs that no living process owns.

    A queued run with a concurrency key gets its place, or is left. The outcome is a list of
    `Ownership`. The runs were found before: what another process has
    taken meanwhile has a living owner.
    """

    def do(group: GroupCommit) -> list[Ownership]:
        rows = group.connection.execute(
            "SELECT key, run_id, owner, epoch FROM runs WHERE finished_at IS NULL"
            " AND run_id IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(list(run_ids)).decode(),),
        ).fetchall()
        by_id = {run_id: (key, owner, epoch) for key, run_id, owner, epoch in rows}
        taken = []
        for run_id in run_ids:
            key, owner, epoch = by_id.get(run_id, (0, group.owner, 0))
            if owner == group.owner or (owner is not None and locks.is_alive(owner)):
                continue
            if give_place(group.connection, key, now_us):  # another run has got it meanwhile
                continue
            group.connection.execute(
                "UPDATE runs SET owner = ?, epoch = ? WHERE key = ?", (group.owner, epoch + 1, key)
            )
            group.forget(key)
            taken.append(
                Ownership(
                    run_id=run_id,
                    epoch=epoch + 1,
                    owner=group.owner,
                    key=key,
                    took_over=owner is not None,
                )
            )
        return taken

    return Change(do)


def release(
    ownership: Ownership,
    rest_until: datetime.datetime | None = None,
    needs: Mapping[str, str] | None = None,
    *,
    unused: bool = False,
) -> Change:
    """Return the change that releases a run."""
    given = {
        "rest": None if rest_until is None else to_us(rest_until),
        "served": None if needs is None else _json(needs),
        "next": DIED if unused and ownership.took_over else None,
        "key": ownership.key,
        "epoch": ownership.epoch,
        "owner": ownership.owner,
    }

    def do(group: GroupCommit) -> None:
        cursor = group.connection.execute(_RELEASE, given)
        group.forget(ownership.key)
        if not cursor.rowcount:
            raise StaleOwnerError(ownership.run_id, ownership.epoch)

    return Change(do, wakes=True)


def note_needs(needs: Mapping[str, Mapping[str, str]]) -> Change:
    """Return the change that stores what runs of this process need."""

    def do(group: GroupCommit) -> None:
        group.connection.execute(_NOTE_NEEDS, (_json(needs), group.owner))

    return Change(do)


def announce(announcement: Announcement, locks: OwnerLocks) -> Change:
    """Return the change that stores what this process says of itself; drops rows of dead ones."""

    def do(group: GroupCommit) -> None:
        group.connection.execute(_DROP_NODES, (_json(locks.alive()),))
        row = (group.owner, _json(announcement), time.time_ns())
        group.connection.execute(_ANNOUNCE, row)

    return Change(do, wakes=True)


def drain(owner: str, locks: OwnerLocks, *, draining: bool) -> Change:
    """Return the change that requests a process to drain; its outcome is whether it lives."""

    def do(group: GroupCommit) -> bool:
        if owner not in locks.alive():
            return False
        group.connection.execute(_DRAIN, (owner, draining, time.time_ns()))
        return True

    return Change(do, wakes=True)


def pause_pool(pool: str, *, paused: bool) -> Change:
    """Return the change that pauses a pool, or resumes it; its outcome is whether it changes."""
    statement = (
        "INSERT OR IGNORE INTO paused_pools VALUES (?)"
        if paused
        else "DELETE FROM paused_pools WHERE pool = ?"
    )

    def do(group: GroupCommit) -> bool:
        return bool(group.connection.execute(statement, (pool,)).rowcount)

    return Change(do, wakes=True)


def keep_value(key: str, data: bytes | None, revision: int) -> Change:
    """Return the change that keeps a shared value; its outcome is whether it was kept."""
    if data is None:
        statement = "DELETE FROM kept_values WHERE key = :key AND revision = :revision"
    elif revision:
        statement = """UPDATE kept_values SET data = :data, revision = revision + 1
            WHERE key = :key AND revision = :revision"""
    else:
        statement = "INSERT OR IGNORE INTO kept_values VALUES (:key, 1, :data)"

    def do(group: GroupCommit) -> bool:
        values = {"key": key, "data": data, "revision": revision}
        return bool(group.connection.execute(statement, values).rowcount)

    return Change(do)


def post(run_id: str, message_id: str, encoded: Encoded) -> Change:
    """Return the change that posts a message to a run; its outcome is a `Posted`."""

    def do(group: GroupCommit) -> Posted:
        posted = group.post(run_id, message_id, encoded)
        if posted is None:
            raise RunNotFoundError(run_id)
        return posted

    return Change(do, wakes=True)


def post_to_key(workflow: str, key: str, message_id: str, encoded: Encoded) -> Change:
    """Return the change that posts to all unfinished runs with a key; its outcome is how many.

    It is one transaction: a process that is killed in it has posted to none.
    """

    def do(group: GroupCommit) -> int:
        for blob in encoded.blobs:
            group.blobs.ensure(blob)
        return group.waiting.post_to_key(workflow, key, message_id, encoded)

    return Change(do, wakes=True)


def listen(listener: str, topics: Sequence[str], capacity: int) -> Change:
    """Return the change that makes a listener listen to these topics only."""

    def do(group: GroupCommit) -> None:
        if topics:
            row = (listener, msgspec.json.encode(list(topics)).decode(), capacity)
            group.connection.execute("INSERT OR REPLACE INTO listeners VALUES (?, ?, ?)", row)
            return
        group.connection.execute("DELETE FROM listeners WHERE name = ?", (listener,))
        group.connection.execute("DELETE FROM publications WHERE listener = ?", (listener,))

    return Change(do)


def publish(
    publication: Publication, encoded: Encoded, but: str, age: datetime.timedelta
) -> Change:
    """Return the change that stores a publication.

    Its outcome is for how many listeners, and how many older publications were dropped.
    """
    at_us = to_us(publication.at)
    oldest_us = to_us(publication.at - age)

    def do(group: GroupCommit) -> tuple[int, int]:
        execute, count, dropped = group.connection.execute, 0, 0
        for listener, capacity in listening(group.connection, publication.topic, but):
            row = (listener, publication.message_id, at_us, encoded.checksum, encoded.payload)
            execute(_PUBLISH, row)
            old = {"listener": listener, "oldest": oldest_us, "capacity": capacity}
            dropped += execute(_DROP_OLD, old).rowcount
            count += 1
        return count, dropped

    return Change(do, wakes=True)


def remove_publications(listener: str, until: int) -> Change:
    """Return the change that removes what a listener has received, up to a position."""

    def do(group: GroupCommit) -> None:
        group.connection.execute(
            "DELETE FROM publications WHERE listener = ? AND position <= ?", (listener, until)
        )

    return Change(do)


def prune(finished_before: datetime.datetime) -> Change:
    """Return the change that deletes some old runs; its outcome is how many, 0 at the end."""
    before_us = to_us(finished_before)

    def do(group: GroupCommit) -> int:
        rows = group.connection.execute(_OLD_RUNS, (before_us, AT_ONCE)).fetchall()
        _delete(group, [key for (key,) in rows])
        return len(rows)

    return Change(do)


def delete(run_ids: Sequence[str], ended_before: datetime.datetime) -> Change:
    """Return the change that deletes runs that have ended.

    Its outcome is the deleted runs, and the sums of the large values that they referred to.

    Args:
        run_ids: At most `AT_ONCE`.
        ended_before: Those that have not ended before stay.
    """
    before_us = to_us(ended_before)

    def do(group: GroupCommit) -> tuple[list[str], list[bytes]]:
        execute = group.connection.execute
        keys, deleted, sums = [], [], []
        for run_id in filter(is_run_id, run_ids):
            row = execute(_OLD_RUN, (run_id, before_us)).fetchone()
            if row is not None:
                keys.append(row[0])
                deleted.append(run_id)
                sums += [sum_ for (sum_,) in execute(_SUMS, row)]
        _delete(group, keys)
        return deleted, sums

    return Change(do)


def _delete(group: GroupCommit, keys: Sequence[int]) -> None:
    execute = group.connection.execute
    if not keys:
        return
    execute(_DROP_MARKS)
    newest = execute(_NEWEST).fetchone()
    if newest is not None and newest[0] in keys:
        execute(_MARK)
    for key in keys:
        for table in ("records", "inbox", "timers", "arrivals", "blobs"):
            execute(f"DELETE FROM {table} WHERE run = ?", (key,))  # noqa: S608
        execute(DROP_TAGS, (key,))
        drop_words(group.connection, key)
        execute("DELETE FROM runs WHERE key = ?", (key,))


def sweep(sums: Collection[bytes] | None = None) -> Change:
    """Return the change that deletes large values to which no run refers any more.

    It is in a later group than the deletion of the references: if that were rolled back after
    the files are gone, runs would lack their values.

    Args:
        sums: Only these; None for all.
    """

    def do(group: GroupCommit) -> None:
        def is_referenced(sum_: bytes) -> bool:
            row = group.connection.execute("SELECT 1 FROM blobs WHERE sum = ?", (sum_,)).fetchone()
            return row is not None

        group.blobs.sweep(is_referenced, sums)

    return Change(do)


def import_archive(archive: Archive) -> Change:
    """Return the change that imports an exported run; its outcome is the run's name."""

    def do(group: GroupCommit) -> str:
        run_id = archive.run_id
        key = insert_run(group.connection, run_row(archive.decoded, None, 0))
        if key is not None:
            store_words(group.connection, key, search_row(archive.decoded))
            group.note_new_words(1)
            _store_keys(group, key, archive)
        else:
            if not archive.is_stored_as(payloads(group.connection, _key(group, run_id))):
                raise RunExistsError(run_id)
            return run_id
        _count_messages_from(group.connection, archive.last_handled)
        group.add_blobs(key, archive.blobs)
        group.add_records(key, archive.encoded)
        checkpoints = [
            (key, row.position_after(0), row)
            for place, record in enumerate(archive.decoded)
            if isinstance(record, CheckpointSaved | RunWaiting)
            for row in [checkpoint_row(record, place, every_timer=True)]
        ]
        ended = isinstance(archive.decoded[-1], RunFinished)
        group.waiting.save(checkpoints[-1:])
        group.forget(key)
        handled = handled_messages(archive.decoded)
        for message_id, checksum, payload in archive.inbox_rows:
            arrives = not ended and message_id not in handled
            entry = Encoded(payload, checksum)
            group.waiting.post(key, message_id, entry, arrives=arrives)
        return run_id

    return Change(do)


def _store_keys(group: GroupCommit, key: int, archive: Archive) -> None:
    """Store an imported run's keys and tags; a place it gets when it is resumed."""
    keys = keys_row(archive.started)
    if keys is not None:
        store_keys(group.connection, keys, archive.run_id)
    if archive.tags is not None and (archive.tags or keys is not None):
        store_tags(group.connection, key, archive.tags)


def _count_messages_from(connection: sqlite3.Connection, position: int) -> None:
    """Give messages only positions after one; another journal has counted that far."""
    if position:
        connection.execute(_ADD_SEQUENCE)
        connection.execute(_RAISE_SEQUENCE, (position,))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _key(group: GroupCommit, run_id: str) -> int:
    row = group.connection.execute("SELECT key FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        raise RunNotFoundError(run_id)
    return int(row[0])
