"""Read the whole journal: count its content, and find damage."""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec

from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.database import snapshot
from qtforge_host.journal.limit_changes import damaged_limits
from qtforge_host.journal.schema import MIGRATIONS
from qtforge_sdk.journal import Damage, JournalStatistics
from qtforge_sdk.journal_kit.encoding import (
    UnreadableError,
    decode_message,
    decode_publication,
)
from qtforge_sdk.journal_kit.expected_rows import COLUMNS, ExpectedRow, StoredRecord, expected_rows
from qtforge_sdk.journal_kit.search_words import SearchRow

__all__ = [
    "STRAY_TAGS",
    "STRAY_WORDS",
    "inspect",
    "missing_rows",
    "missing_words",
    "read_statistics",
    "rows_by_records",
]

# Along a covering index: 60 ms for a million runs.
_RUNS: Final = """SELECT workflow, status, count(*) FROM runs INDEXED BY runs_by_workflow
    GROUP BY workflow, status"""
_MESSAGES: Final = "SELECT count(*), min(position) FROM arrivals"
_MESSAGE: Final = "SELECT checksum, payload FROM inbox WHERE position = ?"
_RECORDS: Final = """SELECT run, position, checksum, payload FROM records
    WHERE run <> 0 ORDER BY run, position"""
_ROWS: Final = f"SELECT key, {', '.join(COLUMNS)} FROM runs"  # noqa: S608 - of constants
_SCHEMA: Final = """SELECT name, sql FROM sqlite_master
    WHERE name NOT LIKE 'sqlite_stat%' AND name <> 'sqlite_sequence'"""
_SEQUENCES: Final = """SELECT name, seq FROM sqlite_sequence
    WHERE (name = 'runs' AND seq < (SELECT max(key) FROM runs))
    OR (name = 'inbox' AND seq < (SELECT max(position) FROM inbox))"""
_STRAY: Final = """SELECT run_id, 'timers' FROM timers LEFT JOIN runs ON key = run
        WHERE run_id IS NULL OR finished_at IS NOT NULL
    UNION ALL SELECT run_id, 'arrivals' FROM arrivals LEFT JOIN runs ON key = arrivals.run
        WHERE run_id IS NULL OR finished_at IS NOT NULL OR NOT EXISTS (SELECT 1 FROM inbox
            WHERE inbox.position = arrivals.position AND inbox.run = arrivals.run)"""
STRAY_TAGS: Final = """SELECT 1 FROM tags LEFT JOIN runs ON runs.key = tags.run
        WHERE runs.key IS NULL OR tags.started_at <> runs.started_at OR NOT EXISTS (
            SELECT 1 FROM json_each(runs.tags) AS each
                WHERE each.key = name AND each.value = tags.value)
    UNION ALL SELECT 1 FROM runs, json_each(runs.tags) AS each WHERE runs.tags <> '{}'
        AND NOT EXISTS (SELECT 1 FROM tags WHERE name = each.key AND tags.value = each.value
            AND tags.started_at = runs.started_at AND run = runs.key)
    LIMIT 1"""
"""Returns a row where the index of tags is not that of the runs' tags."""
STRAY_WORDS: Final = """SELECT 1 FROM (SELECT run FROM searched UNION SELECT run FROM search_new)
    WHERE run NOT IN (SELECT key FROM runs UNION SELECT run FROM records) LIMIT 1"""
"""Returns a row where there are words of a run without a row and records."""
_WORDS: Final = """SELECT words, error, searched.tags, runs.tags
    FROM runs LEFT JOIN searched ON run = key WHERE key = ?"""
_BAD_TAGS: Final = "SELECT run_id FROM runs WHERE NOT json_valid(tags)"
_TIMERS: Final = "SELECT name, due FROM timers WHERE run = ?"
_NOT_ARRIVED: Final = """SELECT position, message_id FROM inbox WHERE run = :run
    AND position NOT IN (SELECT position FROM arrivals WHERE run = :run)"""
_MOST_LINES: Final = 100  # of what SQLite finds


def read_statistics(connection: sqlite3.Connection, blobs: BlobFiles) -> JournalStatistics:
    """Count runs, timers and messages; see `Journal.statistics`.

    Args:
        connection: Used by this thread only.
        blobs: The large values.
    """
    with snapshot(connection):
        runs = {
            (workflow, status): count
            for workflow, status, count in connection.execute(_RUNS).fetchall()
        }
        (timers,) = connection.execute("SELECT count(*) FROM timers").fetchone()
        messages, oldest = connection.execute(_MESSAGES).fetchone()
        found = connection.execute(_MESSAGE, (oldest,)).fetchone()
    return JournalStatistics(
        runs=runs,
        timers=timers,
        messages=messages,
        oldest_message_at=None if found is None else _made_at(blobs, *found),
    )


def inspect(connection: sqlite3.Connection, blobs: BlobFiles) -> tuple[Damage, ...]:
    """Return all damage; see `Journal.check`.

    Args:
        connection: Used by this thread only.
        blobs: The large values.
    """
    found: list[Damage] = []
    with snapshot(connection):
        for search in (
            _structure,
            _schema,
            _runs,
            _messages,
            _publications,
            _limits,
            _large_values,
        ):
            try:
                found.extend(search(connection, blobs))
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                found.append(Damage(what=f"the journal can't be read to its end: {error}"))
    return tuple(dict.fromkeys(found))


def rows_by_records(
    connection: sqlite3.Connection, blobs: BlobFiles, found: list[Damage]
) -> Iterator[ExpectedRow]:
    """Give what the records of each run say about its row; see `expected_rows`.

    Args:
        connection: Used by this thread only.
        blobs: The large values.
        found: Gets the damage of the records.
    """
    names = dict(connection.execute("SELECT key, run_id FROM runs"))
    stored = (
        StoredRecord(row[0], names.get(row[0]), *row[1:]) for row in connection.execute(_RECORDS)
    )
    return expected_rows(stored, blobs.read, found)


def _structure(connection: sqlite3.Connection, blobs: BlobFiles) -> Iterator[Damage]:
    for (line,) in connection.execute(f"PRAGMA integrity_check({_MOST_LINES:d})"):
        if line != "ok":
            yield Damage(what=f"SQLite says: {line}")


def _schema(connection: sqlite3.Connection, blobs: BlobFiles) -> Iterator[Damage]:
    """Compare tables and indexes with those that this version makes."""
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        for migration in MIGRATIONS:
            migration(fresh)
        wanted = dict(fresh.execute(_SCHEMA).fetchall())
    there = dict(connection.execute(_SCHEMA).fetchall())
    for name in sorted(wanted.keys() | there.keys()):
        if wanted.get(name) != there.get(name):
            yield Damage(what=f"the table or index '{name}' is not as this version makes it")
    for table, last in connection.execute(_SEQUENCES):
        yield Damage(what=f"the next number of '{table}' would be one that was used: {last}")


def _runs(connection: sqlite3.Connection, blobs: BlobFiles) -> Iterator[Damage]:
    found: list[Damage] = []
    rows = {row[0]: row for row in connection.execute(_ROWS)}
    with_records = set()
    for run in rows_by_records(connection, blobs, found):
        yield from found
        found.clear()
        with_records.add(run.key)
        row = rows.get(run.key)
        if row is None:
            what = f"there are records of a run that is not listed, number {run.key}"
            yield Damage(what=what)
        elif run.is_whole:
            yield from run.row_damage(row)
            yield from run.waiting_damage(*missing_rows(connection, run))
            if missing_words(connection, run) is not None:
                what = "the words by which it is found do not fit it"
                yield Damage(what=what, run_id=run.run_id)
    yield from found
    for key, run_id, *_ in rows.values():
        if key not in with_records:
            yield Damage(what="all its records are missing", run_id=run_id, position=1)
    bad_tags = connection.execute(_BAD_TAGS).fetchall()
    for (run_id,) in bad_tags:
        yield Damage(what="its tags can't be read", run_id=run_id)
    if not bad_tags and connection.execute(STRAY_TAGS).fetchone() is not None:
        yield Damage(what="the index of tags does not fit the runs' tags")
    if connection.execute(STRAY_WORDS).fetchone() is not None:
        yield Damage(what="there are words of a run that is not listed")
    for run_id, table in connection.execute(_STRAY):
        what = f"a row of '{table}' belongs to nothing that waits"
        yield Damage(what=what, run_id=run_id)


def missing_words(connection: sqlite3.Connection, run: ExpectedRow) -> SearchRow | None:
    """Return the words by which a run should be found; None where these are stored."""
    *words, text = connection.execute(_WORDS, (run.key,)).fetchone()
    try:
        tags = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.MsgspecError:  # which is reported for itself
        return None
    wanted = run.words_with(tags)
    return None if tuple(words) == wanted else wanted


def missing_rows(
    connection: sqlite3.Connection, run: ExpectedRow
) -> tuple[dict[str, int], list[int]]:
    """Return the timers, and the positions of messages, that a run waits for without a row."""
    there: dict[str, int] = {}
    if run.status == "waiting":
        there = dict(connection.execute(_TIMERS, (run.key,)))
    not_arrived: list[tuple[int, str]] = []
    if not run.has_ended:
        not_arrived = connection.execute(_NOT_ARRIVED, {"run": run.key}).fetchall()
    return run.missing_timers(there), run.missing_arrivals(not_arrived)


def _messages(connection: sqlite3.Connection, blobs: BlobFiles) -> Iterator[Damage]:
    rows = connection.execute(
        "SELECT run_id, position, message_id, checksum, payload"
        " FROM inbox LEFT JOIN runs ON key = run"
    )
    for run_id, position, message_id, checksum, payload in rows:
        try:
            message = decode_message(payload, checksum, blobs.read)
        except UnreadableError as error:
            yield Damage(what=f"message {position}: {error}", run_id=run_id)
            continue
        if run_id is None:
            yield Damage(what=f"message {position} belongs to no run")
        elif message.message_id != message_id:
            what = f"message {position} has the id of another: '{message_id}'"
            yield Damage(what=what, run_id=run_id)


def _publications(connection: sqlite3.Connection, blobs: BlobFiles) -> Iterator[Damage]:
    rows = connection.execute("SELECT position, message_id, checksum, payload FROM publications")
    for position, message_id, checksum, payload in rows:
        try:
            publication = decode_publication(payload, checksum)
        except UnreadableError as error:
            yield Damage(what=f"publication {position}: {error}")
            continue
        if publication.message_id != message_id:
            yield Damage(what=f"publication {position} has the id of another: '{message_id}'")


def _limits(connection: sqlite3.Connection, blobs: BlobFiles) -> Iterator[Damage]:
    for table, name in damaged_limits(connection):
        yield Damage(what=f"a row of '{table}' can't be read, and counts as not there: {name}")


def _large_values(connection: sqlite3.Connection, blobs: BlobFiles) -> Iterator[Damage]:
    for sum_, run_id in connection.execute(
        "SELECT sum, run_id FROM blobs LEFT JOIN runs ON key = run"
    ):
        try:
            blobs.read(sum_)
        except UnreadableError as error:
            yield Damage(what=f"the large value {sum_.hex()[:12]}: {error}", run_id=run_id)


def _made_at(blobs: BlobFiles, checksum: int, payload: bytes) -> datetime.datetime | None:
    try:
        return decode_message(payload, checksum, blobs.read).at
    except UnreadableError:
        return None  # the damage is reported when its run is read
