"""Writes other than appends; each is a `Change` that runs in a group's transaction."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from qtforge_postgresql.admissions import Key, give_place, store_keys, store_tags
from qtforge_postgresql.group import Group, Write
from qtforge_postgresql.periods import OPEN_FROM
from qtforge_postgresql.run_words import store_words
from qtforge_postgresql.texts import check_text, is_storable
from qtforge_sdk.journal import Ownership, Posted, Publication, RunSecret, is_run_id
from qtforge_sdk.journal_errors import (
    RunExistsError,
    RunNotFoundError,
    RunOwnedError,
    StaleOwnerError,
)
from qtforge_sdk.journal_kit.admission import changed_tags
from qtforge_sdk.journal_kit.appending import (
    checkpoint_row,
    handled_messages,
    keys_row,
    run_row,
)
from qtforge_sdk.journal_kit.archive import Archive
from qtforge_sdk.journal_kit.encoding import Encoded, to_us
from qtforge_sdk.journal_kit.jobs import Change, KeysRow, RunRow
from qtforge_sdk.journal_kit.search_words import search_row
from qtforge_sdk.journal_kit.secret_lines import encode_secrets
from qtforge_sdk.records import CheckpointSaved, RunFinished, RunWaiting
from qtforge_sdk.topics import matches

__all__ = [
    "AT_ONCE",
    "DIED",
    "admit",
    "announce",
    "claim",
    "delete",
    "drain",
    "import_archive",
    "keep_value",
    "key_texts",
    "listen",
    "note_needs",
    "pause_pool",
    "post",
    "post_to_key",
    "prune",
    "publish",
    "release",
    "remove_publications",
    "row_texts",
    "store_secrets",
    "sweep_blobs",
    "sweep_secrets",
    "tag",
]

AT_ONCE: Final = 200
"""So many runs or large values are deleted by one change: other writes run in between."""

_TAGS: Final = "SELECT tags::text FROM {s}.runs WHERE key = %s"
_OWNER: Final = """SELECT format('process %%s on host %%s', pid, host) FROM {s}.owners
    WHERE owner = %s"""
# It is locked while its owner writes, who is alive then. Just after the start of the server all
# leases have ended, and each owner gets one to return.
_END_LAPSED: Final = """DELETE FROM {s}.owners WHERE owner = (
        SELECT owner FROM {s}.owners WHERE owner = %s AND expires < clock_timestamp()
            AND pg_postmaster_start_time() + lease < clock_timestamp()
        FOR UPDATE SKIP LOCKED
    ) RETURNING owner"""
_CLAIM: Final = "UPDATE {s}.runs SET owner = %s, epoch = %s WHERE key = %s"
DIED: Final = "-"
"""The owner of a run that nobody executes, and whose last process died; no process has it."""

_RELEASE: Final = """UPDATE {s}.runs SET owner = %s, rest_until = %s, served = coalesce(%s, served)
    WHERE key = %s AND epoch = %s AND owner = %s"""
_NOTE_NEEDS: Final = """UPDATE {s}.runs SET served = given.served
    FROM unnest(%b::text[], %b::text[]) AS given (run_id, served)
    WHERE runs.run_id = given.run_id AND owner = %b"""
_ANNOUNCE: Final = """UPDATE {s}.owners SET announced = %s, changed = clock_timestamp()
    WHERE owner = %s"""
_DRAIN: Final = """UPDATE {s}.owners SET draining = %s, changed = clock_timestamp()
    WHERE owner = %s AND expires > clock_timestamp()"""
_PAUSE: Final = "INSERT INTO {s}.paused_pools VALUES (%s) ON CONFLICT (pool) DO NOTHING"
_RESUME: Final = "DELETE FROM {s}.paused_pools WHERE pool = %s"
_KEEP_NEW: Final = "INSERT INTO {s}.kept_values VALUES (%s, 1, %b) ON CONFLICT (key) DO NOTHING"
_KEEP: Final = """UPDATE {s}.kept_values SET data = %b, revision = revision + 1
    WHERE key = %s AND revision = %s"""
_DROP_KEPT: Final = "DELETE FROM {s}.kept_values WHERE key = %s AND revision = %s"
_LISTEN: Final = """INSERT INTO {s}.listeners VALUES (%s, %s, %s) ON CONFLICT (name)
    DO UPDATE SET topics = excluded.topics, capacity = excluded.capacity"""
_PUBLISH: Final = """INSERT INTO {s}.publications (listener, message_id, at, checksum, payload)
    VALUES (%b, %b, %b, %b, %b) ON CONFLICT (listener, message_id) DO NOTHING"""
_DROP_OLD: Final = """DELETE FROM {s}.publications WHERE listener = %s AND (at < %s
    OR position <= (SELECT position FROM {s}.publications WHERE listener = %s
        ORDER BY position DESC OFFSET %s LIMIT 1))"""
# Another process that has got further meanwhile is not set back, but for a moment's chance: then
# a number that is taken is refused, and the next one is tried.
_COUNT_MESSAGES_FROM: Final = """SELECT setval(counter, %s) FROM
    (SELECT pg_get_serial_sequence('{s}.inbox', 'position')::regclass AS counter) AS found
    WHERE coalesce(pg_sequence_last_value(counter), 0) < %s"""
# A run that has not ended may still ask for its children.
_IS_NOT_NEEDED: Final = """NOT EXISTS (SELECT 1 FROM {s}.runs AS above
    WHERE above.run_id = runs.parent AND above.finished_at IS NULL)"""
_OLD_RUNS: Final = f"""SELECT key, run_id FROM {{s}}.runs
    WHERE finished_at < %s AND {_IS_NOT_NEEDED}
    ORDER BY finished_at LIMIT %s FOR UPDATE SKIP LOCKED"""
_OLD_OF: Final = f"""SELECT key, run_id FROM {{s}}.runs
    WHERE run_id = ANY (%b::text[]) AND finished_at < %s AND {_IS_NOT_NEEDED}
    FOR UPDATE SKIP LOCKED"""
_SUMS: Final = "SELECT DISTINCT sum FROM {s}.blob_refs WHERE run = ANY (%b::bigint[])"
_LOCK_BLOBS: Final = """SELECT sum FROM {s}.blobs WHERE sum = ANY (%b::bytea[])
    FOR UPDATE SKIP LOCKED"""
# Records of a closed period may be dropped with their table.
_PRUNE_RECORDS: Final = (
    """WITH those AS MATERIALIZED (
        SELECT xact FROM {s}.records WHERE run = ANY (%b::bigint[])
    ), last AS (
        SELECT xact FROM those ORDER BY xact DESC LIMIT 1
    )
    UPDATE {s}.journal SET pruned = last.xact FROM last WHERE pruned < last.xact""",
    f"DELETE FROM {{s}}.records WHERE run = ANY (%b::bigint[]) AND run >= {OPEN_FROM}",
    f"""INSERT INTO {{s}}.gone (run) SELECT run FROM unnest(%b::bigint[]) AS given (run)
        WHERE run < {OPEN_FROM} ON CONFLICT (run) DO NOTHING""",
)
_PRUNE: Final = tuple(
    f"DELETE FROM {{s}}.{table} WHERE {column} = ANY (%b::bigint[])"
    for table, column in (
        ("inbox", "run"), ("timers", "run"), ("arrivals", "run"), ("blob_refs", "run"),
        ("searched", "run"), ("runs", "key"),
    )
)  # fmt: skip
_PRUNE_SECRETS: Final = "DELETE FROM {s}.secrets WHERE run_id = ANY (%b::text[])"
# Locked first, and looked at again by the next statement: one that refers to it meanwhile has
# locked the row before.
_UNUSED_BLOBS: Final = """SELECT sum FROM {s}.blobs
    WHERE NOT EXISTS (SELECT 1 FROM {s}.blob_refs WHERE blob_refs.sum = blobs.sum)
    LIMIT %s FOR UPDATE SKIP LOCKED"""
_DROP_BLOBS: Final = """DELETE FROM {s}.blobs WHERE sum = ANY (%b::bytea[])
    AND NOT EXISTS (SELECT 1 FROM {s}.blob_refs WHERE blob_refs.sum = blobs.sum)"""
# The run may be created in a moment.
_UNUSED_SECRETS: Final = """DELETE FROM {s}.secrets
    WHERE stored < clock_timestamp() - interval '1 day'
    AND NOT EXISTS (SELECT 1 FROM {s}.runs WHERE runs.run_id = secrets.run_id)"""
_ADD_REFERENCE: Final = """INSERT INTO {s}.secrets (run_id, reference, content) VALUES (%b, %b, %b)
    ON CONFLICT (run_id, reference)
    DO UPDATE SET content = excluded.content, stored = clock_timestamp()"""
_STORED: Final = """SELECT payload FROM {s}.records JOIN {s}.runs ON key = run
    WHERE run_id = %s ORDER BY position"""


def row_texts(row: RunRow) -> Iterable[str | None]:
    """Return the texts of a run's row that come from its caller."""
    needs: dict[str, str] = msgspec.json.decode(row.needs, type=dict[str, str])
    named = (row.workflow, row.kind, row.parent, row.pool, row.title, row.schedule)
    return (*named, *needs, *needs.values())


def key_texts(keys: KeysRow | None) -> Iterable[str | None]:
    """Return the texts of a run's tags and keys."""
    if keys is None:
        return ()
    tags: dict[str, str] = msgspec.json.decode(keys.tags, type=dict[str, str])
    return (keys.place, keys.unique_key, *tags, *tags.values())


def served_text(needs: Mapping[str, str]) -> str:
    """Return what a run needs as the column has it."""
    known = {name: each for name, each in needs.items() if is_storable(name) and is_storable(each)}
    return msgspec.json.encode(known).decode()


def claim(run_id: str, *, may_take_over: bool) -> Change:
    """Return the change that claims a run; its outcome is an `Ownership`.

    Args:
        run_id: The run.
        may_take_over: Whether it is taken from an owner whose lease has ended.
    """

    def do(group: Group) -> Ownership:
        state = group.state(run_id)
        if state is None:
            raise RunNotFoundError(run_id)
        before = state.owner
        took_over = before is not None and before != group.owner
        if before is not None and took_over:
            ended = may_take_over and group.session.row(_END_LAPSED, (before,))
            alive = None if ended else group.session.row(_OWNER, (before,))
            if alive is not None:
                raise RunOwnedError(run_id, alive[0])
        state.owner, state.epoch = group.owner, state.epoch + 1
        group.session.execute(_CLAIM, (group.owner, state.epoch, state.key))
        group.forget(state.key)
        return Ownership(
            run_id=run_id,
            epoch=state.epoch,
            owner=group.owner,
            key=state.key,
            took_over=took_over,
        )

    return Change(Write(do=do, run_ids=(run_id,)))


def release(
    ownership: Ownership,
    rest_until: datetime.datetime | None = None,
    needs: Mapping[str, str] | None = None,
    *,
    unused: bool = False,
) -> Change:
    """Return the change that releases a run."""
    rest_us = None if rest_until is None else to_us(rest_until)
    served = None if needs is None else served_text(needs)
    next_owner = DIED if unused and ownership.took_over else None

    def do(group: Group) -> None:
        given = (next_owner, rest_us, served, ownership.key, ownership.epoch, ownership.owner)
        done = group.session.execute(_RELEASE, given)
        group.forget(ownership.key)
        if not done.rowcount:
            raise StaleOwnerError(ownership.run_id, ownership.epoch)
        state = group.state(ownership.run_id)
        if state is not None:
            state.owner = next_owner

    return Change(Write(do=do, run_ids=(ownership.run_id,)), wakes=True)


def note_needs(needs: Mapping[str, Mapping[str, str]]) -> Change:
    """Return the change that stores what runs of this process need."""
    known = {run_id: served_text(each) for run_id, each in needs.items() if is_run_id(run_id)}

    def do(group: Group) -> None:
        group.session.execute(_NOTE_NEEDS, (list(known), list(known.values()), group.owner))

    return Change(Write(do=do, run_ids=tuple(known)))


def announce(announced: str) -> Change:
    """Return the change that stores what this process says of itself."""

    def do(group: Group) -> None:
        group.session.execute(_ANNOUNCE, (announced, group.owner))

    return Change(Write(do=do), wakes=True)


def drain(owner: str, *, draining: bool) -> Change:
    """Return the change that requests a process to drain; its outcome is whether it lives."""

    def do(group: Group) -> bool:
        return bool(group.session.execute(_DRAIN, (draining, owner)).rowcount)

    return Change(Write(do=do), wakes=True)


def pause_pool(pool: str, *, paused: bool) -> Change:
    """Return the change that pauses a pool, or resumes it; its outcome is whether it changes."""
    statement = _PAUSE if paused else _RESUME

    def do(group: Group) -> bool:
        return bool(group.session.execute(statement, (pool,)).rowcount)

    return Change(Write(do=do), wakes=True)


def keep_value(key: str, data: bytes | None, revision: int) -> Change:
    """Return the change that keeps a shared value; its outcome is whether it was kept."""
    values: tuple[object, ...]
    if data is None:
        statement, values = _DROP_KEPT, (key, revision)
    elif revision:
        statement, values = _KEEP, (data, key, revision)
    else:
        statement, values = _KEEP_NEW, (key, data)

    def do(group: Group) -> bool:
        return bool(group.session.execute(statement, values).rowcount)

    return Change(Write(do=do))


def post(run_id: str, message_id: str, encoded: Encoded) -> Change:
    """Return the change that posts a message to a run; its outcome is a `Posted`."""
    message = (run_id, message_id, encoded)

    def do(group: Group) -> Posted | None:
        return group.post([message])[0]

    write = Write(do=do, run_ids=(run_id,), blobs=encoded.blobs, post=message)
    return Change(write, wakes=True)


def post_to_key(workflow: str, key: str, message_id: str, encoded: Encoded) -> Change:
    """Return the change that posts to all unfinished runs with a key; its outcome is how many."""

    def do(group: Group) -> int:
        return group.waiting.post_to_key(workflow, key, message_id, encoded)

    return Change(Write(do=do, blobs=encoded.blobs), wakes=True)


def listen(listener: str, topics: Sequence[str], capacity: int) -> Change:
    """Return the change that makes a listener listen to these topics only."""
    check_text(listener, "listener", listener, *topics)

    def do(group: Group) -> None:
        if topics:
            row = (listener, msgspec.json.encode(list(topics)).decode(), capacity)
            group.session.execute(_LISTEN, row)
            return
        group.session.execute("DELETE FROM {s}.listeners WHERE name = %s", (listener,))
        group.session.execute("DELETE FROM {s}.publications WHERE listener = %s", (listener,))

    return Change(Write(do=do, listens=True))


def listening(
    listeners: Sequence[tuple[str, str, int]], topic: str, but: str
) -> list[tuple[str, int]]:
    """Return the names and capacities of the listeners to a topic, but one."""
    return [
        (name, capacity)
        for name, topics, capacity in listeners
        if name != but
        and any(matches(pattern, topic) for pattern in msgspec.json.decode(topics, type=list[str]))
    ]


def publish(
    publication: Publication, encoded: Encoded, but: str, age: datetime.timedelta
) -> Change:
    """Return the change that stores a publication.

    Its outcome is for how many listeners, and how many older publications were dropped. The
    listeners are locked, so that positions grow in the order in which they can be read: a
    listener removes what it has received up to a position.
    """
    check_text(publication.topic, "publication", publication.message_id)
    at_us = to_us(publication.at)
    oldest_us = to_us(publication.at - age)

    def do(group: Group) -> tuple[int, int]:
        count = dropped = 0
        for listener, capacity in listening(group.listeners, publication.topic, but):
            row = (listener, publication.message_id, at_us, encoded.checksum, encoded.payload)
            group.session.execute(_PUBLISH, row)
            old = (listener, oldest_us, listener, capacity)
            dropped += group.session.execute(_DROP_OLD, old).rowcount
            count += 1
        return count, dropped

    return Change(Write(do=do, listens=True), wakes=True)


def remove_publications(listener: str, until: int) -> Change:
    """Return the change that removes what a listener has received, up to a position."""

    def do(group: Group) -> None:
        group.session.execute(
            "DELETE FROM {s}.publications WHERE listener = %s AND position <= %s",
            (listener, until),
        )

    return Change(do)


def store_secrets(run_id: str, secrets: Mapping[str, RunSecret]) -> Change:
    """Return the change that stores secrets of a run.

    Raises:
        RecordNotStorableError: A value can't be stored, or the id is none.
    """
    rows = [(run_id, reference, encode_secrets(run_id, {reference: each}))
            for reference, each in secrets.items()]  # fmt: skip
    encode_secrets(run_id, {})  # checks the id
    check_text(run_id, "secrets", *secrets)

    def do(group: Group) -> None:
        for row in sorted(rows):
            group.session.execute(_ADD_REFERENCE, row)

    return Change(do)


def prune(finished_before: datetime.datetime) -> Change:
    """Return the change that deletes some old runs; its outcome is how many, 0 at the end."""
    before_us = to_us(finished_before)

    def do(group: Group) -> int:
        rows = group.session.rows(_OLD_RUNS, (before_us, AT_ONCE))
        _delete(group, rows)
        return len(rows)

    return Change(do)


def delete(run_ids: Sequence[str], ended_before: datetime.datetime) -> Change:
    """Return the change that deletes runs that have ended; its outcome is those.

    Args:
        run_ids: At most `AT_ONCE`.
        ended_before: Those that have not ended before stay.
    """
    given = ([each for each in run_ids if is_run_id(each)], to_us(ended_before))

    def do(group: Group) -> list[str]:
        rows = group.session.rows(_OLD_OF, given)
        sums = [sum_ for (sum_,) in group.session.rows(_SUMS, ([key for key, _ in rows],))]
        _delete(group, rows)
        locked = [sum_ for (sum_,) in group.session.rows(_LOCK_BLOBS, (sums,))] if sums else []
        if locked:
            group.session.execute(_DROP_BLOBS, (locked,))
        return [run_id for _, run_id in rows]

    return Change(do)


def _delete(group: Group, rows: Sequence[tuple[int, str]]) -> None:
    if rows:
        keys = [key for key, _ in rows]
        for statement in (*_PRUNE_RECORDS, *_PRUNE):
            group.session.execute(statement, (keys,))
        group.session.execute(_PRUNE_SECRETS, ([run_id for _, run_id in rows],))


def admit(ownership: Ownership, key: Key | None, now_us: int) -> Change:
    """Return the change that lets a run hold a place; its outcome is what comes first.

    Args:
        ownership: Of the run.
        key: Its concurrency key, as it was read; None where it has none.
        now_us: The time, in microseconds.
    """

    def do(group: Group) -> Sequence[str]:
        state = group.state(ownership.run_id)
        if state is None or (state.owner, state.epoch) != (group.owner, ownership.epoch):
            raise StaleOwnerError(ownership.run_id, ownership.epoch)
        return give_place(group.session, state.key, now_us, locked=True) or ()

    return Change(Write(do=do, run_ids=(ownership.run_id,), key=key))


def tag(run_id: str, changes: Mapping[str, str | None]) -> Change:
    """Return the change of a run's tags; its outcome is all its tags."""

    def do(group: Group) -> dict[str, str]:
        state = group.state(run_id)
        if state is None:
            raise RunNotFoundError(run_id)
        (before,) = group.session.row(_TAGS, (state.key,))
        after = changed_tags(msgspec.json.decode(before, type=dict[str, str]), changes)
        store_tags(group.session, after, state.key)
        return after

    return Change(Write(do=do, run_ids=(run_id,)))


def sweep_blobs() -> Change:
    """Return the change that deletes some large values without a run; 0 at the end."""

    def do(group: Group) -> int:
        sums = [row[0] for row in group.session.rows(_UNUSED_BLOBS, (AT_ONCE,))]
        if not sums:
            return 0
        return group.session.execute(_DROP_BLOBS, (sums,)).rowcount

    return Change(do)


def sweep_secrets() -> Change:
    """Return the change that deletes old secrets of runs that were never created."""

    def do(group: Group) -> None:
        group.session.execute(_UNUSED_SECRETS)

    return Change(do)


def import_archive(archive: Archive) -> Change:
    """Return the change that imports an exported run; its outcome is the run's name.

    Raises:
        RecordNotStorableError: It has names that PostgreSQL can't store.
    """
    row = run_row(archive.decoded, None, 0)
    message_ids = (message_id for message_id, _, _ in archive.inbox_rows)
    keys, tags = keys_row(archive.started), archive.tags
    check_text(archive.run_id, "a run", *row_texts(row), *key_texts(keys), *message_ids)
    check_text(archive.run_id, "a run", *(tags or {}), *(tags or {}).values())

    def do(group: Group) -> str:
        run_id = archive.run_id
        key = group.insert_run(row)
        if key is None:
            stored: list[Any] = group.session.rows(_STORED, (run_id,))
            if not archive.is_stored_as([row[0] for row in stored]):
                raise RunExistsError(run_id)
            return run_id
        store_words(group.session, key, search_row(archive.decoded))
        if keys is not None:  # a place it gets when it is resumed
            store_keys(group.session, keys, key)
        if tags is not None and (tags or keys is not None):
            store_tags(group.session, tags, key)
        if archive.last_handled:
            group.session.execute(_COUNT_MESSAGES_FROM, (archive.last_handled,) * 2)
        group.refer(key, archive.blobs)
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
        messages = [
            (key, message_id, Encoded(payload, checksum), not ended and message_id not in handled)
            for message_id, checksum, payload in archive.inbox_rows
        ]
        if messages:
            group.waiting.post(messages)
        return run_id

    return Change(Write(do=do, blobs=archive.blobs))
