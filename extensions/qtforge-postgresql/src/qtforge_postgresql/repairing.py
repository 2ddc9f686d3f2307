"""Repair a journal: rows that follow from the records; no record is touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from qtforge_postgresql.group import Group
from qtforge_postgresql.inspection import (
    missing_rows,
    missing_words,
    row_of,
    rows_by_records,
)
from qtforge_postgresql.run_words import store_words
from qtforge_sdk.journal import Repair
from qtforge_sdk.journal_kit.appending import tags_text
from qtforge_sdk.journal_kit.expected_rows import COLUMNS, ExpectedRow
from qtforge_sdk.journal_kit.jobs import Change

__all__ = ["repair"]

_UPDATE: Final = (
    f"UPDATE {{s}}.runs SET {', '.join(f'{each} = %s' for each in COLUMNS)} WHERE key = %s"
)
_INSERT: Final = f"""INSERT INTO {{s}}.runs ({", ".join(COLUMNS)}, key, epoch)
    VALUES ({", ".join(["%s"] * len(COLUMNS))}, %s, %s)"""
# Of what the records do not say: the first tags, and that a run that has begun holds its place.
_TAG_AGAIN: Final = """UPDATE {s}.runs SET tags = %s::text::jsonb,
    holds = CASE WHEN place IS NOT NULL AND finished_at IS NULL THEN %s ELSE 0 END
    WHERE key = %s"""
_RESUMED: Final = 1_000_000  # a rebuilt row's epoch: later than any that its owners had
_LOCK: Final = "LOCK TABLE {s}.runs, {s}.timers, {s}.arrivals IN SHARE ROW EXCLUSIVE MODE"
_SET_TIMER: Final = """INSERT INTO {s}.timers VALUES (%s, %s, %s)
    ON CONFLICT (run, name) DO UPDATE SET due = excluded.due"""
_DROP_STRAY: Final = (
    "DELETE FROM {s}.searched WHERE NOT EXISTS (SELECT 1 FROM {s}.runs WHERE key = run)",
    """DELETE FROM {s}.timers WHERE NOT EXISTS
        (SELECT 1 FROM {s}.runs WHERE key = run AND finished_at IS NULL)""",
    """DELETE FROM {s}.arrivals WHERE NOT EXISTS
        (SELECT 1 FROM {s}.runs WHERE key = arrivals.run AND finished_at IS NULL)
        OR NOT EXISTS (SELECT 1 FROM {s}.inbox
            WHERE inbox.position = arrivals.position AND inbox.run = arrivals.run)""",
)
_RAISE_SEQUENCES: Final = (
    """SELECT setval(pg_get_serial_sequence('{s}.runs', 'key'),
        greatest((SELECT coalesce(max(key), 1) FROM {s}.runs),
            nextval(pg_get_serial_sequence('{s}.runs', 'key'))))""",
    """SELECT setval(pg_get_serial_sequence('{s}.inbox', 'position'),
        greatest((SELECT coalesce(max(position), 1) FROM {s}.inbox),
            nextval(pg_get_serial_sequence('{s}.inbox', 'position'))))""",
)


def repair() -> Change:
    """Return the change that repairs the journal; its outcome is what it did.

    Other processes that write wait for its end, and their writes are tried again.
    """

    def do(group: Group) -> tuple[Repair, ...]:
        done: list[Repair] = []
        group.session.execute("SET LOCAL statement_timeout = 0")
        group.session.execute("SET LOCAL idle_in_transaction_session_timeout = '60s'")
        group.session.execute(_LOCK)
        for run in rows_by_records(group.session, []):
            if run.is_whole and run.run_id is not None:
                _row(group, run, done.append)
        _stray_rows(group, done.append)
        return tuple(done)

    return Change(do, wakes=True)


def _row(group: Group, run: ExpectedRow, say: Callable[[Repair], None]) -> None:
    session, run_id = group.session, run.run_id
    row = row_of(session, run)
    group.forget(run.key)
    if row is None:
        session.execute(_INSERT, (*run.values, run.key, _RESUMED))
        begun = int(run.status != "queued")
        session.execute(_TAG_AGAIN, (tags_text(run.tags), begun, run.key))
        say(Repair(what="its row was made from its records", run_id=run_id))
    elif wrong := run.differing_columns(row):
        session.execute(_UPDATE, (*run.values, run.key))
        say(Repair(what=f"its row was corrected: {', '.join(wrong)}", run_id=run_id))
    words = missing_words(session, run)
    if words is not None:
        store_words(session, run.key, words)
        say(Repair(what="the words by which it is found were stored again", run_id=run_id))
    if run.values[5] is not None:
        return
    timers, messages = missing_rows(session, run)
    for name, due in timers.items():
        session.execute(_SET_TIMER, (run.key, name, due))
        say(Repair(what=f"its timer '{name}' was set again", run_id=run_id))
    for position in messages:
        session.execute("INSERT INTO {s}.arrivals VALUES (%s, %s)", (run.key, position))
        say(Repair(what=f"its message {position} is to be handled again", run_id=run_id))


def _stray_rows(group: Group, say: Callable[[Repair], None]) -> None:
    count = sum(group.session.execute(each).rowcount for each in _DROP_STRAY)
    if count:
        say(Repair(what=f"{count} rows of timers and messages that nothing waits for were removed"))
    for each in _RAISE_SEQUENCES:
        group.session.execute(each)
