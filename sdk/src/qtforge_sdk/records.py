"""What is recorded of a run, in the order in which it happened.

A run's history is these records and nothing else; `qtforge_sdk.hookspecs` hands each
to ``qtforge_on_run_event``. Times are UTC; durations are seconds. The names are those
of durable-execution engines (Temporal's history, DBOS's operation outputs).

Records are kept for years: a field is never renamed or taken away, and a new one is
appended with a default, so that older records can still be read.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from qtforge_sdk.checkpoints import ReceivedEvent

__all__ = [
    "AmendmentRefused",
    "CheckpointSaved",
    "ChildStarted",
    "CompensationFailed",
    "CompensationStarted",
    "CompensationSucceeded",
    "ErrorInfo",
    "EventReceived",
    "Record",
    "RunAmended",
    "RunBlocked",
    "RunCancelRequested",
    "RunFinished",
    "RunPaused",
    "RunReset",
    "RunResumed",
    "RunStarted",
    "StepFailed",
    "StepSkipped",
    "StepStarted",
    "StepSucceeded",
    "TimerFired",
    "TimerSet",
]


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A failure in a form that can be stored and shown.

    Attributes:
        code: The stable code of the error, or of its cause where a plugin named one.
        message: What happened and why.
        stage: The step that failed, or None.
        plugin: The plugin that failed, or None.
        plugin_version: Its version, or None.
        fix: What the reader can do, or None.
        retryable: Whether a further try may succeed; None where that is not known.
        retry_after_s: Seconds before which a further try is pointless, or None.
    """

    code: str
    message: str
    stage: str | None = None
    plugin: str | None = None
    plugin_version: str | None = None
    fix: str | None = None
    retryable: bool | None = None
    retry_after_s: float | None = None


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="record"):
    run_id: str
    at: datetime.datetime


class RunStarted(_Record, frozen=True, kw_only=True, tag="run_started"):
    """A run began: which workflow, of which kind and version, on what input.

    Attributes:
        workflow: The workflow's name.
        kind: Its orchestrator's kind.
        workflow_version: The definition's version.
        input: The run's input, over the definition's defaults.
        plugins: The versions of the active plugins, by name.
        definition: The definition as a plain mapping; None for a workflow in Python.
        definition_text: The text that it was read from; "" where there is none.
        parent: The run that started this one; None for a run of its own.
        parent_step: The parent's step that started it.
        depth: How many runs stand above it.
        notify: The event by which the parent hears of its end; "" where it waits for it.
    """

    workflow: str
    kind: str
    workflow_version: str
    input: Any
    plugins: dict[str, str]
    definition: dict[str, Any] | None = None
    definition_text: str = ""
    parent: str | None = None
    parent_step: str | None = None
    depth: int = 0
    notify: str = ""


class RunResumed(_Record, frozen=True, kw_only=True, tag="run_resumed"):
    """A process took the run up again: who, with which plugin versions, and why so."""

    owner: str
    plugins: dict[str, str]
    note: str = ""


class RunPaused(_Record, frozen=True, kw_only=True, tag="run_paused"):
    """The run rests until somebody resumes it; ``by`` tells who asked."""

    by: str = ""
    reason: str = ""
    message_id: str = ""


class RunBlocked(_Record, frozen=True, kw_only=True, tag="run_blocked"):
    """The run can't go on with the plugins that are here; ``plugins`` are their versions."""

    reason: str
    plugins: dict[str, str] = {}


class RunCancelRequested(_Record, frozen=True, kw_only=True, tag="run_cancel_requested"):
    """Somebody asked that the run be cancelled; its end is a record of its own."""

    by: str = ""
    reason: str = ""
    message_id: str = ""


class RunAmended(_Record, frozen=True, kw_only=True, tag="run_amended"):
    """The run's definition was changed while it ran.

    Attributes:
        patch: The operations of the JSON Patch (RFC 6902), in order.
        definition: The whole definition after it.
        by: Who asked.
        reason: Why, in words.
    """

    patch: list[dict[str, Any]]
    definition: dict[str, Any]
    by: str = ""
    reason: str = ""
    message_id: str = ""


class AmendmentRefused(_Record, frozen=True, kw_only=True, tag="amendment_refused"):
    """A change that somebody asked for did not fit what had been done by then."""

    message_id: str
    reason: str
    by: str = ""


class RunReset(_Record, frozen=True, kw_only=True, tag="run_rewound"):
    """These steps' results no longer count: the run does them again when it is resumed."""

    steps: list[str]
    by: str = ""


class EventReceived(_Record, frozen=True, kw_only=True, tag="event_received"):
    """The run took an event in; ``event_id`` is the message's that brought it."""

    name: str
    event_id: str
    data: Any = None


class TimerSet(_Record, frozen=True, kw_only=True, tag="timer_set"):
    """The run waits until ``due``."""

    name: str
    due: datetime.datetime


class TimerFired(_Record, frozen=True, kw_only=True, tag="timer_fired"):
    """A timer's time came; ``late_s`` is how many seconds ago it was due."""

    name: str
    late_s: float = 0.0


class ChildStarted(_Record, frozen=True, kw_only=True, tag="child_started"):
    """A step started a run of its own, ``child_run_id``."""

    step: str
    child_run_id: str


class StepStarted(_Record, frozen=True, kw_only=True, tag="step_started"):
    """A step's request is about to be sent."""

    step: str
    topic: str
    attempt: int = 1


class StepSucceeded(_Record, frozen=True, kw_only=True, tag="step_succeeded"):
    """A step was answered; ``degraded`` says why, where a fallback had to answer."""

    step: str
    data: Any
    plugin: str | None
    plugin_version: str | None
    duration_s: float
    attempt: int = 1
    degraded: str | None = None


class StepFailed(_Record, frozen=True, kw_only=True, tag="step_failed"):
    """A step failed; ``required`` tells whether the run can go on without it.

    With ``will_retry`` only this attempt failed, and the next is made at ``next_at``.
    """

    step: str
    error: ErrorInfo
    required: bool
    duration_s: float
    attempt: int = 1
    will_retry: bool = False
    next_at: datetime.datetime | None = None


class StepSkipped(_Record, frozen=True, kw_only=True, tag="step_skipped"):
    """A step was left out, and why."""

    step: str
    reason: str


class CheckpointSaved(_Record, frozen=True, kw_only=True, tag="state_kept"):
    """A run that lives long kept its state; it goes on from here, and from nothing before.

    Attributes:
        state: All that it needs to go on.
        label: The state in a word.
        event: The name of the event that led to it; "" for none.
        event_id: Its id.
        event_data: What came with it.
        by: Who sent it.
        late_s: For a timer: how many seconds ago it was due.
        outcome: What became of the event: ``taken``, or why nothing did.
        trace: What happened on the way.
        timers: When each timer that runs is due, by its name.
        timers_set: Names of those that were set by this.
        timers_gone: Names of those that don't run any more.
        accepts: The events that it waits for.
        key: What events from the bus are correlated with, or "".
        busy: Whether there is something to do before the next event.
        inbox: How far the run's inbox has been dealt with.
        handled: The ids of later messages that have been dealt with already.
        definition: The definition after the last amendment; None when there was none.
        failed: Whether the run was about to fail in this state.
        first: Events that are to be handled before any other, in order: those that a retry
            brings again.
        timed_from: When the run's time began, where that is not its start.
    """

    state: Any
    label: str = ""
    event: str = ""
    event_id: str = ""
    event_data: Any = None
    by: str = ""
    late_s: float = 0.0
    outcome: str = "taken"
    trace: dict[str, Any] = {}
    timers: dict[str, datetime.datetime] = {}
    timers_set: tuple[str, ...] = ()
    timers_gone: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()
    key: str = ""
    busy: bool = False
    inbox: int = 0
    handled: tuple[str, ...] = ()
    definition: dict[str, Any] | None = None
    failed: bool = False
    first: tuple[ReceivedEvent, ...] = ()
    timed_from: datetime.datetime | None = None


class CompensationStarted(_Record, frozen=True, kw_only=True, tag="compensation_started"):
    """A step is about to be undone."""

    step: str
    topic: str
    attempt: int = 1


class CompensationSucceeded(_Record, frozen=True, kw_only=True, tag="compensation_succeeded"):
    """A step was undone."""

    step: str
    data: Any
    plugin: str | None
    plugin_version: str | None
    duration_s: float
    attempt: int = 1


class CompensationFailed(_Record, frozen=True, kw_only=True, tag="compensation_failed"):
    """A step could not be undone.

    With ``will_retry`` only this attempt failed, and the next is made at ``next_at``.
    """

    step: str
    error: ErrorInfo
    duration_s: float
    attempt: int = 1
    will_retry: bool = False
    next_at: datetime.datetime | None = None


class RunFinished(_Record, frozen=True, kw_only=True, tag="run_finished"):
    """A run ended: ``succeeded``, ``failed``, ``compensated`` or ``cancelled``."""

    status: str
    degraded: bool
    result: Any
    summary: str
    error: ErrorInfo | None


Record = (
    RunStarted
    | RunResumed
    | RunPaused
    | RunBlocked
    | RunCancelRequested
    | RunAmended
    | AmendmentRefused
    | RunReset
    | EventReceived
    | TimerSet
    | TimerFired
    | ChildStarted
    | StepStarted
    | StepSucceeded
    | StepFailed
    | StepSkipped
    | CheckpointSaved
    | CompensationStarted
    | CompensationSucceeded
    | CompensationFailed
    | RunFinished
)
