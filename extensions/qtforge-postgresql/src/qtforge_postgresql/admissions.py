"""Tags, unique keys and concurrency keys of runs, in PostgreSQL.

Whoever decides about the runs of a key locks it first, until the end of the transaction: a lock
by the hash of workflow and key. Before a group locks rows, it waits for all the keys that it needs,
in one order; `take` finds its keys among rows that it has locked, so that it never waits for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from qtforge_postgresql.run_words import set_tag_words
from qtforge_postgresql.session import Session
from qtforge_postgresql.texts import is_storable
from qtforge_sdk.journal import Admission
from qtforge_sdk.journal_errors import RunDuplicateError
from qtforge_sdk.journal_kit.admission import MOST_READ, plan
from qtforge_sdk.journal_kit.encoding import to_us
from qtforge_sdk.journal_kit.jobs import KeysRow
from qtforge_sdk.records import RunStarted

__all__ = [
    "ADMISSIBLE",
    "Key",
    "admission",
    "give_place",
    "is_storable_key",
    "keys_of",
    "lock_keys",
    "need_no_place",
    "store_keys",
    "store_tags",
]

Key = tuple[str, str, str]
"""What is locked: ``place`` or ``unique``, the workflow, and the value of the key."""

_SET_KEYS: Final = """UPDATE {s}.runs SET place = %s, places = %s, unique_key = %s,
    tags = %s::text::jsonb WHERE key = %s"""
_SET_TAGS: Final = "UPDATE {s}.runs SET tags = %s::text::jsonb WHERE key = %s"
_HASH: Final = """hashtextextended(
    '{s}' || chr(1) || %s::text || chr(1) || %s::text || chr(1) || %s::text, 0)"""
_LOCK: Final = f"SELECT pg_advisory_xact_lock({_HASH})"
_TRY_LOCK: Final = f"SELECT pg_try_advisory_xact_lock({_HASH})"
_SAME: Final = """SELECT run_id FROM {s}.runs WHERE workflow = %s AND unique_key = %s
    AND (finished_at IS NULL OR started_at >= %s) ORDER BY key DESC LIMIT 1"""
_HOLDERS: Final = """SELECT run_id FROM {s}.runs
    WHERE workflow = %s AND place = %s AND finished_at IS NULL AND holds = 1
    ORDER BY key LIMIT %s"""
_WAITING: Final = """SELECT run_id, priority, key FROM {s}.runs
    WHERE workflow = %s AND place = %s AND finished_at IS NULL AND holds = 0
        AND status = 'queued' AND (not_before IS NULL OR not_before <= %s)
    ORDER BY priority DESC, key LIMIT %s"""
ADMISSIBLE: Final = """(place IS NULL OR holds <> 0 OR runs.key IN (
    SELECT waiting.key FROM (
        SELECT key, workflow, place, places, row_number() OVER (
            PARTITION BY workflow, place ORDER BY priority DESC, key) AS rank
        FROM {s}.runs
        WHERE place IS NOT NULL AND finished_at IS NULL AND status = 'queued' AND holds = 0
            AND (not_before IS NULL OR not_before <= %s)
    ) AS waiting WHERE rank <= places AND rank + (
        SELECT count(*) FROM {s}.runs AS other
        WHERE other.workflow = waiting.workflow AND other.place = waiting.place
            AND other.finished_at IS NULL AND other.holds = 1
    ) <= places))"""
"""The condition that a queued run needs no place, or gets one; its value is the time."""
_ROW: Final = "SELECT workflow, place, places, holds, priority, status FROM {s}.runs WHERE key = %s"
_HOLD: Final = "UPDATE {s}.runs SET holds = 1 WHERE key = %s"
_NEED_NONE: Final = """UPDATE {s}.runs SET holds = 2
    WHERE status = 'queued' AND holds = 0 AND run_id = ANY (%b::text[])"""


def keys_of(started: RunStarted) -> list[Key]:
    """Return what is to be locked before a run is stored."""
    keys, found = started.keys, list[Key]()
    if keys is not None and keys.unique is not None:
        found.append(("unique", started.workflow, keys.unique.key))
    if keys is not None and keys.place is not None:
        found.append(("place", started.workflow, keys.place.key))
    return found


def is_storable_key(started: RunStarted) -> bool:
    """Return whether the keys of a run are texts that PostgreSQL can store."""
    return all(is_storable(text) for key in keys_of(started) for text in key)


def lock_keys(session: Session, keys: Iterable[Key]) -> None:
    """Wait until no other transaction decides about these keys; before any row is locked."""
    for key in sorted(set(keys)):
        session.execute(_LOCK, key)


def admission(session: Session, started: RunStarted, *, is_queued: bool) -> Admission:
    """Return what the start of a run does; see `Journal.admission`.

    Args:
        session: Where to read.
        started: The run's first record.
        is_queued: Whether it is to be queued; else it asks for its place later.

    Raises:
        RunDuplicateError: There is a run with the same unique key.
    """
    at_us, keys = to_us(started.at), started.keys
    unique, place = (None, None) if keys is None else (keys.unique, keys.place)
    if unique is not None:
        since = at_us + 1 if unique.within_s is None else at_us - round(unique.within_s * 1e6)
        row = session.row(_SAME, (started.workflow, unique.key, since))
        if row is not None:
            raise RunDuplicateError(row[0], unique.key)
    if place is None or not is_queued:
        return Admission()
    holders = session.rows(_HOLDERS, (started.workflow, place.key, MOST_READ))
    waiting = session.rows(_WAITING, (started.workflow, place.key, at_us, MOST_READ))
    priority = 0 if started.queue is None else started.queue.priority
    return plan(place, priority, [row[0] for row in holders], [(row[0], row[1]) for row in waiting])


def store_keys(session: Session, keys: KeysRow, key: int) -> None:
    """Store the tags and keys of a run whose row was just inserted."""
    session.execute(_SET_KEYS, (*keys, key))


def store_tags(session: Session, tags: Mapping[str, str], key: int) -> None:
    """Replace the tags of a run."""
    session.execute(_SET_TAGS, (msgspec.json.encode(dict(tags)).decode(), key))
    set_tag_words(session, key, tags)


def need_no_place(session: Session, run_ids: Sequence[str]) -> None:
    """Let queued runs be taken without a place, as they are to be cancelled."""
    session.execute(_NEED_NONE, (list(run_ids),))


def give_place(session: Session, key: int, begin_us: int, *, locked: bool) -> Sequence[str] | None:
    """Let a queued run hold a place.

    Args:
        session: Where to write.
        key: The run's key.
        begin_us: The time, in microseconds.
        locked: Whether its concurrency key is locked already; else that is tried.

    Returns:
        The runs that come first; empty where it holds a place or needs none, None where another
        process decides about its key at this moment.
    """
    workflow, place, places, holds, priority, status = session.row(_ROW, (key,))
    if place is None or holds or status != "queued":
        return ()
    if not locked and not session.row(_TRY_LOCK, ("place", workflow, place))[0]:
        return None
    rows: list[Any] = session.rows(_HOLDERS, (workflow, place, places))
    first = [row[0] for row in rows]
    if len(first) < places:
        rows = session.rows(_WAITING, (workflow, place, begin_us, places))
        for run_id, other, other_key in rows:
            if (-other, other_key) >= (-priority, key):
                break
            first.append(run_id)
    if len(first) < places:
        session.execute(_HOLD, (key,))
        return ()
    return first
