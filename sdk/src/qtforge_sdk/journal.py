"""`Journal`: where the records of runs are kept, and who may write them.

A run has at most one owner at a time. Taking a run over gives it a new epoch, and an
append in the name of an older epoch is refused; so a process that was thought dead can't
write beside the one that took over. What a journal must keep to is in
`qtforge_sdk.testing.journal_contract`.

All of it is durable when the call returns. A call that was cancelled may or may not have
been done; it is never half done, and never done twice. `Journal.append` goes further: a
caller who is cancelled meanwhile is so when the records are kept.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from qtforge_sdk.journal_views import (
    AppendedPage,
    AppendedRecord,
    Damage,
    JournalStatistics,
    RunQuery,
    RunSummary,
)
from qtforge_sdk.records import Record, RunStarted
from qtforge_sdk.run_status import status_after

__all__ = [
    "AppendedPage",
    "AppendedRecord",
    "Damage",
    "InboxEntry",
    "InboxMessage",
    "Journal",
    "JournalFactory",
    "JournalStatistics",
    "MessageKind",
    "Ownership",
    "PostedMessage",
    "RunQuery",
    "RunSummary",
    "status_after",
]

MessageKind = Literal["cancel", "pause", "resume", "amend", "event"]
"""What a message asks of a run."""


class Ownership(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write a run's records; given by `Journal.create` and `Journal.claim`.

    Attributes:
        run_id: The run.
        epoch: Counts its owners, from 1.
        owner: The journal's name for the process that owns it.
        key: The journal's own number for the run.
    """

    run_id: str
    epoch: int
    owner: str
    key: int = 0


class InboxMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What anybody may send to a run.

    Attributes:
        message_id: Unique; a message that is posted twice counts once.
        kind: What it asks.
        at: When it was made, in UTC.
        name: The event's name; "" for the other kinds.
        data: The event's data, or the amendment.
        by: Who sent it, in words.
    """

    message_id: str
    kind: MessageKind
    at: datetime.datetime
    name: str = ""
    data: Any = None
    by: str = ""


class InboxEntry(NamedTuple):
    """A message and its place; places grow in the order of posting and have gaps."""

    position: int
    message: InboxMessage


class PostedMessage(NamedTuple):
    """A message in anybody's inbox."""

    run_id: str
    position: int
    message: InboxMessage


class Journal(Protocol):
    """Keeps runs; one for each process and state directory, used from one event loop.

    Every method raises `StateDirectoryError` when the state directory can't be read or
    written, or the journal is not open.
    """

    async def open(self) -> None:
        """Make it ready, bringing an older format up to date.

        Raises:
            StateDirectoryError: The state directory is damaged, of a newer format, full,
                or not writable. Nothing in it was changed.
        """

    async def close(self) -> None:
        """Finish what was begun, and let go of every run; may be called twice."""

    async def create(self, started: RunStarted) -> Ownership:
        """Keep a new run, with its first record, owned by this process in epoch 1.

        Raises:
            RunExistsError: There is a run of that name.
            RecordNotStorableError: The input can't be written.
        """

    async def claim(self, run_id: str) -> Ownership:
        """Own a run that nobody owns, whose owner is dead, or that this process owns.

        A finished run may be claimed too: a retry goes on from its records.

        Raises:
            RunNotFoundError: There is none.
            RunOwnedError: Another live process owns it.
        """

    async def release(self, ownership: Ownership) -> None:
        """Let go of a run, whatever its status.

        Raises:
            StaleOwnerError: The ownership has ended already.
        """

    async def append(
        self,
        ownership: Ownership,
        records: Sequence[Record],
        posts: Sequence[tuple[str, InboxMessage]] = (),
    ) -> None:
        """Keep records, and post messages to other runs, all or none.

        `status_after` tells what they make of the run's status. `RunFinished` ends the
        run and lets go of it, so it is the last record; a later `RunResumed` opens it
        again.

        Args:
            ownership: Of the run; the newest.
            records: In order; none is no change.
            posts: Each with the run that it is for; one for a run that is not there is dropped.

        Raises:
            StaleOwnerError: The ownership has ended.
            RecordNotStorableError: A value can't be written.
            ValueError: A record is another run's, or follows `RunFinished`.
            asyncio.CancelledError: The caller was cancelled meanwhile, and the records are kept;
                if they could not be, the error that says so is raised and not this one.
        """

    async def records(self, run_id: str) -> Sequence[Record]:
        """Return a run's records, oldest first. Data that was a Struct is plain again.

        Raises:
            RunNotFoundError: There is no such run.
            JournalDamagedError: A record is not as it was written, or one is missing.
        """

    async def tail(self, run_id: str) -> Sequence[Record]:
        """Return what a run goes on from: its first record, and all from `CheckpointSaved` on.

        The last `CheckpointSaved` is meant; without one, these are all of its records.

        Raises:
            RunNotFoundError: There is no such run.
            JournalDamagedError: A record is not as it was written, or one is missing.
        """

    async def runs(self, query: RunQuery) -> Sequence[RunSummary]:
        """Return what the query asks for, by the time of their start.

        Raises:
            RunNotFoundError: There is no run of the name that the query has as ``after``.
        """

    async def unfinished(self) -> Sequence[str]:
        """Return the runs that a process may take up, oldest first.

        They have not ended, have no live owner, and neither rest nor wait.
        """

    async def post(self, run_id: str, message: InboxMessage) -> int:
        """Send to a run, from any process.

        Returns:
            The message's position; that of the first, when its id was posted before.

        Raises:
            RunNotFoundError: There is no such run.
            RecordNotStorableError: The data can't be written.
        """

    async def inbox(self, run_id: str, after: int = 0) -> Sequence[InboxEntry]:
        """Return what was sent to a run behind a position, oldest first.

        Raises:
            RunNotFoundError: There is no such run.
            JournalDamagedError: A message is not as it was written.
        """

    async def pending(self, run_id: str, after: int = 0) -> Sequence[InboxEntry]:
        """Return what an unfinished run was sent behind a position and has not dealt with.

        An event that came to a run that keeps its state is dealt with by a `CheckpointSaved` with
        its position as ``inbox``; any other message by the record that names it, or by one
        that has it in ``handled``. Oldest first; none for a run that is not there.

        Raises:
            JournalDamagedError: A message is not as it was written.
        """

    async def messages_since(self, after: int, limit: int = 1000) -> Sequence[PostedMessage]:
        """Return what was sent to any run behind a position, oldest first, at most so many.

        Raises:
            JournalDamagedError: A message is not as it was written.
        """

    async def last_position(self) -> int:
        """Return the position of the newest message to any run; 0 when there is none."""

    async def post_to_key(self, workflow: str, key: str, message: InboxMessage) -> int:
        """Send to all of a workflow's unfinished runs that kept a key: to all or to none.

        However many they are, what it needs of memory is bounded.

        Returns:
            To how many it was sent; those that had it already are not counted.

        Raises:
            RecordNotStorableError: The data can't be written.
        """

    async def runs_with_pending(self, limit: int = 1000) -> Sequence[str]:
        """Return waiting runs without a live owner that were sent what they have not handled."""

    async def due(self, before: datetime.datetime, limit: int = 1000) -> Sequence[str]:
        """Return waiting runs without a live owner with a timer due by then, earliest first."""

    async def next_due(self, after: datetime.datetime) -> datetime.datetime | None:
        """Return when the next timer of any unfinished run is due behind a moment, in UTC."""

    async def changed(self, timeout_s: float) -> bool:
        """Wait until an inbox may hold something new.

        Returns:
            True when another process wrote, or this one posted, since the last True;
            False when the time was over. May be True for nothing.
        """

    async def records_since(
        self, after: int, limit: int = 1000, *, run_id: str | None = None
    ) -> AppendedPage:
        """Return what any process made of runs behind a position, oldest first.

        A journal knows at least the newest 100,000 records in this order.

        Args:
            after: The position; 0 for all that is known.
            limit: At most so many; 0 asks only where the order stands.
            run_id: Only of this run.

        Raises:
            RunNotFoundError: There is no such run.
        """

    async def statistics(self) -> JournalStatistics:
        """Count what there is; takes the longer the more runs there are, and holds nobody up."""

    def backlog(self) -> int:
        """Return how many writes wait for the disk or are on their way to it."""

    async def prune(self, finished_before: datetime.datetime) -> int:
        """Forget runs that ended before a time, with all that only they refer to.

        Returns:
            How many.
        """

    async def export(self, run_id: str) -> bytes:
        """Return a run with its inbox and large values, as one versioned, checked archive.

        Raises:
            RunNotFoundError: There is no such run.
            JournalDamagedError: A part of it is not as it was written.
        """

    async def import_(self, data: bytes) -> str:
        """Keep an exported run, owned by nobody; the same run once more is no change.

        Returns:
            Its name.

        Raises:
            ArchiveInvalidError: The archive is not one, is damaged, or is of a newer format.
            RunExistsError: There is another run of that name.
        """

    async def check(self) -> Sequence[Damage]:
        """Return everything that is not as it was written; empty when all is well."""


class JournalFactory(Protocol):
    """What an entry point of the group ``qtforge.journals`` names."""

    def __call__(self, directory: Path, /) -> Journal:
        """Make a journal that keeps its runs in a folder, which need not be there yet."""
