"""Periods: the records of runs that began about the same time are in a table of their own.

A run's key holds the number of its period, so that a record is found by its run alone, as ever.
A period ends when the sequence of the keys jumps to the next one; the table for it is there
before. A run that is deleted afterwards leaves its records behind, and its key in ``gone``. When
few records of a period are still needed, these move to a new table, and the old one is dropped,
which costs the same for a gigabyte as for a row and leaves nothing to vacuum. Where many are
needed, those of runs that are gone are deleted row by row.
"""

from __future__ import annotations

from typing import Final

import psycopg

from qtforge_postgresql.schema import PERIOD_BITS, lock_schema
from qtforge_postgresql.session import Session

__all__ = ["OPEN_FROM", "begin_period", "remove_gone", "table_of"]

_SEQUENCE: Final = "pg_get_serial_sequence('{s}.runs', 'key')::regclass"
_OPEN: Final = f"(coalesce(pg_sequence_last_value({_SEQUENCE}), 0) >> {PERIOD_BITS})"
OPEN_FROM: Final = f"({_OPEN} << {PERIOD_BITS})"
"""The lowest key of the period in which runs begin, in SQL."""

_MOST_PERIODS: Final = 200
_LONG_BYTES: Final = 64 << 20  # below, a table is cheap enough to delete from
_LARGE_BYTES: Final = 4 << 30
_MOST_MOVED: Final = 5_000  # records; nobody writes any meanwhile
_MOST_MOVED_BYTES: Final = 32 << 20
_AT_ONCE: Final = 200  # runs
_LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '500ms'"  # others wait behind who waits

_AGE: Final = f"""SELECT number, opened < clock_timestamp() - interval '1 day',
        opened < clock_timestamp() - interval '1 hour', (SELECT count(*) FROM {{s}}.periods)
    FROM {{s}}.periods WHERE number = {_OPEN}"""
_SIZE: Final = "SELECT pg_total_relation_size('{s}.%s'::regclass)"
_CREATE: Final = """CREATE TABLE {s}.%s
    (LIKE {s}.records INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)"""
_ATTACH: Final = "ALTER TABLE {s}.records ATTACH PARTITION {s}.%s FOR VALUES FROM (%s) TO (%s)"
_NOTE: Final = "INSERT INTO {s}.periods (number) VALUES (%s) ON CONFLICT (number) DO NOTHING"
_JUMP: Final = f"SELECT setval({_SEQUENCE}, %s) WHERE {_OPEN} < %s"
_OPENED: Final = "UPDATE {s}.periods SET opened = clock_timestamp() WHERE number = %s"
# A transaction that has a key of the period, and no record yet, has ended meanwhile.
_CLOSED: Final = f"""SELECT number FROM {{s}}.periods
    WHERE number < {_OPEN} AND EXISTS (SELECT 1 FROM {{s}}.periods AS later
        WHERE later.number > periods.number AND later.number <= {_OPEN}
            AND later.opened < clock_timestamp() - interval '5 minutes')
        AND (EXISTS (SELECT 1 FROM {{s}}.gone
                WHERE run >= number << {PERIOD_BITS} AND run < (number + 1) << {PERIOD_BITS})
            OR NOT EXISTS (SELECT 1 FROM {{s}}.runs
                WHERE key >= number << {PERIOD_BITS} AND key < (number + 1) << {PERIOD_BITS}))
    ORDER BY number"""
_NEEDED: Final = """SELECT count(*), coalesce(sum(size), 0)::bigint FROM (
        SELECT octet_length(payload) AS size FROM {s}.runs JOIN {s}.%s ON run = key
        WHERE key >= %s AND key < %s LIMIT %s
    ) AS needed"""
_LOCK: Final = "LOCK TABLE ONLY {s}.records IN ACCESS EXCLUSIVE MODE"
_MOVE: Final = """INSERT INTO {s}.%s SELECT records.* FROM {s}.%s AS records
    WHERE NOT EXISTS (SELECT 1 FROM {s}.gone WHERE gone.run = records.run)"""
_FORGET: Final = "DELETE FROM {s}.gone WHERE run >= %s AND run < %s"
_FORGET_PERIOD: Final = "DELETE FROM {s}.periods WHERE number = %s"
_IS_EMPTY: Final = "SELECT NOT EXISTS (SELECT 1 FROM {s}.%s)"
_DELETE: Final = f"""WITH few AS (
        DELETE FROM {{s}}.gone WHERE run IN (
            SELECT run FROM {{s}}.gone
            WHERE since < clock_timestamp() - %s::text::interval
            ORDER BY run LIMIT {_AT_ONCE} FOR UPDATE SKIP LOCKED
        ) RETURNING run
    ), records AS (
        DELETE FROM {{s}}.records USING few WHERE records.run = few.run
    )
    SELECT count(*) FROM few"""


def table_of(number: int) -> str:
    """Return the name of the table with the records of a period."""
    return f"records_{number}"


def begin_period(session: Session, schema: str) -> bool:
    """Begin a period where the current one is a day old and large, or very large.

    Small journals keep one table. A role that may not make tables keeps it, too.

    Args:
        session: Of the caller alone, outside a transaction.
        schema: The name of the schema.

    Returns:
        Whether it did.

    Raises:
        psycopg.Error: The server can't be reached.
    """
    number, is_old, is_aged, count = session.row(_AGE) or (0, False, False, 0)
    if not is_aged or count >= _MOST_PERIODS:
        return False
    (size_bytes,) = session.row(_SIZE % table_of(number))
    if size_bytes < (_LONG_BYTES if is_old else _LARGE_BYTES):
        return False
    try:
        # A sequence jumps for everybody at once: the table is there before.
        with session.transaction():
            lock_schema(session, schema)
            session.execute(_LOCK_TIMEOUT)
            if session.execute(_NOTE, (number + 1,)).rowcount:
                _make(session, table_of(number + 1))
                _attach(session, number + 1)
        with session.transaction():
            lock_schema(session, schema)
            first = (number + 1) << PERIOD_BITS
            if session.row(_JUMP, (first, number + 1)) is None:
                return False
            session.execute(_OPENED, (number + 1,))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.InsufficientPrivilege):
        return False
    return True


def remove_gone(session: Session, schema: str, *, waits_days: int) -> None:
    """Remove the records of deleted runs: with their table, where few in it are needed.

    Args:
        session: Of the caller alone, outside a transaction.
        schema: The name of the schema.
        waits_days: How long those that can't be dropped wait for that, in days; then, or in
            later calls, they are deleted row by row.

    Raises:
        psycopg.Error: The server can't be reached.
    """
    for (number,) in session.rows(_CLOSED):
        try:
            with session.transaction():
                lock_schema(session, schema)
                session.execute(_LOCK_TIMEOUT)
                _drop(session, number)
        except (
            psycopg.errors.LockNotAvailable,  # others are busy with it; there is a next time
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.UndefinedTable,  # somebody else has dropped it
        ):
            continue
    while session.alone(_DELETE, (f"{waits_days} days",))[0]:
        pass


def _drop(session: Session, number: int) -> None:
    table, kept = table_of(number), f"{table_of(number)}_kept"
    first, end = number << PERIOD_BITS, (number + 1) << PERIOD_BITS
    if not _are_few(session, table, first, end):
        return
    session.execute(_LOCK)
    if not _are_few(session, table, first, end):  # some were written meanwhile
        return
    _make(session, kept)
    session.execute(_MOVE % (kept, table))
    session.execute(f"DROP TABLE {{s}}.{table}")
    session.execute(_FORGET, (first, end))
    if session.row(_IS_EMPTY % kept)[0]:
        session.execute(f"DROP TABLE {{s}}.{kept}")
        session.execute(_FORGET_PERIOD, (number,))
        return
    session.execute(f"ALTER TABLE {{s}}.{kept} RENAME TO {table}")
    _attach(session, number)


def _are_few(session: Session, table: str, first: int, end: int) -> bool:
    given = (first, end, _MOST_MOVED + 1)
    count, size_bytes = session.row(_NEEDED.replace("%s", table, 1), given)
    return bool(count <= _MOST_MOVED and size_bytes <= _MOST_MOVED_BYTES)


def _make(session: Session, table: str) -> None:
    session.execute(_CREATE % table)


def _attach(session: Session, number: int) -> None:
    first = "MINVALUE" if number == 0 else number << PERIOD_BITS
    session.execute(_ATTACH % (table_of(number), first, (number + 1) << PERIOD_BITS))
