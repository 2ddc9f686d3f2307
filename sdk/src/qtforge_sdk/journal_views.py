"""What a `qtforge_sdk.journal.Journal` answers when it is asked for more than one run."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import msgspec

from qtforge_sdk.records import Record

__all__ = [
    "AppendedPage",
    "AppendedRecord",
    "Damage",
    "JournalStatistics",
    "RunQuery",
    "RunSummary",
]


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list; what is left out does not restrict.

    Attributes:
        statuses: Any of these; empty for all.
        workflow: The workflow's name.
        started_since: Started then or later.
        started_until: Started before that.
        parent: Started by that run.
        waiting_for: It waits for that event; ``user.*`` is ``user`` or any event beneath it, as
            ``user.action``.
        after: Those that come behind this run in the order of the list, whether the run itself
            fits or not: the last of a page gives the next one.
        oldest_first: The order is by the time of the start; the newest come first without it.
        limit: At most so many, the first.
    """

    statuses: frozenset[str] = frozenset()
    workflow: str | None = None
    started_since: datetime.datetime | None = None
    started_until: datetime.datetime | None = None
    parent: str | None = None
    waiting_for: str | None = None
    after: str | None = None
    oldest_first: bool = False
    limit: int = 50


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in one line.

    Attributes:
        run_id: The run.
        workflow: Its workflow's name.
        kind: Its orchestrator's kind.
        status: ``running``, ``paused``, ``blocked``, or how it ended.
        started_at: When it was created, in UTC.
        finished_at: When it ended; None until then.
        owner_alive: Whether a live process owns it. A run that is ``running`` without
            one was interrupted.
        epoch: How many owners it has had.
        parent: The run that started it.
        label: For a run that lives long: its state in a word.
        accepts: For one that waits: the events that it waits for.
        waiting_since: For one that waits: since when, in UTC.
    """

    run_id: str
    workflow: str
    kind: str
    status: str
    started_at: datetime.datetime
    finished_at: datetime.datetime | None
    owner_alive: bool
    epoch: int
    parent: str | None
    label: str = ""
    accepts: tuple[str, ...] = ()
    waiting_since: datetime.datetime | None = None


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """Something that `Journal.check` found.

    Attributes:
        what: What is wrong, in words.
        run_id: The run that it touches; None when it is the journal as a whole.
        position: Which of the run's records, from 1; None when it is not one of them.
    """

    what: str
    run_id: str | None = None
    position: int | None = None


class AppendedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record in the order in which a journal took them in, whoever wrote it.

    Attributes:
        position: Its place; places grow by 1, from 1.
        run_id: Its run.
        record: The record; None when it is not as it was written.
    """

    position: int
    run_id: str
    record: Record | None


class AppendedPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the records that a journal took in, oldest first.

    Attributes:
        records: Those that were asked for, without those of runs that were pruned.
        until: The position up to which was looked; the next page begins behind it.
        oldest: The oldest position that is still known; one more than the newest for none.
    """

    records: tuple[AppendedRecord, ...]
    until: int
    oldest: int


class JournalStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is in a journal.

    Attributes:
        runs: Runs by workflow and status.
        timers: Timers that have not fired.
        messages: Messages that unfinished runs have not dealt with, events among them.
        oldest_message_at: When the oldest of these was made, in UTC; None for none.
    """

    runs: Mapping[tuple[str, str], int]
    timers: int
    messages: int
    oldest_message_at: datetime.datetime | None
