"""Write what waiting runs need: checkpoints, timers, and messages that are not handled."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from qtforge_sdk.journal import Posted
from qtforge_sdk.journal_kit.encoding import Encoded
from qtforge_sdk.journal_kit.jobs import CheckpointRow

__all__ = ["WaitingRows"]

# Each takes all rows of a group as one JSON text: a call for each row would release the
# interpreter lock and wait for the event loop to release it again.
_SAVE: Final = """UPDATE runs SET kept = new.value ->> 1, kept_at = new.value ->> 2
    FROM json_each(?) AS new WHERE runs.key = new.value ->> 0"""
_SHOW: Final = """UPDATE runs SET label = new.value ->> 1, accepts = new.value ->> 2
    FROM json_each(?) AS new WHERE runs.key = new.value ->> 0"""
_SET_KEY: Final = "UPDATE runs SET correlation = ? WHERE key = ? AND correlation IS NOT ?"
_SET_TIMERS: Final = """INSERT INTO timers SELECT value ->> 0, value ->> 1, value ->> 2
    FROM json_each(?) WHERE true ON CONFLICT (run, name) DO UPDATE SET due = excluded.due"""
_DROP_TIMERS: Final = """DELETE FROM timers
    WHERE (run, name) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"""
_DROP_ARRIVALS: Final = """DELETE FROM arrivals
    WHERE (run, position) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"""
_DROP_ANSWERED: Final = """DELETE FROM arrivals WHERE run = :run
    AND position = (SELECT position FROM inbox WHERE run = :run AND message_id = :message_id)"""
_POST: Final = """INSERT INTO inbox (run, message_id, checksum, payload) VALUES (?, ?, ?, ?)
    ON CONFLICT (run, message_id) DO NOTHING"""
# Within SQLite, because there may be any number of them.
_TO_KEY: Final = """FROM runs
    WHERE correlation = :to AND workflow = :workflow AND finished_at IS NULL"""
_POST_TO_KEY: Final = f"""INSERT INTO inbox (run, message_id, checksum, payload)
    SELECT key, :message_id, :checksum, :payload {_TO_KEY} ORDER BY key
    ON CONFLICT (run, message_id) DO NOTHING"""
_ADD_BLOB: Final = f"INSERT OR IGNORE INTO blobs SELECT :sum, key {_TO_KEY}"
_ARRIVE: Final = "INSERT INTO arrivals SELECT run, position FROM inbox WHERE position > ?"
_ENCODE: Final = msgspec.json.Encoder().encode


class WaitingRows:
    """Writes these rows, within the transaction of a group.

    Args:
        connection: The connection of the group.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._used = False  # without timers and messages, the end of a run costs less

    def save(self, checkpoints: Sequence[tuple[int, int, CheckpointRow]]) -> None:
        """Write checkpoints.

        Args:
            checkpoints: Each with the run's key and the record's position. The last one of a
                run replaces its earlier ones.
        """
        if not checkpoints:
            return
        newest = {key: (key, place, row.at_us) for key, place, row in checkpoints}
        self._write(_SAVE, list(newest.values()))
        shown = {key: (key, row.label, row.accepts) for key, _, row in checkpoints if row.shows}
        self._write(_SHOW, list(shown.values()))
        keys = [(row.key, key, row.key) for key, _, row in checkpoints if row.key and row.shows]
        if keys:
            self._connection.executemany(_SET_KEY, keys)
        timers: dict[tuple[int, str], int | None] = {}
        for key, _, row in checkpoints:
            timers.update(((key, name), None) for name in row.timers_gone)
            timers.update(((key, name), due) for name, due in row.timers_set)
        if timers:
            self._used = True
            self._write(_DROP_TIMERS, [each for each, due in timers.items() if due is None])
            running = [(*each, due) for each, due in timers.items() if due is not None]
            self._write(_SET_TIMERS, running)
        self._write(_DROP_ARRIVALS, [(key, row.inbox) for key, _, row in checkpoints if row.inbox])

    def drop(self, answered: Sequence[tuple[int, str]], ended: Sequence[int]) -> None:
        """Drop handled messages other than events, and everything of runs that have ended.

        Args:
            answered: Keys of runs, and ids of their handled messages.
            ended: Keys of runs that have ended.
        """
        if answered:
            given = [{"run": key, "message_id": message_id} for key, message_id in answered]
            self._connection.executemany(_DROP_ANSWERED, given)
        if ended and (self._used or self._is_used()):
            self._used = True
            keys = [(key,) for key in ended]
            self._connection.executemany("DELETE FROM timers WHERE run = ?", keys)
            self._connection.executemany("DELETE FROM arrivals WHERE run = ?", keys)

    def post(self, key: int, message_id: str, encoded: Encoded, *, arrives: bool) -> Posted:
        """Put a message into a run's inbox.

        Args:
            key: The run's key.
            message_id: A message with the id of an earlier one is not posted again.
            encoded: The message.
            arrives: Whether the run is to handle it; False when it has ended.
        """
        cursor = self._connection.execute(
            _POST, (key, message_id, encoded.checksum, encoded.payload)
        )
        if not cursor.rowcount:
            row = self._connection.execute(
                "SELECT position FROM inbox WHERE run = ? AND message_id = ?", (key, message_id)
            ).fetchone()
            return Posted(int(row[0]), is_new=False)
        position = int(cursor.lastrowid or 0)
        if arrives:
            self._used = True
            self._connection.execute("INSERT INTO arrivals VALUES (?, ?)", (key, position))
        return Posted(position, is_new=True)

    def post_to_key(self, workflow: str, key: str, message_id: str, encoded: Encoded) -> int:
        """Put a message into the inbox of each unfinished run with a key; return how many.

        Args:
            workflow: The workflow of the runs.
            key: The correlation key of the runs.
            message_id: Runs that have a message of this id are left out.
            encoded: The message; its large values are already in their files.
        """
        to = {"workflow": workflow, "to": key}
        row = self._connection.execute("SELECT max(position) FROM inbox").fetchone()
        for blob in encoded.blobs:
            self._connection.execute(_ADD_BLOB, {**to, "sum": blob.sum})
        given = {"message_id": message_id, "checksum": encoded.checksum, "payload": encoded.payload}
        cursor = self._connection.execute(_POST_TO_KEY, {**to, **given})
        if cursor.rowcount:
            self._used = True
            self._connection.execute(_ARRIVE, (row[0] or 0,))
        return max(cursor.rowcount, 0)

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            self._connection.execute(statement, (_ENCODE(rows).decode(),))

    def _is_used(self) -> bool:
        row = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM timers) OR EXISTS (SELECT 1 FROM arrivals)"
        ).fetchone()
        return bool(row[0])
