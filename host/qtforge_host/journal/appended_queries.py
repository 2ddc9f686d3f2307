"""What is read in the order in which records were appended to the journal as a whole."""

from __future__ import annotations

import sqlite3
from typing import Final

from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.encoding import UnreadableError, decode_record
from qtforge_sdk.journal import AppendedPage, AppendedRecord

__all__ = ["read_appended"]

_ENDS: Final = "SELECT (SELECT max(id) FROM records), (SELECT min(id) FROM records)"
# CROSS JOIN keeps the order of the tables: along the records, and a seek for each run.
_ALL: Final = """SELECT records.id, run_id, checksum, payload
    FROM records CROSS JOIN runs ON runs.key = run WHERE records.id > :after
    ORDER BY records.id LIMIT :limit"""
# The index holds the ids as well, and its order is that of the ids.
_OF_RUN: Final = """SELECT records.id, run_id, checksum, payload
    FROM records CROSS JOIN runs ON runs.key = run WHERE run = :key AND records.id > :after
    ORDER BY position LIMIT :limit"""


def read_appended(
    connection: sqlite3.Connection, blobs: BlobFiles, after: int, limit: int, key: int | None
) -> AppendedPage:
    """Return records in their order; see `Journal.appended`.

    Args:
        connection: Where from.
        blobs: Where large values are.
        after: Behind this position.
        limit: At most so many.
        key: Only of the run with this key; None for all runs.
    """
    given = {"after": after, "limit": limit, "key": key}
    connection.execute("BEGIN")  # one state of the file: nothing comes between the two
    try:
        newest, oldest = connection.execute(_ENDS).fetchone()
        rows = connection.execute(_ALL if key is None else _OF_RUN, given).fetchall()
    finally:
        connection.execute("COMMIT")
    newest = newest or 0
    return AppendedPage(
        records=tuple(_appended(blobs, *row) for row in rows),
        until=rows[-1][0] if rows and len(rows) == limit else newest,
        oldest=oldest or newest + 1,
    )


def _appended(
    blobs: BlobFiles, position: int, run_id: str, checksum: int, payload: bytes
) -> AppendedRecord:
    try:
        record = decode_record(payload, checksum, blobs.read)
    except UnreadableError:
        # Whoever reads along goes on behind it; `Journal.records` and `check` tell what is wrong.
        return AppendedRecord(position=position, run_id=run_id, record=None)
    return AppendedRecord(position=position, run_id=run_id, record=record)
