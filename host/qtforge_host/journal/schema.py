"""The journal's tables, their statements, and the migrations of older formats.

``records.id`` orders the records of all runs, ``position`` those of one run, from 1. The table
and the index of a run's records grow at their right edge, so that appending costs the same in a
file of a thousand runs as in one of a million.
"""

from __future__ import annotations

import bisect
import contextlib
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.journal.search_index import words_of_all_runs
from qtforge_sdk.journal_kit.appending import run_row
from qtforge_sdk.journal_kit.encoding import UnreadableError, decode_record
from qtforge_sdk.journal_kit.jobs import RunRow

__all__ = [
    "APPLICATION_ID",
    "FORMAT_VERSION",
    "INSERT_RUNS",
    "MIGRATIONS",
    "MOST_ROWS",
    "append_checked",
    "insert_many",
    "insert_run",
]

APPLICATION_ID: Final = 0x51744667  # "QtFg", in the file's header
_POSITION_BITS: Final = 24  # in formats 1 and 2 a record's id was its run's key, then its position
_TABLES: Final = (
    # AUTOINCREMENT: the key of a deleted run is never reused.
    """CREATE TABLE runs (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL UNIQUE,
        workflow TEXT NOT NULL,
        kind TEXT NOT NULL,
        status TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        finished_at INTEGER,
        owner TEXT,
        epoch INTEGER NOT NULL,
        parent TEXT
    )""",
    "CREATE INDEX runs_by_status ON runs (status, started_at)",
    "CREATE INDEX runs_by_workflow ON runs (workflow, status, started_at)",
    "CREATE INDEX runs_unfinished ON runs (key) WHERE finished_at IS NULL",
    "CREATE INDEX runs_by_parent ON runs (parent, started_at) WHERE parent IS NOT NULL",
    "CREATE TABLE records (id INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, payload BLOB NOT NULL)",  # noqa: E501
    """CREATE TABLE inbox (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL,
        message_id TEXT NOT NULL,
        checksum INTEGER NOT NULL,
        payload BLOB NOT NULL,
        UNIQUE (run, message_id)
    )""",
    "CREATE TABLE blobs (sum BLOB NOT NULL, run INTEGER NOT NULL, PRIMARY KEY (sum, run)) WITHOUT ROWID",  # noqa: E501
    "CREATE INDEX blobs_by_run ON blobs (run)",
)
_CHECKPOINTS: Final = (
    # The last checkpoint of a run, and what is shown of a waiting run.
    "ALTER TABLE runs ADD COLUMN kept INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN label TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN accepts TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN kept_at INTEGER",
    "ALTER TABLE runs ADD COLUMN correlation TEXT",
    "CREATE INDEX runs_by_correlation ON runs (correlation) WHERE correlation IS NOT NULL",
    "CREATE INDEX runs_waiting ON runs (accepts, started_at) WHERE status = 'waiting'",
    "CREATE TABLE timers (run INTEGER, name TEXT, due INTEGER NOT NULL, PRIMARY KEY (run, name)) WITHOUT ROWID",  # noqa: E501
    "CREATE INDEX timers_by_due ON timers (due)",
    # Messages that an unfinished run has not handled.
    "CREATE TABLE arrivals (run INTEGER, position INTEGER, PRIMARY KEY (run, position)) WITHOUT ROWID",  # noqa: E501
)
_RECORDS_IN_ORDER: Final = (
    # Also by workflow: one seek for each set of events that the runs of a workflow accept.
    "DROP INDEX runs_waiting",
    """CREATE INDEX runs_waiting ON runs (workflow, accepts, started_at)
        WHERE status = 'waiting'""",
    # In the order in which all processes append: what many runs record at once is on few
    # pages, and a reader finds new records at the end. There is one writer at a time, so that
    # ids become visible in order.
    "ALTER TABLE records RENAME TO records_by_key",
    """CREATE TABLE records (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        position INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        payload BLOB NOT NULL
    )""",
    f"""INSERT INTO records (run, position, checksum, payload)
        SELECT id >> {_POSITION_BITS}, id & {(1 << _POSITION_BITS) - 1}, checksum, payload
        FROM records_by_key ORDER BY id""",  # noqa: S608 - of a constant
    "DROP TABLE records_by_key",
    "CREATE UNIQUE INDEX records_by_run ON records (run, position)",
)
_PUBLICATIONS: Final = (
    # Topics are patterns, as a JSON text.
    "CREATE TABLE listeners (name TEXT PRIMARY KEY, topics TEXT NOT NULL, capacity INTEGER NOT NULL) WITHOUT ROWID",  # noqa: E501
    """CREATE TABLE publications (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        listener TEXT NOT NULL,
        message_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        payload BLOB NOT NULL,
        UNIQUE (listener, message_id)
    )""",
    "CREATE INDEX publications_in_order ON publications (listener, position)",
)
_QUEUE: Final = (
    "ALTER TABLE runs ADD COLUMN pool TEXT NOT NULL DEFAULT 'default'",
    "ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN not_before INTEGER",
    "ALTER TABLE runs ADD COLUMN needs TEXT NOT NULL DEFAULT '{}'",
    # Until when `Journal.take` leaves a run alone.
    "ALTER TABLE runs ADD COLUMN rest_until INTEGER",
    "CREATE INDEX runs_queued ON runs (pool, priority DESC, key) WHERE status = 'queued'",
)
_NODES: Final = (
    # The plugins that have served a run, by name, with the first number of their version: as of
    # `Journal.note_needs`, which is later than the records.
    "ALTER TABLE runs ADD COLUMN served TEXT NOT NULL DEFAULT '{}'",
    # What live processes say of themselves, and whether they are to take nothing new.
    """CREATE TABLE nodes (
        owner TEXT PRIMARY KEY,
        announced TEXT,
        draining INTEGER NOT NULL DEFAULT 0,
        changed_at INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE TABLE paused_pools (pool TEXT PRIMARY KEY) WITHOUT ROWID",
)
_LIMITS: Final = (
    # What processes hold and want of limits, the buckets of rates, and breakers that are not
    # closed. Times are seconds since 1970.
    """CREATE TABLE places (
        name TEXT NOT NULL,
        owner TEXT NOT NULL,
        held INTEGER NOT NULL,
        wanted INTEGER NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (name, owner)
    ) WITHOUT ROWID""",
    """CREATE TABLE rates (
        name TEXT PRIMARY KEY,
        full_at REAL NOT NULL,
        owner TEXT NOT NULL,
        is_short INTEGER NOT NULL,
        drawn_by TEXT NOT NULL,
        drawn_at REAL NOT NULL,
        shared_until REAL NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE breakers (
        topic TEXT NOT NULL,
        plugin TEXT NOT NULL,
        until REAL NOT NULL,
        open_for REAL NOT NULL,
        reason TEXT NOT NULL,
        trial TEXT NOT NULL,
        PRIMARY KEY (topic, plugin)
    ) WITHOUT ROWID""",
)
_KEPT: Final = (
    """CREATE TABLE kept_values (
        key TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        data BLOB NOT NULL
    ) WITHOUT ROWID""",
)
_RUN_KEYS: Final = (
    # Only runs with tags or keys have values in these; ``places`` is the limit of ``place``.
    "ALTER TABLE runs ADD COLUMN title TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE runs ADD COLUMN schedule TEXT",
    "ALTER TABLE runs ADD COLUMN place TEXT",
    "ALTER TABLE runs ADD COLUMN places INTEGER NOT NULL DEFAULT 0",
    # 1: it holds a place; 2: it needs none, as it is to be cancelled for another run.
    "ALTER TABLE runs ADD COLUMN holds INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN unique_key TEXT",
    """CREATE INDEX runs_by_place ON runs (workflow, place, holds, priority DESC, key)
        WHERE place IS NOT NULL AND finished_at IS NULL""",
    """CREATE INDEX runs_by_unique_key ON runs (workflow, unique_key, key)
        WHERE unique_key IS NOT NULL""",
    "CREATE INDEX runs_by_schedule ON runs (schedule, started_at) WHERE schedule IS NOT NULL",
    """CREATE TABLE tags (
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        run INTEGER NOT NULL,
        PRIMARY KEY (name, value, started_at, run)
    ) WITHOUT ROWID""",
)
_TOLD: Final = (
    # What started a run, and how it failed, so that a list can say it.
    "ALTER TABLE runs ADD COLUMN started_by TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN error_code TEXT",
    "ALTER TABLE runs ADD COLUMN error_plugin TEXT",
    "UPDATE runs SET started_by = 'schedule ' || schedule WHERE schedule IS NOT NULL",
    "CREATE INDEX runs_by_error ON runs (error_code, started_at) WHERE error_code IS NOT NULL",
    """CREATE INDEX runs_by_error_plugin ON runs (error_plugin, started_at)
        WHERE error_plugin IS NOT NULL""",
)
_SEARCH: Final = (
    # The words by which runs are found: see `qtforge_sdk.journal_kit.search_words`.
    """CREATE TABLE searched (
        run INTEGER PRIMARY KEY,
        words TEXT NOT NULL,
        error TEXT NOT NULL,
        tags TEXT NOT NULL
    )""",
    # Runs that the index does not have as they are, and the words that it has of them.
    "CREATE TABLE search_new (run INTEGER PRIMARY KEY, was TEXT)",
    # Without positions and texts, which is a fifth of the size; all but ASCII is part of a word.
    """CREATE VIRTUAL TABLE search USING fts5(words, content='', detail=none, columnsize=0,
        tokenize='ascii')""",
)
INSERT_RUNS: Final = """INSERT INTO runs (run_id, workflow, kind, status, started_at, finished_at,
    owner, epoch, parent, pool, priority, not_before, needs, title, schedule, started_by,
    error_code, error_plugin)"""
"""A statement up to its values, which are those of `RunRow`."""
_INSERT_RUN: Final = f"{INSERT_RUNS} VALUES ({', '.join('?' * 18)}) ON CONFLICT (run_id) DO NOTHING"

_INSERT_RUN_1: Final = """INSERT INTO runs
    (run_id, workflow, kind, status, started_at, finished_at, owner, epoch, parent)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""  # in format 1

# Statements are cached by their text, so there must be few: unused rows are filled with NULLs.
_SIZES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

MOST_ROWS: Final = _SIZES[-1]
"""The most rows of one `append_checked`."""

_COLUMNS: Final = 5
_NO_VALUE: Final = (None,)
# A stale epoch makes the payload NULL, which fails the whole statement.
_CHECKED: Final = {
    rows: f"""WITH us(owner) AS (VALUES (?)),
    new(run, position, checksum, payload, epoch) AS (VALUES {",".join(["(?,?,?,?,?)"] * rows)})
INSERT INTO records (run, position, checksum, payload) SELECT run, position, checksum, CASE
    WHEN new.epoch IS NULL OR new.epoch = (
        SELECT epoch FROM runs WHERE key = new.run AND owner = (SELECT owner FROM us)
    ) THEN payload END
FROM new WHERE run IS NOT NULL"""  # noqa: S608 - of constants
    for rows in _SIZES
}


def insert_run(connection: sqlite3.Connection, row: RunRow) -> int | None:
    """Insert a run's row.

    Returns:
        Its key; None when there is a run with that id.
    """
    cursor = connection.execute(_INSERT_RUN, row)
    return cursor.lastrowid if cursor.rowcount else None


def append_checked(connection: sqlite3.Connection, owner: str, values: list[Any]) -> bool:
    """Insert records if the epoch of every run is valid, in one statement.

    Args:
        connection: Where to write.
        owner: The process that must own the runs.
        values: Run, position, checksum, payload and epoch of at most `MOST_ROWS` records, one
            after another. The first record of each run has its epoch, the others None.

    Returns:
        True when all were inserted, False when none was.
    """
    rows = len(values) // _COLUMNS
    size = _SIZES[bisect.bisect_left(_SIZES, rows)]
    try:
        connection.execute(
            _CHECKED[size], (owner, *values, *_NO_VALUE * (_COLUMNS * (size - rows)))
        )
    except sqlite3.IntegrityError:
        return False
    return True


def insert_many(
    connection: sqlite3.Connection, statement: str, columns: int, values: Sequence[Any]
) -> int:
    """Insert rows, in order, with one statement for each `MOST_ROWS` of them.

    Args:
        connection: Where to write.
        statement: The statement up to its values.
        columns: The number of values of a row; the first one is never None.
        values: The values of all rows, one after another.

    Returns:
        The id of the last row; 0 without any.

    Raises:
        sqlite3.IntegrityError: A statement failed; none of its rows was inserted.
    """
    last = 0
    step = columns * MOST_ROWS
    for start in range(0, len(values), step):
        part = values[start : start + step]
        rows = len(part) // columns
        size = _SIZES[bisect.bisect_left(_SIZES, rows)]
        row = f"({','.join('?' * columns)})"
        text = (
            f"{statement} SELECT * FROM (VALUES {','.join([row] * size)}) WHERE column1 IS NOT NULL"  # noqa: S608 - of constants
        )
        cursor = connection.execute(text, (*part, *_NO_VALUE * (columns * (size - rows))))
        last = cursor.lastrowid or 0
    return last


def _from_0(connection: sqlite3.Connection) -> None:
    """Migrate from format 0, which had one table, without checksums, owners or an inbox."""
    for statement in _TABLES:
        connection.execute(statement)
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'history'").fetchone()
    if found is None:
        return  # a new file
    names = connection.execute(
        "SELECT run_id FROM history GROUP BY run_id ORDER BY min(rowid)"
    ).fetchall()
    for (run_id,) in names:
        _move_run(connection, run_id)
    connection.execute("DROP TABLE history")


def _move_run(connection: sqlite3.Connection, run_id: str) -> None:
    rows = connection.execute(
        "SELECT payload FROM history WHERE run_id = ? ORDER BY position", (run_id,)
    ).fetchall()
    records = [
        decode_record(payload, zlib.crc32(payload), _no_blob)  # it had no separate large values
        for (payload,) in rows
    ]
    row = run_row(records, None, 1)[:9]
    key = connection.execute(_INSERT_RUN_1, row).lastrowid or 0
    for position, (payload,) in enumerate(rows, 1):
        connection.execute(
            "INSERT INTO records VALUES (?, ?, ?)",
            (key << _POSITION_BITS | position, zlib.crc32(payload), payload),
        )


def _no_blob(sum_: bytes) -> bytes:
    raise UnreadableError("format 0 has no large values")


def _from_1(connection: sqlite3.Connection) -> None:
    """Migrate from format 1, which had no checkpoints."""
    for statement in _CHECKPOINTS:
        connection.execute(statement)


def _from_2(connection: sqlite3.Connection) -> None:
    """Migrate from format 2, which did not store the order of the records of all runs."""
    for statement in _RECORDS_IN_ORDER:
        connection.execute(statement)


def _from_3(connection: sqlite3.Connection) -> None:
    """Migrate from format 3, whose large values did not refer to others: its rows are the same."""


def _from_4(connection: sqlite3.Connection) -> None:
    """Migrate from format 4, which stored no publications."""
    for statement in _PUBLICATIONS:
        connection.execute(statement)


def _from_5(connection: sqlite3.Connection) -> None:
    """Migrate from format 5, which had no queue of runs."""
    for statement in _QUEUE:
        connection.execute(statement)


class _Received(msgspec.Struct):
    """What tells whether a stored record is that of an event, and of which."""

    record: str = ""
    event_id: str = ""


_RECEIVED: Final = msgspec.msgpack.Decoder(_Received)
_DROP_RECEIVED: Final = """DELETE FROM arrivals WHERE run = :run
    AND position = (SELECT position FROM inbox WHERE run = :run AND message_id = :id)"""


def _from_6(connection: sqlite3.Connection) -> None:
    """Migrate from format 6, whose runs without checkpoints never waited.

    Events that they have received would wake them again and again.
    """
    runs = connection.execute(
        "SELECT DISTINCT key FROM arrivals JOIN runs ON key = run WHERE kept = 0"
    ).fetchall()
    for (key,) in runs:
        rows = connection.execute("SELECT payload FROM records WHERE run = ?", (key,))
        for (payload,) in rows.fetchall():
            with contextlib.suppress(msgspec.MsgspecError):  # damage is reported by `check`
                record = _RECEIVED.decode(payload)
                if record.record == "event_received":
                    connection.execute(_DROP_RECEIVED, {"run": key, "id": record.event_id})


def _from_7(connection: sqlite3.Connection) -> None:
    """Migrate from format 7, which knew nothing of nodes, and could not pause pools."""
    for statement in _NODES:
        connection.execute(statement)


def _from_8(connection: sqlite3.Connection) -> None:
    """Migrate from format 8, whose limits and breakers were those of each process."""
    for statement in _LIMITS:
        connection.execute(statement)


def _from_9(connection: sqlite3.Connection) -> None:
    """Migrate from format 9, which had no values that processes share."""
    for statement in _KEPT:
        connection.execute(statement)


def _from_10(connection: sqlite3.Connection) -> None:
    """Migrate from format 10, whose runs had neither tags nor keys."""
    for statement in _RUN_KEYS:
        connection.execute(statement)


def _from_11(connection: sqlite3.Connection) -> None:
    """Migrate from format 11, whose rows said neither what started a run nor how it failed."""
    for statement in _TOLD:
        connection.execute(statement)


def _from_12(connection: sqlite3.Connection) -> None:
    """Migrate from format 12, whose runs could not be searched."""
    for statement in _SEARCH:
        connection.execute(statement)
    words_of_all_runs(connection)


MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (
    _from_0,
    _from_1,
    _from_2,
    _from_3,
    _from_4,
    _from_5,
    _from_6,
    _from_7,
    _from_8,
    _from_9,
    _from_10,
    _from_11,
    _from_12,
)
"""The function at index n migrates from format n to format n + 1."""
FORMAT_VERSION: Final = len(MIGRATIONS)
