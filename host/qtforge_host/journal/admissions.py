"""Tags, unique keys and concurrency keys of runs, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from qtforge_host.journal.search_index import set_tag_words
from qtforge_sdk.journal import Admission, Ownership, Posted
from qtforge_sdk.journal_errors import RunDuplicateError, RunNotFoundError, StaleOwnerError
from qtforge_sdk.journal_kit.admission import (
    MOST_READ,
    changed_tags,
    place_message,
    plan,
    refuse,
)
from qtforge_sdk.journal_kit.appending import tags_text
from qtforge_sdk.journal_kit.encoding import Encoded, encode_message, to_us
from qtforge_sdk.journal_kit.jobs import Change, KeysRow
from qtforge_sdk.records import RunStarted

__all__ = [
    "ADMISSIBLE",
    "DROP_TAGS",
    "admission",
    "admit",
    "cancel",
    "give_place",
    "refuse",
    "store_keys",
    "store_tags",
    "tag",
]

_SET_KEYS: Final = """UPDATE runs SET place = ?, places = ?, unique_key = ?, tags = ?
    WHERE run_id = ? RETURNING key"""
_SET_TAGS: Final = "UPDATE runs SET tags = ? WHERE key = ?"
_TAGS: Final = "SELECT key, tags FROM runs WHERE run_id = ?"
DROP_TAGS: Final = """DELETE FROM tags WHERE (name, value, started_at, run) IN
    (SELECT each.key, each.value, started_at, runs.key FROM runs, json_each(runs.tags) AS each
        WHERE runs.key = ?)"""
"""Removes the rows of a run's tags; before the run's own row is changed or removed."""
_ADD_TAGS: Final = """INSERT INTO tags
    SELECT each.key, each.value, started_at, runs.key FROM runs, json_each(runs.tags) AS each
        WHERE runs.key = ?"""
_SAME: Final = """SELECT run_id FROM runs WHERE workflow = :workflow AND unique_key = :key
    AND (finished_at IS NULL OR started_at >= :since) ORDER BY key DESC LIMIT 1"""
_OF_PLACE: Final = "workflow = :workflow AND place = :place AND finished_at IS NULL"
_HOLDERS: Final = f"""SELECT run_id FROM runs INDEXED BY runs_by_place
    WHERE {_OF_PLACE} AND holds = 1 ORDER BY key LIMIT :limit"""  # noqa: S608 - of constants
_MAY_BEGIN: Final = """status = 'queued' AND holds = 0
    AND (not_before IS NULL OR not_before <= :begin)"""
_WAITING: Final = f"""SELECT run_id, priority, key FROM runs INDEXED BY runs_by_place
    WHERE {_OF_PLACE} AND {_MAY_BEGIN}
    ORDER BY priority DESC, key LIMIT :limit"""  # noqa: S608 - of constants
ADMISSIBLE: Final = f"""(place IS NULL OR holds <> 0 OR runs.key IN (
    SELECT waiting.key FROM (
        SELECT key, workflow, place, places, row_number() OVER (
            PARTITION BY workflow, place ORDER BY priority DESC, key) AS rank
        FROM runs INDEXED BY runs_by_place
        WHERE place IS NOT NULL AND finished_at IS NULL AND {_MAY_BEGIN}
    ) AS waiting WHERE rank <= places AND rank + (
        SELECT count(*) FROM runs AS other INDEXED BY runs_by_place
        WHERE other.workflow = waiting.workflow AND other.place = waiting.place
            AND other.finished_at IS NULL AND other.holds = 1
    ) <= places))"""  # noqa: S608 - of constants
"""The condition that a queued run needs no place, or gets one; ``:begin`` is the time."""
_ROW: Final = """SELECT workflow, place, places, holds, priority, owner, epoch, status
    FROM runs WHERE key = ?"""
_HOLD: Final = "UPDATE runs SET holds = 1 WHERE key = ?"
_NEED_NONE: Final = """UPDATE runs SET holds = 2
    WHERE status = 'queued' AND holds = 0 AND run_id IN (SELECT value FROM json_each(?))"""


class _Group(Protocol):
    """The group of jobs, as far as it is needed here."""

    connection: sqlite3.Connection
    owner: str

    def post(self, run_id: str, message_id: str, message: Encoded) -> Posted | None:
        """Put a message into a run's inbox."""


def admission(connection: sqlite3.Connection, started: RunStarted, is_queued: bool) -> Admission:
    """Return what the start of a run does; see `Journal.admission`.

    Args:
        connection: Where to read.
        started: The run's first record.
        is_queued: Whether it is to be queued; else it asks for its place later.

    Raises:
        RunDuplicateError: There is a run with the same unique key.
    """
    existing = same_run(connection, started)
    if existing is not None:
        raise RunDuplicateError(existing, _unique_key(started))
    place = started.place
    if place is None or not is_queued:
        return Admission()
    given = {
        "workflow": started.workflow,
        "place": place.key,
        "limit": MOST_READ,
        "begin": to_us(started.at),
    }
    holders = [run_id for (run_id,) in connection.execute(_HOLDERS, given)]
    waiting = [(row[0], row[1]) for row in connection.execute(_WAITING, given)]
    priority = 0 if started.queue is None else started.queue.priority
    return plan(place, priority, holders, waiting)


def same_run(connection: sqlite3.Connection, started: RunStarted) -> str | None:
    """Return the run with the same unique key that is unfinished or young, or None."""
    unique = None if started.keys is None else started.keys.unique
    if unique is None:
        return None
    at_us = to_us(started.at)
    since = at_us + 1 if unique.within_s is None else at_us - round(unique.within_s * 1e6)
    given = {"workflow": started.workflow, "key": unique.key, "since": since}
    row = connection.execute(_SAME, given).fetchone()
    return None if row is None else str(row[0])


def store_keys(connection: sqlite3.Connection, keys: KeysRow, run_id: str) -> None:
    """Store the tags and keys of a run whose row was just inserted."""
    (key,) = connection.execute(_SET_KEYS, (*keys, run_id)).fetchone()
    connection.execute(_ADD_TAGS, (key,))


def cancel(group: _Group, started: RunStarted, run_ids: Sequence[str]) -> None:
    """Ask runs to cancel for a new one; those that are queued need no place any more."""
    message = place_message(started)
    for run_id in run_ids:
        group.post(run_id, message.message_id, encode_message(run_id, message))
    group.connection.execute(_NEED_NONE, (msgspec.json.encode(list(run_ids)).decode(),))


def give_place(connection: sqlite3.Connection, key: int, begin_us: int) -> Sequence[str]:
    """Let a queued run hold a place; return the runs that come first, if it does not get one."""
    workflow, place, places, holds, priority, _, _, status = connection.execute(
        _ROW, (key,)
    ).fetchone()
    if place is None or holds or status != "queued":
        return ()
    given = {"workflow": workflow, "place": place, "limit": places, "begin": begin_us}
    first = [run_id for (run_id,) in connection.execute(_HOLDERS, given)]
    if len(first) < places:
        for run_id, other, other_key in connection.execute(_WAITING, given).fetchall():
            if (-other, other_key) >= (-priority, key):
                break
            first.append(run_id)
    if len(first) < places:
        connection.execute(_HOLD, (key,))
        return ()
    return first


def admit(ownership: Ownership, now_us: int) -> Change:
    """Return the change that lets a run hold a place; its outcome is what comes first."""

    def do(group: _Group) -> Sequence[str]:
        row = group.connection.execute(_ROW, (ownership.key,)).fetchone()
        if row is None or (row[5], row[6]) != (group.owner, ownership.epoch):
            raise StaleOwnerError(ownership.run_id, ownership.epoch)
        return give_place(group.connection, ownership.key, now_us)

    return Change(do)


def tag(run_id: str, changes: Mapping[str, str | None]) -> Change:
    """Return the change of a run's tags; its outcome is all its tags."""

    def do(group: _Group) -> dict[str, str]:
        row = group.connection.execute(_TAGS, (run_id,)).fetchone()
        if row is None:
            raise RunNotFoundError(run_id)
        after = changed_tags(msgspec.json.decode(row[1], type=dict[str, str]), changes)
        store_tags(group.connection, row[0], after)
        return after

    return Change(do)


def store_tags(connection: sqlite3.Connection, key: int, tags: Mapping[str, str]) -> None:
    """Replace the tags of a run."""
    connection.execute(DROP_TAGS, (key,))
    connection.execute(_SET_TAGS, (tags_text(tags), key))
    connection.execute(_ADD_TAGS, (key,))
    set_tag_words(connection, key, tags)


def _unique_key(started: RunStarted) -> str:
    unique = None if started.keys is None else started.keys.unique
    return "" if unique is None else unique.key
