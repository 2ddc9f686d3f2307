"""The words by which runs are found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from qtforge_postgresql.session import Session
from qtforge_sdk import Record
from qtforge_sdk.journal_kit.encoding import UnreadableError, decode_record
from qtforge_sdk.journal_kit.search_words import NO_WORDS, SearchRow, search_row, tag_words
from qtforge_sdk.run_status import status_after

__all__ = ["set_error_words", "set_tag_words", "store_words", "store_words_of_all"]

_STORE: Final = """INSERT INTO {s}.searched (run, words, error, tags) VALUES (%s, %s, %s, %s)
    ON CONFLICT (run) DO UPDATE
        SET words = excluded.words, error = excluded.error, tags = excluded.tags"""
_SET_ERRORS: Final = """UPDATE {s}.searched SET error = given.error
    FROM unnest(%b::bigint[], %b::text[]) AS given (key, error)
    WHERE searched.run = given.key AND searched.error <> given.error"""
_SET_TAGS: Final = "UPDATE {s}.searched SET tags = %s WHERE run = %s"
_EACH_RUN: Final = """SELECT key, tags::text, finished_at IS NOT NULL OR status = 'blocked'
    FROM {s}.runs WHERE key > %s ORDER BY key LIMIT 1000"""
_FIRST: Final = "SELECT checksum, payload FROM {s}.records WHERE run = %s AND position = 1"
_FROM_LAST: Final = """SELECT checksum, payload FROM {s}.records WHERE run = %s AND position > 1
    ORDER BY position DESC LIMIT 100"""
_BLOB: Final = "SELECT content FROM {s}.blobs WHERE sum = %s"


def store_words(session: Session, key: int, row: SearchRow) -> None:
    """Store the words of a run."""
    session.execute(_STORE, (key, *row))


def set_error_words(session: Session, words: Mapping[int, str]) -> None:
    """Set the words of the errors of runs, by their keys."""
    session.execute(_SET_ERRORS, (list(words), list(words.values())))


def set_tag_words(session: Session, key: int, tags: Mapping[str, str]) -> None:
    """Set the words of a run's tags."""
    session.execute(_SET_TAGS, (tag_words(tags), key))


def store_words_of_all(session: Session) -> None:
    """Store the words of all runs, from their records; for a migration."""
    last = -1 << 63
    while runs := session.rows(_EACH_RUN, (last,)):
        for key, tags, may_have_error in runs:
            store_words(session, key, _words_of(session, key, tags, may_have_error))
        last = runs[-1][0]


def _words_of(session: Session, key: int, tags: str, may_have_error: bool) -> SearchRow:
    """Return the words of a run; `NO_WORDS` where they can't be read."""

    def load(sum_: bytes) -> bytes:
        row = session.row(_BLOB, (sum_,))
        if row is None:
            raise UnreadableError("the large value is missing")
        return bytes(row[0])

    def decoded(row: Any) -> Record:
        return decode_record(row[1], row[0], load)

    try:
        records = [decoded(row) for row in session.rows(_FIRST, (key,))]
        if may_have_error:  # the last record of its status has it
            for row in session.rows(_FROM_LAST, (key,)):
                record = decoded(row)
                if status_after(record) is not None:
                    records.append(record)
                    break
        return search_row(records, msgspec.json.decode(tags, type=dict[str, str]))
    except UnreadableError:  # `Journal.check` reports it
        return NO_WORDS
