"""Queries over the runs of a journal, and their results; public in `qtforge_sdk.journal`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from qtforge_sdk._journal_limits import OpenBreaker
from qtforge_sdk.placement import Placement
from qtforge_sdk.records import Record, StartedBy

__all__ = [
    "CURSOR",
    "MOST_HOLDERS",
    "Admission",
    "Announcement",
    "AppendedPage",
    "AppendedRecord",
    "Cursor",
    "Damage",
    "JournalOwner",
    "JournalStatistics",
    "KeptValue",
    "PoolState",
    "Repair",
    "RunQuery",
    "RunSummary",
    "Standing",
]


Cursor = str
"""A place in what a journal has stored, in the journal's own writing, which `CURSOR` matches.

A cursor is passed back to the journal as it is; "" is the place before everything that is stored.
"""

CURSOR: Final = r"[A-Za-z0-9.:_-]{0,64}"
"""The texts that can be a `Cursor`, as a regular expression."""


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of runs; a field that is left out does not restrict.

    Attributes:
        statuses: Any of these; empty for all.
        workflow: The workflow's name.
        started_since: Started at that time or later.
        started_until: Started before that time.
        parent: Started by that run.
        pool: Of that pool.
        needs: Only runs that need this plugin, with the first number of its version: what served
            them, or what their queue entry asks for (`Journal.note_needs`).
        tags: With all of these tags, each with that value.
        schedule: Started by that schedule.
        error_code: Failed or blocked with an error of that code.
        error_plugin: Failed with an error of that plugin.
        waiting_for: Waiting for that event; ``user.*`` is ``user`` or any event whose name begins
            with it, such as ``user.action``.
        search: Each of its words (`qtforge_sdk.journal_kit.search_words.search_terms`) is the
            beginning of a word in the run's id, title, workflow, origin, input, tags or error. Such
            runs are in the order in which they were stored, which is that of their start but for
            imported ones. A text without any word selects none.
        after: Listed after this run, whether it matches the filter or not: the last run of a
            page gives the next page.
        oldest_first: Order by the time of the start, the oldest first; default is the newest
            first.
        limit: The largest number of runs.
    """

    statuses: frozenset[str] = frozenset()
    workflow: str | None = None
    started_since: datetime.datetime | None = None
    started_until: datetime.datetime | None = None
    parent: str | None = None
    pool: str | None = None
    needs: tuple[str, str] | None = None
    tags: Mapping[str, str] = {}
    schedule: str | None = None
    error_code: str | None = None
    error_plugin: str | None = None
    waiting_for: str | None = None
    search: str | None = None
    after: str | None = None
    oldest_first: bool = False
    limit: int = 50


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in one line.

    Attributes:
        run_id: The run.
        workflow: Its workflow's name.
        kind: Its orchestrator's kind.
        status: ``queued``, ``running``, ``waiting``, ``paused``, ``blocked``, or how it ended.
        started_at: When it was created, in UTC.
        finished_at: When it ended; None until then.
        owner_alive: Whether a live process owns it. A run that is ``running`` without
            one was interrupted.
        epoch: The number of its owners so far.
        parent: The run that started it.
        label: The name of a stateful run's state; "" for others.
        accepts: The events that a waiting run waits for.
        waiting_since: Since when a waiting run waits, in UTC.
        records: The number of its records.
        stateful: Whether it has saved a checkpoint.
        pool: The pool whose processes may take it.
        priority: Which of its pool are taken first: those of a higher one.
        title: One line for people, or "".
        tags: Its tags now.
        schedule: The schedule that started it, or None.
        started_by: What started it; None where a run did, and for runs of earlier versions that
            no schedule started.
        error_code: The code of the error with which it failed or is blocked, or None.
        error_plugin: The plugin that failed, or None.
        place: The value of its concurrency key; None where it needs no place.
        holds_place: Whether it holds a place.
        held_by: Of a queued run that waits for a place: runs that hold one, the oldest first, up to
            `MOST_HOLDERS`.
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
    records: int = 0
    stateful: bool = False
    pool: str = "default"
    priority: int = 0
    title: str = ""
    tags: Mapping[str, str] = {}
    schedule: str | None = None
    started_by: StartedBy | None = None
    error_code: str | None = None
    error_plugin: str | None = None
    place: str | None = None
    holds_place: bool = False
    held_by: tuple[str, ...] = ()


MOST_HOLDERS: Final = 10
"""The most runs in `RunSummary.held_by`."""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What starting a run means for others, and they for it; see `Journal.admission`.

    Attributes:
        existing: The run with the same unique key, which is started instead; None for none.
        held_by: The runs that hold the places; empty where the run gets one at once.
        is_refused: Whether it would be refused for these.
        cancels: The runs that would be asked to cancel, the oldest first.
    """

    existing: str | None = None
    held_by: tuple[str, ...] = ()
    is_refused: bool = False
    cancels: tuple[str, ...] = ()


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """A damage that `Journal.check` found.

    Attributes:
        what: What is wrong.
        run_id: The affected run; None for the journal as a whole.
        position: The number of the run's damaged record, from 1; None if it is not a record.
    """

    what: str
    run_id: str | None = None
    position: int | None = None


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """A change that `Journal.repair` made.

    Attributes:
        what: What was changed.
        run_id: The affected run; None for the journal as a whole.
    """

    what: str
    run_id: str | None = None


class AppendedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record with its position in the order in which the journal stored records of all runs.

    Attributes:
        cursor: The place after it.
        run_id: The run.
        record: The record; None if it is damaged.
    """

    cursor: Cursor
    run_id: str
    record: Record | None


class AppendedPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the records of all runs, oldest first.

    Attributes:
        records: The records, without those of pruned runs.
        since: The place where the page begins.
        until: The place where it ends; the next page begins there.
        gap: Why the page does not begin where it was to begin, and has the oldest available
            records instead: ``pruned``, the records after that place are no longer available;
            ``unknown``, the journal has no such place. "" for no gap.
        missed: How many records are no longer available; None if that is not known.
    """

    records: tuple[AppendedRecord, ...]
    since: Cursor
    until: Cursor
    gap: Literal["", "pruned", "unknown"] = ""
    missed: int | None = None


class JournalStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a journal.

    Attributes:
        runs: The number of runs by workflow and status.
        timers: The number of timers that have not fired.
        messages: The number of messages that unfinished runs have not handled, events included.
        oldest_message_at: When the oldest of these was sent, in UTC; None for none.
    """

    runs: Mapping[tuple[str, str], int]
    timers: int
    messages: int
    oldest_message_at: datetime.datetime | None


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What a process that takes runs says of itself; see `Journal.announce`.

    Attributes:
        node: The name by which operators know the process.
        role: The command that it executes, such as ``worker``.
        pools: Whose runs it takes.
        capacity: The most runs that it executes at once.
        plugins: The versions of its plugins, by name.
        placements: Where it has those of its plugins that keep their data on one node.
    """

    node: str
    role: str
    pools: tuple[str, ...]
    capacity: int
    plugins: Mapping[str, str]
    placements: Mapping[str, Placement] = {}


class JournalOwner(msgspec.Struct, frozen=True, kw_only=True):
    """A live process that has opened a journal; see `Journal.owners`.

    Attributes:
        owner: Its name in the journal, as in `Ownership`.
        pid: The number of the process on its host.
        host: The name of its host.
        since: When it opened the journal, in UTC.
        runs: The number of unfinished runs that it owns.
        draining: Whether it was requested to take nothing new (`Journal.drain`).
        lease_s: How long it owns its runs without a sign of life, in seconds; None where the
            journal notices the end of a process at once.
        lease_left_s: How much of the lease is left, in seconds; None without a lease.
        announcement: What it says of itself; None for a process that takes no runs, such as a
            command.
    """

    owner: str
    pid: int
    host: str
    since: datetime.datetime
    runs: int
    draining: bool = False
    lease_s: float | None = None
    lease_left_s: float | None = None
    announcement: Announcement | None = None


class KeptValue(msgspec.Struct, frozen=True, kw_only=True):
    """A small value that all processes of a journal share.

    Attributes:
        key: Its name.
        revision: Another one after each change, above 0.
        data: The value.
    """

    key: str
    revision: int
    data: bytes


class PoolState(msgspec.Struct, frozen=True, kw_only=True):
    """A pool that has unfinished runs, or is paused; see `Journal.pools`.

    Attributes:
        pool: Its name.
        queued: The number of queued runs.
        executing: The number of runs that a live process owns.
        paused: Whether no process takes its queued runs.
        oldest_at: Since when the queued run that has waited longest could have been taken, in
            UTC; in the future where all are for later; None without queued runs.
    """

    pool: str
    queued: int
    executing: int
    paused: bool
    oldest_at: datetime.datetime | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal knows of this process and its peers; see `Journal.standing`.

    Attributes:
        owner: The process's own name in the journal; "" where it only reads.
        draining: Whether this process was requested to take nothing new.
        nodes: Differs whenever a process has announced itself, was drained or resumed, or an
            announced one has ended; to be compared, not read.
        cut_off: Whether the store has not answered for so long, half of a lease, that another
            process may soon own the runs of this one.
        short: The limits and rates of which another process wants more than it has, and this
            one may have to return some (`Journal.hold`, `Journal.draw`).
        breakers: The circuit breakers that are not closed, by topic and plugin.
        lives_for_s: For so many seconds this process surely keeps its places and its bucket of a
            rate, whether the store answers or not; None where it keeps them until it ends.
    """

    owner: str
    draining: bool
    nodes: str
    cut_off: bool = False
    short: frozenset[str] = frozenset()
    breakers: tuple[OpenBreaker, ...] = ()
    lives_for_s: float | None = None
