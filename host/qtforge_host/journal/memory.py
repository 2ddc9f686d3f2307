"""`MemoryJournal`: a journal in memory, whose runs end with the process."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import os
import socket
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from qtforge_host.journal.memory_run import MemoryRun, MemoryStore
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
    PostedMessage,
    Publication,
    Repair,
    RunQuery,
    RunSecret,
    RunSummary,
    Standing,
    StoredPublication,
)
from qtforge_sdk.journal_errors import (
    RunDuplicateError,
    RunExistsError,
    RunNotFoundError,
    RunOwnedError,
    StaleOwnerError,
)
from qtforge_sdk.journal_kit.admission import changed_tags, place_message, refuse
from qtforge_sdk.journal_kit.appending import make_append, make_create, make_queued
from qtforge_sdk.journal_kit.archive import unpack
from qtforge_sdk.journal_kit.cursors import number_of
from qtforge_sdk.journal_kit.drop_log import DropLog
from qtforge_sdk.journal_kit.encoding import (
    MAX_VALUE_BYTES,
    Encoded,
    encode_message,
    from_us,
    to_us,
)
from qtforge_sdk.journal_kit.jobs import Create
from qtforge_sdk.journal_kit.kept_values import check_kept
from qtforge_sdk.journal_kit.limits import NEW_RATE, BreakerRow, draw, try_breaker
from qtforge_sdk.journal_kit.secret_lines import decode_secrets, encode_secrets
from qtforge_sdk.records import RunStarted
from qtforge_sdk.run_status import RECOVERABLE

__all__ = ["MemoryJournal", "MemoryStore", "make_memory_journal"]


_DIED: Final = "-"  # owns what nobody executes, and whose last journal was closed


class MemoryJournal:
    """Implements `qtforge_sdk.journal.Journal`; works from the start, without `open`.

    Args:
        store: The runs; a new store when None.

    Attributes:
        max_value_bytes: The largest record or message; see `Journal`.
        publication_age: How long a publication waits; see `Journal`.
    """

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.max_value_bytes = MAX_VALUE_BYTES
        self.publication_age = PUBLICATION_AGE
        self._drop_log = DropLog()
        self._store = store or MemoryStore()
        self._changed = asyncio.Event()
        self._owner = ""
        self._closed = False
        self._join()

    async def open(self) -> None:
        """Open the journal; see `Journal`."""
        if self._closed:
            self._closed = False
            self._join()

    async def close(self) -> None:
        """Close the journal; its runs have no owner any more."""
        self._closed = True
        self._store.remove_owner(self._owner)
        self._store.listeners.discard(self._changed)

    async def create(self, started: RunStarted, records: Sequence[Record] = ()) -> Ownership:
        """Add a new run; see `Journal`."""
        self._open_store()
        job = make_create(started, records, self._owner, self.max_value_bytes)
        return self._ownership(self._add(job))

    async def enqueue(self, started: RunStarted) -> Sequence[str]:
        """Add a new run that nobody owns; see `Journal`."""
        store = self._open_store()
        job = make_queued(started, self.max_value_bytes)
        admission = Admission()
        if job.row.run_id not in store.runs and job.admission is not None:
            admission = store.admission(started)
            refuse(started, admission)
        self._add(job)
        if admission.cancels:
            message = place_message(started)
            for run_id in admission.cancels:
                run = store.runs[run_id]
                self._post(run, message.message_id, encode_message(run_id, message))
                run.holds = 2 if run.awaits_place else run.holds
        store.notify()
        return admission.cancels

    async def admission(self, started: RunStarted) -> Admission:
        """Return what the start of a run would do; see `Journal`."""
        return self._open_store().admission(started)

    async def admit(self, ownership: Ownership) -> Sequence[str]:
        """Let a queued run hold a place; see `Journal`."""
        run = self._owned(ownership)
        first = self._store.first_for_place(run, to_us(await self.now()))
        run.holds = 1 if run.awaits_place and not first else run.holds
        return first

    async def tag(self, run_id: str, changed: Mapping[str, str | None]) -> Mapping[str, str]:
        """Change tags of a run; see `Journal`."""
        run = self._run(run_id)
        run.tags = changed_tags(run.tags, changed)
        return dict(run.tags)

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
        store, now_us = self._open_store(), to_us(now)
        after = number_of(since or "") or 0
        free = [
            run
            for run in store.runs.values()
            if run.finished_at is None and run.owner not in store.owners
            if again or run.rest_until_us <= now_us
            if pools is None or run.pool in pools
            if needing is None or run.needs_any(needing)
        ]
        begun = [run for run in free if not run.needs_any(leave)]
        lapsed = ("running", "blocked") if again else ("running",) if since is None else ()
        found = [run for run in begun if run.status in lapsed]
        found += sorted((run for run in begun if run.is_due(now_us)), key=MemoryRun.next_timer)
        found += [run for run in begun if run.has_to_handle(after)]
        if queued:
            found += sorted(
                (
                    run
                    for run in free
                    if run.pool not in store.paused_pools and run.is_startable(now_us, able)
                ),
                key=lambda run: (-run.priority, run.key),
            )
        taken: list[Ownership] = []
        for run in dict.fromkeys(found):
            if len(taken) < limit and not store.first_for_place(run, now_us):
                run.holds = 1 if run.awaits_place else run.holds
                taken.append(self._own(run))
        return taken

    async def claim(self, run_id: str) -> Ownership:
        """Claim a run that no open journal owns; see `Journal`."""
        run = self._run(run_id)
        if run.owner in self._store.owners and run.owner != self._owner:
            raise RunOwnedError(run_id, "another journal of this process")
        return self._own(run)

    async def release(
        self,
        ownership: Ownership,
        *,
        rest_until: datetime.datetime | None = None,
        needs: Mapping[str, str] | None = None,
        unused: bool = False,
    ) -> None:
        """Release a run; see `Journal`."""
        run = self._owned(ownership)
        run.owner = _DIED if unused and ownership.took_over else None
        run.rest_until_us = 0 if rest_until is None else to_us(rest_until)
        if needs is not None:
            run.served = dict(needs)
        self._store.notify()

    async def note_needs(self, needs: Mapping[str, Mapping[str, str]]) -> None:
        """Store what runs of this process need; see `Journal`."""
        store = self._open_store()
        for run_id, needed in needs.items():
            run = store.runs.get(run_id)
            if run is not None and run.owner == self._owner:
                run.served = dict(needed)

    async def append(
        self,
        ownership: Ownership,
        records: Sequence[Record],
        posts: Sequence[tuple[str, InboxMessage]] = (),
    ) -> None:
        """Append records, all or none; see `Journal`."""
        if not records:
            return
        store = self._open_store()  # a closed journal is reported before anything else
        job = make_append(ownership, records, posts, self.max_value_bytes)
        run = self._owned_in(store, ownership)
        run.add(job)
        store.log(run, len(job.entries))
        if job.status is not None:
            store.update_finished(run)
        for to, message_id, message in job.posts:
            if to in store.runs:
                self._post(store.runs[to], message_id, message)

    async def records(
        self, run_id: str, after: int = 0, limit: int | None = None
    ) -> Sequence[Record]:
        """Return a run's records, or a page of them; see `Journal`."""
        return self._run(run_id).read(after, limit)

    async def tail(self, run_id: str) -> Sequence[Record]:
        """Return a run's start, and its records from the last checkpoint; see `Journal`."""
        return self._run(run_id).tail()

    async def summary(self, run_id: str) -> RunSummary:
        """Return one run's summary; see `Journal`."""
        run = self._run(run_id)
        return self._summary(run)

    async def runs(self, query: RunQuery) -> Sequence[RunSummary]:
        """Return the runs that a query selects; see `Journal`."""
        store = self._open_store()
        after = None if query.after is None else self._run(query.after)
        found = {run.run_id: run for run in store.runs.values() if run.fits(query)}
        if after is not None:
            found[after.run_id] = after
        ordered = sorted(
            found.values(),
            key=lambda run: (run.key if query.search is not None else run.started_at, run.key),
            reverse=not query.oldest_first,
        )
        first = 0 if after is None else ordered.index(after) + 1
        page = ordered[first : first + max(query.limit, 0)]
        return tuple(map(self._summary, page))

    async def unfinished(self) -> Sequence[str]:
        """Return the runs that can be resumed; see `Journal`."""
        store = self._open_store()
        return tuple(
            run.run_id
            for run in store.runs.values()
            if run.status in RECOVERABLE and run.owner not in store.owners
        )

    async def post(self, run_id: str, message: InboxMessage) -> Posted:
        """Post a message to a run; see `Journal`."""
        run = self._run(run_id)
        encoded = encode_message(run_id, message, self.max_value_bytes)
        return self._post(run, message.message_id, encoded)

    async def inbox(self, run_id: str, after: int = 0) -> Sequence[InboxEntry]:
        """Return the messages to a run; see `Journal`."""
        return self._run(run_id).messages(after)

    async def pending(self, run_id: str, after: int = 0) -> Sequence[InboxEntry]:
        """Return the messages that a run has not handled; see `Journal`."""
        run = self._open_store().runs.get(run_id)
        return () if run is None else run.pending(after)

    async def deliveries(self, after: Cursor, limit: int = 1000) -> Deliveries:
        """Return the messages to the runs of this journal; see `Journal`."""
        runs, number = self._open_store().runs.values(), number_of(after) or 0
        newest = max((run.last_position for run in runs), default=0)
        found = [
            PostedMessage(run.run_id, *entry)
            for run in runs
            if limit > 0 and run.owner == self._owner and run.last_position > number
            for entry in run.messages(number)
        ]
        page = tuple(sorted(found, key=lambda each: each.position)[:limit])
        return Deliveries(page, str(page[-1].position if len(page) < len(found) else newest))

    async def post_to_key(self, workflow: str, key: str, message: InboxMessage) -> int:
        """Post to all unfinished runs with a correlation key; see `Journal`."""
        encoded = encode_message(key, message, self.max_value_bytes)
        found = [
            run
            for run in self._open_store().runs.values()
            if run.correlation == key and run.workflow == workflow and run.finished_at is None
            if message.message_id not in run.positions
        ]
        for run in found:
            self._post(run, message.message_id, encoded)
        return len(found)

    async def runs_with_pending(self, limit: int = 1000) -> Sequence[str]:
        """Return runs with messages that they have not handled; see `Journal`."""
        found = (
            run.run_id
            for run in self._open_store().runs.values()
            if run.owner not in self._store.owners and run.has_to_handle()
        )
        return list(itertools.islice(found, limit))

    async def due(self, before: datetime.datetime, limit: int = 1000) -> Sequence[str]:
        """Return waiting runs with a timer that is due; see `Journal`."""
        before_us = to_us(before)
        found = [(min(run.timers.values()), run.run_id) for run in self._waiting() if run.timers]
        return [run_id for due, run_id in sorted(found) if due <= before_us][:limit]

    async def next_due(self, after: datetime.datetime) -> datetime.datetime | None:
        """Return when the next timer is due; see `Journal`."""
        after_us, runs = to_us(after), self._open_store().runs.values()
        found = [due for run in runs for due in run.timers.values() if due > after_us]
        return from_us(min(found)) if found else None

    async def now(self) -> datetime.datetime:
        """Return the time of the machine, which all processes of the journal share."""
        return datetime.datetime.now(datetime.UTC)

    async def changed(self, timeout_s: float) -> bool:
        """Wait until an inbox may have a new message; see `Journal`."""
        self._open_store()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    async def listen(self, listener: str, topics: Sequence[str], capacity: int = 10_000) -> None:
        """Store what is published on topics for a listener; see `Journal`."""
        self._open_store().publications.listen(listener, topics, capacity)

    async def publish(self, publication: Publication, *, but: str = "") -> int:
        """Store a publication for its listeners; see `Journal`."""
        store = self._open_store()
        age = self.publication_age
        count, dropped = store.publications.publish(publication, but, store.numbers, age)
        self._drop_log.note(dropped, age)
        if count:
            store.notify()
        return count

    async def publications(self, listener: str, limit: int = 100) -> Sequence[StoredPublication]:
        """Return what is stored for a listener; see `Journal`."""
        return self._open_store().publications.stored(listener, limit)

    async def remove_publications(self, listener: str, until: int) -> None:
        """Remove what a listener has received; see `Journal`."""
        self._open_store().publications.remove(listener, until)

    async def store_secrets(self, run_id: str, secrets: Mapping[str, RunSecret]) -> None:
        """Store what references of a run stand for; see `Journal`."""
        found = decode_secrets(encode_secrets(run_id, secrets))
        self._open_store().secrets.setdefault(run_id, {}).update(found)

    async def secrets(self, run_id: str) -> Mapping[str, RunSecret]:
        """Return what the references of a run stand for; see `Journal`."""
        return dict(self._open_store().secrets.get(run_id, ()))

    async def records_since(
        self, after: Cursor, limit: int = 1000, *, run_id: str | None = None
    ) -> AppendedPage:
        """Return records of all runs, or of one, in the order of appending; see `Journal`."""
        store = self._open_store()
        if run_id is not None:
            self._run(run_id)
        return store.records_since(after, limit, run_id)

    async def announce(self, announcement: Announcement) -> None:
        """Store what this process says of itself; see `Journal`."""
        self._open_store().change_owner(self._owner, announcement=announcement)

    async def owners(self) -> Sequence[JournalOwner]:
        """Return the open journals, as if each were a process; see `Journal`."""
        store = self._open_store()
        runs = Counter(run.owner for run in store.runs.values() if run.finished_at is None)
        return tuple(replace(each, runs=runs[name]) for name, each in store.owners.items())

    async def drain(self, owner: str, *, draining: bool) -> bool:
        """Request a journal to take nothing new; see `Journal`."""
        store = self._open_store()
        if owner not in store.owners:
            return False
        store.change_owner(owner, draining=draining)
        return True

    async def standing(self) -> Standing:
        """Return what this journal is requested to do; see `Journal`."""
        store = self._open_store()
        return Standing(
            owner=self._owner,
            draining=store.owners[self._owner].draining,
            nodes=str(store.owner_changes),
            short=store.limits.short(self._owner),
            breakers=store.limits.open_breakers(),
        )

    async def hold(self, limit: str, places: int, *, using: int, wanted: int) -> Holding:
        """Hold places of a limit; see `Journal`."""
        store = self._open_store()
        return store.limits.hold(limit, places, self._owner, store.owners, using, wanted)

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
        store = self._open_store()
        store.limits.rates[limit], drawn = draw(
            store.limits.rates.get(limit, NEW_RATE),
            self._owner,
            time.time(),
            store.owners.__contains__,
            wanted,
            count=count,
            period_s=period_s,
            spare_s=spare_s,
            full_in_s=full_in_s,
        )
        return drawn

    async def open_breaker(
        self, topic: str, plugin: str, open_for_s: float, reason: str
    ) -> datetime.datetime:
        """Open a circuit breaker for all processes; see `Journal`."""
        row = BreakerRow(time.time() + open_for_s, open_for_s, reason, "")
        self._open_store().limits.breakers[topic, plugin] = row
        return row.until

    async def try_breaker(self, topic: str, plugin: str, *, give_up: bool = False) -> BreakerTrial:
        """Ask for the right to make the trial calls of a breaker; see `Journal`."""
        store, key = self._open_store(), (topic, plugin)
        row, trial = try_breaker(
            store.limits.breakers.get(key),
            self._owner,
            time.time(),
            store.owners.__contains__,
            give_up=give_up,
        )
        if row is not None:
            store.limits.breakers[key] = row
        return trial

    async def close_breaker(self, topic: str, plugin: str) -> None:
        """Close a circuit breaker for all processes; see `Journal`."""
        self._open_store().limits.breakers.pop((topic, plugin), None)

    async def pools(self) -> Sequence[PoolState]:
        """Return the pools that have unfinished runs or are paused; see `Journal`."""
        store = self._open_store()
        runs = [run for run in store.runs.values() if run.finished_at is None]
        return tuple(
            PoolState(
                pool=pool,
                queued=sum(run.status == "queued" for run in runs if run.pool == pool),
                executing=sum(run.owner in store.owners for run in runs if run.pool == pool),
                paused=pool in store.paused_pools,
                oldest_at=min(
                    (run.queued_at for run in runs if run.pool == pool and run.status == "queued"),
                    default=None,
                ),
            )
            for pool in sorted({run.pool for run in runs} | store.paused_pools)
        )

    async def pause_pool(self, pool: str, *, paused: bool) -> bool:
        """Let no process take queued runs of a pool; see `Journal`."""
        store = self._open_store()
        if (pool in store.paused_pools) == paused:
            return False
        if paused:
            store.paused_pools.add(pool)
        else:
            store.paused_pools.remove(pool)
        store.notify()
        return True

    async def kept_values(self, prefix: str) -> Sequence[KeptValue]:
        """Return the shared values whose keys begin with a text; see `Journal`."""
        store = self._open_store()
        return [each for key, each in sorted(store.kept.items()) if key.startswith(prefix)]

    async def keep_value(self, key: str, data: bytes | None, revision: int) -> bool:
        """Keep a shared value, unless it was changed since it was read; see `Journal`."""
        check_kept(key, data)
        store = self._open_store()
        known = store.kept.get(key)
        if revision != (0 if known is None else known.revision):
            return False
        if data is not None:
            store.kept[key] = KeptValue(key=key, revision=revision + 1, data=data)
        elif known is not None:
            del store.kept[key]
        else:
            return False
        return True

    async def statistics(self) -> JournalStatistics:
        """Count runs, timers and messages; see `Journal`."""
        return self._open_store().statistics()

    def backlog(self) -> int:
        """Return 0: every write is done at once."""
        return 0

    async def prune(self, finished_before: datetime.datetime) -> int:
        """Delete old runs; see `Journal`."""
        count = 0
        while gone := self._delete([*self._open_store().runs], finished_before):
            count += len(gone)
        return count

    async def delete(
        self, run_ids: Sequence[str], *, ended_before: datetime.datetime
    ) -> Sequence[str]:
        """Delete runs; see `Journal`."""
        return self._delete(run_ids, ended_before)

    def _delete(self, run_ids: Sequence[str], ended_before: datetime.datetime) -> list[str]:
        store, deleted = self._open_store(), []
        for run_id in run_ids:
            run = store.runs.get(run_id)
            if run is None or run.finished_at is None or run.finished_at >= ended_before:
                continue
            above = None if run.parent is None else store.runs.get(run.parent)
            if above is not None and above.finished_at is None:
                continue
            del store.runs[run_id]
            store.finished.pop(run_id, None)
            store.secrets.pop(run_id, None)
            deleted.append(run_id)
        return deleted

    async def export(self, run_id: str) -> bytes:
        """Return a run as an archive; see `Journal`."""
        return self._run(run_id).archive(await self.secrets(run_id))

    async def import_(self, data: bytes, *, pause: bool = True) -> str:
        """Import an exported run; see `Journal`."""
        archive = unpack(data, pause=pause)
        run_id = self._open_store().import_archive(archive)
        await self.store_secrets(run_id, archive.missing_secrets(await self.secrets(run_id)))
        return run_id

    async def check(self) -> Sequence[Damage]:
        """Return no damage: there is none in memory."""
        self._open_store()
        return ()

    async def repair(self) -> Sequence[Repair]:
        """Change nothing: there is no damage in memory."""
        self._open_store()
        return ()

    def _join(self) -> None:
        self._owner = f"memory-{next(self._store.numbers)}"
        self._store.owners[self._owner] = JournalOwner(
            owner=self._owner,
            pid=os.getpid(),
            host=socket.gethostname(),
            since=datetime.datetime.now(datetime.UTC),
            runs=0,
        )
        self._store.listeners.add(self._changed)

    def _add(self, job: Create) -> MemoryRun:
        store = self._store
        if job.row.run_id in store.runs:
            raise RunExistsError(job.row.run_id)
        if job.admission is not None:
            existing = store.same_run(job.admission)
            if existing is not None and job.keys is not None:
                raise RunDuplicateError(existing, job.keys.unique_key or "")
        run = MemoryRun(job.row, job.entries, next(store.numbers), job.keys, job.search)
        store.runs[run.run_id] = run
        store.log(run, len(job.entries))
        return run

    def _own(self, run: MemoryRun) -> Ownership:
        took_over = run.owner not in (None, self._owner)
        run.owner, run.epoch = self._owner, run.epoch + 1
        return self._ownership(run, took_over=took_over)

    def _post(self, run: MemoryRun, message_id: str, encoded: Encoded) -> Posted:
        if message_id in run.positions:
            return Posted(run.positions[message_id], is_new=False)
        position = next(self._store.numbers)
        run.post(position, message_id, encoded)
        self._store.notify()
        return Posted(position, is_new=True)

    def _waiting(self) -> list[MemoryRun]:
        store = self._open_store()
        return [run for run in store.runs.values() if run.waits and run.owner not in store.owners]

    def _open_store(self) -> MemoryStore:
        if self._closed:
            raise StateDirectoryError("(in memory)", "the journal is closed", "open it again")
        return self._store

    def _summary(self, run: MemoryRun) -> RunSummary:
        held_by = self._store.holders(run.workflow, run.place) if run.awaits_place else ()
        return run.summary(run.owner in self._store.owners, held_by)

    def _run(self, run_id: str) -> MemoryRun:
        run = self._open_store().runs.get(run_id)
        if run is None:
            raise RunNotFoundError(run_id)
        return run

    def _owned(self, ownership: Ownership) -> MemoryRun:
        return self._owned_in(self._open_store(), ownership)

    def _owned_in(self, store: MemoryStore, ownership: Ownership) -> MemoryRun:
        run = store.runs.get(ownership.run_id)
        if (
            run is None
            or run.key != ownership.key
            or run.epoch != ownership.epoch
            or not run.owner == self._owner == ownership.owner
        ):
            raise StaleOwnerError(ownership.run_id, ownership.epoch)
        return run

    def _ownership(self, run: MemoryRun, *, took_over: bool = False) -> Ownership:
        return Ownership(
            run_id=run.run_id,
            epoch=run.epoch,
            owner=self._owner,
            key=run.key,
            took_over=took_over,
        )


def make_memory_journal(settings: JournalSettings) -> MemoryJournal:
    """Make a journal with no runs; see `JournalFactory`.

    Raises:
        ConfigError: It was given an address.
    """
    if settings.url:
        raise ConfigError(
            "the journal 'memory'",
            "it has no address: its runs are in this process",
            "name it 'memory'",
        )
    journal = MemoryJournal()
    journal.max_value_bytes = settings.max_value_bytes
    journal.publication_age = settings.publication_age
    return journal
