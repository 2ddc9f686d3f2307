"""Append one run's records to the journal, then notify listeners."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from qtforge_host.runs.recorded_messages import without_messages
from qtforge_host.runs.run_secrets import RunSecrets
from qtforge_host.runs.state import RunState
from qtforge_host.runs.tracing import RunTracer
from qtforge_sdk import Record
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import InboxMessage, Journal, Ownership
from qtforge_sdk.journal_errors import RecordNotStorableError
from qtforge_sdk.records import RunWaiting
from qtforge_sdk.run_status import status_after

__all__ = ["RunListener", "RunLog"]

_LOG = logging.getLogger("qtforge.runs")
_NOTE_S = 0.1  # after which a note is written on its own


class RunListener(Protocol):
    """Called with what happens in a run as it happens; must be quick and must not raise."""

    def on_record(self, state: RunState, record: Record) -> None:
        """Handle a new record, which has been applied to the state."""

    def on_progress(
        self, state: RunState, step: str, done: float, total: float | None, text: str
    ) -> None:
        """Handle the progress of a step."""


class RunLog:
    """Appends a run's records in the name of its owner.

    Args:
        journal: The journal.
        ownership: Of the run.
        state: The run's; every record is applied to it.
        listener: Called with every record.
        observe: Called with every record, or None.
        secrets: Of the run; known ones are replaced in its records.
        tracer: Traces the run; None where it is not recorded.
    """

    def __init__(
        self,
        journal: Journal,
        ownership: Ownership,
        state: RunState,
        listener: RunListener,
        observe: Callable[[Record], None] | None,
        secrets: RunSecrets,
        tracer: RunTracer | None = None,
    ) -> None:
        self.state = state
        self.ownership = ownership
        self.listener = listener
        self.secrets = secrets
        self.tracer = tracer
        self._journal = journal
        self._observe = observe
        self._notes: list[Record] = []
        self._wait: RunWaiting | None = None  # what the run waits for, in its process
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    async def append(
        self, *records: Record, posts: Sequence[tuple[str, InboxMessage]] = ()
    ) -> None:
        """Append records, and the notes before them, as one unit; then notify listeners.

        Raises:
            StaleOwnerError: Another process has taken the run over.
            RecordNotStorableError: A value can't be written; the notes wait for the next.
        """
        if self.secrets.known.any_hidden:
            conceal = self.secrets.conceal_record
            records = tuple([await conceal(each) for each in records])
            posts = [(to, await conceal(message)) for to, message in posts]
        if self._wait is not None and records:
            self._go_on(records)
        notes, self._notes = self._notes, []
        try:
            await self._write([*notes, *records], posts)
        except RecordNotStorableError:
            self._notes = notes + self._notes
            raise
        except asyncio.CancelledError:  # they are durable: see `Journal.append`
            for record in records:
                self._notify(record)
            raise
        for record in records:
            self._notify(record)

    async def _write(
        self, records: Sequence[Record], posts: Sequence[tuple[str, InboxMessage]]
    ) -> None:
        try:
            await self._journal.append(self.ownership, records, posts)
        except RecordNotStorableError as error:
            # A message is recorded for people alone: a run does not fail for it.
            without = without_messages(records, error.why)
            if without == list(records):
                raise
            await self._journal.append(self.ownership, without, posts)

    def note(self, record: Record) -> None:
        """Notify listeners now, and append the record with the next one, or a moment later.

        The start of a step need not be durable before the step starts: a step without an
        answer is requested again either way. So a quick step costs one write, not two.
        """
        if self._wait is not None:
            self._go_on((record,))
        self._notes.append(record)
        self._notify(record)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_NOTE_S, self._write_notes)

    def wait(self, record: RunWaiting) -> None:
        """Note that the run waits in its process; its next record takes that back.

        So whatever the journal holds after it, the run is ``running`` again, and continued by
        another process where this one dies.
        """
        if self._wait is None or not _is_alike(self._wait, record):
            self.note(record)
            self._wait = record

    async def rest(self, record: RunWaiting) -> None:
        """Append that the run waits without a process, unless the journal holds that already."""
        if self._wait is None or not _is_alike(self._wait, record):
            await self.append(record)
        elif self._notes:
            await self.append()

    def _go_on(self, records: Sequence[Record]) -> None:
        """Take back that the run waits, unless the next records say what its status is."""
        waits, self._wait = self._wait, None
        assert waits is not None  # noqa: S101 - only then it is called
        at = max(waits.at, records[0].at)
        over = RunWaiting(run_id=waits.run_id, at=at, over=True)
        written = [each for each in self._notes if each is not waits]
        if len(written) < len(self._notes):  # it was too short to be written
            self._notes = written
            self._notify(over)
        elif all(status_after(each) is None for each in records):
            self.note(over)

    async def close(self) -> None:
        """Stop the timer, and wait for the write that it has begun."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.wait([self._writing])
            if not self._writing.cancelled() and (error := self._writing.exception()) is not None:
                _LOG.error("%s: its notes were not written", self.state.run_id, exc_info=error)

    def _write_notes(self) -> None:
        self._timer = None
        if self._notes and (self._writing is None or self._writing.done()):
            self._writing = asyncio.ensure_future(self._append_notes())

    async def _append_notes(self) -> None:
        try:
            await self.append()
        except QtForgeError as error:  # the next append fails alike, and the run with it
            _LOG.debug("%s: its notes were not written: %s", self.state.run_id, error)

    def _notify(self, record: Record) -> None:
        self.state.apply(record)
        if self._observe is not None:
            self._observe(record)
        if self.tracer is not None:
            self.tracer.on_record(record)
        self.listener.on_record(self.state, record)


def _is_alike(one: RunWaiting, other: RunWaiting) -> bool:
    return msgspec.structs.replace(one, at=other.at) == other
