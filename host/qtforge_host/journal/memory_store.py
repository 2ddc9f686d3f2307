"""The runs of `qtforge_host.journal.memory.MemoryJournal`."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque

from qtforge_host.journal.appending import handled_messages
from qtforge_host.journal.archive import Archive
from qtforge_host.journal.encoding import Encoded
from qtforge_host.journal.memory_run import MemoryRun
from qtforge_host.journal.schema import KEPT_ORDER
from qtforge_sdk.journal import AppendedPage, AppendedRecord, JournalCensus
from qtforge_sdk.journal_errors import RunExistsError

__all__ = ["MemoryStore"]


class MemoryStore:
    """The runs, which several journals of one process may share.

    Args:
        finished_capacity: How many finished runs are remembered; the last that ended.
    """

    def __init__(self, finished_capacity: int = 1000) -> None:
        self.capacity = finished_capacity
        self.runs: dict[str, MemoryRun] = {}
        self.finished: dict[str, None] = {}  # in the order in which they ended
        self.owners: set[str] = set()  # of the open journals
        self.listeners: set[asyncio.Event] = set()
        self.numbers = itertools.count(1)
        # The order of all records: each one's run, the run's key, and its number there from 0.
        self._appended: deque[tuple[str, int, int]] = deque(maxlen=KEPT_ORDER)
        self._taken = 0  # how many records there ever were

    def settle(self, run: MemoryRun) -> None:
        """Take in that a run has ended or been opened again; the oldest may be forgotten."""
        self.finished.pop(run.run_id, None)
        if run.finished_at is None:
            return
        self.finished[run.run_id] = None
        if len(self.finished) > self.capacity:
            oldest = next(iter(self.finished))
            del self.finished[oldest]
            del self.runs[oldest]

    def log(self, run: MemoryRun, count: int) -> None:
        """Take in that a run has so many new records."""
        first = len(run.entries) - count
        self._appended.extend(
            (run.run_id, run.key, number) for number in range(first, first + count)
        )
        self._taken += count

    def appended(self, after: int, limit: int, run_id: str | None) -> AppendedPage:
        """Return records of any run in their order; see `Journal`."""
        oldest = self._taken - len(self._appended) + 1
        places = enumerate(self._appended, oldest)
        fitting = (
            AppendedRecord(position=position, run_id=name, record=run.record(number))
            for position, (name, key, number) in places
            if position > after and run_id in (None, name)
            # Another run may have got the name of one that was forgotten.
            if (run := self.runs.get(name)) is not None and run.key == key
        )
        found = tuple(itertools.islice(fitting, limit))
        until = found[-1].position if found and len(found) == limit else self._taken
        return AppendedPage(records=found, until=until, oldest=oldest)

    def census(self) -> JournalCensus:
        """Count what there is; see `Journal`."""
        runs = self.runs.values()
        oldest = min(
            (entry for run in runs for entry in run.arrived(0)),
            key=lambda entry: entry.position,
            default=None,
        )
        return JournalCensus(
            runs=Counter((run.workflow, run.status) for run in runs),
            timers=sum(len(run.timers) for run in runs),
            messages=sum(len(run.arrivals) for run in runs),
            oldest_message_at=None if oldest is None else oldest.message.at,
        )

    def take(self, archive: Archive) -> str:
        """Keep an exported run; see `Journal.import_`."""
        known = self.runs.get(archive.run_id)
        if known is not None:
            if [each.payload for each in known.entries] != archive.records:
                raise RunExistsError(archive.run_id)
            return archive.run_id
        run = MemoryRun.imported(archive, next(self.numbers))
        handled = handled_messages(archive.decoded)
        for message_id, checksum, payload in archive.inbox_rows:
            run.post(next(self.numbers), message_id, Encoded(payload, checksum, archive.blobs))
            if message_id in handled:
                run.settle(message_id)
        self.runs[run.run_id] = run
        self.log(run, len(run.entries))
        self.settle(run)
        return run.run_id

    def tell(self) -> None:
        """Wake everybody who waits for a change."""
        for event in self.listeners:
            event.set()
