"""Repair a journal: indexes, and rows that follow from the records; no record is touched."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from qtforge_host.journal.group import GroupCommit
from qtforge_host.journal.inspection import (
    STRAY_TAGS,
    STRAY_WORDS,
    missing_rows,
    missing_words,
    rows_by_records,
)
from qtforge_host.journal.limit_changes import drop_damaged_limits
from qtforge_host.journal.search_index import ADD_WORDS, is_index_sound, rebuild_index
from qtforge_sdk.journal import Repair
from qtforge_sdk.journal_kit.appending import tags_text
from qtforge_sdk.journal_kit.expected_rows import COLUMNS, ExpectedRow
from qtforge_sdk.journal_kit.jobs import Change

__all__ = ["repair"]

_ROW: Final = f"SELECT key, {', '.join(COLUMNS)} FROM runs WHERE key = ?"  # noqa: S608
_UPDATE: Final = f"UPDATE runs SET {', '.join(f'{each} = ?' for each in COLUMNS)} WHERE key = ?"  # noqa: S608
_INSERT: Final = f"""INSERT INTO runs ({", ".join(COLUMNS)}, key, epoch)
    VALUES ({", ".join("?" * len(COLUMNS))}, ?, ?)"""  # noqa: S608
_RESUMED: Final = 1_000_000  # a rebuilt row's epoch: later than any that its owners had
_RESET_TAGS: Final = "UPDATE runs SET tags = '{}' WHERE NOT json_valid(tags) RETURNING run_id"
_INDEX_TAGS: Final = """INSERT INTO tags SELECT each.key, each.value, started_at, runs.key
    FROM runs, json_each(runs.tags) AS each WHERE runs.tags <> '{}'"""
# Of what the records do not say: the first tags, and that a run that has begun holds its place.
_TAG_AGAIN: Final = """UPDATE runs SET tags = ?,
    holds = ? AND place IS NOT NULL AND finished_at IS NULL WHERE key = ?"""
_DROP_STRAY: Final = (
    """DELETE FROM timers WHERE run NOT IN (SELECT key FROM runs WHERE finished_at IS NULL)""",
    """DELETE FROM arrivals WHERE run NOT IN (SELECT key FROM runs WHERE finished_at IS NULL)
        OR NOT EXISTS (SELECT 1 FROM inbox
            WHERE inbox.position = arrivals.position AND inbox.run = arrivals.run)""",
)
_RAISE_SEQUENCES: Final = """UPDATE sqlite_sequence SET seq = max(seq, CASE name
    WHEN 'runs' THEN (SELECT coalesce(max(key), 0) FROM runs)
    ELSE (SELECT coalesce(max(position), 0) FROM inbox) END) WHERE name IN ('runs', 'inbox')"""


def repair() -> Change:
    """Return the change that repairs the journal; its outcome is what it did.

    Where SQLite can't read a table, nothing is changed, and the error is raised.
    """

    def do(group: GroupCommit) -> tuple[Repair, ...]:
        done: list[Repair] = []
        for repair in (_indexes, _rows, _stray_rows, _tags, _words, _limits):
            repair(group, done.append)
        return tuple(done)

    return Change(do, wakes=True)


def _indexes(group: GroupCommit, say: Callable[[Repair], None]) -> None:
    if _is_sound(group.connection):
        return
    group.connection.execute("REINDEX")
    if not _is_sound(group.connection):
        raise sqlite3.DatabaseError("a table is damaged, not only an index")
    say(Repair(what="the indexes were built again"))


def _is_sound(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))


def _rows(group: GroupCommit, say: Callable[[Repair], None]) -> None:
    # All of them before the first change, which would be seen by the statements that read.
    for run in list(rows_by_records(group.connection, group.blobs, [])):
        if run.is_whole and run.run_id is not None:
            _row(group, run, say)


def _row(group: GroupCommit, run: ExpectedRow, say: Callable[[Repair], None]) -> None:
    connection, run_id = group.connection, run.run_id
    row = connection.execute(_ROW, (run.key,)).fetchone()
    group.forget(run.key)
    if row is None:
        connection.execute(_INSERT, (*run.values, run.key, _RESUMED))
        connection.execute(_TAG_AGAIN, (tags_text(run.tags), run.status != "queued", run.key))
        say(Repair(what="its row was made from its records", run_id=run_id))
    elif wrong := run.differing_columns(row):
        connection.execute(_UPDATE, (*run.values, run.key))
        say(Repair(what=f"its row was corrected: {', '.join(wrong)}", run_id=run_id))
    if run.values[5] is not None:
        return
    timers, messages = missing_rows(connection, run)
    for name, due in timers.items():
        connection.execute("INSERT OR REPLACE INTO timers VALUES (?, ?, ?)", (run.key, name, due))
        say(Repair(what=f"its timer '{name}' was set again", run_id=run_id))
    for position in messages:
        connection.execute("INSERT INTO arrivals VALUES (?, ?)", (run.key, position))
        say(Repair(what=f"its message {position} is to be handled again", run_id=run_id))


def _tags(group: GroupCommit, say: Callable[[Repair], None]) -> None:
    for (run_id,) in group.connection.execute(_RESET_TAGS).fetchall():
        say(Repair(what="its tags could not be read, and were removed", run_id=run_id))
    if group.connection.execute(STRAY_TAGS).fetchone() is not None:
        group.connection.execute("DELETE FROM tags")
        group.connection.execute(_INDEX_TAGS)
        say(Repair(what="the index of tags was built again"))


def _words(group: GroupCommit, say: Callable[[Repair], None]) -> None:
    connection = group.connection
    wrong = [
        (run, words)
        for run in list(rows_by_records(connection, group.blobs, []))
        if run.is_whole and (words := missing_words(connection, run)) is not None
    ]
    is_stray = connection.execute(STRAY_WORDS).fetchone() is not None
    for run, words in wrong:
        connection.execute("DELETE FROM searched WHERE run = ?", (run.key,))
        connection.execute(f"{ADD_WORDS} VALUES (?, ?, ?, ?)", (run.key, *words))
        say(Repair(what="the words by which it is found were stored again", run_id=run.run_id))
    if wrong or is_stray or not is_index_sound(connection):
        for table in ("searched", "search_new"):
            connection.execute(f"DELETE FROM {table} WHERE run NOT IN (SELECT key FROM runs)")  # noqa: S608 - of constants
        rebuild_index(connection)
        say(Repair(what="the index of words was built again"))


def _limits(group: GroupCommit, say: Callable[[Repair], None]) -> None:
    if count := drop_damaged_limits(group.connection):
        say(Repair(what=f"{count} rows of limits that could not be read were removed"))


def _stray_rows(group: GroupCommit, say: Callable[[Repair], None]) -> None:
    count = sum(max(group.connection.execute(each).rowcount, 0) for each in _DROP_STRAY)
    if count:
        say(Repair(what=f"{count} rows of timers and messages that nothing waits for were removed"))
    group.connection.execute(_RAISE_SEQUENCES)
