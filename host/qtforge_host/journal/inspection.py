"""Read the whole journal: count its content, and find damage."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from typing import Final

from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.encoding import UnreadableError, decode_message, decode_record
from qtforge_sdk.journal import Damage, JournalStatistics
from qtforge_sdk.records import RunStarted

__all__ = ["inspect", "read_statistics"]

# Along a covering index: 60 ms for a million runs.
_RUNS: Final = """SELECT workflow, status, count(*) FROM runs INDEXED BY runs_by_workflow
    GROUP BY workflow, status"""
_MESSAGES: Final = "SELECT count(*), min(position) FROM arrivals"
_MESSAGE: Final = "SELECT checksum, payload FROM inbox WHERE position = ?"
_RECORDS: Final = """SELECT run, position, checksum, payload FROM records
    WHERE run <> 0 ORDER BY run, position"""
_ORPHANS: Final = """SELECT DISTINCT run FROM records
    WHERE run <> 0 AND run NOT IN (SELECT key FROM runs)"""


def read_statistics(connection: sqlite3.Connection, blobs: BlobFiles) -> JournalStatistics:
    """Count runs, timers and messages; see `Journal.statistics`.

    Args:
        connection: Used by this thread only.
        blobs: The large values.
    """
    connection.execute("BEGIN")  # all statements read one state of the file
    try:
        runs = {
            (workflow, status): count
            for workflow, status, count in connection.execute(_RUNS).fetchall()
        }
        (timers,) = connection.execute("SELECT count(*) FROM timers").fetchone()
        messages, oldest = connection.execute(_MESSAGES).fetchone()
        found = connection.execute(_MESSAGE, (oldest,)).fetchone()
    finally:
        connection.execute("COMMIT")
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
    for search in (_structure, _records, _missing, _messages, _large_values):
        try:
            found.extend(search(connection, blobs))
        except sqlite3.DatabaseError as error:
            found.append(Damage(what=f"the journal can't be read to its end: {error}"))
    return tuple(dict.fromkeys(found))


def _structure(connection: sqlite3.Connection, blobs: BlobFiles) -> Iterator[Damage]:
    for (line,) in connection.execute("PRAGMA quick_check"):
        if line != "ok":
            yield Damage(what=f"SQLite says: {line}")
    for (key,) in connection.execute(_ORPHANS):
        yield Damage(what=f"there are records of a run that is not listed, number {key}")


def _records(connection: sqlite3.Connection, blobs: BlobFiles) -> Iterator[Damage]:
    names = dict(connection.execute("SELECT key, run_id FROM runs"))
    run, expected = 0, 1
    for key, position, checksum, payload in connection.execute(_RECORDS):
        if key != run:
            run, expected = key, 1
        name = names.get(key)
        if expected < position and name is not None:
            what = f"{position - expected} records are missing from here"
            yield Damage(what=what, run_id=name, position=expected)
        expected = position + 1
        try:
            record = decode_record(payload, checksum, blobs.read)
        except UnreadableError as error:
            yield Damage(what=str(error), run_id=name, position=position)
            continue
        if name is not None and record.run_id != name:
            what = f"the record belongs to the run '{record.run_id}'"
            yield Damage(what=what, run_id=name, position=position)
        elif position == 1 and not isinstance(record, RunStarted):
            yield Damage(what="the run does not begin with its start", run_id=name, position=1)


def _missing(connection: sqlite3.Connection, blobs: BlobFiles) -> Iterator[Damage]:
    without = connection.execute(
        "SELECT run_id FROM runs WHERE NOT EXISTS (SELECT 1 FROM records WHERE run = key)"
    )
    for (run_id,) in without:
        yield Damage(what="all its records are missing", run_id=run_id, position=1)


def _messages(connection: sqlite3.Connection, blobs: BlobFiles) -> Iterator[Damage]:
    rows = connection.execute(
        "SELECT run_id, position, checksum, payload FROM inbox LEFT JOIN runs ON key = run"
    )
    for run_id, position, checksum, payload in rows:
        try:
            decode_message(payload, checksum, blobs.read)
        except UnreadableError as error:
            yield Damage(what=f"message {position}: {error}", run_id=run_id)


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
