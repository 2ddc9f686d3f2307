"""The words of runs, and an index of them, in SQLite.

A new run's words are appended to a table. The index gets them later, those of many runs at once:
that costs a fifth of one after another, and a run that has ended by then is indexed once. A
search looks at what is not indexed yet, too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from qtforge_host.journal.blob_files import BlobFiles
from qtforge_sdk import Record
from qtforge_sdk.journal_kit.encoding import LoadBlob, UnreadableError, decode_record
from qtforge_sdk.journal_kit.search_words import NO_WORDS, SearchRow, search_row, tag_words
from qtforge_sdk.run_status import status_after

__all__ = [
    "ADD_WORDS",
    "ALL_WORDS",
    "INDEXED_AT_ONCE",
    "MARK_NEW",
    "count_new",
    "drop_words",
    "index_words",
    "is_index_sound",
    "rebuild_index",
    "set_error_words",
    "set_tag_words",
    "store_words",
    "words_of_all_runs",
]

INDEXED_AT_ONCE: Final = 512
"""So many runs get into the index together."""

ALL_WORDS: Final = "searched.words || ' ' || searched.error || ' ' || searched.tags"
"""All words of a row of ``searched``, in SQL."""
ADD_WORDS: Final = "INSERT INTO searched (run, words, error, tags)"
"""A statement up to its values: the run's key, and its `SearchRow`."""
MARK_NEW: Final = "INSERT INTO search_new (run)"
"""A statement up to its values: the keys of new runs."""

_CHANGES: Final = """FROM json_each(?) AS new CROSS JOIN searched ON run = new.value ->> 0
    WHERE {column} <> new.value ->> 1"""
_MARK_CHANGED: Final = f"INSERT OR IGNORE INTO search_new (run, was) SELECT run, {ALL_WORDS} "
_CHANGE: Final = """UPDATE searched SET {column} = new.value ->> 1 FROM json_each(?) AS new
    WHERE run = new.value ->> 0 AND {column} <> new.value ->> 1"""
_NEXT: Final = f"""SELECT run, was, {ALL_WORDS} FROM search_new LEFT JOIN searched USING (run)
    ORDER BY run LIMIT ?"""  # noqa: S608 - of constants
_ADD: Final = "INSERT INTO search (rowid, words) VALUES (?, ?)"
_REMOVE: Final = "INSERT INTO search (search, rowid, words) VALUES ('delete', ?, ?)"
_INDEXED_AS: Final = f"""SELECT CASE WHEN search_new.run IS NULL THEN {ALL_WORDS} ELSE was END
    FROM searched LEFT JOIN search_new USING (run) WHERE run = ?"""  # noqa: S608 - of constants
_REBUILD: Final = (
    "INSERT INTO search (search) VALUES ('delete-all')",
    "DELETE FROM search_new",
    f"INSERT INTO search (rowid, words) SELECT run, {ALL_WORDS} FROM searched ORDER BY run",  # noqa: S608 - of constants
)
_EACH_RUN: Final = """SELECT key, tags, finished_at IS NOT NULL OR status = 'blocked' FROM runs
    WHERE key > ? ORDER BY key LIMIT 1000"""
_FIRST: Final = "SELECT checksum, payload FROM records WHERE run = ? AND position = 1"
_FROM_LAST: Final = """SELECT checksum, payload FROM records WHERE run = ? AND position > 1
    ORDER BY position DESC"""


def store_words(connection: sqlite3.Connection, key: int, row: SearchRow) -> None:
    """Store the words of one new run."""
    connection.execute(f"{ADD_WORDS} VALUES (?, ?, ?, ?)", (key, *row))
    connection.execute(f"{MARK_NEW} VALUES (?)", (key,))


def set_error_words(connection: sqlite3.Connection, words: Mapping[int, str]) -> None:
    """Set the words of the errors of runs, by their keys."""
    _set("error", connection, words)


def set_tag_words(connection: sqlite3.Connection, key: int, tags: Mapping[str, str]) -> None:
    """Set the words of a run's tags."""
    _set("tags", connection, {key: tag_words(tags)})


def _set(column: str, connection: sqlite3.Connection, words: Mapping[int, str]) -> None:
    new = msgspec.json.encode(list(words.items())).decode()
    connection.execute(_MARK_CHANGED + _CHANGES.format(column=column), (new,))
    connection.execute(_CHANGE.format(column=column), (new,))


def drop_words(connection: sqlite3.Connection, key: int) -> None:
    """Remove a run from the words and from the index."""
    row = connection.execute(_INDEXED_AS, (key,)).fetchone()
    if row is not None and row[0] is not None:
        connection.execute(_REMOVE, (key, row[0]))
    connection.execute("DELETE FROM search_new WHERE run = ?", (key,))
    connection.execute("DELETE FROM searched WHERE run = ?", (key,))


def count_new(connection: sqlite3.Connection) -> int:
    """Return how many runs the index does not have as they are."""
    return int(connection.execute("SELECT count(*) FROM search_new").fetchone()[0])


def index_words(connection: sqlite3.Connection) -> None:
    """Index the words of the next `INDEXED_AT_ONCE` runs."""
    rows = connection.execute(_NEXT, (INDEXED_AT_ONCE,)).fetchall()
    for key, was, words in rows:
        if was is not None:
            connection.execute(_REMOVE, (key, was))
        connection.execute(_ADD, (key, words))
    if rows:
        connection.execute("DELETE FROM search_new WHERE run <= ?", (rows[-1][0],))


def is_index_sound(connection: sqlite3.Connection) -> bool:
    """Return whether the index can be read; needs the right to write."""
    try:
        connection.execute("INSERT INTO search (search) VALUES ('integrity-check')")
    except sqlite3.DatabaseError:
        return False
    return True


def rebuild_index(connection: sqlite3.Connection) -> None:
    """Make the index of all stored words again."""
    for statement in _REBUILD:
        connection.execute(statement)


def words_of_all_runs(connection: sqlite3.Connection) -> None:
    """Store and index the words of all runs, from their records; for a migration."""
    load = BlobFiles(_folder(connection) / "blobs").read
    last = 0
    while runs := connection.execute(_EACH_RUN, (last,)).fetchall():
        rows = [
            (key, *_words_of(connection, load, key, tags, may_have_error))
            for key, tags, may_have_error in runs
        ]
        connection.executemany(f"{ADD_WORDS} VALUES (?, ?, ?, ?)", rows)
        last = runs[-1][0]
    rebuild_index(connection)


def _folder(connection: sqlite3.Connection) -> Path:
    rows = connection.execute("PRAGMA database_list").fetchall()
    return next(Path(file).parent for _, name, file in rows if name == "main")


def _words_of(
    connection: sqlite3.Connection, load: LoadBlob, key: int, tags: str, may_have_error: bool
) -> SearchRow:
    """Return the words of a run; `NO_WORDS` where they can't be read."""
    try:
        records = [_decoded(row, load) for row in connection.execute(_FIRST, (key,))]
        if may_have_error:  # the last record of its status has it
            for row in connection.execute(_FROM_LAST, (key,)):
                record = _decoded(row, load)
                if status_after(record) is not None:
                    records.append(record)
                    break
        return search_row(records, msgspec.json.decode(tags, type=dict[str, str]))
    except (UnreadableError, msgspec.MsgspecError):  # `Journal.check` reports what is damaged
        return NO_WORDS


def _decoded(row: tuple[int, bytes], load: LoadBlob) -> Record:
    checksum, payload = row
    return decode_record(payload, checksum, load)
