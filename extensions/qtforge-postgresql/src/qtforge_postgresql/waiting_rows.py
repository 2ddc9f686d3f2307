"""Write what waiting runs need: checkpoints, timers, and messages that are not handled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qtforge_postgresql.session import Session
from qtforge_sdk.journal import Posted
from qtforge_sdk.journal_kit.encoding import Encoded
from qtforge_sdk.journal_kit.jobs import CheckpointRow

__all__ = ["WaitingRows"]

_SAVE: Final = """UPDATE {s}.runs SET kept = given.kept, kept_at = given.kept_at,
        label = given.label, accepts = given.accepts,
        correlation = coalesce(nullif(given.correlation, ''), runs.correlation)
    FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::text[])
        AS given (key, kept, kept_at, label, accepts, correlation)
    WHERE runs.key = given.key"""
_SET_TIMERS: Final = """INSERT INTO {s}.timers
    SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bigint[])
    ON CONFLICT (run, name) DO UPDATE SET due = excluded.due"""
_DROP_TIMERS: Final = """DELETE FROM {s}.timers USING unnest(%b::bigint[], %b::text[])
    AS given (run, name) WHERE timers.run = given.run AND timers.name = given.name"""
_DROP_ARRIVALS: Final = """DELETE FROM {s}.arrivals USING unnest(%b::bigint[], %b::bigint[])
    AS given (run, position)
    WHERE arrivals.run = given.run AND arrivals.position = given.position"""
_DROP_ANSWERED: Final = """DELETE FROM {s}.arrivals
    USING unnest(%b::bigint[], %b::text[]) AS given (run, message_id)
    JOIN {s}.inbox USING (run, message_id)
    WHERE arrivals.run = given.run AND arrivals.position = inbox.position"""
_DROP_ENDED: Final = """WITH timers AS (DELETE FROM {s}.timers WHERE run = ANY (%b::bigint[]))
    DELETE FROM {s}.arrivals WHERE run = ANY (%b::bigint[])"""
# The run's row is locked by now, so that positions grow in the order in which they can be read.
_POST: Final = """WITH posted AS (
        INSERT INTO {s}.inbox (run, message_id, checksum, payload) VALUES (%b, %b, %b, %b)
        ON CONFLICT (run, message_id) DO NOTHING RETURNING run, position
    ), arrived AS (
        INSERT INTO {s}.arrivals SELECT run, position FROM posted WHERE %b
    )
    SELECT coalesce((SELECT position FROM posted),
        (SELECT position FROM {s}.inbox WHERE run = %b AND message_id = %b)),
        EXISTS (SELECT 1 FROM posted)"""
# Within the server, because there may be any number of runs with the key.
_POST_TO_KEY: Final = """WITH to_runs AS MATERIALIZED (
        SELECT key FROM {s}.runs
        WHERE correlation = %b AND workflow = %b AND finished_at IS NULL
        ORDER BY key FOR NO KEY UPDATE
    ), posted AS (
        INSERT INTO {s}.inbox (run, message_id, checksum, payload)
        SELECT key, %b, %b, %b FROM to_runs
        ON CONFLICT (run, message_id) DO NOTHING RETURNING run, position
    ), arrived AS (
        INSERT INTO {s}.arrivals SELECT run, position FROM posted
    ), referred AS (
        INSERT INTO {s}.blob_refs SELECT key, sum FROM to_runs, unnest(%b::bytea[]) AS given (sum)
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) FROM posted"""


class WaitingRows:
    """Writes these rows, within the transaction of a group.

    Args:
        session: The connection of the group.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(self, checkpoints: Sequence[tuple[int, int, CheckpointRow]]) -> None:
        """Write checkpoints.

        Args:
            checkpoints: Each with the run's key and the record's position. The last one of a
                run replaces its earlier ones, but for a key that only an earlier one gives.
        """
        if not checkpoints:
            return
        correlations = {key: row.key for key, _, row in checkpoints if row.key}
        newest = {
            key: (key, place, row.at_us, row.label, row.accepts, correlations.get(key, ""))
            for key, place, row in checkpoints
        }
        self._session.execute(_SAVE, _columns(list(newest.values())))
        timers: dict[tuple[int, str], int | None] = {}
        for key, _, row in checkpoints:
            timers.update(((key, name), None) for name in row.timers_gone)
            timers.update(((key, name), due) for name, due in row.timers_set)
        gone = [each for each, due in timers.items() if due is None]
        if gone:
            self._session.execute(_DROP_TIMERS, _columns(gone))
        running = [(*each, due) for each, due in timers.items() if due is not None]
        if running:
            self._session.execute(_SET_TIMERS, _columns(running))
        handled = [(key, row.inbox) for key, _, row in checkpoints if row.inbox]
        if handled:
            self._session.execute(_DROP_ARRIVALS, _columns(handled))

    def drop(self, answered: Sequence[tuple[int, str]], ended: Sequence[int]) -> None:
        """Drop handled messages other than events, and everything of runs that have ended.

        Args:
            answered: Keys of runs, and ids of their handled messages.
            ended: Keys of runs that have ended.
        """
        if answered:
            self._session.execute(_DROP_ANSWERED, _columns(answered))
        if ended:
            self._session.execute(_DROP_ENDED, (list(ended), list(ended)))

    def post(self, key: int, message_id: str, encoded: Encoded, *, arrives: bool) -> Posted:
        """Put a message into the inbox of a run whose row is locked.

        Args:
            key: The run's key.
            message_id: A message with the id of an earlier one is not posted again.
            encoded: The message.
            arrives: Whether the run is to handle it; False when it has ended.
        """
        given = (key, message_id, encoded.checksum, encoded.payload, arrives, key, message_id)
        return Posted(*self._session.row(_POST, given))

    def post_to_key(self, workflow: str, key: str, message_id: str, encoded: Encoded) -> int:
        """Put a message into the inbox of each unfinished run with a key; return how many.

        Args:
            workflow: The workflow of the runs.
            key: The correlation key of the runs.
            message_id: Runs that have a message of this id are left out.
            encoded: The message; its large values are already stored.
        """
        sums = [blob.sum for blob in encoded.blobs]
        given = (key, workflow, message_id, encoded.checksum, encoded.payload, sums)
        return int(self._session.row(_POST_TO_KEY, given)[0])


def _columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
