"""A run's own end of the journal: what is recorded, then shown to whoever listens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from qtforge_host.runs.history import History
from qtforge_host.runs.state import RunState
from qtforge_sdk import Record
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import InboxMessage, Journal, Ownership
from qtforge_sdk.journal_errors import RecordNotStorableError

__all__ = ["RunListener", "RunLog"]

_LOG = logging.getLogger("qtforge.runs")
_NOTE_S = 0.1  # after which a note is written even if nothing else is


class RunListener(Protocol):
    """Hears what happens in a run, as it happens; must be quick and must not raise."""

    def on_record(self, view: RunState, record: Record) -> None:
        """A record was made; the view has taken it in."""

    def on_progress(
        self, view: RunState, step: str, done: float, total: float | None, text: str
    ) -> None:
        """A step came further."""


class RunLog:
    """Appends a run's records in the name of its owner.

    Args:
        journal: Where to.
        ownership: Of the run.
        view: Takes every record in.
        history: Takes every record in.
        listener: Hears of every record.
        observe: Hears of every record; None for nobody.
    """

    def __init__(
        self,
        journal: Journal,
        ownership: Ownership,
        view: RunState,
        history: History,
        listener: RunListener,
        observe: Callable[[Record], None] | None,
    ) -> None:
        self.view = view
        self.history = history
        self.ownership = ownership
        self.listener = listener
        self._journal = journal
        self._observe = observe
        self._notes: list[Record] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    async def append(
        self, *records: Record, posts: Sequence[tuple[str, InboxMessage]] = ()
    ) -> None:
        """Keep records, and the notes before them, as one unit; then tell everybody.

        Raises:
            StaleOwnerError: Another process has taken the run over.
            RecordNotStorableError: A value can't be written; the notes wait for the next.
        """
        notes, self._notes = self._notes, []
        try:
            await self._journal.append(self.ownership, [*notes, *records], posts)
        except RecordNotStorableError:
            self._notes = notes + self._notes
            raise
        except asyncio.CancelledError:  # they are kept: see `Journal.append`
            for record in records:
                self._tell(record)
            raise
        for record in records:
            self._tell(record)

    def note(self, record: Record) -> None:
        """Tell everybody, and keep the record with the next that is kept, or a moment later.

        That a step has begun need not be durable before it begins: a step that was not
        answered is asked again either way. So a quick step costs one write, not two.
        """
        self._notes.append(record)
        self._tell(record)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_NOTE_S, self._write_notes)

    async def close(self) -> None:
        """Stop the timer, and wait for what it has begun."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def _write_notes(self) -> None:
        self._timer = None
        if self._notes and (self._writing is None or self._writing.done()):
            self._writing = asyncio.ensure_future(self._append_notes())

    async def _append_notes(self) -> None:
        try:
            await self.append()
        except QtForgeError as error:  # the next record will meet the same, and the run with it
            _LOG.debug("%s: its notes were not kept: %s", self.view.run_id, error)

    def _tell(self, record: Record) -> None:
        self.history.take(record)
        self.view.apply(record)
        if self._observe is not None:
            self._observe(record)
        self.listener.on_record(self.view, record)
