"""Statements that write many rows at once.

sqlite3 gives the interpreter lock up and takes it back several times in each call, and where the
event loop is busy, each taking back waits for its turn to end. So few calls, each with many rows.
"""

from __future__ import annotations

import bisect
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["MOST_ROWS", "append_checked", "insert_many"]

# Statements are kept prepared by their text, so there must be few: the rest is filled with NULLs.
_SIZES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
MOST_ROWS: Final = _SIZES[-1]
"""How many rows `append_checked` can write."""

_COLUMNS: Final = 5
_NO_VALUE: Final = (None,)
# An epoch that has passed makes the payload NULL, which fails the statement as a whole.
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


def append_checked(connection: sqlite3.Connection, owner: str, values: list[Any]) -> bool:
    """Insert records if each run's epoch is good; outside of a transaction it is one.

    Args:
        connection: Where to.
        owner: Who must own the runs.
        values: Run, position, checksum, payload and epoch of each record, one after another, of
            at most `MOST_ROWS`; an epoch is needed at the first record of each run, and else None.

    Returns:
        Whether they were inserted; nothing was when not.
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
    """Insert rows, in order, by one statement for each `MOST_ROWS` of them.

    Args:
        connection: Where to.
        statement: All of it up to the values.
        columns: How many values make a row; the first of them is never None.
        values: The rows, one after another.

    Returns:
        The row id of the last; 0 if there was none.

    Raises:
        sqlite3.IntegrityError: Nothing of this statement was inserted.
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
