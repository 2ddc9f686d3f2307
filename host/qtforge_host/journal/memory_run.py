"""A run as `qtforge_host.journal.memory.MemoryJournal` keeps it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Self

import msgspec

from qtforge_host.journal.archive import Archive
from qtforge_host.journal.encoding import (
    Encoded,
    LoadBlob,
    UnreadableError,
    decode_message,
    decode_record,
)
from qtforge_host.journal.group import StatusChange
from qtforge_host.journal.instants import from_us
from qtforge_host.journal.schema import RunRow, run_row
from qtforge_sdk import Record
from qtforge_sdk.journal import InboxEntry, RunQuery, RunSummary
from qtforge_sdk.records import RunStarted

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

    @classmethod
    def created(cls, started: RunStarted, encoded: Encoded, owner: str, key: int) -> Self:
        """Return a new run, owned for the first time."""
        return cls(run_row([started], owner, 1), [encoded], key)

    @classmethod
    def imported(cls, archive: Archive, key: int) -> Self:
        """Return an exported run, which nobody owns."""
        entries = [msgspec.structs.replace(each, blobs=archive.blobs) for each in archive.encoded]
        return cls(run_row(archive.decoded, None, 0), entries, key)

    def add(self, entries: Sequence[Encoded], change: StatusChange | None) -> None:
        """Keep records, and what they make of the status."""
        self.entries += entries
        if change is not None:
            self.status = change.status
            self.finished_at = _instant(change.finished_at_us)
            if self.finished_at is not None:
                self.owner = None

    def read(self) -> tuple[Record, ...]:
        """Return the records."""
        return tuple(
            decode_record(each.payload, each.checksum, _loader(each)) for each in self.entries
        )

    def messages(self, after: int) -> tuple[InboxEntry, ...]:
        """Return the messages behind a position."""
        return tuple(
            InboxEntry(position, decode_message(each.payload, each.checksum, _loader(each)))
            for position, (_, each) in self.inbox.items()
            if position > after
        )

    def fits(self, query: RunQuery) -> bool:
        """Return whether a query asks for it."""
        since, until = query.started_since, query.started_until
        return (
            (not query.statuses or self.status in query.statuses)
            and query.workflow in (None, self.workflow)
            and query.parent in (None, self.parent)
            and (since is None or self.started_at >= since)
            and (until is None or self.started_at < until)
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
