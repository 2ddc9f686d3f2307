"""Read from the journal's SQLite file."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from qtforge_host.journal.admissions import ADMISSIBLE, admission
from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.database import snapshot
from qtforge_host.journal.limit_changes import open_breakers, short_limits
from qtforge_host.journal.listing_queries import list_runs, summary_of
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_host.journal.storage_errors import is_lasting
from qtforge_sdk import Record
from qtforge_sdk.journal import (
    Admission,
    Announcement,
    AppendedPage,
    AppendedRecord,
    Cursor,
    Deliveries,
    InboxEntry,
    InboxMessage,
    JournalOwner,
    KeptValue,
    PoolState,
    PostedMessage,
    Publication,
    RunQuery,
    RunSummary,
    Standing,
    StoredPublication,
)
from qtforge_sdk.journal_errors import JournalDamagedError, RunDuplicateError, RunNotFoundError
from qtforge_sdk.journal_kit.archive import pack
from qtforge_sdk.journal_kit.cursors import number_of, place_of
from qtforge_sdk.journal_kit.encoding import (
    SharedValues,
    UnreadableError,
    decode_message,
    decode_publication,
    decode_record,
    from_us,
    to_us,
)
from qtforge_sdk.records import RunStarted
from qtforge_sdk.run_status import RECOVERABLE
from qtforge_sdk.topics import matches

__all__ = ["Queries", "listening", "payloads"]

_LAST: Final = (1 << 63) - 1
_PAYLOADS: Final = """SELECT position, checksum, payload FROM records
    WHERE run = ? AND position BETWEEN ? AND ? ORDER BY position"""
_COUNT: Final = "SELECT coalesce(max(position), 0) FROM records WHERE run = ?"
_RECOVERABLE: Final = f"""SELECT run_id, owner FROM runs
    WHERE status IN ({", ".join(f"'{status}'" for status in sorted(RECOVERABLE))})
    ORDER BY key"""  # noqa: S608 - of constants
_INBOX: Final = """SELECT position, checksum, payload FROM inbox
    WHERE run = ? AND position > ? ORDER BY position"""

# Records of all runs. CROSS JOIN keeps the order of the tables: along the records, with a seek
# for the run of each.
_ENDS: Final = "SELECT (SELECT max(id) FROM records), (SELECT min(id) FROM records)"
_RECORDS_SINCE: Final = """SELECT records.id, run_id, checksum, payload
    FROM records CROSS JOIN runs ON runs.key = run WHERE records.id > :after
    ORDER BY records.id LIMIT :limit"""
# The index holds the ids as well, and its order is that of the ids.
_RUN_RECORDS_SINCE: Final = """SELECT records.id, run_id, checksum, payload
    FROM records CROSS JOIN runs ON runs.key = run WHERE run = :key AND records.id > :after
    ORDER BY position LIMIT :limit"""

# Waiting runs: their messages and timers.
# Along the inbox, as for the records.
_DELIVERIES: Final = """SELECT run_id, position, checksum, payload
    FROM inbox CROSS JOIN runs ON runs.key = inbox.run
    WHERE position > ? AND owner = ? ORDER BY position LIMIT ?"""
_PENDING: Final = """SELECT arrivals.position, checksum, payload
    FROM arrivals CROSS JOIN inbox ON inbox.position = arrivals.position
    WHERE arrivals.run = (SELECT key FROM runs WHERE run_id = ?) AND arrivals.position > ?
    ORDER BY arrivals.position"""
_VALUES: Final = "SELECT value FROM json_each(:{})"


def _needs_one(of: str) -> str:
    """Return the condition that a run needs one of the plugins that a parameter lists."""
    each = f"SELECT 1 FROM json_each({{}}) WHERE key || '==' || value IN ({_VALUES.format(of)})"  # noqa: S608 - of constants
    return f"(EXISTS ({each.format('served')}) OR EXISTS ({each.format('needs')}))"


_OF_POOL: Final = f"(:pools IS NULL OR pool IN ({_VALUES.format('pools')}))"
_NEEDING: Final = f"(:needing IS NULL OR {_needs_one('needing')})"
# Almost always there is nothing that is left to others.
_BEGUN: Final = f"{_OF_POOL} AND {_NEEDING} AND (:leave IS NULL OR NOT {_needs_one('leave')})"
_UNOWNED: Final = "(owner IS NULL OR owner NOT IN (SELECT value FROM json_each(:alive)))"
_READY: Final = "(:now IS NULL OR rest_until IS NULL OR rest_until <= :now)"
_WAITING: Final = f"status = 'waiting' AND {_UNOWNED} AND {_READY} AND {_BEGUN}"
_ARRIVED: Final = """EXISTS (SELECT 1 FROM arrivals
    WHERE arrivals.run = inbox.run AND arrivals.position = inbox.position)"""
_RUNS_WITH_PENDING: Final = f"""SELECT DISTINCT run_id
    FROM arrivals CROSS JOIN runs ON runs.key = arrivals.run
    WHERE {_WAITING} LIMIT :limit"""  # noqa: S608 - of constants
_RUNS_WITH_PENDING_SINCE: Final = f"""SELECT DISTINCT run_id
    FROM inbox CROSS JOIN runs ON runs.key = inbox.run
    WHERE inbox.position > :since AND {_WAITING} AND {_ARRIVED} LIMIT :limit"""  # noqa: S608 - of constants
# Few runs are paused and were sent something: each message tells whether it is to be handled.
_PAUSED: Final = f"""SELECT run_id, arrivals.position, checksum, payload
    FROM runs CROSS JOIN arrivals ON arrivals.run = runs.key
    CROSS JOIN inbox ON inbox.position = arrivals.position
    WHERE status = 'paused' AND {_UNOWNED} AND {_READY} AND {_BEGUN}"""  # noqa: S608 - of constants
_PAUSED_SINCE: Final = f"""SELECT run_id, inbox.position, checksum, payload
    FROM inbox CROSS JOIN runs ON runs.key = inbox.run
    WHERE inbox.position > :since AND status = 'paused' AND {_UNOWNED} AND {_READY}
    AND {_BEGUN} AND {_ARRIVED}"""  # noqa: S608 - of constants
_DUE: Final = f"""SELECT run_id FROM timers CROSS JOIN runs ON runs.key = timers.run
    WHERE due <= :before AND {_WAITING} ORDER BY due LIMIT :limit"""  # noqa: S608 - of constants
_LAPSED: Final = f"""SELECT run_id FROM runs
    WHERE status IN (SELECT value FROM json_each(:statuses)) AND {_UNOWNED} AND {_READY}
    AND {_BEGUN} ORDER BY key LIMIT :limit"""  # noqa: S608 - of constants
_QUEUED: Final = f"""SELECT run_id FROM runs
    WHERE status = 'queued' AND {_OF_POOL} AND pool NOT IN (SELECT pool FROM paused_pools)
    AND {_UNOWNED} AND {_READY} AND {_NEEDING} AND (not_before IS NULL OR not_before <= :begin)
    AND {ADMISSIBLE}
    AND NOT EXISTS (SELECT 1 FROM json_each(needs) AS need WHERE NOT EXISTS
        (SELECT 1 FROM json_each(:able) AS able
            WHERE able.key = need.key AND need.value IN (able.value, '*')))
    ORDER BY priority DESC, key LIMIT :limit"""  # noqa: S608 - of constants
_PUBLICATIONS: Final = """SELECT position, checksum, payload FROM publications
    WHERE listener = ? ORDER BY position LIMIT ?"""
# Unfinished runs alone, along the index of those.
_RUNS_OF_OWNERS: Final = """SELECT owner, count(*) FROM runs INDEXED BY runs_unfinished
    WHERE finished_at IS NULL AND owner IN (SELECT value FROM json_each(?)) GROUP BY owner"""
_NODES: Final = """SELECT owner, announced, draining, changed_at FROM nodes
    WHERE owner IN (SELECT value FROM json_each(?))"""
_KEPT_VALUES: Final = """SELECT key, revision, data FROM kept_values
    WHERE substr(key, 1, ?) = ? ORDER BY key"""
_POOLS: Final = """SELECT pool, sum(status = 'queued'),
    sum(owner IS NOT NULL AND owner IN (SELECT value FROM json_each(?))),
    pool IN (SELECT pool FROM paused_pools),
    min(CASE WHEN status = 'queued' THEN max(started_at, coalesce(not_before, 0)) END)
    FROM runs INDEXED BY runs_unfinished WHERE finished_at IS NULL GROUP BY pool
    UNION ALL SELECT pool, 0, 0, 1, NULL FROM paused_pools
        WHERE pool NOT IN (SELECT pool FROM runs WHERE finished_at IS NULL)
    ORDER BY 1"""
_NEXT_DUE: Final = "SELECT due FROM timers WHERE due > ? ORDER BY due LIMIT 1"


class Wish(msgspec.Struct, frozen=True):
    """Which runs are taken; see `Journal.take`.

    Attributes:
        now_us: The time, in microseconds.
        pools: Whose runs are taken; None for those of any pool.
        able: The plugins that serve runs here, with the first number of their version.
        since: Only what may have changed since this place; None for everything.
        again: Whether also blocked and resting runs are taken.
        queued: Whether queued runs are taken.
        needing: Only runs that need one of these, such as ``ocr==1``; None for all.
        leave: No runs that have begun and need one of these.
    """

    now_us: int
    pools: tuple[str, ...] | None
    able: dict[str, str]
    since: Cursor | None
    again: bool
    queued: bool
    needing: tuple[str, ...] | None
    leave: tuple[str, ...]


class Queries:
    """The reading half of a journal; for one thread at a time.

    Args:
        connection: Its own connection.
        directory: The journal's folder, for errors.
        locks: Tells which owners are alive.
        blobs: The large values.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        directory: Path,
        locks: OwnerLocks,
        blobs: BlobFiles,
    ) -> None:
        self._connection = connection
        self._directory = directory
        self._locks = locks
        self._blobs = blobs

    def records(self, run_id: str, after: int = 0, limit: int | None = None) -> tuple[Record, ...]:
        """Return a run's records, or a page of them; see `Journal`."""
        key, after = self._key(run_id), max(after, 0)
        if limit is None and not after:
            return self._records(run_id, key, 1)
        (count,) = self._connection.execute(_COUNT, (key,)).fetchone()
        last = count if limit is None else min(count, after + max(limit, 0))
        return self._records(run_id, key, after + 1, last) if last > after else ()

    def tail(self, run_id: str) -> tuple[Record, ...]:
        """Return a run's start, and its records from the last checkpoint; see `Journal`."""
        with snapshot(self._connection):
            key = self._key(run_id)
            (checkpoint,) = self._connection.execute(
                "SELECT kept FROM runs WHERE key = ?", (key,)
            ).fetchone()
            if checkpoint <= 1:
                return self._records(run_id, key, 1)
            first = self._records(run_id, key, 1, 1)
            return first + self._records(run_id, key, checkpoint)

    def summary(self, run_id: str) -> RunSummary:
        """Return one run's summary; see `Journal`."""
        return summary_of(self._connection, self._locks, run_id)

    def runs(self, query: RunQuery) -> tuple[RunSummary, ...]:
        """Return the runs that a query selects; see `Journal`."""
        with snapshot(self._connection):  # runs of each status are read by a statement of their own
            return list_runs(self._connection, self._locks, query)

    def unfinished(self) -> tuple[str, ...]:
        """Return the runs that can be resumed; see `Journal`."""
        rows = self._connection.execute(_RECOVERABLE).fetchall()
        owners = {owner for _, owner in rows}
        alive = {owner for owner in owners if owner is not None and self._locks.is_alive(owner)}
        return tuple(run_id for run_id, owner in rows if owner not in alive)

    def records_since(self, after: Cursor, limit: int, run_id: str | None) -> AppendedPage:
        """Return records of all runs, or of one, in the order of appending; see `Journal`."""
        key = None if run_id is None else self._key(run_id)
        statement = _RECORDS_SINCE if key is None else _RUN_RECORDS_SINCE
        with snapshot(self._connection):
            newest, oldest = self._connection.execute(_ENDS).fetchone()
            newest = newest or 0
            since, gap, missed = place_of(after, oldest or newest + 1, newest)
            given = {"after": since, "limit": limit, "key": key}
            rows = self._connection.execute(statement, given).fetchall()
        return AppendedPage(
            records=tuple(self._appended(*row) for row in rows),
            since=str(since),
            until=str(rows[-1][0] if rows and len(rows) == limit else newest),
            gap=gap,
            missed=missed,
        )

    def inbox(self, run_id: str, after: int) -> tuple[InboxEntry, ...]:
        """Return the messages to a run; see `Journal`."""
        rows = self._connection.execute(_INBOX, (self._key(run_id), after)).fetchall()
        return tuple(InboxEntry(row[0], self._message(run_id, *row)) for row in rows)

    def pending(self, run_id: str, after: int) -> tuple[InboxEntry, ...]:
        """Return the messages that a run has not handled; see `Journal`."""
        rows = self._connection.execute(_PENDING, (run_id, after)).fetchall()
        return tuple(InboxEntry(row[0], self._message(run_id, *row)) for row in rows)

    def deliveries(self, after: Cursor, limit: int) -> Deliveries:
        """Return the messages to the runs of this process; see `Journal`."""
        given = (number_of(after) or 0, self._locks.owner, limit)
        # The end first: what is posted between the two statements is in the next page.
        (end,) = self._connection.execute("SELECT max(position) FROM inbox").fetchone()
        rows = self._connection.execute(_DELIVERIES, given).fetchall() if limit > 0 else []
        messages = tuple(
            PostedMessage(run_id, position, self._message(run_id, position, checksum, payload))
            for run_id, position, checksum, payload in rows
        )
        last = messages[-1].position if messages else 0
        is_whole = len(rows) < limit or limit <= 0
        return Deliveries(messages, str(max(last, end or 0) if is_whole else last))

    def takeable(self, limit: int, wish: Wish) -> list[str]:
        """Return runs that are to be executed, up to a limit, in the order of `Journal.take`."""
        given = {
            **self._of_all(limit),
            "now": None if wish.again else wish.now_us,
            "before": wish.now_us,
            "begin": wish.now_us,
            "since": number_of(wish.since or "") or 0,
            "statuses": '["running","blocked"]' if wish.again else '["running"]',
            "pools": None if wish.pools is None else _json(wish.pools),
            "able": _json(wish.able),
            "needing": None if wish.needing is None else _json(wish.needing),
            "leave": _json(wish.leave) if wish.leave else None,
        }
        found: dict[str, None] = {}
        if wish.since is None or wish.again:
            found.update(dict.fromkeys(self._named(_LAPSED, given)))
        found.update(dict.fromkeys(self._named(_DUE, given)))
        found.update(dict.fromkeys(self._with_pending(given)))
        if wish.queued and len(found) < limit:
            found.update(dict.fromkeys(self._named(_QUEUED, given)))
        return list(found)[:limit]

    def _named(self, statement: str, given: Mapping[str, Any]) -> list[str]:
        return [run_id for (run_id,) in self._connection.execute(statement, given)]

    def runs_with_pending(self, limit: int) -> tuple[str, ...]:
        """Return runs with messages that they have not handled; see `Journal`."""
        given = {**self._of_all(limit), "since": 0}
        return tuple(self._with_pending(given))

    def _with_pending(self, given: Mapping[str, Any]) -> Iterable[str]:
        statement = _RUNS_WITH_PENDING_SINCE if given["since"] else _RUNS_WITH_PENDING
        found = dict.fromkeys(
            run_id for (run_id,) in self._connection.execute(statement, given).fetchall()
        )
        paused = _PAUSED_SINCE if given["since"] else _PAUSED
        for run_id, *row in self._connection.execute(paused, given):
            if len(found) >= given["limit"]:
                break
            if run_id not in found and self._message(run_id, *row).kind == "cancel":
                found[run_id] = None
        return found

    def due(self, before: datetime.datetime, limit: int) -> tuple[str, ...]:
        """Return waiting runs with a timer that is due; see `Journal`."""
        given = {**self._of_all(limit), "before": to_us(before)}
        rows = self._connection.execute(_DUE, given)
        return tuple(dict.fromkeys(run_id for (run_id,) in rows))

    def next_due(self, after: datetime.datetime) -> datetime.datetime | None:
        """Return when the next timer is due; see `Journal`."""
        row = self._connection.execute(_NEXT_DUE, (to_us(after),)).fetchone()
        return None if row is None else from_us(row[0])

    def is_heard(self, topic: str, but: str) -> bool:
        """Return whether a listener, but one, listens to a topic."""
        return bool(listening(self._connection, topic, but))

    def publications(self, listener: str, limit: int) -> tuple[StoredPublication, ...]:
        """Return what is stored for a listener; see `Journal`."""
        rows = self._connection.execute(_PUBLICATIONS, (listener, limit)).fetchall()
        return tuple(StoredPublication(row[0], _publication(*row[1:])) for row in rows)

    def export(self, run_id: str, references: Iterable[str]) -> bytes:
        """Return a run as an archive; see `Journal`."""
        with snapshot(self._connection):
            try:
                self.records(run_id)  # nothing damaged is exported
                self.inbox(run_id, 0)
                key = self._key(run_id)
                rows = self._connection.execute(
                    "SELECT payload FROM inbox WHERE run = ? ORDER BY position", (key,)
                )
                sums = self._connection.execute("SELECT sum FROM blobs WHERE run = ?", (key,))
                contents = [self._blobs.read(sum_) for (sum_,) in sums]
                records = payloads(self._connection, key)
                (tags,) = self._connection.execute(
                    "SELECT tags FROM runs WHERE key = ?", (key,)
                ).fetchone()
                messages = [payload for (payload,) in rows]
                return pack(run_id, records, messages, contents, references, tags)
            except UnreadableError as error:
                self._damaged(run_id, None, error)

    def _records(self, run_id: str, key: int, first: int, last: int = _LAST) -> tuple[Record, ...]:
        found, shared = [], SharedValues()
        try:
            rows = _rows(self._connection, key, first, last)
            for expected, (position, checksum, payload) in enumerate(rows, first):
                if position != expected:
                    self._damaged(run_id, expected, UnreadableError("it is missing"))
                try:
                    found.append(decode_record(payload, checksum, self._blobs.read, shared))
                except UnreadableError as error:
                    self._damaged(run_id, position, error)
            if found and last != _LAST and first + len(found) <= last:
                self._damaged(run_id, first + len(found), UnreadableError("it is missing"))
        except sqlite3.DatabaseError as error:
            if not is_lasting(error):
                raise
            self._damaged(run_id, None, error)
        if not found:
            self._key(run_id)  # it may have been deleted meanwhile
            self._damaged(run_id, first, UnreadableError("it is missing"))
        return tuple(found)

    def _appended(
        self, position: int, run_id: str, checksum: int, payload: bytes
    ) -> AppendedRecord:
        try:
            record = decode_record(payload, checksum, self._blobs.read)
        except UnreadableError:
            # A reader continues after it; `Journal.records` and `check` report the damage.
            return AppendedRecord(cursor=str(position), run_id=run_id, record=None)
        return AppendedRecord(cursor=str(position), run_id=run_id, record=record)

    def _message(self, run_id: str, position: int, checksum: int, payload: bytes) -> InboxMessage:
        try:
            return decode_message(payload, checksum, self._blobs.read)
        except UnreadableError as error:
            self._damaged(run_id, None, UnreadableError(f"message {position}: {error}"))

    def owners(self) -> tuple[JournalOwner, ...]:
        """Return the live processes that have opened the journal; see `Journal`."""
        alive = self._locks.alive()
        runs = dict(self._connection.execute(_RUNS_OF_OWNERS, (_json(alive),)).fetchall())
        nodes = {row[0]: row[1:] for row in self._connection.execute(_NODES, (_json(alive),))}
        found = []
        for owner in alive:
            process = self._locks.process(owner)
            if process is None:  # it has just ended
                continue
            announced, draining, _ = nodes.get(owner, (None, False, 0))
            found.append(
                JournalOwner(
                    owner=owner,
                    pid=process.pid,
                    host=process.hostname,
                    since=process.started_at,
                    runs=runs.get(owner, 0),
                    draining=bool(draining),
                    announcement=announced
                    and msgspec.json.decode(announced, type=Announcement, strict=False),
                )
            )
        return tuple(sorted(found, key=lambda each: (each.since, each.owner)))

    def standing(self) -> Standing:
        """Return what this process is requested to do; see `Journal`."""
        rows = self._connection.execute(_NODES, (_json(self._locks.alive()),)).fetchall()
        mine = [draining for owner, _, draining, _ in rows if owner == self._locks.owner]
        nodes = [f"{owner}:{changed_at}" for owner, announced, _, changed_at in rows if announced]
        nodes_text = " ".join(sorted(nodes))
        return Standing(
            owner=self._locks.owner,
            draining=any(mine),
            nodes=nodes_text,
            short=short_limits(self._connection, self._locks.owner),
            breakers=open_breakers(self._connection),
        )

    def admission(self, started: RunStarted) -> Admission:
        """Return what the start of a run would do; see `Journal`."""
        try:
            return admission(self._connection, started, started.queue is not None)
        except RunDuplicateError as error:
            return Admission(existing=error.run_id)

    def kept_values(self, prefix: str) -> tuple[KeptValue, ...]:
        """Return the shared values whose keys begin with a text; see `Journal`."""
        rows = self._connection.execute(_KEPT_VALUES, (len(prefix), prefix))
        return tuple(KeptValue(key=key, revision=number, data=data) for key, number, data in rows)

    def pools(self) -> tuple[PoolState, ...]:
        """Return the pools that have unfinished runs or are paused; see `Journal`."""
        rows = self._connection.execute(_POOLS, (_json(self._locks.alive()),))
        return tuple(
            PoolState(
                pool=pool,
                queued=queued,
                executing=executing,
                paused=bool(paused),
                oldest_at=None if oldest is None else from_us(oldest),
            )
            for pool, queued, executing, paused, oldest in rows
        )

    def _of_all(self, limit: int) -> dict[str, Any]:
        """Return the values of the conditions for runs of every kind."""
        return {
            "alive": _json(self._locks.alive()), "limit": limit, "now": None, "pools": None,
            "needing": None, "leave": None,
        }  # fmt: skip

    def _key(self, run_id: str) -> int:
        row = self._connection.execute(
            "SELECT key FROM runs WHERE run_id = ?", (run_id,)
        ).fetchone()
        if row is None:
            raise RunNotFoundError(run_id)
        return int(row[0])

    def _damaged(self, run_id: str, position: int | None, error: Exception) -> NoReturn:
        raise JournalDamagedError(str(self._directory), run_id, position, str(error)) from error


def listening(connection: sqlite3.Connection, topic: str, but: str) -> list[tuple[str, int]]:
    """Return the names and capacities of the listeners to a topic, but one."""
    rows = connection.execute("SELECT name, topics, capacity FROM listeners").fetchall()
    return [
        (name, capacity)
        for name, topics, capacity in rows
        if name != but
        and any(matches(pattern, topic) for pattern in msgspec.json.decode(topics, type=list[str]))
    ]


def _publication(checksum: int, payload: bytes) -> Publication | None:
    try:
        return decode_publication(payload, checksum)
    except UnreadableError:
        return None  # a listener continues after it; `Journal.check` reports the damage


def _json(values: object) -> str:
    return msgspec.json.encode(values).decode()


def payloads(connection: sqlite3.Connection, key: int) -> list[bytes]:
    """Return the payloads of a run's records, unchecked."""
    return [payload for _, _, payload in _rows(connection, key)]


def _rows(
    connection: sqlite3.Connection, key: int, first: int = 1, last: int = _LAST
) -> list[tuple[int, int, bytes]]:
    return connection.execute(_PAYLOADS, (key, first, last)).fetchall()
