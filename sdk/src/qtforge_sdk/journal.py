"""`Journal`: durable storage of the records of runs, with one writer for each run.

A run has at most one owner at a time. Claiming a run begins a new epoch, and an append with the
ownership of an older epoch is refused; so a process that was believed dead can't write beside
the one that has claimed its run. `qtforge_sdk.testing.journal_contract` tests what every journal
must guarantee.

Every change is durable when the call returns. A change whose call was cancelled is made or not,
but never in part, and never twice. `Journal.append` guarantees more: when a cancelled call
raises `asyncio.CancelledError`, the records are stored.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

from qtforge_sdk._journal_limits import BreakerTrial, Drawn, Holding, OpenBreaker
from qtforge_sdk._journal_views import (
    CURSOR,
    MOST_HOLDERS,
    Admission,
    Announcement,
    AppendedPage,
    AppendedRecord,
    Cursor,
    Damage,
    JournalOwner,
    JournalStatistics,
    KeptValue,
    PoolState,
    Repair,
    RunQuery,
    RunSummary,
    Standing,
)
from qtforge_sdk.records import Record, RunStarted
from qtforge_sdk.run_status import status_after

__all__ = [
    "CURSOR",
    "MOST_HOLDERS",
    "MOST_KEPT_BYTES",
    "PUBLICATION_AGE",
    "Admission",
    "Announcement",
    "AppendedPage",
    "AppendedRecord",
    "BreakerTrial",
    "Cursor",
    "Damage",
    "Deliveries",
    "Drawn",
    "Holding",
    "InboxEntry",
    "InboxMessage",
    "Journal",
    "JournalFactory",
    "JournalOwner",
    "JournalSettings",
    "JournalStatistics",
    "KeptValue",
    "MessageKind",
    "OpenBreaker",
    "Ownership",
    "PoolState",
    "Posted",
    "PostedMessage",
    "Publication",
    "Repair",
    "RunQuery",
    "RunSecret",
    "RunSummary",
    "SharedJournal",
    "Standing",
    "StoredPublication",
    "is_run_id",
    "status_after",
]

MessageKind = Literal["cancel", "pause", "resume", "amend", "event"]
"""The kind of a message to a run: a request, or an event."""

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def is_run_id(text: str) -> bool:
    """Return whether a text can be the id of a run.

    A run's id becomes the name of a folder and is printed to terminals, so it has at most 128
    ASCII letters, digits, dots, hyphens and underscores, and begins with a letter or digit.

    >>> is_run_id("20260102-030405-9f86d08188")
    True
    >>> is_run_id("../../etc")
    False
    """
    return _RUN_ID.fullmatch(text) is not None


class Ownership(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write a run's records; given by `Journal.create` and `Journal.claim`.

    Attributes:
        run_id: The run.
        epoch: The number of the owner, from 1.
        owner: The name of the owning process, as the journal gives it.
        key: The journal's own number of the run.
        took_over: Whether the owner before died: it is another one, and it did not release the
            run.
    """

    run_id: str
    epoch: int
    owner: str
    key: int = 0
    took_over: bool = False


class InboxMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to a run; any process may send one.

    Attributes:
        message_id: The message's id, unique; a message that is posted twice is stored once.
        kind: What it requests, or ``event``.
        at: When it was sent, in UTC.
        name: The event's name; "" for the other kinds.
        data: The event's data, the amendment, or the reason of a pause or cancellation.
        by: The sender, in words.
        sender: The id of the run that sends it; "" where no run does.
    """

    message_id: str
    kind: MessageKind
    at: datetime.datetime
    name: str = ""
    data: Any = None
    by: str = ""
    sender: str = ""


class InboxEntry(NamedTuple):
    """A message with its position; positions increase in the order of posting, with gaps."""

    position: int
    message: InboxMessage


class Posted(NamedTuple):
    """What `Journal.post` has done.

    Attributes:
        position: The message's position in the run's inbox.
        is_new: Whether it was posted now; False where a message of that id was there before.
    """

    position: int
    is_new: bool


class PostedMessage(NamedTuple):
    """A message in the inbox of some run."""

    run_id: str
    position: int
    message: InboxMessage


class Deliveries(NamedTuple):
    """A page of the messages to the runs that a process owns.

    Attributes:
        messages: The messages, oldest first.
        until: The place where the page ends; the next page begins there.
    """

    messages: tuple[PostedMessage, ...]
    until: Cursor


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was published on a topic of the bus.

    Attributes:
        message_id: Its id, unique; the same when it is published again.
        topic: The topic.
        message: The message, as plain values.
        at: When it was published, in UTC.
    """

    message_id: str
    topic: str
    message: Any
    at: datetime.datetime


class RunSecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a reference in the records of a run stands for.

    Attributes:
        name: The secret of ``${secret.NAME}``, which has its value itself; or "".
        value: The value, where it is none of a named secret.
        is_missing: Whether it is not here: it did not come with the run, which was imported or
            restored.
    """

    name: str = ""
    value: Any = None
    is_missing: bool = False


class StoredPublication(NamedTuple):
    """A publication with its position; positions increase in the order of publishing.

    Attributes:
        position: Its position.
        publication: The publication; None if it is damaged.
    """

    position: int
    publication: Publication | None


MOST_KEPT_BYTES: Final = 256 << 10
"""The largest value of `Journal.keep_value`, in bytes."""

PUBLICATION_AGE: Final = datetime.timedelta(days=1)
"""How long a publication waits for its listener, where nothing else is configured."""


class Journal(Protocol):
    """Storage of runs; one object for each process and state directory, on one event loop.

    Every method raises `StorageError` if the journal can't be read or written, or is not open:
    `StateDirectoryError` for its folder, `JournalUnavailableError` for a shared journal that can't
    be reached for a while.

    Attributes:
        max_value_bytes: The largest record or message that is stored, encoded; a larger one is
            a `RecordTooLargeError`, which is a `RecordNotStorableError`.
        publication_age: How long a publication waits for its listener at least, unless there are
            too many.
    """

    max_value_bytes: int
    publication_age: datetime.timedelta

    async def open(self) -> None:
        """Open the journal, and migrate an older format.

        Raises:
            StateDirectoryError: The state directory is damaged, of a newer format, full,
                or not writable. Nothing in it was changed.
        """

    async def close(self) -> None:
        """Finish pending writes, and release every run; may be called twice."""

    async def create(self, started: RunStarted, records: Sequence[Record] = ()) -> Ownership:
        """Store a new run with its first records, owned by this process in epoch 1.

        A run with a ``place`` holds none yet.

        Args:
            started: The first record.
            records: Those after it, such as the steps that a fork keeps; no checkpoint. All are
                stored, or none.

        Raises:
            RunExistsError: There is a run of that id.
            RunDuplicateError: There is a run with the same unique key.
            RecordNotStorableError: A value can't be stored, or the id is none (`is_run_id`).
            ValueError: A record belongs to another run, or is a `CheckpointSaved`.
        """

    async def enqueue(self, started: RunStarted) -> Sequence[str]:
        """Store a new run with its first record, which has a ``queue``; nobody owns it yet.

        Where its ``place`` is refused or taken from others, this is decided with the same write,
        after `qtforge_sdk.journal_kit.admission.plan`.

        Returns:
            The runs whose inbox has got a request to cancel them for this one. Those of them that
            were queued need no place any more: `take` gives them to be cancelled.

        Raises:
            RunExistsError: There is a run of that id.
            RunDuplicateError: There is a run with the same unique key.
            RunConcurrencyError: There is no place, and ``when_full`` is ``refuse``.
            RecordNotStorableError: The input can't be stored, or the id is none (`is_run_id`).
            ValueError: The record has no ``queue``.
        """

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
        """Own runs that are to be executed and that no live process owns, up to a limit.

        A queued run with a ``place`` is taken where it gets one, which it then holds until its
        end: of the queued runs with its key those of the highest priority first, and of these the
        oldest. All processes together take no more than there are places.

        They are, in this order: running (their process died or released them); waiting with a
        timer that is due; waiting with an unhandled message, or paused with an unhandled
        request to cancel them; queued, of the highest priority first. Of several processes that
        take at once, one owns each run. Queued runs of a paused pool are not taken.

        Args:
            limit: The largest number of runs; the time depends on it, not on the number of all.
            now: The time; in a journal that machines share, that of the store (`now`).
            pools: Only runs of these pools; None for runs of any.
            able: The plugins that serve runs here, by name, with the first number of their
                version: a queued run that needs others is left to other processes.
            since: Runs that were sent something only for messages after this place, of
                `deliveries`, and none that are running: what may have changed since then. None
                for everything.
            again: Also blocked runs, and those that rest (`release`): the plugins have changed.
            queued: Whether queued runs are taken too.
            needing: Only runs that need at least one of these plugins, each with the first number
                of its version; None for runs whatever they need.
            leave: A run that has begun, and needs one of these plugins, is left to other processes.

        Returns:
            The ownerships of the runs.
        """

    async def admission(self, started: RunStarted) -> Admission:
        """Return what `enqueue` or `create` of a run would do now; nothing is written."""

    async def admit(self, ownership: Ownership) -> Sequence[str]:
        """Let a queued run of this process hold a place of its concurrency key, as `take` would.

        Returns:
            Empty where it holds one now, or needs none; else the runs that come first.

        Raises:
            StaleOwnerError: The ownership has ended.
        """

    async def tag(self, run_id: str, changed: Mapping[str, str | None]) -> Mapping[str, str]:
        """Change tags of a run, whatever its status and owner.

        Args:
            run_id: The run.
            changed: Names with their new values; None removes one.

        Returns:
            All its tags.

        Raises:
            RunNotFoundError: There is no such run.
            TagsInvalidError: There would be too many, or one is none
                (`qtforge_sdk.journal_kit.admission.check_tags`).
        """

    async def claim(self, run_id: str) -> Ownership:
        """Own a run that has no owner or a dead one, or that this process owns already.

        A finished run may be claimed too: a retry continues from its records.

        Raises:
            RunNotFoundError: There is none.
            RunOwnedError: Another live process owns it.
        """

    async def release(
        self,
        ownership: Ownership,
        *,
        rest_until: datetime.datetime | None = None,
        needs: Mapping[str, str] | None = None,
        unused: bool = False,
    ) -> None:
        """End the ownership of a run, whatever its status.

        Args:
            ownership: The ownership.
            rest_until: `take` leaves the run alone until then; it may be claimed.
            needs: What the run needs from now on; see `note_needs`. None for no change.
            unused: Whether the run was not executed with it: where the owner before died, the
                next owner still has ``took_over``.

        Raises:
            StaleOwnerError: The ownership has ended already.
        """

    async def note_needs(self, needs: Mapping[str, Mapping[str, str]]) -> None:
        """Store which plugins runs of this process need, so that `take` offers them accordingly.

        Args:
            needs: By run: the plugins, by name, with the first number of their version. A run that
                this process does not own any more is left as it is.
        """

    async def append(
        self,
        ownership: Ownership,
        records: Sequence[Record],
        posts: Sequence[tuple[str, InboxMessage]] = (),
    ) -> None:
        """Store records, and post messages to other runs: all or nothing.

        `status_after` defines the run's status. `RunFinished` ends and releases the run, so it is
        the last record; a later `RunResumed` opens the run again.

        Args:
            ownership: The current ownership of the run.
            records: The records, in order; may be empty.
            posts: Messages, each with the id of its run; a message to an unknown run is dropped.

        Raises:
            StaleOwnerError: The ownership has ended.
            RecordNotStorableError: A value can't be stored.
            ValueError: A record belongs to another run, or follows `RunFinished`.
            asyncio.CancelledError: The caller was cancelled meanwhile, and the records are stored;
                if they could not be stored, the error of that is raised instead.
        """

    async def records(
        self, run_id: str, after: int = 0, limit: int | None = None
    ) -> Sequence[Record]:
        """Return a run's records, oldest first; data that was a Struct is plain values.

        The time depends on the number of returned records, not on that of the run.

        Args:
            run_id: The run.
            after: Return the records after this one; 1 is the run's first record. Empty when
                the run has no more.
            limit: The largest number of records; None for all.

        Raises:
            RunNotFoundError: There is no such run.
            JournalDamagedError: A record is damaged or missing.
        """

    async def tail(self, run_id: str) -> Sequence[Record]:
        """Return the records from which a run is resumed.

        They are its first record, and all from its last `CheckpointSaved` on; all of its records
        where it has no `CheckpointSaved`.

        Raises:
            RunNotFoundError: There is no such run.
            JournalDamagedError: A record is damaged or missing.
        """

    async def summary(self, run_id: str) -> RunSummary:
        """Return one run's summary; the time does not depend on the number of its records.

        Raises:
            RunNotFoundError: There is no such run.
        """

    async def runs(self, query: RunQuery) -> Sequence[RunSummary]:
        """Return the runs that match a query, by the time of their start.

        Raises:
            RunNotFoundError: There is no run of the query's ``after``.
        """

    async def unfinished(self) -> Sequence[str]:
        """Return the runs that a process should resume, oldest first.

        They are running, and have no live owner.
        """

    async def post(self, run_id: str, message: InboxMessage) -> Posted:
        """Post a message to a run, from any process.

        Messages to one run have the order in which they were posted.

        Returns:
            The message's position, and whether it is new.

        Raises:
            RunNotFoundError: There is no such run.
            RecordNotStorableError: The data can't be stored.
        """

    async def inbox(self, run_id: str, after: int = 0) -> Sequence[InboxEntry]:
        """Return the messages to a run after a position, oldest first.

        Raises:
            RunNotFoundError: There is no such run.
            JournalDamagedError: A message is damaged.
        """

    async def pending(self, run_id: str, after: int = 0) -> Sequence[InboxEntry]:
        """Return the messages after a position that an unfinished run has not handled.

        An event to a stateful run is handled by a `CheckpointSaved` whose ``inbox`` is its position
        or a later one; any other message by a record that names it, or has it in ``handled``.

        Returns:
            The messages, oldest first; none for an unknown run.

        Raises:
            JournalDamagedError: A message is damaged.
        """

    async def deliveries(self, after: Cursor, limit: int = 1000) -> Deliveries:
        """Return the messages after a place to the runs that this process owns, oldest first.

        Whoever claims a run reads what its inbox holds by then; deliveries are what comes later.

        Args:
            after: The place; with one that is not the journal's own the page is that of "".
            limit: The largest number of messages; 0 returns only the newest place.

        Raises:
            JournalDamagedError: A message is damaged.
        """

    async def post_to_key(self, workflow: str, key: str, message: InboxMessage) -> int:
        """Post a message to all unfinished runs of a workflow with a key: to all or to none.

        The key is that of a run's last checkpoint. Memory is bounded for any number of runs.

        Returns:
            The number of runs that it was posted to, without those that already had it.

        Raises:
            RecordNotStorableError: The data can't be stored.
        """

    async def runs_with_pending(self, limit: int = 1000) -> Sequence[str]:
        """Return runs without a live owner that have unhandled messages.

        They are waiting, or are paused and were sent a request to cancel them.
        """

    async def due(self, before: datetime.datetime, limit: int = 1000) -> Sequence[str]:
        """Return waiting runs without a live owner with a timer due by a time, earliest first."""

    async def next_due(self, after: datetime.datetime) -> datetime.datetime | None:
        """Return when the next timer of any unfinished run after a time is due, in UTC, or None."""

    async def now(self) -> datetime.datetime:
        """Return the store's time, in UTC: the same for all processes, however their clocks go.

        The host sets and fires the timers of a `SharedJournal` by it.
        """

    async def changed(self, timeout_s: float) -> bool:
        """Wait until there may be a new message.

        Args:
            timeout_s: The longest wait, in seconds.

        Returns:
            True if another process wrote, or this one posted or enqueued, since the last True;
            False after the timeout. It may be True although there is no new message.
        """

    async def listen(self, listener: str, topics: Sequence[str], capacity: int = 10_000) -> None:
        """Store for a listener what other processes publish on topics from now on.

        A listener outlives its process, so that what is published while that is replaced waits.

        Args:
            listener: Its name.
            topics: Patterns, which replace those of an earlier call; none ends the listening,
                and drops what is stored.
            capacity: The most publications that are stored; the oldest are dropped.
        """

    async def publish(self, publication: Publication, *, but: str = "") -> int:
        """Store a publication for every listener with a matching topic.

        Nothing is written where there is none. A listener's publications that are older than
        `publication_age` are dropped.

        Args:
            publication: For a listener that has one of its id, it is not stored again.
            but: A listener that has received it otherwise.

        Returns:
            The number of listeners that it is stored for.

        Raises:
            RecordNotStorableError: The message can't be stored.
        """

    async def publications(self, listener: str, limit: int = 100) -> Sequence[StoredPublication]:
        """Return what is stored for a listener, oldest first, up to a limit."""

    async def remove_publications(self, listener: str, until: int) -> None:
        """Remove what a listener has received, up to a position."""

    async def store_secrets(self, run_id: str, secrets: Mapping[str, RunSecret]) -> None:
        """Store what references of a run stand for, in addition to what is stored.

        The values are kept apart from the records: no other method returns them, an export
        does not contain them, and they are deleted with the run.

        Args:
            run_id: The run; it may be created afterwards.
            secrets: By reference.

        Raises:
            RecordNotStorableError: A value can't be stored, or the id is none (`is_run_id`).
        """

    async def secrets(self, run_id: str) -> Mapping[str, RunSecret]:
        """Return what the references of a run stand for; empty for an unknown run."""

    async def records_since(
        self, after: Cursor, limit: int = 1000, *, run_id: str | None = None
    ) -> AppendedPage:
        """Return the records of all runs after a place, oldest first.

        A follower that passes each page's ``until`` gets every record once, whatever other
        processes append meanwhile. The records of one run are in their order; those of
        different runs are about in the order of appending. A journal has at least the newest
        100,000 records.

        Args:
            after: The place.
            limit: The largest number of records; 0 returns only the newest place.
            run_id: Return only records of this run; None for all runs.

        Raises:
            RunNotFoundError: There is no such run.
        """

    async def announce(self, announcement: Announcement) -> None:
        """Store what this process says of itself, until it closes the journal or dies."""

    async def owners(self) -> Sequence[JournalOwner]:
        """Return the live processes that have opened the journal, the oldest first."""

    async def drain(self, owner: str, *, draining: bool) -> bool:
        """Request a process to take nothing new and to hand over its runs, or to take runs again.

        The process learns it from `standing` within seconds. The request ends with the process.

        Args:
            owner: The process; see `JournalOwner`.
            draining: False to take runs again.

        Returns:
            Whether there is such a process.
        """

    async def standing(self) -> Standing:
        """Return what this process is requested to do, as of some seconds ago at most."""

    async def hold(self, limit: str, places: int, *, using: int, wanted: int) -> Holding:
        """Hold places of a limit, so that all processes together have no more than there are.

        What a process holds is its own until it asks for fewer, closes the journal or dies: what
        it does with them costs nothing here. `qtforge_sdk.journal_kit.limits.allot` decides how
        many it gets: where others are short, those that it does not use may be taken from it.
        While this call is in progress it must use no more than ``using``.

        Args:
            limit: The limit's name, of at most 500 characters.
            places: How many places there are, at least 1; processes may differ for a while.
            using: How many the process uses now, which it keeps.
            wanted: How many it can use now; fewer than before gives places back. 0 for none.

        Returns:
            How many it holds now.
        """

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
        """Take tokens from the bucket of a rate that all processes share.

        The bucket has ``count`` tokens at most, is full at first, and is refilled evenly, by the
        journal's clock. A process that alone draws for a while gets the bucket, and counts for
        itself; where another one wants tokens, `Standing.short` has the rate's name, and it
        returns the bucket. That of a process that died is empty.

        Args:
            limit: The rate's name, of at most 500 characters.
            wanted: How many tokens the process wants at most; 0 for none.
            count: How many tokens there are in ``period_s``, at least 1.
            period_s: How long it takes to refill an empty bucket, in seconds.
            spare_s: Tokens are used so many seconds after they are granted at most: so many
                fewer may be taken at once. Less than ``period_s``.
            full_in_s: The process returns the bucket, which is full in so many seconds; None
                where it has none.

        Returns:
            What it was granted.
        """

    async def open_breaker(
        self, topic: str, plugin: str, open_for_s: float, reason: str
    ) -> datetime.datetime:
        """Open a circuit breaker for all processes, which see it in `standing`.

        Args:
            topic: The breaker's topic.
            plugin: The breaker's plugin.
            open_for_s: How long it stays open before trial calls are made, in seconds.
            reason: Why, in one line.

        Returns:
            When a trial call may be made, as `OpenBreaker.until`.
        """

    async def try_breaker(self, topic: str, plugin: str, *, give_up: bool = False) -> BreakerTrial:
        """Ask for the right to make the trial calls of a breaker; one process has it at a time.

        The right ends when the breaker is opened or closed, and with the process.

        Args:
            topic: The breaker's topic.
            plugin: The breaker's plugin.
            give_up: Whether the process, which may have the right, returns it instead.
        """

    async def close_breaker(self, topic: str, plugin: str) -> None:
        """Close a circuit breaker for all processes; it need not be open."""

    async def pools(self) -> Sequence[PoolState]:
        """Return the pools that have unfinished runs or are paused, by name."""

    async def pause_pool(self, pool: str, *, paused: bool) -> bool:
        """Let no process take queued runs of a pool, or let them be taken again.

        Args:
            pool: The pool; it may have no runs.
            paused: False to let them be taken again.

        Returns:
            Whether that was a change.
        """

    async def kept_values(self, prefix: str) -> Sequence[KeptValue]:
        """Return the values whose keys begin with a text, by key; see `keep_value`.

        Args:
            prefix: The beginning of the keys.
        """

    async def keep_value(self, key: str, data: bytes | None, revision: int) -> bool:
        """Keep a small value that all processes share, unless another one was kept meanwhile.

        Args:
            key: Its name, up to 200 characters.
            data: The value, up to `MOST_KEPT_BYTES`; None to remove it.
            revision: The `KeptValue.revision` that is replaced; 0 where there was none.

        Returns:
            Whether it was kept; else it was changed since it was read.

        Raises:
            ValueError: The key or the value is too long.
        """

    async def statistics(self) -> JournalStatistics:
        """Return the size of the journal; the time grows with it, but nothing else waits."""

    def backlog(self) -> int:
        """Return the number of writes that are not durable yet."""

    async def prune(self, finished_before: datetime.datetime) -> int:
        """Delete the runs that ended before a time, with all data that only they refer to.

        A run whose parent has not ended stays.

        Returns:
            The number of deleted runs.
        """

    async def delete(
        self, run_ids: Sequence[str], *, ended_before: datetime.datetime
    ) -> Sequence[str]:
        """Delete runs, with all data that only they refer to.

        One that has not ended before the time, or whose parent has not ended, stays; so a run
        that was opened again meanwhile is not deleted.

        Args:
            run_ids: The runs; those that are not there are left out.
            ended_before: The time.

        Returns:
            The deleted runs.
        """

    async def export(self, run_id: str) -> bytes:
        """Return a run with its tags, inbox and large values, as one versioned, checked archive.

        It names the references of the run's secrets, and contains none of them.

        Raises:
            RunNotFoundError: There is no such run.
            JournalDamagedError: A part of it is damaged.
        """

    async def import_(self, data: bytes, *, pause: bool = True) -> str:
        """Store an exported run, without an owner; importing the same run again changes nothing.

        What its references stand for is stored as missing, where it is not here (`RunSecret`).
        Its messages, and all that are sent to it later, have positions after those that its
        checkpoints name: another journal has counted these.

        Args:
            data: The archive.
            pause: Whether an unfinished run is paused by its import (a last `RunPaused` whose
                ``by`` is ``import``), so that nothing that came from outside is executed until it
                is resumed. False stores it as it was, in the queue too.

        Returns:
            The run's id.

        Raises:
            ArchiveInvalidError: The archive is not one, is damaged, is of a newer format, or the
                id of its run is none (`is_run_id`).
            RunExistsError: There is another run of that id.
        """

    async def check(self) -> Sequence[Damage]:
        """Return every damage of the journal; empty if there is none.

        Everything that follows from the records is compared with them, such as a run's status.
        """

    async def repair(self) -> Sequence[Repair]:
        """Make everything that follows from the records again where it does not fit them.

        Records, messages and large values are never changed; `check` still reports their damage.

        Returns:
            What was changed; empty if nothing was.

        Raises:
            StateDirectoryError: It can't be repaired; nothing was changed.
        """


@runtime_checkable
class SharedJournal(Protocol):
    """What a `Journal` has besides, whose tables are to be made before it is opened."""

    async def initialize(self) -> str:
        """Make the tables, or migrate older ones; also beside processes that use the journal.

        Returns:
            What was done, in words.

        Raises:
            StorageError: It could not be done; nothing was changed.
        """


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a journal stores its runs.

    Attributes:
        directory: The folder of this machine's runs, which need not exist yet; a shared journal
            may ignore it.
        url: The address of a shared journal, with its secrets; the scheme is the name of the
            journal's entry point. "" for a journal that was named without one.
        lease_s: How long a process owns its runs without a sign of life, in seconds, where other
            machines can't see whether it lives.
        max_value_bytes: See `Journal`.
        publication_age: See `Journal`.
    """

    directory: Path
    url: str = ""
    lease_s: float = 10.0
    max_value_bytes: int = 64 << 20
    publication_age: datetime.timedelta = PUBLICATION_AGE


class JournalFactory(Protocol):
    """The object that an entry point of the group ``qtforge.journals`` names."""

    def __call__(self, settings: JournalSettings, /) -> Journal:
        """Make a journal; it is not opened.

        Raises:
            ConfigError: The address is not one.
        """
