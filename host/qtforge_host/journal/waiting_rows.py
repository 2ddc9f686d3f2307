"""What the journal's file holds of runs that wait: their timers, and messages not dealt with."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from qtforge_host.journal.encoding import Encoded

__all__ = ["KeptRow", "WaitingRows"]

_KEEP: Final = "UPDATE runs SET kept = ?, label = ?, accepts = ?, kept_at = ? WHERE key = ?"
_SET_KEY: Final = "UPDATE runs SET correlation = ? WHERE key = ? AND correlation IS NOT ?"
_SET_TIMER: Final = """INSERT INTO timers VALUES (?, ?, ?)
    ON CONFLICT (run, name) DO UPDATE SET due = excluded.due"""
_DROP_TIMER: Final = "DELETE FROM timers WHERE run = ? AND name = ?"
_DROP_ARRIVALS: Final = "DELETE FROM arrivals WHERE run = ? AND position <= ?"
_POST: Final = """INSERT INTO inbox (run, message_id, checksum, payload) VALUES (?, ?, ?, ?)
    ON CONFLICT (run, message_id) DO NOTHING"""


class KeptRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a kept state makes of its run's row, timers and inbox.

    Attributes:
        place: Of its record, among those that are written with it.
        label: The state in a word.
        accepts: The events that it waits for, separated by blanks.
        at_us: When it was kept.
        timers_set: Names and times.
        timers_gone: Names.
        inbox: How far the inbox has been dealt with; 0 for nothing new.
        key: What events from the bus are correlated with, or "".
    """

    place: int
    label: str
    accepts: str
    at_us: int
    timers_set: list[tuple[str, int]]
    timers_gone: list[str]
    inbox: int
    key: str = ""


class WaitingRows:
    """Writes them, within the transaction of a group.

    Args:
        connection: The group's.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # Most stores have none of them: then an end of a run costs nothing here.
        self._used = self._is_used()

    def keep(self, kept: Sequence[tuple[int, int, KeptRow]], ended: Sequence[int]) -> None:
        """Take in kept states, and that runs have ended.

        Args:
            kept: Each with the run's key and the record's position.
            ended: Keys of runs.
        """
        if kept:
            self._keep(kept)
        if ended and self._used:
            keys = [(key,) for key in ended]
            self._connection.executemany("DELETE FROM timers WHERE run = ?", keys)
            self._connection.executemany("DELETE FROM arrivals WHERE run = ?", keys)

    def post(self, key: int, message_id: str, encoded: Encoded) -> int:
        """Put a message into a run's inbox, and return its position."""
        cursor = self._connection.execute(
            _POST, (key, message_id, encoded.checksum, encoded.payload)
        )
        row = self._connection.execute(
            "SELECT position FROM inbox WHERE run = ? AND message_id = ?", (key, message_id)
        ).fetchone()
        if cursor.rowcount:
            self._used = True
            self._connection.execute("INSERT INTO arrivals VALUES (?, ?)", (key, row[0]))
        return int(row[0])

    def _keep(self, kept: Sequence[tuple[int, int, KeptRow]]) -> None:
        execute = self._connection.executemany
        execute(
            _KEEP, [(place, row.label, row.accepts, row.at_us, key) for key, place, row in kept]
        )
        keys = [(row.key, key, row.key) for key, _, row in kept if row.key]
        if keys:
            execute(_SET_KEY, keys)
        gone = [(key, name) for key, _, row in kept for name in row.timers_gone]
        if gone:
            execute(_DROP_TIMER, gone)
        timers = [(key, name, due) for key, _, row in kept for name, due in row.timers_set]
        if timers:
            self._used = True
            execute(_SET_TIMER, timers)
        dealt_with = [(key, row.inbox) for key, _, row in kept if row.inbox]
        if dealt_with:
            execute(_DROP_ARRIVALS, dealt_with)

    def _is_used(self) -> bool:
        row = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM timers) OR EXISTS (SELECT 1 FROM arrivals)"
        ).fetchone()
        return bool(row[0])
