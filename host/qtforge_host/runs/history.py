"""What a run's journal holds when the run is taken up again: the answers it need not ask for."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from qtforge_sdk import Record
from qtforge_sdk.records import (
    AmendmentRefused,
    CheckpointSaved,
    ChildStarted,
    CompensationFailed,
    CompensationStarted,
    CompensationSucceeded,
    EventReceived,
    RunAmended,
    RunBlocked,
    RunCancelRequested,
    RunFinished,
    RunPaused,
    RunReset,
    RunResumed,
    RunStarted,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TimerFired,
    TimerSet,
)

__all__ = ["History"]

Outcome = StepSucceeded | StepFailed | StepSkipped


@dataclass(slots=True)
class History:
    """A run's records, by what the engine asks of them.

    Attributes:
        started: The first record; None before there is one.
        timed_from: When its time began: its start, or the last time it was rewound.
        rewound_at: When it was rewound last; None where that was never.
        outcomes: A step's final record, by its name, in the order in which they ended.
        topics: What each step asked, by its name.
        failed_attempts: A step's attempts that are to be followed by another.
        undoing: Whether a compensation has begun; until the run has ended.
        undone: Steps whose compensation has succeeded.
        not_undone: Steps whose compensation has failed for good, until the run has ended.
        failed_undos: A compensation's attempts that are to be followed by another.
        cancel_requested: That somebody cancelled the run, unless it was being undone already;
            None once it has ended.
        blocked: Why it rests until its plugins are there; None once it goes on.
        timers: When a named timer is due.
        fired: The timers whose time has come.
        events: Received, oldest first.
        handled: The messages to the run that it has dealt with, by their ids.
        children: The run that a step started.
        ever_children: The same, with those of steps that no longer count.
        resumed: Whether it was taken up again since it kept its state last, or ever.
        definition: The definition after the last amendment; None when there was none.
        served_by: Plugins that answered a step, with their versions.
        kept: The state that it kept last, or None; steps before that are not known.
        inbox: How far the inbox has been dealt with.
        finished: The record of its end, unless it was opened again.
    """

    started: RunStarted | None = None
    timed_from: datetime.datetime | None = None
    rewound_at: datetime.datetime | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    topics: dict[str, str] = field(default_factory=dict)
    failed_attempts: dict[str, StepFailed] = field(default_factory=dict)
    undoing: bool = False
    undone: set[str] = field(default_factory=set)
    not_undone: set[str] = field(default_factory=set)
    failed_undos: dict[str, CompensationFailed] = field(default_factory=dict)
    cancel_requested: RunCancelRequested | None = None
    blocked: RunBlocked | None = None
    timers: dict[str, datetime.datetime] = field(default_factory=dict)
    fired: set[str] = field(default_factory=set)
    events: list[EventReceived] = field(default_factory=list)
    handled: set[str] = field(default_factory=set)
    children: dict[str, str] = field(default_factory=dict)
    ever_children: set[str] = field(default_factory=set)
    resumed: bool = False
    definition: dict[str, Any] | None = None
    served_by: dict[str, str] = field(default_factory=dict)
    kept: CheckpointSaved | None = None
    inbox: int = 0
    finished: RunFinished | None = None

    @classmethod
    def of(cls, records: Iterable[Record]) -> History:
        """Return the history that these records tell."""
        history = cls()
        for record in records:
            history.take(record)
        return history

    def take(self, record: Record) -> None:
        """Take in the next record."""
        match record:
            case StepStarted():  # the most frequent first: each case costs those below it
                self.topics[record.step] = record.topic
            case StepSucceeded():
                self.outcomes[record.step] = record
                if record.plugin and record.plugin_version:
                    self.served_by[record.plugin] = record.plugin_version
            case RunStarted():
                self.started = record
                self.timed_from = record.at
            case StepFailed(will_retry=True):
                self.failed_attempts[record.step] = record
            case StepFailed() | StepSkipped():
                self.outcomes[record.step] = record
            case CheckpointSaved():
                self._keep(record)
            case CompensationStarted() | CompensationSucceeded() | CompensationFailed():
                self._take_undoing(record)
            case TimerSet():
                self.timers[record.name] = record.due
            case TimerFired():
                self.fired.add(record.name)
            case EventReceived():
                self.events.append(record)
                self.handled.add(record.event_id)
            case ChildStarted():
                self.children[record.step] = record.child_run_id
                self.ever_children.add(record.child_run_id)
            case RunAmended():
                self.definition = record.definition
                self.handled.add(record.message_id)
            case AmendmentRefused() | RunPaused():
                self.handled.add(record.message_id)
            case RunCancelRequested():
                if not self.undoing:  # what is being undone comes to its own end
                    self.cancel_requested = self.cancel_requested or record
                self.handled.add(record.message_id)
            case RunReset():
                self._forget(record.steps)
                self.timed_from = self.rewound_at = record.at
            case RunBlocked():
                self.blocked = record
            case RunResumed():
                self.finished = self.blocked = None
                self.resumed = True
            case RunFinished():
                self._end(record)
            case _:
                pass

    def taken_events(self) -> set[str]:
        """Return the ids of the events that a step has been answered with."""
        answers = (each.data for each in self.outcomes.values() if isinstance(each, StepSucceeded))
        named = [answer.get("event_id") for answer in answers if isinstance(answer, dict)]
        return {event.event_id for event in self.events if event.event_id in named}

    def _keep(self, record: CheckpointSaved) -> None:
        self.kept = record
        self.inbox = max(self.inbox, record.inbox)
        self.handled = set(record.handled)
        self.definition = record.definition or self.definition
        if record.timed_from is not None:
            self.timed_from = self.rewound_at = record.timed_from
        for known in (self.outcomes, self.topics, self.failed_attempts, self.children):
            known.clear()
        self.events.clear()
        self.resumed = False  # what was begun before is known

    def _take_undoing(
        self, record: CompensationStarted | CompensationSucceeded | CompensationFailed
    ) -> None:
        self.undoing = True
        if isinstance(record, CompensationSucceeded):
            self.undone.add(record.step)
        elif isinstance(record, CompensationFailed):
            if record.will_retry:
                self.failed_undos[record.step] = record
            else:
                self.not_undone.add(record.step)

    def _end(self, record: RunFinished) -> None:
        self.finished = record
        self.cancel_requested = self.blocked = None
        self.undoing = False
        self.not_undone.clear()
        self.failed_undos.clear()

    def _forget(self, steps: list[str]) -> None:
        for step in steps:
            for known in (self.outcomes, self.topics, self.failed_attempts, self.timers):
                known.pop(step, None)
            self.children.pop(step, None)
            self.undone.discard(step)
            self.fired.discard(step)
        self.finished = None
