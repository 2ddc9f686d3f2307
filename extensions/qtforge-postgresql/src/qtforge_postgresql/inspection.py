"""Read the whole journal: count its content, and find damage."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import psycopg

from qtforge_postgresql.periods import table_of
from qtforge_postgresql.queries import load_blob
from qtforge_postgresql.schema import INDEXES, TABLES
from qtforge_postgresql.session import Session
from qtforge_sdk.journal import Damage, JournalStatistics
from qtforge_sdk.journal_kit.encoding import (
    UnreadableError,
    decode_message,
    decode_publication,
)
from qtforge_sdk.journal_kit.expected_rows import COLUMNS, ExpectedRow, StoredRecord, expected_rows
from qtforge_sdk.journal_kit.search_words import SearchRow

__all__ = [
    "inspect",
    "missing_rows",
    "missing_words",
    "read_statistics",
    "row_of",
    "rows_by_records",
]

_RUNS: Final = "SELECT workflow, status, count(*) FROM {s}.runs GROUP BY workflow, status"
_MESSAGES: Final = "SELECT count(*), min(position) FROM {s}.arrivals"
_MESSAGE: Final = "SELECT checksum, payload FROM {s}.inbox WHERE position = %s"
_RECORDS: Final = """SELECT run, run_id, position, checksum, payload
    FROM {s}.records LEFT JOIN {s}.runs ON key = run
    WHERE run_id IS NOT NULL OR NOT EXISTS (SELECT 1 FROM {s}.gone WHERE gone.run = records.run)
    ORDER BY run, position"""
_ROW: Final = f"SELECT key, {', '.join(COLUMNS)} FROM {{s}}.runs WHERE key = %s"
_WITHOUT_RECORDS: Final = """SELECT run_id FROM {s}.runs
    WHERE NOT EXISTS (SELECT 1 FROM {s}.records WHERE run = key)"""
_STRAY: Final = """SELECT run_id, 'timers' FROM {s}.timers LEFT JOIN {s}.runs ON key = run
        WHERE run_id IS NULL OR finished_at IS NOT NULL
    UNION ALL SELECT run_id, 'arrivals' FROM {s}.arrivals LEFT JOIN {s}.runs ON key = arrivals.run
        WHERE run_id IS NULL OR finished_at IS NOT NULL OR NOT EXISTS (SELECT 1 FROM {s}.inbox
            WHERE inbox.position = arrivals.position AND inbox.run = arrivals.run)"""
_WORDS: Final = """SELECT words, error, searched.tags, runs.tags::text
    FROM {s}.runs LEFT JOIN {s}.searched ON run = key WHERE key = %s"""
_NOT_ARRIVED: Final = """SELECT position, message_id FROM {s}.inbox WHERE run = %s
    AND NOT EXISTS (SELECT 1 FROM {s}.arrivals
        WHERE arrivals.run = inbox.run AND arrivals.position = inbox.position)"""
_TIMERS: Final = "SELECT name, due FROM {s}.timers WHERE run = %s"
_INBOX: Final = """SELECT run_id, position, message_id, checksum, payload
    FROM {s}.inbox LEFT JOIN {s}.runs ON key = run"""
_PUBLICATIONS: Final = "SELECT position, message_id, checksum, payload FROM {s}.publications"
_PERIODS: Final = "SELECT number FROM {s}.periods"
_BLOBS: Final = "SELECT DISTINCT sum FROM {s}.blob_refs"
_REFERRING: Final = """SELECT run_id FROM {s}.blob_refs LEFT JOIN {s}.runs ON key = run
    WHERE sum = %s"""
_OBJECTS: Final = """SELECT relname, relkind::text, coalesce(indisvalid, true)
    FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
    LEFT JOIN pg_index ON indexrelid = pg_class.oid
    WHERE nspname = (SELECT nspname FROM pg_namespace WHERE oid = (
        SELECT relnamespace FROM pg_class WHERE oid = '{s}.journal'::regclass))"""


def read_statistics(session: Session) -> JournalStatistics:
    """Count runs, timers and messages; see `Journal.statistics`."""
    with session.snapshot():
        session.execute("SET LOCAL statement_timeout = 0")
        runs = {(workflow, status): count for workflow, status, count in session.rows(_RUNS)}
        (timers,) = session.row("SELECT count(*) FROM {s}.timers")
        messages, oldest = session.row(_MESSAGES)
        found = None if oldest is None else session.row(_MESSAGE, (oldest,))
        oldest_at = None
        if found is not None:
            with contextlib.suppress(UnreadableError):  # reported when its run is read
                oldest_at = decode_message(found[1], found[0], _loader(session)).at
    return JournalStatistics(
        runs=runs, timers=timers, messages=messages, oldest_message_at=oldest_at
    )


def inspect(session: Session) -> tuple[Damage, ...]:
    """Return all damage; see `Journal.check`."""
    found: list[Damage] = []
    for search in (_schema, _runs, _messages, _publications, _large_values):
        try:
            with session.snapshot():
                session.execute("SET LOCAL statement_timeout = 0")
                found.extend(search(session))
        except (psycopg.errors.InternalError, psycopg.DataError) as error:
            found.append(Damage(what=f"the journal can't be read to its end: {error}"))
    return tuple(dict.fromkeys(found))


def rows_by_records(session: Session, found: list[Damage]) -> Iterator[ExpectedRow]:
    """Give what the records of each run say about its row; see `expected_rows`.

    Args:
        session: Within a transaction.
        found: Gets the damage of the records.
    """
    stored = itertools.starmap(StoredRecord, session.stream(_RECORDS))
    return expected_rows(stored, _loader(session), found)


def missing_rows(session: Session, run: ExpectedRow) -> tuple[dict[str, int], list[int]]:
    """Return the timers, and the positions of messages, that a run waits for without a row."""
    waits = run.status == "waiting"
    there = dict(session.rows(_TIMERS, (run.key,))) if waits else {}
    not_arrived = [] if run.has_ended else session.rows(_NOT_ARRIVED, (run.key,))
    return run.missing_timers(there), run.missing_arrivals(not_arrived)


def missing_words(session: Session, run: ExpectedRow) -> SearchRow | None:
    """Return the words by which a run should be found; None where these are stored."""
    *words, tags = session.row(_WORDS, (run.key,))
    wanted = run.words_with(msgspec.json.decode(tags, type=dict[str, str]))
    return None if tuple(words) == wanted else wanted


def row_of(session: Session, run: ExpectedRow) -> tuple[Any, ...] | None:
    """Return a run's row: its key and `COLUMNS`; None where there is none."""
    row: tuple[Any, ...] | None = session.row(_ROW, (run.key,))
    return row


def _loader(session: Session) -> Callable[[bytes], bytes]:
    def load(sum_: bytes) -> bytes:
        return load_blob(session, sum_)

    return load


def _schema(session: Session) -> Iterator[Damage]:
    rows = session.rows(_OBJECTS)
    there = {name for name, kind, is_valid in rows if kind in ("r", "p", "i", "I") and is_valid}
    periods = {table_of(number) for (number,) in session.rows(_PERIODS)}
    for name in sorted((TABLES | INDEXES | periods) - there):
        yield Damage(what=f"the table or index '{name}' is missing, or not valid")


def _runs(session: Session) -> Iterator[Damage]:
    found: list[Damage] = []
    for run in rows_by_records(session, found):
        yield from found
        found.clear()
        row = row_of(session, run)
        if row is None:
            yield Damage(what=f"there are records of a run that is not listed, number {run.key}")
        elif run.is_whole:
            yield from run.row_damage(row)
            yield from run.waiting_damage(*missing_rows(session, run))
            if missing_words(session, run) is not None:
                what = "the words by which it is found do not fit it"
                yield Damage(what=what, run_id=run.run_id)
    yield from found
    for (run_id,) in session.rows(_WITHOUT_RECORDS):
        yield Damage(what="all its records are missing", run_id=run_id, position=1)
    for run_id, table in session.rows(_STRAY):
        yield Damage(what=f"a row of '{table}' belongs to nothing that waits", run_id=run_id)


def _messages(session: Session) -> Iterator[Damage]:
    load = _loader(session)
    for run_id, position, message_id, checksum, payload in session.stream(_INBOX):
        try:
            message = decode_message(payload, checksum, load)
        except UnreadableError as error:
            yield Damage(what=f"message {position}: {error}", run_id=run_id)
            continue
        if run_id is None:
            yield Damage(what=f"message {position} belongs to no run")
        elif message.message_id != message_id:
            what = f"message {position} has the id of another: '{message_id}'"
            yield Damage(what=what, run_id=run_id)


def _publications(session: Session) -> Iterator[Damage]:
    for position, message_id, checksum, payload in session.stream(_PUBLICATIONS):
        try:
            publication = decode_publication(payload, checksum)
        except UnreadableError as error:
            yield Damage(what=f"publication {position}: {error}")
            continue
        if publication.message_id != message_id:
            yield Damage(what=f"publication {position} has the id of another: '{message_id}'")


def _large_values(session: Session) -> Iterator[Damage]:
    for (sum_,) in session.stream(_BLOBS):
        try:
            load_blob(session, sum_)
        except UnreadableError as error:
            for (run_id,) in session.rows(_REFERRING, (sum_,)):
                yield Damage(what=str(error), run_id=run_id)
