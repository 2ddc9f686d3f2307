"""Write what waiting runs need: checkpoints, timers, and messages that are not handled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from qtforge_postgresql.session import Session
from qtforge_sdk.journal import Posted
from qtforge_sdk.journal_kit.encoding import Encoded
from qtforge_sdk.journal_kit.jobs import CheckpointRow

__all__ = ["SavedCheckpoints", "WaitingRows", "merge_checkpoints"]

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
_POST: Final = """WITH given AS MATERIALIZED (
        SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::bytea[], %b::bool[])
            WITH ORDINALITY AS given (run, message_id, checksum, payload, arrives, place)
    ), posted AS (
        INSERT INTO {s}.inbox (run, message_id, checksum, payload)
        SELECT run, message_id, checksum, payload FROM given ORDER BY place
        ON CONFLICT (run, message_id) DO NOTHING RETURNING run, message_id, position
    ), arrived AS (
        INSERT INTO {s}.arrivals
        SELECT run, position FROM posted JOIN given USING (run, message_id) WHERE arrives
        ON CONFLICT DO NOTHING
    )
    SELECT coalesce(posted.position, (SELECT position FROM {s}.inbox
            WHERE inbox.run = given.run AND inbox.message_id = given.message_id)),
        posted.position IS NOT NULL
    FROM given LEFT JOIN posted USING (run, message_id) ORDER BY place"""
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


class SavedCheckpoints(NamedTuple):
    """What several checkpoints change, each row once.

    Attributes:
        rows: By the run's key: position and time of the last one, its label and events, and the
            last correlation key that one of them gives, or "".
        gone: Run and name of timers that are removed.
        running: Run, name and time of timers that are set.
        handled: Run and position of messages that were handled.
    """

    rows: dict[int, tuple[int, int, str, str, str]]
    gone: list[tuple[int, str]]
    running: list[tuple[int, str, int]]
    handled: list[tuple[int, int]]

    def leaves_waiting(
        self, answered: Sequence[tuple[int, str]], ended: Collection[int]
    ) -> list[list[object]]:
        """Return the columns of timers and messages of runs that continue; none where none change.

        Args:
            answered: Keys of runs, and ids of their handled messages other than events.
            ended: Keys of runs that end at the same time.
        """
        tables: tuple[Sequence[tuple[object, ...]], ...] = (
            self.gone, self.running, self.handled, answered,
        )  # fmt: skip
        if not any(tables):
            return []
        columns: list[list[object]] = []
        for table, count in zip(tables, (2, 3, 2, 2), strict=True):
            rows = [row for row in table if row[0] not in ended]
            columns += _columns(rows) if rows else [[] for _ in range(count)]
        return columns


def merge_checkpoints(
    checkpoints: Sequence[tuple[int, int, CheckpointRow]],
) -> SavedCheckpoints:
    """Return what checkpoints change, each with the run's key and the record's position."""
    correlations = {key: row.key for key, _, row in checkpoints if row.key}
    timers: dict[tuple[int, str], int | None] = {}
    for key, _, row in checkpoints:
        timers.update(((key, name), None) for name in row.timers_gone)
        timers.update(((key, name), due) for name, due in row.timers_set)
    return SavedCheckpoints(
        rows={
            key: (place, row.at_us, row.label, row.accepts, correlations.get(key, ""))
            for key, place, row in checkpoints
        },
        gone=[each for each, due in timers.items() if due is None],
        running=[(*each, due) for each, due in timers.items() if due is not None],
        handled=[(key, row.inbox) for key, _, row in checkpoints if row.inbox],
    )


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
        saved = merge_checkpoints(checkpoints)
        rows = [(key, *row) for key, row in saved.rows.items()]
        self._session.execute(_SAVE, _columns(rows))
        if saved.gone:
            self._session.execute(_DROP_TIMERS, _columns(saved.gone))
        if saved.running:
            self._session.execute(_SET_TIMERS, _columns(saved.running))
        if saved.handled:
            self._session.execute(_DROP_ARRIVALS, _columns(saved.handled))

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

    def post(self, messages: Sequence[tuple[int, str, Encoded, bool]]) -> list[Posted]:
        """Put messages into the inboxes of runs whose rows are locked.

        Args:
            messages: Each with its run's key, its id, and whether the run is to handle it: not
                one that has ended. A message with the id of an earlier one is not posted again.

        Returns:
            What was done with each.
        """
        rows = [(key, name, encoded.checksum, encoded.payload, arrives)
                for key, name, encoded, arrives in messages]  # fmt: skip
        found = self._session.rows(_POST, _columns(rows))
        before: set[tuple[int, str]] = set()
        posted = []
        for (key, name, *_), (position, is_new) in zip(messages, found, strict=True):
            posted.append(Posted(position, is_new and (key, name) not in before))
            before.add((key, name))
        return posted

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
