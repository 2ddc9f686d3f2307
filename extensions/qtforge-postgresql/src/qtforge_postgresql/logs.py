"""The logs of runs, which every machine can show."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final

from qtforge_postgresql.session import Session
from qtforge_postgresql.texts import is_storable
from qtforge_sdk.journal_kit.encoding import to_us
from qtforge_sdk.journal_kit.log_rows import LogRow, log_row, stored_log
from qtforge_sdk.run_logs import LOG_LEVELS, LogEntry, LogQuery, StoredLog

__all__ = ["add_logs", "log_size", "logs", "prune_logs", "remove_logs"]

_AT_ONCE: Final = 10_000  # entries that are removed by one statement
_SAMPLE: Final = 1000
_ROW_BYTES: Final = 150  # of an entry besides its text, with its places in the indexes
# An entry that a crash of the server loses is not missed.
_QUICK: Final = "SET LOCAL synchronous_commit = off"
_ADD: Final = """INSERT INTO {s}.logs (run, at, level, logger, step, attempt, text)
    SELECT run, at, level, logger, step, attempt, text FROM unnest(%b::text[], %b::bigint[],
        %b::smallint[], %b::text[], %b::text[], %b::int[], %b::text[]) WITH ORDINALITY
        AS given (run, at, level, logger, step, attempt, text, place) ORDER BY place"""
_FIND: Final = """SELECT id, run, at, level, logger, step, attempt, text FROM {s}.logs
    WHERE run = %s AND id > %s AND level >= %s AND (%s::text IS NULL OR step = %s)
    ORDER BY id LIMIT %s"""
_SIZE: Final = "SELECT coalesce(sum(length(text)), 0) FROM {s}.logs WHERE run = %s"
_REMOVE: Final = "DELETE FROM {s}.logs WHERE run = ANY (%s::text[])"
_DROP_OLD: Final = f"""DELETE FROM {{s}}.logs WHERE at < %s
    AND id IN (SELECT id FROM {{s}}.logs ORDER BY id LIMIT {_AT_ONCE:d})"""
_DROP_FIRST: Final = f"""DELETE FROM {{s}}.logs
    WHERE id IN (SELECT id FROM {{s}}.logs ORDER BY id LIMIT {_AT_ONCE:d})"""
# The table's file does not become smaller when rows are deleted, and to add all rows up would
# read all of it: so the number of rows, by their ids, times the size of the newest ones.
_USED: Final = f"""SELECT ((SELECT max(id) FROM {{s}}.logs) - (SELECT min(id) FROM {{s}}.logs) + 1)
    * (SELECT avg(octet_length(text) + {_ROW_BYTES:d}) FROM
        (SELECT text FROM {{s}}.logs ORDER BY id DESC LIMIT {_SAMPLE:d}) AS newest)"""


def add_logs(session: Session, entries: Sequence[LogEntry]) -> None:
    """Add entries, in order; those that PostgreSQL can't store are left out."""
    rows = [
        log_row(each)
        for each in entries
        if all(map(is_storable, (each.run_id, each.logger, each.step, each.text)))
    ]
    if rows:
        with session.transaction():
            session.execute(_QUICK)
            session.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])


def logs(session: Session, query: LogQuery) -> list[StoredLog]:
    """Return entries of a run, the oldest first."""
    if not is_storable(query.run_id) or not is_storable(query.step or ""):
        return []
    level = LOG_LEVELS.index(query.level)
    given = (query.run_id, query.after, level, query.step, query.step, query.limit)
    rows: list[Any] = session.rows(_FIND, given)
    return [stored_log(position, LogRow._make(row)) for position, *row in rows]


def log_size(session: Session, run_id: str) -> int:
    """Return how many characters the texts of a run's entries have."""
    return int(session.row(_SIZE, (run_id,))[0])


def remove_logs(session: Session, run_ids: Sequence[str]) -> None:
    """Remove the entries of runs."""
    session.execute(_REMOVE, (list(filter(is_storable, run_ids)),))


def prune_logs(session: Session, before: datetime.datetime, most_bytes: int) -> int:
    """Remove old entries, and the oldest while all together are too large."""
    removed, before_us = 0, to_us(before)
    while count := session.execute(_DROP_OLD, (before_us,)).rowcount:
        removed += count
    while (session.row(_USED)[0] or 0) > most_bytes:
        count = session.execute(_DROP_FIRST).rowcount
        if not count:
            break
        removed += count
    return removed
