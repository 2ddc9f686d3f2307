"""What is read in the order in which records were appended to the journal as a whole."""

from __future__ import annotations

import sqlite3
from typing import Final

from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.encoding import UnreadableError, decode_record
from qtforge_host.journal.schema import POSITION_BITS
from qtforge_sdk.journal import AppendedPage, AppendedRecord

__all__ = ["read_appended"]

_ENDS: Final = (
    """SELECT (SELECT max(position) FROM appended), (SELECT min(position) FROM appended)"""
)
# CROSS JOIN keeps the order of the tables: along the positions, and a seek for each.
_APPENDED: Final = f"""SELECT position, run_id, checksum, payload
    FROM appended CROSS JOIN records ON records.id = appended.record
    CROSS JOIN runs ON runs.key = appended.record >> {POSITION_BITS}
    WHERE position > :after AND appended.record BETWEEN :first AND :last
    ORDER BY position LIMIT :limit"""  # noqa: S608 - of constants


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
    given = {
        "after": after,
        "limit": limit,
        "first": 0 if key is None else key << POSITION_BITS,
        "last": (1 << 63) - 1 if key is None else (key + 1 << POSITION_BITS) - 1,
    }
    connection.execute("BEGIN")  # one state of the file: nothing comes between the two
    try:
        newest, oldest = connection.execute(_ENDS).fetchone()
        rows = connection.execute(_APPENDED, given).fetchall()
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
