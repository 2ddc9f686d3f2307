"""The journal's tables, and how a file of an older format becomes one of the newest.

``records.id`` is the run's key times 2**24 plus the record's position, from 1. So a run's
records lie together, new runs are written at the table's right edge, and one B-tree serves
both; appending costs the same whether the file holds a thousand runs or a million.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from typing import Final

from qtforge_host.journal.encoding import UnreadableError, decode_record
from qtforge_host.journal.instants import to_us
from qtforge_sdk import Record
from qtforge_sdk.journal import status_after
from qtforge_sdk.records import RunFinished, RunStarted

__all__ = [
    "APPLICATION_ID",
    "FORMAT_VERSION",
    "INSERT_RUNS",
    "KEPT_ORDER",
    "MIGRATIONS",
    "POSITION_BITS",
    "RunRow",
    "insert_run",
    "run_row",
]

APPLICATION_ID: Final = 0x51744667  # "QtFg", in the file's header
POSITION_BITS: Final = 24
KEPT_ORDER: Final = 100_000
"""The order of at least so many appended records is known; `Journal.appended` promises it."""

_TABLES: Final = (
    # AUTOINCREMENT: the key of a run that was pruned is never another's.
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
_KEEPING: Final = (
    # Where a run goes on from, and what is shown of one that waits.
    "ALTER TABLE runs ADD COLUMN kept INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN label TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN accepts TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN kept_at INTEGER",
    "ALTER TABLE runs ADD COLUMN correlation TEXT",
    "CREATE INDEX runs_by_correlation ON runs (correlation) WHERE correlation IS NOT NULL",
    "CREATE INDEX runs_waiting ON runs (accepts, started_at) WHERE status = 'waiting'",
    "CREATE TABLE timers (run INTEGER, name TEXT, due INTEGER NOT NULL, PRIMARY KEY (run, name)) WITHOUT ROWID",  # noqa: E501
    "CREATE INDEX timers_by_due ON timers (due)",
    # Messages that an unfinished run has not dealt with.
    "CREATE TABLE arrivals (run INTEGER, position INTEGER, PRIMARY KEY (run, position)) WITHOUT ROWID",  # noqa: E501
)
_ORDER: Final = (
    # Found by workflow too: one seek for each set of events that a workflow's runs wait for.
    "DROP INDEX runs_waiting",
    """CREATE INDEX runs_waiting ON runs (workflow, accepts, started_at)
        WHERE status = 'waiting'""",
    # The order in which all processes append: there is one writer at a time, so no place is
    # taken before one that is lower is there to be read. The last row always stays, so that
    # no place is given twice.
    "CREATE TABLE appended (position INTEGER PRIMARY KEY, record INTEGER NOT NULL)",
    """CREATE TRIGGER records_appended AFTER INSERT ON records BEGIN
        INSERT INTO appended (record) VALUES (new.id);
    END""",
    f"""CREATE TRIGGER appended_forgotten AFTER INSERT ON appended WHEN new.position % 1000 = 0
    BEGIN
        DELETE FROM appended WHERE position <= new.position - {KEPT_ORDER};
    END""",  # noqa: S608 - of a constant
)
INSERT_RUNS: Final = """INSERT INTO runs
    (run_id, workflow, kind, status, started_at, finished_at, owner, epoch, parent)"""
"""A statement up to its values, each of them a `RunRow`."""

_INSERT_RUN: Final = (
    f"{INSERT_RUNS} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO NOTHING"
)

RunRow = tuple[str, str, str, str, int, int | None, str | None, int, str | None]


def run_row(records: list[Record], owner: str | None, epoch: int) -> RunRow:
    """Return the row of a run with these records.

    Raises:
        UnreadableError: The first is not `RunStarted`.
    """
    started = records[0] if records else None
    if not isinstance(started, RunStarted):
        raise UnreadableError("the first record does not tell how the run started")
    status, finished_at = "running", None
    for record in records:
        status = status_after(record) or status
        if status_after(record) is not None:
            finished_at = to_us(record.at) if isinstance(record, RunFinished) else None
    return (
        started.run_id,
        started.workflow,
        started.kind,
        status,
        to_us(started.at),
        finished_at,
        owner,
        epoch,
        started.parent,
    )


def insert_run(connection: sqlite3.Connection, row: RunRow) -> int | None:
    """Keep a run's row.

    Returns:
        Its key; None when there is a run of that name.
    """
    cursor = connection.execute(_INSERT_RUN, row)
    return cursor.lastrowid if cursor.rowcount else None


def _from_0(connection: sqlite3.Connection) -> None:
    """Format 0 had one table, ``history``, without checksums, owners or an inbox."""
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
        decode_record(payload, zlib.crc32(payload), _no_blob)  # it had no large values apart
        for (payload,) in rows
    ]
    key = insert_run(connection, run_row(records, None, 1))
    if key is None:
        raise UnreadableError(f"the run '{run_id}' is there under two names")
    for position, (payload,) in enumerate(rows, 1):
        connection.execute(
            "INSERT INTO records VALUES (?, ?, ?)",
            (key << POSITION_BITS | position, zlib.crc32(payload), payload),
        )


def _no_blob(sum_: bytes) -> bytes:
    raise UnreadableError("format 0 has no large values")


def _from_1(connection: sqlite3.Connection) -> None:
    """Format 1 knew no runs that keep their state."""
    for statement in _KEEPING:
        connection.execute(statement)


def _from_2(connection: sqlite3.Connection) -> None:
    """Format 2 did not know in which order records of different runs came; it begins here."""
    for statement in _ORDER:
        connection.execute(statement)


MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (_from_0, _from_1, _from_2)
"""The function at place n makes format n + 1 of format n."""

FORMAT_VERSION: Final = len(MIGRATIONS)
