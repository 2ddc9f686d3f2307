"""A run as `qtforge_host.journal.memory.MemoryJournal` keeps it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Self

import msgspec

from qtforge_host.journal.appending import kept_row
from qtforge_host.journal.archive import Archive, pack
from qtforge_host.journal.encoding import (
    Encoded,
    LoadBlob,
    UnreadableError,
    decode_message,
    decode_record,
)
from qtforge_host.journal.group import Append
from qtforge_host.journal.instants import from_us
from qtforge_host.journal.listing_queries import waits_for
from qtforge_host.journal.schema import RunRow, run_row
from qtforge_host.journal.waiting_rows import KeptRow
from qtforge_sdk import Record
from qtforge_sdk.journal import InboxEntry, RunQuery, RunSummary
from qtforge_sdk.records import RunStarted, StateKept

__all__ = ["MemoryRun"]


class MemoryRun:
    """A run's records, encoded: who reads them gets what a file would give, and no alias.

    Args:
        row: What `run_row` tells of it.
        entries: Its records so far.
        key: The store's number for it.
    """

    def __init__(self, row: RunRow, entries: Sequence[Encoded], key: int) -> None:
        self.run_id, self.workflow, self.kind, self.status, started_at_us, finished_at_us = row[:6]
        self.owner, self.epoch, self.parent = row[6:]
        self.started_at = from_us(started_at_us)
        self.finished_at = _instant(finished_at_us)
        self.key = key
        self.entries = list(entries)
        self.inbox: dict[int, tuple[str, Encoded]] = {}  # by position: id and message
        self.kept = 0  # the position of the last `StateKept`
        self.positions: dict[str, int] = {}  # of messages, by their ids
        self.arrivals: dict[int, None] = {}  # positions of messages that were not dealt with
        self.last_position = 0
        self.label, self.accepts = "", ""
        self.kept_at_us: int | None = None
        self.timers: dict[str, int] = {}
        self.correlation = ""

    @classmethod
    def created(cls, started: RunStarted, encoded: Encoded, owner: str, key: int) -> Self:
        """Return a new run, owned for the first time."""
        return cls(run_row([started], owner, 1), [encoded], key)

    @classmethod
    def imported(cls, archive: Archive, key: int) -> Self:
        """Return an exported run, which nobody owns."""
        entries = [msgspec.structs.replace(each, blobs=archive.blobs) for each in archive.encoded]
        run = cls(run_row(archive.decoded, None, 0), entries, key)
        for place, record in enumerate(archive.decoded):
            if isinstance(record, StateKept):
                run.keep(place + 1, kept_row(record, place, every_timer=True))
        return run

    def keep(self, position: int, row: KeptRow) -> None:
        """Take in what a kept state makes of the run."""
        self.kept, self.label, self.accepts = position, row.label, row.accepts
        self.kept_at_us = row.at_us
        self.correlation = row.key or self.correlation
        self.arrivals.pop(row.inbox, None)
        for name in row.timers_gone:
            self.timers.pop(name, None)
        self.timers.update(row.timers_set)

    def add(self, job: Append) -> None:
        """Keep records, and what they make of the run."""
        change = job.status
        if job.kept is not None:
            self.keep(len(self.entries) + 1 + job.kept.place, job.kept)
        self.entries += job.entries
        if change is not None:
            self.status = change.status
            self.finished_at = _instant(change.finished_at_us)
            if self.finished_at is not None:
                self.owner = None
                self.timers.clear()
                self.arrivals.clear()
        for message_id in job.answered:
            self.settle(message_id)

    def post(self, position: int, message_id: str, message: Encoded) -> None:
        """Take a message in."""
        self.inbox[position] = (message_id, message)
        self.positions[message_id] = self.last_position = position
        if self.finished_at is None:
            self.arrivals[position] = None

    def settle(self, message_id: str) -> None:
        """Take in that a message was dealt with."""
        self.arrivals.pop(self.positions.get(message_id, 0), None)

    def archive(self) -> bytes:
        """Return it as an archive; see `Journal.export`."""
        inbox = [encoded for _, encoded in self.inbox.values()]
        blobs = {blob.sum: blob.content for each in (*self.entries, *inbox) for blob in each.blobs}
        return pack(
            self.run_id,
            [each.payload for each in self.entries],
            [each.payload for each in inbox],
            list(blobs.values()),
        )

    def record(self, number: int) -> Record:
        """Return one of the records, by its number from 0."""
        return _decoded([self.entries[number]])[0]

    def read(self) -> tuple[Record, ...]:
        """Return the records."""
        return _decoded(self.entries)

    def tail(self) -> tuple[Record, ...]:
        """Return what the run goes on from."""
        if self.kept <= 1:
            return self.read()
        return _decoded([self.entries[0], *self.entries[self.kept - 1 :]])

    @property
    def waits(self) -> bool:
        """Whether it waits."""
        return self.status == "waiting"

    def arrived(self, after: int) -> tuple[InboxEntry, ...]:
        """Return the messages that were not dealt with, behind a position."""
        found = [position for position in self.arrivals if position > after]
        return tuple(self._entry(position) for position in found)

    def messages(self, after: int) -> tuple[InboxEntry, ...]:
        """Return the messages behind a position."""
        return tuple(self._entry(position) for position in self.inbox if position > after)

    def _entry(self, position: int) -> InboxEntry:
        each = self.inbox[position][1]
        return InboxEntry(position, decode_message(each.payload, each.checksum, _loader(each)))

    def fits(self, query: RunQuery) -> bool:
        """Return whether a query asks for it."""
        since, until = query.started_since, query.started_until
        return (
            (not query.statuses or self.status in query.statuses)
            and query.workflow in (None, self.workflow)
            and query.parent in (None, self.parent)
            and (since is None or self.started_at >= since)
            and (until is None or self.started_at < until)
            and (
                query.waiting_for is None
                or (self.waits and waits_for(self.accepts, query.waiting_for))
            )
        )

    def summary(self, owner_alive: bool) -> RunSummary:
        """Return it in one line."""
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
        )


def _decoded(entries: Sequence[Encoded]) -> tuple[Record, ...]:
    return tuple(decode_record(each.payload, each.checksum, _loader(each)) for each in entries)


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
