"""Read from the journal's tables."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NoReturn

import msgspec

from qtforge_postgresql.address import Address
from qtforge_postgresql.admissions import Key, admission, is_storable_key
from qtforge_postgresql.changes import listening
from qtforge_postgresql.cursors import BEGINNING, Place, parse_place
from qtforge_postgresql.listing import list_runs, summary_of
from qtforge_postgresql.session import Session
from qtforge_postgresql.taking import Wish, is_anything_takeable
from qtforge_postgresql.texts import is_storable
from qtforge_postgresql.watch import Pulse
from qtforge_sdk import Record
from qtforge_sdk.journal import (
    Admission,
    Announcement,
    AppendedPage,
    AppendedRecord,
    Deliveries,
    InboxEntry,
    InboxMessage,
    JournalOwner,
    KeptValue,
    PoolState,
    PostedMessage,
    Publication,
    RunQuery,
    RunSecret,
    RunSummary,
    StoredPublication,
    is_run_id,
)
from qtforge_sdk.journal_errors import JournalDamagedError, RunDuplicateError, RunNotFoundError
from qtforge_sdk.journal_kit.archive import pack
from qtforge_sdk.journal_kit.encoding import (
    SharedValues,
    UnreadableError,
    decode_message,
    decode_publication,
    decode_record,
    from_us,
    to_us,
)
from qtforge_sdk.journal_kit.secret_lines import decode_secrets
from qtforge_sdk.records import RunStarted
from qtforge_sdk.run_status import RECOVERABLE

__all__ = ["ALIVE", "LAST", "Queries", "load_blob"]

LAST: Final = (1 << 63) - 1
"""The largest position."""

ALIVE: Final = """EXISTS (SELECT 1 FROM {s}.owners
    WHERE owners.owner = runs.owner AND owners.expires > clock_timestamp())"""
"""Whether the owner of a row of ``runs`` lives."""

_KEY: Final = "SELECT key FROM {s}.runs WHERE run_id = %s"
_PAYLOADS: Final = """SELECT position, checksum, payload FROM {s}.records
    WHERE run = %s AND position BETWEEN %s AND %s ORDER BY position"""
# A run's start and what follows its last checkpoint, each searched for along the index; a row
# without a position where there is no record, and none where there is no run.
_TAIL: Final = """SELECT kept, position, checksum, payload
    FROM {s}.runs LEFT JOIN LATERAL (
        SELECT position, checksum, payload FROM {s}.records WHERE run = key AND position = 1
        UNION ALL
        SELECT position, checksum, payload FROM {s}.records
        WHERE run = key AND position >= greatest(kept, 2)
    ) AS record ON true
    WHERE run_id = %s ORDER BY position"""
_PLACE: Final = "SELECT workflow, place FROM {s}.runs WHERE run_id = %s"
_COUNT: Final = "SELECT coalesce(max(position), 0) FROM {s}.records WHERE run = %s"
_BLOB: Final = "SELECT content FROM {s}.blobs WHERE sum = %s"
_UNFINISHED: Final = f"""SELECT run_id FROM {{s}}.runs
    WHERE status IN ({", ".join(f"'{status}'" for status in sorted(RECOVERABLE))})
    AND finished_at IS NULL AND NOT {ALIVE} ORDER BY key"""
# A row without a position where there is no message, and none where there is no run.
_INBOX: Final = """SELECT inbox.position, inbox.checksum, inbox.payload
    FROM {s}.runs LEFT JOIN {s}.inbox ON inbox.run = runs.key AND inbox.position > %s
    WHERE run_id = %s ORDER BY inbox.position"""
_PENDING: Final = """SELECT inbox.position, checksum, payload
    FROM {s}.runs JOIN {s}.arrivals ON arrivals.run = key
    JOIN {s}.inbox ON inbox.position = arrivals.position
    WHERE run_id = %s AND arrivals.position > %s ORDER BY inbox.position"""
# Whatever is below the oldest transaction that has not ended stays as it is: nothing new appears
# there. All of it is one statement, and so one snapshot. The order is by ``records.xact``: ``xact``
# alone would be the text that is selected, and as texts 1000 is before 999.
_STATE: Final = """SELECT era, pruned::text, pg_snapshot_xmax(pg_current_snapshot())::text,
    newest.*, oldest.xact::text, page.*
    FROM {s}.journal
    LEFT JOIN LATERAL (
        SELECT xact::text, id FROM {s}.records WHERE xact < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY records.xact DESC, id DESC LIMIT 1
    ) AS newest ON true
    LEFT JOIN LATERAL (
        SELECT xact FROM {s}.records
        WHERE pruned > %s::text::xid8
            AND NOT EXISTS (SELECT 1 FROM {s}.gone WHERE gone.run = records.run)
        ORDER BY xact, id LIMIT 1
    ) AS oldest ON true
    LEFT JOIN LATERAL (
        SELECT xact::text, id, run_id, checksum, payload
        FROM {s}.records JOIN {s}.runs ON key = run
        WHERE (xact, id) > (%s::text::xid8, %s)
            AND xact < pg_snapshot_xmin(pg_current_snapshot()) AND"""
_ALL_PAGE: Final = f"{_STATE} true ORDER BY records.xact, id LIMIT %s) AS page ON true"
_RUN_PAGE: Final = f"{_STATE} run = %s ORDER BY position LIMIT %s) AS page ON true"
_DELIVERIES: Final = """SELECT era,
    EXISTS (SELECT 1 FROM {s}.inbox WHERE xact >= pg_snapshot_xmin(pg_current_snapshot())),
    newest.*, page.*
    FROM {s}.journal
    LEFT JOIN LATERAL (
        SELECT xact::text, position FROM {s}.inbox
        WHERE xact < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY inbox.xact DESC, position DESC LIMIT 1
    ) AS newest ON true
    LEFT JOIN LATERAL (
        SELECT xact::text, run_id, position, checksum, payload
        FROM {s}.inbox JOIN {s}.runs ON key = run
        WHERE (xact, position) > (%s::text::xid8, %s)
            AND xact < pg_snapshot_xmin(pg_current_snapshot()) AND owner = %s
        ORDER BY inbox.xact, position LIMIT %s
    ) AS page ON true"""
_RUNS_WITH_PENDING: Final = f"""SELECT run_id FROM {{s}}.runs
    WHERE status = 'waiting' AND NOT {ALIVE}
    AND key IN (SELECT run FROM {{s}}.arrivals) LIMIT %s"""
# Few runs are paused and were sent something: each message tells whether it is to be handled.
_PAUSED: Final = f"""SELECT key, run_id, inbox.position, checksum, payload
    FROM {{s}}.runs JOIN {{s}}.arrivals ON arrivals.run = key
    JOIN {{s}}.inbox ON inbox.position = arrivals.position
    WHERE status = 'paused' AND (xact, inbox.position) > (%s::text::xid8, %s) AND NOT {ALIVE}
    AND coalesce(rest_until, %s) <= %s"""
_DUE: Final = f"""SELECT run_id FROM {{s}}.timers JOIN {{s}}.runs ON key = run
    WHERE due <= %s AND status = 'waiting' AND NOT {ALIVE}
    ORDER BY due LIMIT %s"""
_NEXT_DUE: Final = "SELECT due FROM {s}.timers WHERE due > %s ORDER BY due LIMIT 1"
_OWNERS: Final = """SELECT owner, pid, host, started, extract(epoch FROM lease)::float8,
    extract(epoch FROM expires - clock_timestamp())::float8, draining, announced,
    (SELECT count(*) FROM {s}.runs WHERE runs.owner = owners.owner AND finished_at IS NULL)
    FROM {s}.owners WHERE expires > clock_timestamp() ORDER BY started, owner"""
_KEPT_VALUES: Final = """SELECT key, revision, data FROM {s}.kept_values
    WHERE starts_with(key, %s) ORDER BY key"""
_POOLS: Final = f"""WITH unfinished AS (
        SELECT pool, status, {ALIVE} AS lives, greatest(started_at, not_before) AS at
        FROM {{s}}.runs WHERE finished_at IS NULL
    ), counted AS (
        SELECT pool, count(*) FILTER (WHERE status = 'queued') AS queued,
            count(*) FILTER (WHERE lives) AS executing, min(at) FILTER (WHERE status = 'queued')
        FROM unfinished GROUP BY pool
    )
    SELECT coalesce(counted.pool, paused.pool), coalesce(queued, 0), coalesce(executing, 0),
        paused.pool IS NOT NULL, min
    FROM counted FULL JOIN {{s}}.paused_pools AS paused ON paused.pool = counted.pool ORDER BY 1"""
_PUBLICATIONS: Final = """SELECT position, checksum, payload FROM {s}.publications
    WHERE listener = %s ORDER BY position LIMIT %s"""
_SECRETS: Final = "SELECT content FROM {s}.secrets WHERE run_id = %s"


class Queries:
    """The reading half of a journal; for one thread at a time.

    Args:
        session: Its own connection.
        address: Where the journal is, for errors.

    Attributes:
        session: The connection; its user replaces it when it was lost.
    """

    def __init__(self, session: Session, address: Address) -> None:
        self.session = session
        self._address = address

    def records(self, run_id: str, after: int = 0, limit: int | None = None) -> tuple[Record, ...]:
        """Return a run's records, or a page of them; see `Journal`."""
        key = self._key(run_id)
        after = _bounded(after)
        if limit is None and not after:
            return self._records(run_id, key, 1)
        (count,) = self.session.row(_COUNT, (key,))
        last = count if limit is None else min(count, after + max(limit, 0))
        return self._records(run_id, key, after + 1, last) if last > after else ()

    def tail(self, run_id: str) -> tuple[Record, ...]:
        """Return a run's start, and its records from the last checkpoint; see `Journal`."""
        rows = self.session.rows(_TAIL, (run_id,)) if is_run_id(run_id) else []
        if not rows:
            raise RunNotFoundError(run_id)
        kept = rows[0][0]
        found = [row[1:] for row in rows if row[1] is not None]
        if kept <= 1:
            return self._decoded(run_id, found, 1, LAST)
        start = sum(position == 1 for position, *_ in found)
        first = self._decoded(run_id, found[:start], 1, 1)
        return first + self._decoded(run_id, found[start:], kept, LAST)

    def summary(self, run_id: str) -> RunSummary:
        """Return one run's summary; see `Journal`."""
        return summary_of(self.session, run_id)

    def runs(self, query: RunQuery) -> tuple[RunSummary, ...]:
        """Return the runs that a query selects; see `Journal`."""
        return list_runs(self.session, query)

    def unfinished(self) -> tuple[str, ...]:
        """Return the runs that can be resumed; see `Journal`."""
        return tuple(row[0] for row in self.session.rows(_UNFINISHED))

    def records_since(self, after: str, limit: int, run_id: str | None) -> AppendedPage:
        """Return records of all runs, or of one, in the order of appending; see `Journal`."""
        key = None if run_id is None else self._key(run_id)
        begin = parse_place(after)
        _, xact, id_ = begin or BEGINNING
        given = [str(xact), str(xact), id_, *(() if key is None else (key,)), _bounded(limit)]
        rows = self.session.rows(_ALL_PAGE if key is None else _RUN_PAGE, given)
        era, pruned, next_xact, newest_xact, newest_id, oldest = rows[0][:6]
        gap: Literal["", "pruned", "unknown"] = ""
        if begin is None or (after and (begin.era != era or begin.xact >= int(next_xact))):
            gap = "unknown"
        elif after and begin.xact < int(pruned) and (oldest is None or int(pruned) < int(oldest)):
            gap = "pruned"
        if gap == "unknown" and (xact or id_):
            page = self.records_since("", limit, run_id)
            return msgspec.structs.replace(page, gap=gap)
        found = tuple(
            AppendedRecord(
                cursor=str(Place(era, int(row[6]), row[7])),
                run_id=row[8],
                record=self._record(*row[9:]),
            )
            for row in rows
            if row[6] is not None
        )
        newest = Place(era, int(newest_xact or 0), newest_id or 0)
        if begin is not None and not gap:
            newest = max(newest, begin)  # what it was after may have been pruned
        is_full = bool(found) and len(found) == limit
        until = found[-1].cursor if is_full else str(newest)
        since = "" if gap or not xact else after
        return AppendedPage(records=found, since=since, until=until, gap=gap)

    def deliveries(self, owner: str, after: str, limit: int) -> tuple[Deliveries, bool]:
        """Return the messages to the runs of this process; see `Journal`.

        Returns:
            The page, and whether there are messages after it that wait for the end of an older
            transaction, of whatever kind.
        """
        begin = parse_place(after) or BEGINNING
        given = (str(begin.xact), begin.id, owner, _bounded(limit))
        rows = self.session.rows(_DELIVERIES, given)
        era, is_hidden, newest_xact, newest_position = rows[0][:4]
        if begin.era not in (0, era):
            return self.deliveries(owner, "", limit)
        found = [row[4:] for row in rows if row[4] is not None]
        messages = tuple(PostedMessage(row[1], row[2], self._message(*row[1:])) for row in found)
        if found and len(found) == limit:
            last = Place(era, int(found[-1][0]), found[-1][2])
            return Deliveries(messages, str(last)), is_hidden
        newest = Place(era, int(newest_xact or 0), newest_position or 0)
        return Deliveries(messages, str(max(newest, begin))), is_hidden

    def inbox(self, run_id: str, after: int) -> tuple[InboxEntry, ...]:
        """Return the messages to a run; see `Journal`."""
        rows = self.session.rows(_INBOX, (_bounded(after), run_id)) if is_run_id(run_id) else []
        if not rows:
            raise RunNotFoundError(run_id)
        messages = (row for row in rows if row[0] is not None)
        return tuple(InboxEntry(row[0], self._message(run_id, *row)) for row in messages)

    def pending(self, run_id: str, after: int) -> tuple[InboxEntry, ...]:
        """Return the messages that a run has not handled; see `Journal`."""
        if not is_run_id(run_id):
            return ()
        rows = self.session.rows(_PENDING, (run_id, _bounded(after)))
        return tuple(InboxEntry(row[0], self._message(run_id, *row)) for row in rows)

    def runs_with_pending(self, limit: int) -> tuple[str, ...]:
        """Return runs with messages that they have not handled; see `Journal`."""
        rows = self.session.rows(_RUNS_WITH_PENDING, (_bounded(limit),))
        found = [row[0] for row in rows]
        found += [run_id for _, run_id in self.cancelled(BEGINNING, LAST)]
        return tuple(found[: max(limit, 0)])

    def cancelled(self, since: Place, now_us: int) -> list[tuple[int, str]]:
        """Return key and id of paused runs that no process owns and that are to be cancelled.

        Args:
            since: Only for messages after this place.
            now_us: Without those that rest until after this time, in microseconds.
        """
        rows = self.session.rows(_PAUSED, (str(since.xact), since.id, now_us, now_us))
        return list(
            dict.fromkeys(
                (key, run_id)
                for key, run_id, *row in rows
                if self._message(run_id, *row).kind == "cancel"
            )
        )

    def takeable(self, wish: Wish, pulse: Pulse | None) -> list[int] | None:
        """Return the keys of paused runs that are to be taken; None if nothing at all is.

        Args:
            wish: Which runs are taken.
            pulse: Gives a sign of life in the same transaction; None for none. It comes last, as
                it locks the row of this process until the end.
        """
        now_us = LAST if wish.again else wish.now_us
        with self.session.transaction():
            cancelled = self.cancelled(wish.since or BEGINNING, now_us)
            is_any = bool(cancelled) or is_anything_takeable(self.session, wish)
            if pulse is not None:
                pulse.beat(self.session)
        return [key for key, _ in cancelled] if is_any else None

    def due(self, before: datetime.datetime, limit: int) -> tuple[str, ...]:
        """Return waiting runs with a timer that is due; see `Journal`."""
        rows = self.session.rows(_DUE, (to_us(before), _bounded(limit)))
        return tuple(dict.fromkeys(row[0] for row in rows))

    def next_due(self, after: datetime.datetime) -> datetime.datetime | None:
        """Return when the next timer is due; see `Journal`."""
        row = self.session.row(_NEXT_DUE, (to_us(after),))
        return None if row is None else from_us(row[0])

    def owners(self) -> tuple[JournalOwner, ...]:
        """Return the live processes that have opened the journal; see `Journal`."""
        return tuple(
            JournalOwner(
                owner=row[0],
                pid=row[1],
                host=row[2],
                since=row[3].astimezone(datetime.UTC),
                lease_s=row[4],
                lease_left_s=row[5],
                draining=row[6],
                announcement=None
                if row[7] is None
                else msgspec.json.decode(row[7], type=Announcement),
                runs=row[8],
            )
            for row in self.session.rows(_OWNERS)
        )

    def admission(self, started: RunStarted) -> Admission:
        """Return what the start of a run would do; see `Journal`."""
        if not is_storable_key(started):
            return Admission()  # it will be refused
        with self.session.snapshot():
            try:
                return admission(self.session, started, is_queued=started.queue is not None)
            except RunDuplicateError as error:
                return Admission(existing=error.run_id)

    def place_of(self, run_id: str) -> Key | None:
        """Return the concurrency key of a run as it is locked; None where it has none."""
        row = self.session.row(_PLACE, (run_id,)) if is_run_id(run_id) else None
        return None if row is None or row[1] is None else ("place", row[0], row[1])

    def kept_values(self, prefix: str) -> tuple[KeptValue, ...]:
        """Return the shared values whose keys begin with a text; see `Journal`."""
        rows = self.session.rows(_KEPT_VALUES, (prefix,))
        return tuple(
            KeptValue(key=key, revision=number, data=bytes(data)) for key, number, data in rows
        )

    def pools(self) -> tuple[PoolState, ...]:
        """Return the pools that have unfinished runs or are paused; see `Journal`."""
        return tuple(
            PoolState(
                pool=row[0],
                queued=row[1],
                executing=row[2],
                paused=row[3],
                oldest_at=None if row[4] is None else from_us(row[4]),
            )
            for row in self.session.rows(_POOLS)
        )

    def now(self) -> datetime.datetime:
        """Return the server's time."""
        found: datetime.datetime = self.session.row("SELECT clock_timestamp()")[0]
        return found.astimezone(datetime.UTC)

    def is_heard(self, topic: str, but: str) -> bool:
        """Return whether a listener, but one, listens to a topic."""
        rows = self.session.rows("SELECT name, topics, capacity FROM {s}.listeners")
        return bool(listening(rows, topic, but))

    def publications(self, listener: str, limit: int) -> tuple[StoredPublication, ...]:
        """Return what is stored for a listener; see `Journal`."""
        if not is_storable(listener):
            return ()
        rows = self.session.rows(_PUBLICATIONS, (listener, _bounded(limit)))
        return tuple(StoredPublication(row[0], _publication(*row[1:])) for row in rows)

    def secrets(self, run_id: str) -> dict[str, RunSecret]:
        """Return what the references of a run stand for; see `Journal`."""
        if not is_run_id(run_id):
            return {}
        rows = self.session.rows(_SECRETS, (run_id,))
        return decode_secrets(b"".join(row[0] for row in rows))

    def export(self, run_id: str, references: Iterable[str]) -> bytes:
        """Return a run as an archive; see `Journal`."""
        with self.session.snapshot():
            self.records(run_id)  # nothing damaged is exported
            self.inbox(run_id, 0)
            key = self._key(run_id)
            inbox = self.session.rows(
                "SELECT payload FROM {s}.inbox WHERE run = %s ORDER BY position", (key,)
            )
            sums = self.session.rows("SELECT sum FROM {s}.blob_refs WHERE run = %s", (key,))
            try:
                contents = [load_blob(self.session, sum_) for (sum_,) in sums]
            except UnreadableError as error:
                self._damaged(run_id, None, error)
            records = self.session.rows(_PAYLOADS, (key, 1, LAST))
            (tags,) = self.session.row("SELECT tags::text FROM {s}.runs WHERE key = %s", (key,))
            return pack(
                run_id,
                [payload for _, _, payload in records],
                [payload for (payload,) in inbox],
                contents,
                references,
                tags,
            )

    def _records(self, run_id: str, key: int, first: int, last: int = LAST) -> tuple[Record, ...]:
        return self._decoded(run_id, self.session.rows(_PAYLOADS, (key, first, last)), first, last)

    def _decoded(
        self, run_id: str, rows: Sequence[tuple[int, int, bytes]], first: int, last: int
    ) -> tuple[Record, ...]:
        """Return the records at the positions from `first` to `last`, or to the end.

        Raises:
            JournalDamagedError: One of them is missing or unreadable.
        """
        found, shared = [], SharedValues()
        for expected, (position, checksum, payload) in enumerate(rows, first):
            if position != expected:
                self._damaged(run_id, expected, UnreadableError("it is missing"))
            try:
                found.append(decode_record(payload, checksum, self._load, shared))
            except UnreadableError as error:
                self._damaged(run_id, position, error)
        if not found:
            self._key(run_id)  # it may have been deleted meanwhile
        if not found or (last != LAST and first + len(found) <= last):
            self._damaged(run_id, first + len(found), UnreadableError("it is missing"))
        return tuple(found)

    def _record(self, checksum: int, payload: bytes) -> Record | None:
        try:
            return decode_record(payload, checksum, self._load)
        except UnreadableError:
            return None  # a reader continues after it; `records` and `check` report the damage

    def _message(self, run_id: str, position: int, checksum: int, payload: bytes) -> InboxMessage:
        try:
            return decode_message(payload, checksum, self._load)
        except UnreadableError as error:
            self._damaged(run_id, None, UnreadableError(f"message {position}: {error}"))

    def _load(self, sum_: bytes) -> bytes:
        return load_blob(self.session, sum_)

    def _key(self, run_id: str) -> int:
        row = self.session.row(_KEY, (run_id,)) if is_run_id(run_id) else None
        if row is None:
            raise RunNotFoundError(run_id)
        return int(row[0])

    def _damaged(self, run_id: str, position: int | None, error: Exception) -> NoReturn:
        raise JournalDamagedError(self._address.shown, run_id, position, str(error)) from error


def load_blob(session: Session, sum_: bytes) -> bytes:
    """Return the content of a large value.

    Raises:
        UnreadableError: It is missing, or not what was written.
    """
    row = session.row(_BLOB, (sum_,))
    if row is None:
        raise UnreadableError(f"the large value {sum_.hex()[:12]} is missing")
    content = bytes(row[0])
    if hashlib.sha256(content).digest() != sum_:
        raise UnreadableError(f"the large value {sum_.hex()[:12]} is not what was written")
    return content


def _bounded(number: int) -> int:
    """Return a number of a caller's as one that the server can compare."""
    return min(max(number, 0), LAST)


def _publication(checksum: int, payload: bytes) -> Publication | None:
    try:
        return decode_publication(payload, checksum)
    except UnreadableError:
        return None  # a listener continues after it; `Journal.check` reports the damage
