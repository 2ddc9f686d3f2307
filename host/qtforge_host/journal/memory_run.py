"""The runs of `qtforge_host.journal.memory.MemoryJournal`."""

from __future__ import annotations

import asyncio
import datetime
import itertools
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Self

import msgspec

from qtforge_host.journal.listing_queries import waits_for
from qtforge_host.journal.memory_limits import MemoryLimits
from qtforge_sdk import Record
from qtforge_sdk.journal import (
    MOST_HOLDERS,
    Admission,
    AppendedPage,
    AppendedRecord,
    Cursor,
    InboxEntry,
    JournalOwner,
    JournalStatistics,
    KeptValue,
    Publication,
    RunQuery,
    RunSecret,
    RunSummary,
    StoredPublication,
)
from qtforge_sdk.journal_errors import RunExistsError
from qtforge_sdk.journal_kit.admission import plan
from qtforge_sdk.journal_kit.appending import (
    checkpoint_row,
    handled_messages,
    keys_row,
    run_row,
    started_by_of,
    tags_text,
)
from qtforge_sdk.journal_kit.archive import Archive, pack
from qtforge_sdk.journal_kit.cursors import place_of
from qtforge_sdk.journal_kit.encoding import (
    Blob,
    Encoded,
    LoadBlob,
    SharedValues,
    UnreadableError,
    decode_message,
    decode_publication,
    decode_record,
    encode_publication,
    from_us,
    to_us,
)
from qtforge_sdk.journal_kit.jobs import Append, CheckpointRow, KeysRow, RunRow
from qtforge_sdk.journal_kit.search_words import (
    NO_WORDS,
    SearchRow,
    search_row,
    search_terms,
    tag_words,
)
from qtforge_sdk.records import ANY_VERSION, CheckpointSaved, RunStarted, RunWaiting
from qtforge_sdk.topics import matches

__all__ = ["MemoryRun", "MemoryStore"]


_NO_KEYS: Final = KeysRow(None, 0, None, "{}")
_KEPT_ORDER: Final = 100_000  # as `Journal.records_since` promises


class MemoryRun:
    """A run with its records, which are encoded: a reader gets copies, as from a file.

    Args:
        row: The row of the run, from `run_row`.
        entries: Its encoded records.
        key: The store's number for it.
        keys: Its tags and keys; None without any.
        search: The words by which it is found; those of its tags are made of these.
    """

    def __init__(
        self,
        row: RunRow,
        entries: Sequence[Encoded],
        key: int,
        keys: KeysRow | None = None,
        search: SearchRow = NO_WORDS,
    ) -> None:
        self.run_id, self.workflow, self.kind, self.status, started_at_us, finished_at_us = row[:6]
        self.owner, self.epoch, self.parent, self.pool, self.priority = row[6:11]
        self.title, self.schedule, self.started_by = row.title, row.schedule, row.started_by
        self.error_code, self.error_plugin = row.error_code, row.error_plugin
        self._not_before_us = row.not_before or 0
        self._needs = msgspec.json.decode(row.needs, type=dict[str, str])
        self.served: dict[str, str] = {}  # what it needs besides, as far as it was noted
        self.rest_until_us = 0  # until when `Journal.take` leaves it alone
        self.started_at = from_us(started_at_us)
        self.finished_at = _instant(finished_at_us)
        self.key = key
        self.entries = list(entries)
        self.inbox: dict[int, tuple[str, Encoded]] = {}  # by position: id and message
        self.checkpoint = 0  # the position of the last `CheckpointSaved`
        self.positions: dict[str, int] = {}  # of messages, by id
        self.arrivals: dict[int, None] = {}  # positions of messages that are not handled
        self.last_position = 0
        self.label, self.accepts = "", ""
        self.kept_at_us: int | None = None
        self.timers: dict[str, int] = {}
        self.correlation = ""
        self.place, self.places, self.unique_key, tags = keys or _NO_KEYS
        self.tags = msgspec.json.decode(tags, type=dict[str, str])
        self.holds = 0  # 1: a place; 2: it needs none, as it is to be cancelled for another run
        self._words, self._error_words = search.words, search.error
        self._values: dict[bytes, Blob] = {}  # large ones, each once however many records have it

    @classmethod
    def imported(cls, archive: Archive, key: int) -> Self:
        """Return an imported run, which has no owner."""
        entries = [msgspec.structs.replace(each, blobs=archive.blobs) for each in archive.encoded]
        first, words = run_row(archive.decoded, None, 0), search_row(archive.decoded)
        run = cls(first, entries, key, keys_row(archive.started), words)
        run.tags = run.tags if archive.tags is None else dict(archive.tags)
        for place, record in enumerate(archive.decoded):
            if isinstance(record, CheckpointSaved | RunWaiting):
                row = checkpoint_row(record, place, every_timer=True)
                run.save(row.position_after(0), row)
        return run

    def save(self, position: int, row: CheckpointRow) -> None:
        """Apply a checkpoint."""
        self.checkpoint, self.label, self.accepts = position, row.label, row.accepts
        self.kept_at_us = row.at_us
        self.correlation = row.key or self.correlation
        self.arrivals.pop(row.inbox, None)
        for name in row.timers_gone:
            self.timers.pop(name, None)
        self.timers.update(row.timers_set)

    def add(self, job: Append) -> None:
        """Append records, and apply their changes of the run."""
        change = job.status
        if job.checkpoint is not None:
            self.save(job.checkpoint.position_after(len(self.entries)), job.checkpoint)
        self.entries += [each if not each.blobs else self._shared(each) for each in job.entries]
        if change is not None:
            self.status = change.status
            self.finished_at = _instant(change.finished_at_us)
            self.error_code, self.error_plugin = change.error_code, change.error_plugin
            self._error_words = job.error_words
            if self.finished_at is not None:
                self.owner = None
                self.holds = 0
                self.timers.clear()
                self.arrivals.clear()
        for message_id in job.answered:
            self.mark_handled(message_id)

    def _shared(self, entry: Encoded) -> Encoded:
        blobs = tuple(self._values.setdefault(blob.sum, blob) for blob in entry.blobs)
        return msgspec.structs.replace(entry, blobs=blobs)

    def post(self, position: int, message_id: str, message: Encoded) -> None:
        """Add a message to the inbox."""
        self.inbox[position] = (message_id, message)
        self.positions[message_id] = self.last_position = position
        if self.finished_at is None:
            self.arrivals[position] = None

    def mark_handled(self, message_id: str) -> None:
        """Remove a message from those that are not handled."""
        self.arrivals.pop(self.positions.get(message_id, 0), None)

    def archive(self, references: Iterable[str]) -> bytes:
        """Return it as an archive; see `Journal.export`."""
        inbox = [encoded for _, encoded in self.inbox.values()]
        blobs = {blob.sum: blob.content for each in (*self.entries, *inbox) for blob in each.blobs}
        return pack(
            self.run_id,
            [each.payload for each in self.entries],
            [each.payload for each in inbox],
            list(blobs.values()),
            references,
            tags_text(self.tags),
        )

    def record(self, number: int) -> Record:
        """Return the record of an index."""
        return _decoded([self.entries[number]])[0]

    def read(self, after: int = 0, limit: int | None = None) -> tuple[Record, ...]:
        """Return the records, or a page of them."""
        first = max(after, 0)
        last = None if limit is None else first + max(limit, 0)
        return _decoded(self.entries[first:last])

    def tail(self) -> tuple[Record, ...]:
        """Return the first record, and the records from the last checkpoint."""
        if self.checkpoint <= 1:
            return self.read()
        return _decoded([self.entries[0], *self.entries[self.checkpoint - 1 :]])

    @property
    def waits(self) -> bool:
        """Whether the run waits."""
        return self.status == "waiting"

    def next_timer(self) -> int:
        """Return when its next timer is due, in microseconds; it has one."""
        return min(self.timers.values())

    def is_due(self, now_us: int) -> bool:
        """Whether it waits, and a timer of it is due."""
        return self.waits and bool(self.timers) and self.next_timer() <= now_us

    def is_startable(self, now_us: int, able: Mapping[str, str]) -> bool:
        """Whether it waits in the queue, and may be taken by who has these plugins."""
        fits = all(
            name in able and version in (able[name], ANY_VERSION)
            for name, version in self._needs.items()
        )
        return self.status == "queued" and self._not_before_us <= now_us and fits

    def may_begin(self, now_us: int) -> bool:
        """Whether the time is over before which it may not be taken from the queue."""
        return self._not_before_us <= now_us

    def rank(self) -> tuple[int, int]:
        """Return what orders the runs of a queue."""
        return (-self.priority, self.key)

    def needs_any(self, plugins: Collection[tuple[str, str]]) -> bool:
        """Return whether it needs one of these plugins, each with the first number of a version."""
        return any(
            self.served.get(name) == major or self._needs.get(name) == major
            for name, major in plugins
        )

    @property
    def queued_at(self) -> datetime.datetime:
        """Since when it could be taken from the queue."""
        return max(self.started_at, from_us(self._not_before_us))

    def has_to_handle(self, after: int = 0) -> bool:
        """Whether it is to be resumed for messages after a position that it has not handled."""
        if not self.arrivals or next(reversed(self.arrivals)) <= after:
            return False
        if self.status == "paused":
            return any(entry.message.kind == "cancel" for entry in self.pending(after))
        return self.waits

    def pending(self, after: int) -> tuple[InboxEntry, ...]:
        """Return the messages that are not handled, after a position."""
        found = [position for position in self.arrivals if position > after]
        return tuple(self._entry(position) for position in found)

    def messages(self, after: int) -> tuple[InboxEntry, ...]:
        """Return the messages after a position."""
        return tuple(self._entry(position) for position in self.inbox if position > after)

    def _entry(self, position: int) -> InboxEntry:
        each = self.inbox[position][1]
        return InboxEntry(position, decode_message(each.payload, each.checksum, _loader(each)))

    def fits(self, query: RunQuery) -> bool:
        """Return whether a query selects the run."""
        since, until = query.started_since, query.started_until
        return (
            (not query.statuses or self.status in query.statuses)
            and query.workflow in (None, self.workflow)
            and query.parent in (None, self.parent)
            and query.pool in (None, self.pool)
            and (query.needs is None or self.needs_any([query.needs]))
            and query.tags.items() <= self.tags.items()
            and query.schedule in (None, self.schedule)
            and query.error_code in (None, self.error_code)
            and query.error_plugin in (None, self.error_plugin)
            and (since is None or self.started_at >= since)
            and (until is None or self.started_at < until)
            and (
                query.waiting_for is None
                or (self.waits and waits_for(self.accepts, query.waiting_for))
            )
            and (query.search is None or self._is_found(search_terms(query.search)))
        )

    def _is_found(self, terms: Sequence[str]) -> bool:
        words = f" {self._words} {self._error_words} {tag_words(self.tags)}"
        return bool(terms) and all(f" {term}" in words for term in terms)

    def summary(self, owner_alive: bool, held_by: tuple[str, ...] = ()) -> RunSummary:
        """Return the run's summary.

        Args:
            owner_alive: Whether its owner lives.
            held_by: The runs that hold a place of its key.
        """
        return RunSummary(
            run_id=self.run_id,
            workflow=self.workflow,
            kind=self.kind,
            status=self.status,
            started_at=self.started_at,
            finished_at=self.finished_at,
            owner_alive=owner_alive,
            epoch=self.epoch,
            parent=self.parent,
            label=self.label,
            accepts=tuple(self.accepts.split()),
            waiting_since=_instant(self.kept_at_us) if self.waits else None,
            records=len(self.entries),
            stateful=self.checkpoint > 0,
            pool=self.pool,
            priority=self.priority,
            title=self.title,
            tags=dict(self.tags),
            schedule=self.schedule,
            started_by=started_by_of(self.started_by),
            error_code=self.error_code,
            error_plugin=self.error_plugin,
            place=self.place,
            holds_place=self.holds == 1,
            held_by=held_by[:MOST_HOLDERS] if self.awaits_place else (),
        )

    @property
    def awaits_place(self) -> bool:
        """Whether it is queued, and needs a place that it does not hold."""
        return self.status == "queued" and self.place is not None and not self.holds


class _Listener(msgspec.Struct):
    """What a listener listens to, and what is stored for it, by position."""

    topics: Sequence[str]
    capacity: int
    stored: dict[int, tuple[str, datetime.datetime, Encoded]] = msgspec.field(default_factory=dict)


class MemoryPublications:
    """The publications of a store, by listener."""

    def __init__(self) -> None:
        self._listeners: dict[str, _Listener] = {}

    def listen(self, listener: str, topics: Sequence[str], capacity: int) -> None:
        """Make a listener listen to these topics only; to none, and it is forgotten."""
        if not topics:
            self._listeners.pop(listener, None)
        elif (known := self._listeners.get(listener)) is not None:
            known.topics, known.capacity = tuple(topics), capacity
        else:
            self._listeners[listener] = _Listener(tuple(topics), capacity)

    def publish(
        self,
        publication: Publication,
        but: str,
        numbers: Iterator[int],
        age: datetime.timedelta,
    ) -> tuple[int, int]:
        """Store a publication; return for how many listeners, and how many older were dropped."""
        dropped = 0
        found = [
            each
            for name, each in self._listeners.items()
            if name != but and any(matches(pattern, publication.topic) for pattern in each.topics)
        ]
        encoded = encode_publication(publication) if found else None
        for each in found:
            assert encoded is not None  # noqa: S101 - there is a listener
            if all(message_id != publication.message_id for message_id, *_ in each.stored.values()):
                each.stored[next(numbers)] = (publication.message_id, publication.at, encoded)
            oldest = publication.at - age
            old = [position for position, (_, at, _) in each.stored.items() if at < oldest]
            for position in dict.fromkeys([*old, *list(each.stored)[: -each.capacity or None]]):
                del each.stored[position]
                dropped += 1
        return len(found), dropped

    def stored(self, listener: str, limit: int) -> tuple[StoredPublication, ...]:
        """Return what is stored for a listener, oldest first."""
        known = self._listeners.get(listener)
        found = itertools.islice(known.stored.items() if known is not None else (), limit)
        return tuple(
            StoredPublication(position, decode_publication(encoded.payload, encoded.checksum))
            for position, (_, _, encoded) in found
        )

    def remove(self, listener: str, until: int) -> None:
        """Remove what a listener has received, up to a position."""
        known = self._listeners.get(listener)
        if known is not None:
            known.stored = {at: each for at, each in known.stored.items() if at > until}


class MemoryStore:
    """The runs in memory; several journals of one process may share them.

    Args:
        finished_capacity: How many finished runs are kept; the oldest are deleted.
    """

    def __init__(self, finished_capacity: int = 1000) -> None:
        self.capacity = finished_capacity
        self.publications = MemoryPublications()
        self.runs: dict[str, MemoryRun] = {}
        self.secrets: dict[str, dict[str, RunSecret]] = {}
        self.finished: dict[str, None] = {}  # in the order in which they ended
        self.owners: dict[str, JournalOwner] = {}  # the open journals
        self.owner_changes = 0  # how often one announced itself, was drained or was closed
        self.paused_pools: set[str] = set()
        self.limits = MemoryLimits()
        self.kept: dict[str, KeptValue] = {}
        self.listeners: set[asyncio.Event] = set()
        self.numbers = itertools.count(1)
        # The order of all records: each one's run, the run's key, and its number there from 0.
        self._appended: deque[tuple[str, int, int]] = deque(maxlen=_KEPT_ORDER)
        self._appended_count = 0  # of all time

    def update_finished(self, run: MemoryRun) -> None:
        """Note that a run has finished or was reopened; the oldest finished one may be deleted."""
        self.finished.pop(run.run_id, None)
        if run.finished_at is None:
            return
        self.finished[run.run_id] = None
        if len(self.finished) > self.capacity:
            oldest = next(iter(self.finished))
            del self.finished[oldest]
            del self.runs[oldest]
            self.secrets.pop(oldest, None)

    def holders(self, workflow: str, place: str | None) -> tuple[str, ...]:
        """Return the runs that hold the places of a concurrency key, the oldest first."""
        found = (
            run
            for run in self.runs.values()
            if run.holds == 1 and run.place == place and run.workflow == workflow
        )
        return tuple(run.run_id for run in found)

    def waiting(self, workflow: str, place: str | None, now_us: int) -> list[MemoryRun]:
        """Return the runs that wait for a place and may begin, in the order of getting one."""
        found = (
            run
            for run in self.runs.values()
            if run.awaits_place and run.place == place and run.workflow == workflow
            if run.may_begin(now_us)
        )
        return sorted(found, key=MemoryRun.rank)

    def first_for_place(self, run: MemoryRun, now_us: int) -> tuple[str, ...]:
        """Return the runs that come before a queued one; empty where it gets a place."""
        if not run.awaits_place:
            return ()
        waiting = self.waiting(run.workflow, run.place, now_us)
        ahead = (each.run_id for each in waiting if each.rank() < run.rank())
        first = (*self.holders(run.workflow, run.place), *ahead)
        return first if len(first) >= run.places else ()

    def same_run(self, started: RunStarted) -> str | None:
        """Return the run with the same unique key that is unfinished or young, or None."""
        unique = None if started.keys is None else started.keys.unique
        if unique is None:
            return None
        age = datetime.timedelta(seconds=unique.within_s or 0.0)
        for run in reversed(self.runs.values()):
            if run.workflow == started.workflow and run.unique_key == unique.key:
                is_young = unique.within_s is not None and run.started_at >= started.at - age
                if run.finished_at is None or is_young:
                    return run.run_id
        return None

    def admission(self, started: RunStarted) -> Admission:
        """Return what the queueing of a run does; see `Journal.admission`."""
        place, queue = started.place, started.queue
        existing = self.same_run(started)
        if existing is not None or place is None or queue is None:
            return Admission(existing=existing)
        waiting = self.waiting(started.workflow, place.key, to_us(started.at))
        return plan(
            place,
            queue.priority,
            self.holders(started.workflow, place.key),
            [(run.run_id, run.priority) for run in waiting],
        )

    def log(self, run: MemoryRun, count: int) -> None:
        """Add a run's newest records to the order of all records."""
        first = len(run.entries) - count
        run_id, key, add = run.run_id, run.key, self._appended.append
        for number in range(first, first + count):
            add((run_id, key, number))
        self._appended_count += count

    def records_since(self, after: Cursor, limit: int, run_id: str | None) -> AppendedPage:
        """Return records in the order of appending; see `Journal`."""
        newest = self._appended_count
        oldest = newest - len(self._appended) + 1
        since, gap, missed = place_of(after, oldest, newest)
        fitting = (
            AppendedRecord(cursor=str(position), run_id=name, record=run.record(number))
            for position, (name, key, number) in enumerate(self._appended, oldest)
            if position > since and run_id in (None, name)
            # A deleted run's name may have been used again.
            if (run := self.runs.get(name)) is not None and run.key == key
        )
        found = tuple(itertools.islice(fitting, limit))
        until = found[-1].cursor if found and len(found) == limit else str(newest)
        return AppendedPage(records=found, since=str(since), until=until, gap=gap, missed=missed)

    def statistics(self) -> JournalStatistics:
        """Count runs, timers and messages; see `Journal`."""
        runs = self.runs.values()
        oldest = min(
            (entry for run in runs for entry in run.pending(0)),
            key=lambda entry: entry.position,
            default=None,
        )
        return JournalStatistics(
            runs=Counter((run.workflow, run.status) for run in runs),
            timers=sum(len(run.timers) for run in runs),
            messages=sum(len(run.arrivals) for run in runs),
            oldest_message_at=None if oldest is None else oldest.message.at,
        )

    def import_archive(self, archive: Archive) -> str:
        """Add an exported run; see `Journal.import_`."""
        known = self.runs.get(archive.run_id)
        if known is not None:
            if not archive.is_stored_as([each.payload for each in known.entries]):
                raise RunExistsError(archive.run_id)
            return archive.run_id
        run = MemoryRun.imported(archive, next(self.numbers))
        handled = handled_messages(archive.decoded)
        if archive.last_handled:  # another journal has counted that far
            self.numbers = itertools.count(max(next(self.numbers), archive.last_handled + 1))
        for message_id, checksum, payload in archive.inbox_rows:
            run.post(next(self.numbers), message_id, Encoded(payload, checksum, archive.blobs))
            if message_id in handled:
                run.mark_handled(message_id)
        self.runs[run.run_id] = run
        self.log(run, len(run.entries))
        self.update_finished(run)
        return run.run_id

    def change_owner(self, owner: str, **changes: Any) -> None:
        """Change what is known of an open journal, and notify all."""
        self.owners[owner] = msgspec.structs.replace(self.owners[owner], **changes)
        self.owner_changes += 1
        self.notify()

    def remove_owner(self, owner: str) -> None:
        """Forget a journal that is closed."""
        if self.owners.pop(owner, None) is not None:
            self.owner_changes += 1

    def notify(self) -> None:
        """Wake every journal that waits for a change."""
        for event in self.listeners:
            event.set()


def _decoded(entries: Sequence[Encoded]) -> tuple[Record, ...]:
    shared = SharedValues()
    return tuple(
        decode_record(each.payload, each.checksum, _loader(each), shared) for each in entries
    )


def _instant(us: int | None) -> datetime.datetime | None:
    return None if us is None else from_us(us)


def _loader(encoded: Encoded) -> LoadBlob:
    contents = {blob.sum: blob.content for blob in encoded.blobs}

    def load(sum_: bytes) -> bytes:
        try:
            return contents[sum_]
        except KeyError:
            raise UnreadableError(f"the large value {sum_.hex()} is missing") from None

    return load
