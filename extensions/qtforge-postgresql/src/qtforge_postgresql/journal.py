"""`PostgresqlJournal`: a journal in PostgreSQL, for any number of processes and machines."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec
import psycopg

import qtforge_postgresql.changes as changes
import qtforge_postgresql.limit_changes as limit_changes
import qtforge_postgresql.logs as run_logs
from qtforge_postgresql.address import parse_address
from qtforge_postgresql.contact import Contact
from qtforge_postgresql.cursors import BEGINNING, parse_place
from qtforge_postgresql.errors import storage_error
from qtforge_postgresql.inspection import inspect, read_statistics
from qtforge_postgresql.periods import begin_period, remove_gone
from qtforge_postgresql.queries import LAST, Queries
from qtforge_postgresql.repairing import repair
from qtforge_postgresql.retried_reads import RetriedReads
from qtforge_postgresql.schema import migrate, verify
from qtforge_postgresql.session import Connector, Session
from qtforge_postgresql.store import PostgresqlStore, Signal
from qtforge_postgresql.taking import Wish, take
from qtforge_postgresql.texts import check_text, is_storable
from qtforge_postgresql.watch import Pulse, Watch
from qtforge_sdk import Record
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal import (
    Admission,
    Announcement,
    AppendedPage,
    BreakerTrial,
    Cursor,
    Damage,
    Deliveries,
    Drawn,
    Holding,
    InboxEntry,
    InboxMessage,
    JournalOwner,
    JournalSettings,
    JournalStatistics,
    KeptValue,
    Ownership,
    PoolState,
    Posted,
    Publication,
    Repair,
    RunQuery,
    RunSecret,
    RunSummary,
    Standing,
    StoredPublication,
    is_run_id,
)
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.journal_kit.admission import check_tags
from qtforge_sdk.journal_kit.appending import make_append, make_create, make_queued
from qtforge_sdk.journal_kit.archive import unpack
from qtforge_sdk.journal_kit.drop_log import DropLog
from qtforge_sdk.journal_kit.encoding import encode_message, encode_publication, to_us
from qtforge_sdk.journal_kit.jobs import Append, Create, Job
from qtforge_sdk.journal_kit.kept_values import check_kept
from qtforge_sdk.journal_kit.reader import Reader
from qtforge_sdk.journal_kit.writer import Writer
from qtforge_sdk.records import RunStarted
from qtforge_sdk.run_logs import LogEntry, LogQuery, StoredLog

__all__ = ["PostgresqlJournal", "initialize", "make_postgresql_journal"]

T = TypeVar("T")
_FIRST_LOOK_S: Final = 0.02  # before messages are looked for that wait for another transaction
_LAST_LOOK_S: Final = 1.0
_MOST_TAKEN: Final = 10_000  # runs in one transaction
_TIDY_S: Final = 60.0  # between two looks at the tables, however often runs are deleted
_GONE_WAITS_DAYS: Final = 1  # as long as the runs of a period are deleted by their age


@dataclass(frozen=True, slots=True)
class _Open:
    """The parts of an open journal."""

    writer: Writer
    store: PostgresqlStore
    reader: Reader[Queries]
    watch: Watch
    signal: Signal


class PostgresqlJournal:
    """Implements `qtforge_sdk.journal.Journal`.

    It has three connections: one writes, one reads, and one keeps the lease and is notified
    of other processes' writes. A connection that is lost is made again, and what was being
    written is written once.

    Args:
        settings: With the address.

    Attributes:
        max_value_bytes: The largest record or message; see `Journal`.
        publication_age: How long a publication waits; see `Journal`.

    Raises:
        ConfigError: The address is not one.
    """

    def __init__(self, settings: JournalSettings, /) -> None:
        self.max_value_bytes = settings.max_value_bytes
        self.publication_age = settings.publication_age
        self._address = parse_address(settings.url)
        self._lease_s = settings.lease_s
        self._connector = Connector(self._address)
        self._contact = Contact(settings.lease_s)
        self._drop_log = DropLog()
        self._open: _Open | None = None
        self._look_again_s = _FIRST_LOOK_S
        self._tidy_at_s = 0.0

    async def initialize(self) -> str:
        """Make the tables, or migrate older ones; see `SharedJournal`.

        Raises:
            JournalNotReadyError: The tables are newer than this version, or can't be made here.
            JournalUnavailableError: The server can't be reached.
            JournalFailedError: The server refused it.
        """

        def work() -> str:
            with contextlib.closing(self._connector.connect()) as session:
                return migrate(session, self._address)

        try:
            return await asyncio.to_thread(work)
        except psycopg.Error as error:
            raise storage_error(self._address, error) from error

    async def open(self) -> None:
        """Open the journal; see `Journal`.

        Raises:
            JournalNotReadyError: It has no tables, or those of another version.
            JournalUnavailableError: The server can't be reached.
        """
        if self._open is not None:
            return
        thread = ThreadPoolExecutor(1, "qtforge-journal-reader")
        loop = asyncio.get_running_loop()
        try:
            read, store, watch, signal = await loop.run_in_executor(thread, self._prepare)
        except BaseException as error:
            thread.shutdown(wait=False)
            if isinstance(error, psycopg.Error):
                raise storage_error(self._address, error) from error
            raise
        queries = Queries(read, self._address)
        reads = RetriedReads(queries, self._connector, self._contact, self._lease_s)
        self._open = _Open(Writer(store), store, Reader(reads, thread), watch, signal)

    async def close(self) -> None:
        """Finish all writes, and release every run."""
        if self._open is None:
            return
        parts, self._open = self._open, None
        await parts.writer.close()
        await parts.reader.close()
        await asyncio.to_thread(parts.watch.close)

    async def create(self, started: RunStarted, records: Sequence[Record] = ()) -> Ownership:
        """Add a new run; see `Journal`."""
        ownership: Ownership = await self._create(
            make_create(started, records, None, self.max_value_bytes)
        )
        return ownership

    async def enqueue(self, started: RunStarted) -> Sequence[str]:
        """Add a new run that nobody owns; see `Journal`."""
        cancelled = await self._create(make_queued(started, self.max_value_bytes))
        self._parts().signal.set()  # this process may take it too
        return cancelled or ()

    async def admission(self, started: RunStarted) -> Admission:
        """Return what the start of a run would do; see `Journal`."""
        return await self._read(lambda queries: queries.admission(started))

    async def admit(self, ownership: Ownership) -> Sequence[str]:
        """Let a queued run hold a place; see `Journal`."""
        key = await self._read(lambda queries: queries.place_of(ownership.run_id))
        change = changes.admit(ownership, key, to_us(await self.now()))
        first: Sequence[str] = await self._write(change)
        return first

    async def tag(self, run_id: str, changed: Mapping[str, str | None]) -> Mapping[str, str]:
        """Change tags of a run; see `Journal`."""
        _check_id(run_id)
        check_tags(changed)
        tags: Mapping[str, str] = await self._write(changes.tag(run_id, changed))
        return tags

    async def take(
        self,
        limit: int,
        *,
        now: datetime.datetime,
        pools: Sequence[str] | None = None,
        able: Mapping[str, str] = MappingProxyType({}),
        since: Cursor | None = None,
        again: bool = False,
        queued: bool = True,
        needing: Collection[tuple[str, str]] | None = None,
        leave: Collection[tuple[str, str]] = (),
    ) -> Sequence[Ownership]:
        """Own runs that are to be executed; see `Journal`."""
        limit = min(limit, _MOST_TAKEN)
        if limit <= 0:
            return ()
        wish = Wish(
            now_us=to_us(now),
            pools=None if pools is None else tuple(pools),
            able=dict(able),
            since=None if since is None else parse_place(since) or BEGINNING,
            again=again,
            queued=queued,
            needing=None if needing is None else tuple(map("==".join, needing)),
            leave=tuple(map("==".join, leave)),
            may_take_over=self._contact.may_take_over,
        )
        pulse = self._parts().watch.pulse if since is None else None
        cancelled = await self._read(lambda queries: queries.takeable(wish, pulse))
        if cancelled is None:  # as mostly: nothing is written
            return ()
        taken: list[Ownership] = await self._write(take(limit, wish, cancelled))
        return taken

    async def claim(self, run_id: str) -> Ownership:
        """Claim a run that no living process owns; see `Journal`."""
        _check_id(run_id)
        may_take_over = self._contact.may_take_over
        change = changes.claim(run_id, may_take_over=may_take_over)
        ownership: Ownership = await self._write(change)
        return ownership

    async def release(
        self,
        ownership: Ownership,
        *,
        rest_until: datetime.datetime | None = None,
        needs: Mapping[str, str] | None = None,
        unused: bool = False,
    ) -> None:
        """Release a run; see `Journal`."""
        await self._write(changes.release(ownership, rest_until, needs, unused=unused))

    async def note_needs(self, needs: Mapping[str, Mapping[str, str]]) -> None:
        """Store what runs of this process need; see `Journal`."""
        await self._write(changes.note_needs(needs))

    async def append(
        self,
        ownership: Ownership,
        records: Sequence[Record],
        posts: Sequence[tuple[str, InboxMessage]] = (),
    ) -> None:
        """Append records, all or none; see `Journal`."""
        if records:
            job = make_append(ownership, records, posts, self.max_value_bytes)
            if job.checkpoint is not None or job.posts or job.answered:
                _check_append(job)
            await self._parts().writer.submit(job)

    async def records(
        self, run_id: str, after: int = 0, limit: int | None = None
    ) -> Sequence[Record]:
        """Return a run's records, or a page of them; see `Journal`."""
        return await self._read(lambda queries: queries.records(run_id, after, limit))

    async def tail(self, run_id: str) -> Sequence[Record]:
        """Return a run's start, and its records from the last checkpoint; see `Journal`."""
        return await self._read(lambda queries: queries.tail(run_id))

    async def summary(self, run_id: str) -> RunSummary:
        """Return one run's summary; see `Journal`."""
        return await self._read(lambda queries: queries.summary(run_id))

    async def runs(self, query: RunQuery) -> Sequence[RunSummary]:
        """Return the runs that a query selects; see `Journal`."""
        return await self._read(lambda queries: queries.runs(query))

    async def unfinished(self) -> Sequence[str]:
        """Return the runs that can be resumed; see `Journal`."""
        return await self._read(lambda queries: queries.unfinished())

    async def post(self, run_id: str, message: InboxMessage) -> Posted:
        """Post a message to a run; see `Journal`."""
        encoded = encode_message(run_id, message, self.max_value_bytes)
        _check_id(run_id)
        check_text(run_id, message.kind, message.message_id)
        posted: Posted = await self._write(changes.post(run_id, message.message_id, encoded))
        return posted

    async def inbox(self, run_id: str, after: int = 0) -> Sequence[InboxEntry]:
        """Return the messages to a run; see `Journal`."""
        return await self._read(lambda queries: queries.inbox(run_id, after))

    async def pending(self, run_id: str, after: int = 0) -> Sequence[InboxEntry]:
        """Return the messages that a run has not handled; see `Journal`."""
        return await self._read(lambda queries: queries.pending(run_id, after))

    async def deliveries(self, after: Cursor, limit: int = 1000) -> Deliveries:
        """Return the messages to the runs of this process; see `Journal`."""
        owner = self._parts().store.owner
        page, is_hidden = await self._read(lambda queries: queries.deliveries(owner, after, limit))
        if not is_hidden:
            self._look_again_s = _FIRST_LOOK_S
        else:  # `changed` says so when it is time to look again
            loop = asyncio.get_running_loop()
            loop.call_later(self._look_again_s, self._parts().signal.set)
            self._look_again_s = min(2 * self._look_again_s, _LAST_LOOK_S)
        return page

    async def post_to_key(self, workflow: str, key: str, message: InboxMessage) -> int:
        """Post to all unfinished runs with a correlation key; see `Journal`."""
        encoded = encode_message(key, message, self.max_value_bytes)
        check_text(key, message.kind, message.message_id, workflow, key)
        change = changes.post_to_key(workflow, key, message.message_id, encoded)
        return int(await self._write(change))

    async def runs_with_pending(self, limit: int = 1000) -> Sequence[str]:
        """Return runs with messages that they have not handled; see `Journal`."""
        return await self._read(lambda queries: queries.runs_with_pending(limit))

    async def due(self, before: datetime.datetime, limit: int = 1000) -> Sequence[str]:
        """Return waiting runs with a timer that is due; see `Journal`."""
        return await self._read(lambda queries: queries.due(before, limit))

    async def next_due(self, after: datetime.datetime) -> datetime.datetime | None:
        """Return when the next timer is due; see `Journal`."""
        return await self._read(lambda queries: queries.next_due(after))

    async def now(self) -> datetime.datetime:
        """Return the server's time; see `Journal`."""
        return await self._read(lambda queries: queries.now())

    async def changed(self, timeout_s: float) -> bool:
        """Wait until an inbox may have a new message; see `Journal`."""
        return await self._parts().writer.changed(timeout_s)

    async def listen(self, listener: str, topics: Sequence[str], capacity: int = 10_000) -> None:
        """Store what is published on topics for a listener; see `Journal`."""
        await self._write(changes.listen(listener, topics, min(max(capacity, 0), LAST)))

    async def publish(self, publication: Publication, *, but: str = "") -> int:
        """Store a publication for those who listen; see `Journal`."""
        if not await self._read(lambda queries: queries.is_heard(publication.topic, but)):
            return 0
        encoded = encode_publication(publication)
        change = changes.publish(publication, encoded, but, self.publication_age)
        count, dropped = await self._write(change)
        self._drop_log.note(dropped, self.publication_age)
        return int(count)

    async def publications(self, listener: str, limit: int = 100) -> Sequence[StoredPublication]:
        """Return what is stored for a listener; see `Journal`."""
        return await self._read(lambda queries: queries.publications(listener, limit))

    async def remove_publications(self, listener: str, until: int) -> None:
        """Remove what a listener has received; see `Journal`."""
        if is_storable(listener):
            until = min(max(until, 0), LAST)
            await self._write(changes.remove_publications(listener, until))

    async def store_secrets(self, run_id: str, secrets: Mapping[str, RunSecret]) -> None:
        """Store what references of a run stand for; see `Journal`."""
        await self._write(changes.store_secrets(run_id, secrets))

    async def secrets(self, run_id: str) -> Mapping[str, RunSecret]:
        """Return what the references of a run stand for; see `Journal`."""
        return await self._read(lambda queries: queries.secrets(run_id))

    async def records_since(
        self, after: Cursor, limit: int = 1000, *, run_id: str | None = None
    ) -> AppendedPage:
        """Return records of all runs, or of one, in the order of appending; see `Journal`."""
        return await self._read(lambda queries: queries.records_since(after, limit, run_id))

    async def announce(self, announcement: Announcement) -> None:
        """Store what this process says of itself; see `Journal`."""
        text = msgspec.json.encode(announcement).decode()
        check_text("", "an announcement", text)
        self._parts().store.announced = text  # also under another name, after it was taken over
        await self._write(changes.announce(text))

    async def owners(self) -> Sequence[JournalOwner]:
        """Return the live processes that have opened the journal; see `Journal`."""
        return await self._read(lambda queries: queries.owners())

    async def drain(self, owner: str, *, draining: bool) -> bool:
        """Request a process to take nothing new; see `Journal`."""
        if not is_storable(owner):
            return False
        return bool(await self._write(changes.drain(owner, draining=draining)))

    async def standing(self) -> Standing:
        """Return what the last sign of life of this process was answered with; see `Journal`."""
        parts = self._parts()
        cut_off = self._contact.silent_s > parts.watch.pulse.silence_s
        return msgspec.structs.replace(
            parts.store.standing, cut_off=cut_off, lives_for_s=parts.watch.pulse.lives_for_s
        )

    async def hold(self, limit: str, places: int, *, using: int, wanted: int) -> Holding:
        """Hold places of a limit; see `Journal`."""
        given = (min(each, LAST) for each in (places, using, wanted))
        holding: Holding = await self._write(limit_changes.hold_places(limit, *given))
        return holding

    async def draw(
        self,
        limit: str,
        wanted: int,
        *,
        count: int,
        period_s: float,
        spare_s: float = 0.0,
        full_in_s: float | None = None,
    ) -> Drawn:
        """Take tokens from the bucket of a rate; see `Journal`."""
        change = limit_changes.draw_tokens(limit, wanted, count, period_s, spare_s, full_in_s)
        drawn: Drawn = await self._write(change)
        return drawn

    async def open_breaker(
        self, topic: str, plugin: str, open_for_s: float, reason: str
    ) -> datetime.datetime:
        """Open a circuit breaker for all processes; see `Journal`."""
        change = limit_changes.open_breaker(topic, plugin, open_for_s, reason)
        until: datetime.datetime = await self._write(change)
        return until

    async def try_breaker(self, topic: str, plugin: str, *, give_up: bool = False) -> BreakerTrial:
        """Ask for the right to make the trial calls of a breaker; see `Journal`."""
        change = limit_changes.change_breaker_trial(topic, plugin, give_up=give_up)
        trial: BreakerTrial = await self._write(change)
        return trial

    async def close_breaker(self, topic: str, plugin: str) -> None:
        """Close a circuit breaker for all processes; see `Journal`."""
        await self._write(limit_changes.close_breaker(topic, plugin))

    async def pools(self) -> Sequence[PoolState]:
        """Return the pools that have unfinished runs or are paused; see `Journal`."""
        return await self._read(lambda queries: queries.pools())

    async def pause_pool(self, pool: str, *, paused: bool) -> bool:
        """Let no process take queued runs of a pool; see `Journal`."""
        check_text("", "a pool", pool)
        return bool(await self._write(changes.pause_pool(pool, paused=paused)))

    async def kept_values(self, prefix: str) -> Sequence[KeptValue]:
        """Return the shared values whose keys begin with a text; see `Journal`."""
        return await self._read(lambda queries: queries.kept_values(prefix))

    async def keep_value(self, key: str, data: bytes | None, revision: int) -> bool:
        """Keep a shared value, unless it was changed since it was read; see `Journal`."""
        check_kept(key, data)
        check_text("", "a value", key)
        return bool(await self._write(changes.keep_value(key, data, revision)))

    async def add_logs(self, entries: Sequence[LogEntry]) -> None:
        """Add entries to the logs of runs; see `LogKeeper`."""
        await self._alone(lambda session: run_logs.add_logs(session, entries))

    async def logs(self, query: LogQuery) -> Sequence[StoredLog]:
        """Return entries of a run's log; see `LogKeeper`."""
        return await self._read(lambda queries: run_logs.logs(queries.session, query))

    async def log_size(self, run_id: str) -> int:
        """Return the size of a run's log; see `LogKeeper`."""
        return await self._read(lambda queries: run_logs.log_size(queries.session, run_id))

    async def remove_logs(self, run_ids: Sequence[str]) -> None:
        """Remove the logs of runs; see `LogKeeper`."""
        await self._alone(lambda session: run_logs.remove_logs(session, run_ids))

    async def prune_logs(self, before: datetime.datetime, most_bytes: int) -> int:
        """Remove old entries of logs; see `LogKeeper`."""
        return await self._alone(lambda session: run_logs.prune_logs(session, before, most_bytes))

    async def statistics(self) -> JournalStatistics:
        """Count runs, timers and messages; see `Journal`."""
        return await self._alone(read_statistics)

    def backlog(self) -> int:
        """Return how many writes wait; see `Journal`."""
        return self._parts().writer.backlog

    async def prune(self, finished_before: datetime.datetime) -> int:
        """Delete old runs; see `Journal`."""
        count = 0
        await self._alone(self._begin_period)
        while pruned := int(await self._write(changes.prune(finished_before))):
            count += pruned
        await self._alone(self._remove_gone)
        while await self._write(changes.sweep_blobs()):
            pass
        await self._write(changes.sweep_secrets())
        return count

    async def delete(
        self, run_ids: Sequence[str], *, ended_before: datetime.datetime
    ) -> Sequence[str]:
        """Delete runs; see `Journal`."""
        deleted: list[str] = []
        for start in range(0, len(run_ids), changes.AT_ONCE):
            few = run_ids[start : start + changes.AT_ONCE]
            deleted += await self._write(changes.delete(few, ended_before))
        now_s = time.monotonic()
        if deleted and now_s >= self._tidy_at_s:
            self._tidy_at_s = now_s + _TIDY_S
            await self._alone(self._tidy)
        return deleted

    def _begin_period(self, session: Session) -> None:
        begin_period(session, self._address.schema)

    def _remove_gone(self, session: Session, waits_days: int = 0) -> None:
        remove_gone(session, self._address.schema, waits_days=waits_days)

    def _tidy(self, session: Session) -> None:
        self._begin_period(session)
        self._remove_gone(session, _GONE_WAITS_DAYS)

    async def export(self, run_id: str) -> bytes:
        """Return a run as an archive; see `Journal`."""
        references = await self.secrets(run_id)
        return await self._read(lambda queries: queries.export(run_id, references))

    async def import_(self, data: bytes, *, pause: bool = True) -> str:
        """Import an exported run; see `Journal`."""
        archive = unpack(data, pause=pause)
        missing = archive.missing_secrets(await self.secrets(archive.run_id))
        if missing:  # before the records that have the references
            await self.store_secrets(archive.run_id, missing)
        return str(await self._write(changes.import_archive(archive)))

    async def check(self) -> Sequence[Damage]:
        """Return all damage; see `Journal`."""
        return await self._alone(inspect)

    async def repair(self) -> Sequence[Repair]:
        """Make again what does not fit the records; see `Journal`."""
        done: Sequence[Repair] = await self._write(repair())
        return done

    def _prepare(self) -> tuple[Session, PostgresqlStore, Watch, Signal]:
        with contextlib.ExitStack() as undo:
            read = undo.enter_context(contextlib.closing(self._connector.connect()))
            verify(read, self._address)
            signal = Signal()
            store = PostgresqlStore(
                self._address, self._connector, self._contact, signal, self._lease_s, self._lease_s
            )
            undo.enter_context(contextlib.closing(store))
            pulse = Pulse(store, self._contact, signal, self._lease_s)
            pulse.beat(read)  # `standing` is right from the start
            watch = Watch(
                self._connector.connect(), self._connector, store, pulse, signal,
                self._address.schema,
            )  # fmt: skip
            undo.pop_all()
        return read, store, watch, signal

    def _parts(self) -> _Open:
        if self._open is None:
            raise StateDirectoryError(
                self._address.shown, "the journal is not open", "open it first"
            )
        return self._open

    async def _write(self, job: Job) -> Any:
        return await self._parts().writer.submit(job)

    async def _create(self, job: Create) -> Any:
        texts = (*changes.row_texts(job.row), *changes.key_texts(job.keys))
        check_text(job.row.run_id, "run_started", *texts)
        return await self._write(job)

    async def _read(self, read: Callable[[Queries], T]) -> T:
        parts = self._parts()
        try:
            return await parts.reader.read(read)
        except psycopg.Error as error:
            raise storage_error(self._address, error) from error

    async def _alone(self, read: Callable[[Session], T]) -> T:
        """Read with a connection and a thread of its own: other reads need not wait for it."""
        self._parts()

        def work() -> T:
            with contextlib.closing(self._connector.connect()) as session:
                return read(session)

        try:
            return await asyncio.to_thread(work)
        except psycopg.Error as error:
            raise storage_error(self._address, error) from error


def make_postgresql_journal(settings: JournalSettings, /) -> PostgresqlJournal:
    """Make the journal of an address; see `JournalFactory`."""
    return PostgresqlJournal(settings)


async def initialize(settings: JournalSettings, /) -> str:
    """Make the tables of an address, or migrate older ones.

    Any number of processes may do so at once, beside others that use the journal.

    Returns:
        What was done, in words.

    Raises:
        ConfigError: The address is not one.
        JournalNotReadyError: The tables are newer than this version, or can't be made here.
        JournalUnavailableError: The server can't be reached.
        JournalFailedError: The server refused it.
    """
    return await PostgresqlJournal(settings).initialize()


def _check_id(run_id: str) -> None:
    if not is_run_id(run_id):
        raise RunNotFoundError(run_id)


def _check_append(job: Append) -> None:
    """Refuse names that PostgreSQL can't store."""
    run_id, saved = job.ownership.run_id, job.checkpoint
    if saved is not None:
        timers = (name for name, _ in saved.timers_set)
        texts = (saved.label, saved.accepts, saved.key, *timers, *saved.timers_gone)
        check_text(run_id, "checkpoint_saved", *texts)
    ids = (message_id for _, message_id, _ in job.posts)
    check_text(run_id, "a message", *ids, *job.answered)
