"""What a run's journal holds when the run is taken up again: the answers it need not ask for."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from qtforge_sdk import Record
from qtforge_sdk.records import (
    AmendmentRefused,
    ChildStarted,
    CompensationFailed,
    CompensationSucceeded,
    EventReceived,
    RunAmended,
    RunCancelRequested,
    RunFinished,
    RunPaused,
    RunResumed,
    RunRewound,
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
        outcomes: A step's final record, by its name, in the order in which they ended.
        topics: What each step asked, by its name.
        failed_attempts: A step's attempts that are to be followed by another.
        undone: Steps whose compensation has succeeded.
        not_undone: Steps whose compensation has failed for good, until the run has ended.
        cancel_requested: That somebody cancelled the run; None once it has ended.
        timers: When a named timer is due.
        fired: The timers whose time has come.
        events: Received, oldest first.
        handled: The messages to the run that it has dealt with, by their ids.
        children: The run that a step started.
        ever_children: The same, with those of steps that no longer count.
        resumed: Whether it ever was taken up again.
        definition: The definition after the last amendment; None when there was none.
        served_by: Plugins that answered a step, with their versions.
        finished: The record of its end, unless it was opened again.
    """

    started: RunStarted | None = None
    timed_from: datetime.datetime | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    topics: dict[str, str] = field(default_factory=dict)
    failed_attempts: dict[str, StepFailed] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)
    not_undone: set[str] = field(default_factory=set)
    cancel_requested: RunCancelRequested | None = None
    timers: dict[str, datetime.datetime] = field(default_factory=dict)
    fired: set[str] = field(default_factory=set)
    events: list[EventReceived] = field(default_factory=list)
    handled: set[str] = field(default_factory=set)
    children: dict[str, str] = field(default_factory=dict)
    ever_children: set[str] = field(default_factory=set)
    resumed: bool = False
    definition: dict[str, Any] | None = None
    served_by: dict[str, str] = field(default_factory=dict)
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
            case CompensationSucceeded():
                self.undone.add(record.step)
            case CompensationFailed():
                self.not_undone.add(record.step)
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
                self.cancel_requested = self.cancel_requested or record
                self.handled.add(record.message_id)
            case RunRewound():
                self._forget(record.steps)
                self.timed_from = record.at
            case RunResumed():
                self.finished = None
                self.resumed = True
            case RunFinished():
                self.finished = record
                self.cancel_requested = None
                self.not_undone.clear()
            case _:
                pass

    def taken_events(self) -> set[str]:
        """Return the ids of the events that a step has been answered with."""
        answers = (each.data for each in self.outcomes.values() if isinstance(each, StepSucceeded))
        named = [answer.get("event_id") for answer in answers if isinstance(answer, dict)]
        return {event.event_id for event in self.events if event.event_id in named}

    def _forget(self, steps: list[str]) -> None:
        for step in steps:
            for known in (self.outcomes, self.topics, self.failed_attempts, self.timers):
                known.pop(step, None)
            self.children.pop(step, None)
            self.undone.discard(step)
            self.fired.discard(step)
        self.finished = None
