"""`SqliteJournal`: a journal in one SQLite file."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from qtforge_host.journal import admissions, changes, limit_changes
from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.database import (
    JOURNAL_FILE,
    FileWatch,
    connect,
    connect_read_only,
    is_readable_only,
    prepare,
    snapshot,
)
from qtforge_host.journal.group import GroupCommit
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_host.journal.queries import Queries, Wish
from qtforge_host.journal.secret_files import SecretFiles
from qtforge_host.journal.storage_errors import (
    STORAGE_ERRORS,
    damaged,
    is_unwritable,
    storage_error,
)
from qtforge_host.journal.store import SqliteReads, SqliteStore
from qtforge_sdk import Record
from qtforge_sdk.errors import ConfigError, StateDirectoryError
from qtforge_sdk.journal import (
    PUBLICATION_AGE,
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
)
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.journal_kit.appending import make_append, make_create, make_queued
from qtforge_sdk.journal_kit.archive import unpack
from qtforge_sdk.journal_kit.drop_log import DropLog
from qtforge_sdk.journal_kit.encoding import (
    MAX_VALUE_BYTES,
    Blob,
    UnreadableError,
    encode_message,
    encode_publication,
    to_us,
)
from qtforge_sdk.journal_kit.jobs import Job
from qtforge_sdk.journal_kit.kept_values import check_kept
from qtforge_sdk.journal_kit.reader import Reader
from qtforge_sdk.journal_kit.secret_lines import encode_secrets
from qtforge_sdk.journal_kit.writer import Writer
from qtforge_sdk.records import RunStarted
from qtforge_sdk.shielding import shield

__all__ = ["SqliteJournal", "make_sqlite_journal"]

T = TypeVar("T")


class _Open(msgspec.Struct, frozen=True):
    """The parts of an open journal; ``connection`` is the reader's, and for `check` too."""

    writer: Writer | None  # None where the folder can't be written
    reader: Reader[Queries]
    connection: sqlite3.Connection
    watch: FileWatch


class SqliteJournal:
    """Implements `qtforge_sdk.journal.Journal`; any number of processes may share a folder.

    The folder contains ``journal.sqlite3``, the large values in ``blobs/``, the secrets of runs in
    ``secrets/``, and a lock file for each process in ``owners/``.

    Args:
        directory: The folder; made when it is missing.

    Attributes:
        max_value_bytes: The largest record or message; see `Journal`.
        publication_age: How long a publication waits; see `Journal`.
    """

    def __init__(self, directory: Path, /) -> None:
        self.max_value_bytes = MAX_VALUE_BYTES
        self.publication_age = PUBLICATION_AGE
        self._drop_log = DropLog()
        self._directory = directory
        self._path = directory / JOURNAL_FILE
        self._blobs = BlobFiles(directory / "blobs")
        self._secrets = SecretFiles(directory / "secrets")
        self._locks = OwnerLocks(directory / "owners")
        self._open: _Open | None = None
        self._refusal: StateDirectoryError | None = None  # why it can't be written
        self._large: set[asyncio.Task[Any]] = set()  # writes that wait for their files

    async def open(self) -> None:
        """Open the journal; see `Journal`."""
        if self._open is not None:
            return
        thread = ThreadPoolExecutor(1, "qtforge-journal-reader")
        loop = asyncio.get_running_loop()
        try:
            read, write = await loop.run_in_executor(thread, self._prepare)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        watch = FileWatch(self._path)
        writer = None
        if write is not None:
            group = GroupCommit(write, self._locks.owner, self._blobs)
            writer = Writer(SqliteStore(group, self._directory, watch))
        queries = Queries(read, self._directory, self._locks, self._blobs)
        self._open = _Open(writer, Reader(SqliteReads(queries, read), thread), read, watch)

    async def close(self) -> None:
        """Finish all writes, and release every run."""
        if self._open is None:
            return
        parts, self._open = self._open, None
        if self._large:
            await asyncio.wait(self._large)
        if parts.writer is not None:
            await parts.writer.close()
        await parts.reader.close()
        self._locks.release()

    async def create(self, started: RunStarted, records: Sequence[Record] = ()) -> Ownership:
        """Add a new run; see `Journal`."""
        job = make_create(started, records, self._locks.owner, self.max_value_bytes)
        blobs = [blob for entry in job.entries for blob in entry.blobs]
        ownership: Ownership = await self._write(job, blobs)
        return ownership

    async def enqueue(self, started: RunStarted) -> Sequence[str]:
        """Add a new run that nobody owns; see `Journal`."""
        job = make_queued(started, self.max_value_bytes)
        return await self._write(job, job.entry.blobs) or ()

    async def admission(self, started: RunStarted) -> Admission:
        """Return what the start of a run would do; see `Journal`."""
        return await self._read(lambda queries: queries.admission(started))

    async def admit(self, ownership: Ownership) -> Sequence[str]:
        """Let a queued run hold a place; see `Journal`."""
        change = admissions.admit(ownership, to_us(await self.now()))
        first: Sequence[str] = await self._write(change)
        return first

    async def tag(self, run_id: str, changed: Mapping[str, str | None]) -> Mapping[str, str]:
        """Change tags of a run; see `Journal`."""
        tags: Mapping[str, str] = await self._write(admissions.tag(run_id, changed))
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
        wish = Wish(
            now_us=to_us(now),
            pools=None if pools is None else tuple(pools),
            able=dict(able),
            since=since,
            again=again,
            queued=queued,
            needing=None if needing is None else tuple(map("==".join, needing)),
            leave=tuple(map("==".join, leave)),
        )
        found = await self._read(lambda queries: queries.takeable(limit, wish))
        if not found:  # as mostly: nothing is written
            return ()
        taken: list[Ownership] = await self._write(changes.take(found, self._locks, wish.now_us))
        return taken

    async def claim(self, run_id: str) -> Ownership:
        """Claim a run that no living process owns; see `Journal`."""
        ownership: Ownership = await self._write(changes.claim(run_id, self._locks))
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
            for entry in job.entries:
                if entry.blobs or posts:
                    encoded = [*job.entries, *(message for _, _, message in job.posts)]
                    await self._write(job, [blob for each in encoded for blob in each.blobs])
                    return
            await self._writer().submit(job)

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
        if query.search is None:
            return await self._read(lambda queries: queries.runs(query))
        return await self._read_apart(lambda connection: self._search(connection, query))

    async def unfinished(self) -> Sequence[str]:
        """Return the runs that can be resumed; see `Journal`."""
        return await self._read(lambda queries: queries.unfinished())

    async def post(self, run_id: str, message: InboxMessage) -> Posted:
        """Post a message to a run; see `Journal`."""
        encoded = encode_message(run_id, message, self.max_value_bytes)
        job = changes.post(run_id, message.message_id, encoded)
        posted: Posted = await self._write(job, encoded.blobs)
        return posted

    async def inbox(self, run_id: str, after: int = 0) -> Sequence[InboxEntry]:
        """Return the messages to a run; see `Journal`."""
        return await self._read(lambda queries: queries.inbox(run_id, after))

    async def pending(self, run_id: str, after: int = 0) -> Sequence[InboxEntry]:
        """Return the messages that a run has not handled; see `Journal`."""
        return await self._read(lambda queries: queries.pending(run_id, after))

    async def deliveries(self, after: Cursor, limit: int = 1000) -> Deliveries:
        """Return the messages to the runs of this process; see `Journal`."""
        return await self._read(lambda queries: queries.deliveries(after, limit))

    async def post_to_key(self, workflow: str, key: str, message: InboxMessage) -> int:
        """Post to all unfinished runs with a correlation key; see `Journal`."""
        encoded = encode_message(key, message, self.max_value_bytes)
        job = changes.post_to_key(workflow, key, message.message_id, encoded)
        return int(await self._write(job, encoded.blobs))

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
        """Return the time of the machine, which all processes of the journal share."""
        return datetime.datetime.now(datetime.UTC)

    async def changed(self, timeout_s: float) -> bool:
        """Wait until an inbox may have a new message; see `Journal`."""
        return await self._writer().changed(timeout_s)

    async def listen(self, listener: str, topics: Sequence[str], capacity: int = 10_000) -> None:
        """Store what is published on topics for a listener; see `Journal`."""
        await self._write(changes.listen(listener, topics, capacity))

    async def publish(self, publication: Publication, *, but: str = "") -> int:
        """Store a publication for its listeners; see `Journal`."""
        if not await self._read(lambda queries: queries.is_heard(publication.topic, but)):
            return 0
        encoded = encode_publication(publication)
        job = changes.publish(publication, encoded, but, self.publication_age)
        count, dropped = await self._write(job)
        self._drop_log.note(dropped, self.publication_age)
        return int(count)

    async def publications(self, listener: str, limit: int = 100) -> Sequence[StoredPublication]:
        """Return what is stored for a listener; see `Journal`."""
        return await self._read(lambda queries: queries.publications(listener, limit))

    async def remove_publications(self, listener: str, until: int) -> None:
        """Remove what a listener has received; see `Journal`."""
        await self._write(changes.remove_publications(listener, until))

    async def store_secrets(self, run_id: str, secrets: Mapping[str, RunSecret]) -> None:
        """Store what references of a run stand for; see `Journal`."""
        self._writer()  # refuses where the folder can't be written
        lines = encode_secrets(run_id, secrets)
        try:
            await shield(asyncio.ensure_future(asyncio.to_thread(self._secrets.add, run_id, lines)))
        except OSError as error:
            raise storage_error(self._directory, error) from error

    async def secrets(self, run_id: str) -> Mapping[str, RunSecret]:
        """Return what the references of a run stand for; see `Journal`."""
        self._parts()
        if not self._secrets.has(run_id):  # almost always; it is quicker to look than to ask
            return {}
        try:
            return await asyncio.to_thread(self._secrets.read, run_id)
        except OSError as error:
            raise storage_error(self._directory, error) from error

    async def records_since(
        self, after: Cursor, limit: int = 1000, *, run_id: str | None = None
    ) -> AppendedPage:
        """Return records of all runs, or of one, in the order of appending; see `Journal`."""
        return await self._read(lambda queries: queries.records_since(after, limit, run_id))

    async def announce(self, announcement: Announcement) -> None:
        """Store what this process says of itself; see `Journal`."""
        await self._write(changes.announce(announcement, self._locks))

    async def owners(self) -> Sequence[JournalOwner]:
        """Return the live processes that have opened the journal; see `Journal`."""
        return await self._read(lambda queries: queries.owners())

    async def drain(self, owner: str, *, draining: bool) -> bool:
        """Request a process to take nothing new; see `Journal`."""
        return bool(await self._write(changes.drain(owner, self._locks, draining=draining)))

    async def standing(self) -> Standing:
        """Return what this process is requested to do; see `Journal`."""
        return await self._read(lambda queries: queries.standing())

    async def hold(self, limit: str, places: int, *, using: int, wanted: int) -> Holding:
        """Hold places of a limit; see `Journal`."""
        change = limit_changes.hold_places(limit, places, using, wanted, self._locks)
        holding: Holding = await self._write(change)
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
        drawn: Drawn = await self._write(
            limit_changes.draw_tokens(
                limit, wanted, count, period_s, spare_s, full_in_s, self._locks
            )
        )
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
        change = limit_changes.change_breaker_trial(topic, plugin, self._locks, give_up=give_up)
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
        return bool(await self._write(changes.pause_pool(pool, paused=paused)))

    async def kept_values(self, prefix: str) -> Sequence[KeptValue]:
        """Return the shared values whose keys begin with a text; see `Journal`."""
        return await self._read(lambda queries: queries.kept_values(prefix))

    async def keep_value(self, key: str, data: bytes | None, revision: int) -> bool:
        """Keep a shared value, unless it was changed since it was read; see `Journal`."""
        check_kept(key, data)
        return bool(await self._write(changes.keep_value(key, data, revision)))

    async def statistics(self) -> JournalStatistics:
        """Count runs, timers and messages; see `Journal`."""
        return await self._read_apart(self._statistics)

    def backlog(self) -> int:
        """Return how many writes wait; see `Journal`."""
        writer = self._parts().writer
        return 0 if writer is None else writer.backlog

    async def prune(self, finished_before: datetime.datetime) -> int:
        """Delete old runs; see `Journal`."""
        before = [each for each in self._secrets.runs() if await self._has(each)]
        count = 0
        while pruned := int(await self._write(changes.prune(finished_before))):
            count += pruned
        await self._write(changes.sweep())
        for run_id in self._secrets.runs():
            if not await self._has(run_id):
                self._secrets.delete(run_id, at_once=run_id in before)
        return count

    async def delete(
        self, run_ids: Sequence[str], *, ended_before: datetime.datetime
    ) -> Sequence[str]:
        """Delete runs; see `Journal`."""
        deleted: list[str] = []
        for start in range(0, len(run_ids), changes.AT_ONCE):
            few = run_ids[start : start + changes.AT_ONCE]
            gone, sums = await self._write(changes.delete(few, ended_before))
            if sums:
                await self._write(changes.sweep(set(sums)))
            for run_id in gone:
                self._secrets.delete(run_id, at_once=True)
            deleted += gone
        return deleted

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
        return str(await self._write(changes.import_archive(archive), archive.blobs))

    async def check(self) -> Sequence[Damage]:
        """Return all damage; see `Journal`."""
        from qtforge_host.journal.inspection import inspect  # of few commands, as the two below

        parts = self._parts()
        return await self._read(lambda _: inspect(parts.connection, self._blobs))

    async def repair(self) -> Sequence[Repair]:
        """Make again what does not fit the records; see `Journal`."""
        from qtforge_host.journal.repairing import repair

        done: Sequence[Repair] = await self._write(repair())
        return done

    async def _has(self, run_id: str) -> bool:
        try:
            await self.summary(run_id)
        except RunNotFoundError:
            return False
        return True

    def _prepare(self) -> tuple[sqlite3.Connection, sqlite3.Connection | None]:
        if is_readable_only(self._path):
            return connect_read_only(self._path), None
        try:
            prepare(self._path)
        except StateDirectoryError as error:
            # A read-only file system: the permissions do not tell.
            return self._read_only(error), None
        with contextlib.ExitStack() as undo:
            try:
                self._locks.acquire()
                undo.callback(self._locks.release)
                self._locks.sweep()
                read = undo.enter_context(contextlib.closing(connect(self._path)))
                write = connect(self._path)
            except STORAGE_ERRORS as error:
                refusal = storage_error(self._directory, error)
                return self._read_only(refusal), None
            undo.pop_all()
        return read, write

    def _read_only(self, refusal: StateDirectoryError) -> sqlite3.Connection:
        """Return a connection to a journal that can't be written now; raise if there is none."""
        cause = refusal.__cause__
        if not isinstance(cause, Exception) or not is_unwritable(cause):
            raise refusal
        if not self._path.is_file() or not self._path.stat().st_size:
            raise refusal
        self._refusal = refusal
        return connect_read_only(self._path)

    def _statistics(self, connection: sqlite3.Connection) -> JournalStatistics:
        from qtforge_host.journal.inspection import read_statistics

        return read_statistics(connection, self._blobs)

    def _search(self, connection: sqlite3.Connection, query: RunQuery) -> Sequence[RunSummary]:
        from qtforge_host.journal.search_queries import search_runs

        with snapshot(connection):
            return search_runs(connection, self._locks, query)

    def _parts(self) -> _Open:
        if self._open is None:
            raise StateDirectoryError(
                str(self._directory), "the journal is not open", "open it first"
            )
        return self._open

    def _writer(self) -> Writer:
        writer = self._parts().writer
        if writer is None:
            refusal = self._refusal
            raise StateDirectoryError(
                str(self._directory),
                "it can't be written, only read" if refusal is None else refusal.why,
                "make it writable, or give another --state-dir" if refusal is None else refusal.fix,
            )
        return writer

    async def _write(self, job: Job, blobs: Sequence[Blob] = ()) -> Any:
        writer = self._writer()
        if not blobs:
            return await writer.submit(job)
        # A task of its own: when the caller is cancelled while the files are written, the record
        # still follows them, and the caller waits for it.
        task = asyncio.ensure_future(self._write_large(writer, job, blobs))
        self._large.add(task)
        task.add_done_callback(self._large_done)
        return await shield(task)

    async def _write_large(self, writer: Writer, job: Job, blobs: Sequence[Blob]) -> Any:
        try:
            for blob in blobs:
                await asyncio.to_thread(self._blobs.write, blob)
        except OSError as error:
            raise storage_error(self._directory, error) from error
        return await writer.submit(job)

    def _large_done(self, task: asyncio.Task[Any]) -> None:
        self._large.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved: its caller may have been cancelled

    async def _read_apart(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Read with a connection and a thread of its own: other reads need not wait for it."""
        read_only = self._parts().writer is None

        def opened() -> T:
            with contextlib.closing(
                connect_read_only(self._path) if read_only else connect(self._path)
            ) as connection:
                return read(connection)

        try:
            return await asyncio.to_thread(opened)
        except STORAGE_ERRORS as error:
            raise storage_error(self._directory, error) from error

    async def _read(self, read: Callable[[Queries], T]) -> T:
        parts = self._parts()

        def checked(queries: Queries) -> T:
            parts.watch.check()
            return read(queries)

        try:
            return await parts.reader.read(checked)
        except STORAGE_ERRORS as error:
            raise storage_error(self._directory, error) from error
        except UnreadableError as error:
            raise damaged(self._directory, error) from error


def make_sqlite_journal(settings: JournalSettings) -> SqliteJournal:
    """Make the journal of a folder; see `JournalFactory`.

    Raises:
        ConfigError: It was given an address.
    """
    if settings.url:
        raise ConfigError(
            "the journal 'sqlite'",
            "it has no address: its runs are in the state directory",
            "name it 'sqlite', and give the directory with --state-dir",
        )
    journal = SqliteJournal(settings.directory)
    journal.max_value_bytes = settings.max_value_bytes
    journal.publication_age = settings.publication_age
    return journal
