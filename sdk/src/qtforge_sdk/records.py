"""The records of a run, in the order of its events.

A run's history consists of these records alone; the hook ``qtforge_on_run_event`` receives each
of them. Times are in UTC, durations in seconds. The names are those of durable-execution engines
(Temporal's event history, DBOS's operation outputs).

Records are stored for years: a field is never renamed or removed, and a new field has a
default, so that older records can be read.
"""

from __future__ import annotations

import datetime
from typing import Any, Final, Literal

import msgspec

from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.run_keys import WhenFull

__all__ = [
    "ANY_VERSION",
    "CHILD_ENDED",
    "DEFAULT_POOL",
    "MOST_TRACEBACK",
    "POOL_NAME",
    "REST_TIMER",
    "AmendmentRefused",
    "CheckpointSaved",
    "ChildStarted",
    "CompensationFailed",
    "CompensationStarted",
    "CompensationSucceeded",
    "ErrorInfo",
    "EventReceived",
    "QueueEntry",
    "Record",
    "RunAmended",
    "RunBlocked",
    "RunCancelRequested",
    "RunFinished",
    "RunKeys",
    "RunPaused",
    "RunPlace",
    "RunQueued",
    "RunReset",
    "RunResumed",
    "RunStarted",
    "RunWaiting",
    "StartedBy",
    "StartedKind",
    "StepFailed",
    "StepSkipped",
    "StepStarted",
    "StepSucceeded",
    "TimerFired",
    "TimerSet",
    "TraceContext",
    "UniqueRun",
]


CHILD_ENDED: Final = "qtforge.child_ended"
"""The event by which a run without checkpoints learns of the end of a child that it awaits."""


REST_TIMER: Final = "rest"
"""The timer of a run without checkpoints: when it is resumed at the latest."""


MOST_TRACEBACK: Final = 16_000
"""The most characters of a stored traceback; its middle is left out where it is longer."""


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An error in a form that can be stored and shown.

    Attributes:
        code: The stable code of the error, or of its cause if a plugin raised that with a code.
        message: What happened and why.
        stage: The step that failed, or None.
        plugin: The plugin that failed, or None.
        plugin_version: Its version, or None.
        fix: How to fix it, or None.
        retryable: Whether another attempt may succeed; None where that is not known.
        retry_after_s: The minimum delay before another attempt, in seconds, or None.
        place: ``file:line`` of the plugin's code that raised an unexpected exception, or None.
        traceback: The traceback from the plugin's code on, of at most `MOST_TRACEBACK`
            characters, without secrets; None where no code of a plugin raised it.
    """

    code: str
    message: str
    stage: str | None = None
    plugin: str | None = None
    plugin_version: str | None = None
    fix: str | None = None
    retryable: bool | None = None
    retry_after_s: float | None = None
    place: str | None = None
    traceback: str | None = None


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="record"):
    run_id: str
    at: datetime.datetime


POOL_NAME: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""The names of pools, as a regular expression."""

DEFAULT_POOL: Final = "default"
"""The pool of a run for which no other one is named."""

ANY_VERSION: Final = "*"
"""The version in `QueueEntry.needs` that every version fits."""


class QueueEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a run waits for a process that has room for it.

    Attributes:
        pool: The processes of this pool may take it.
        priority: From -100 to 100; a run of a higher one is taken first.
        not_before: When it may be taken, in UTC; None for at once.
        needs: The plugins that serve it, by name, with the first number of their version, or
            `ANY_VERSION`.
    """

    pool: str = DEFAULT_POOL
    priority: int = 0
    not_before: datetime.datetime | None = None
    needs: dict[str, str] = {}


class UniqueRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """With which key a run is the only one of its workflow.

    Attributes:
        key: The key's value.
        within_s: For so long after its start, in seconds, whether it has ended or not; None while
            it is unfinished.
    """

    key: str
    within_s: float | None = None


class RunPlace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The place that a run holds from its beginning to its end.

    Attributes:
        key: Runs of the workflow with this value share the limit.
        limit: How many of them hold a place at once.
        when_full: What happens at the start when there is no place: ``wait``, ``refuse``,
            ``cancel`` the oldest run, or wait as the ``latest``.
    """

    key: str = ""
    limit: int = 1
    when_full: WhenFull = "wait"


class RunKeys(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By what a run is found, and what it shares with others.

    Attributes:
        tags: Names and values; those that the run has now are in its summary.
        title: One line for people; that of the definition, else the document's name.
        unique: With which key it is the only run; None where there may be any number.
        place: The place that it holds; None where it needs none.
    """

    tags: dict[str, str] = {}
    title: str = ""
    unique: UniqueRun | None = None
    place: RunPlace | None = None


StartedKind = Literal["schedule", "event", "rerun", "fork", "request"]
"""What can start a run, besides another run."""


class StartedBy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What started a run, where no other run did.

    Attributes:
        kind: ``schedule``, ``event`` (a publication), ``rerun`` or ``fork`` of another run, or
            ``request`` of a person or program.
        name: The schedule, the topic, the other run, or who asked.
    """

    kind: StartedKind
    name: str = ""


class TraceContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The trace in which a run is recorded; see the W3C recommendation "Trace Context".

    Attributes:
        trace_id: 32 hexadecimal digits.
        parent: The span that started the run, 16 hexadecimal digits; "" where the trace begins
            with the run.
        state: What vendors have added: ``tracestate``.
        links: What led to the run without being its parent, each as a ``traceparent``.
    """

    trace_id: str
    parent: str = ""
    state: str = ""
    links: tuple[str, ...] = ()


class RunStarted(_Record, frozen=True, kw_only=True, tag="run_started"):
    """A run was started.

    Attributes:
        workflow: The workflow's name.
        kind: Its orchestrator's kind.
        workflow_version: The definition's version.
        input: The run's input, the definition's defaults included.
        plugins: The versions of the active plugins, by name.
        definition: The definition as a plain mapping; None for a workflow in Python.
        definition_text: The text that it was read from; "" where there is none.
        parent: The run that started this one; None if no run did.
        parent_step: The parent's step that started it.
        depth: The number of runs above it.
        notify: The event that the parent receives at the end of this run; "" if the parent waits
            in memory, and `CHILD_ENDED` if it may rest meanwhile.
        independent: Whether it continues when the parent fails or is cancelled.
        queue: How it waits for a process; None where the one that started it executes it.
        keys: By what it is found, and what it shares with other runs; None for nothing.
        started_by: What started it; None where a run did, and in records of earlier versions.
        trace: The trace in which it is recorded; None where it is in none.
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
    independent: bool = False
    queue: QueueEntry | None = None
    keys: RunKeys | None = None
    started_by: StartedBy | None = None
    trace: TraceContext | None = None

    @property
    def place(self) -> RunPlace | None:
        """The place that the run needs to be executed; None where it needs none."""
        return None if self.keys is None else self.keys.place

    @property
    def awaited_by(self) -> str | None:
        """The run with a step that returns what this run returns; None where there is none."""
        return self.parent if self.notify in ("", CHILD_ENDED) else None


class RunResumed(_Record, frozen=True, kw_only=True, tag="run_resumed"):
    """A process resumed the run.

    Attributes:
        owner: The process.
        plugins: The versions of its plugins.
        note: The reason, in words, or "".
        died: Whether the process that executed the run before died.
    """

    owner: str
    plugins: dict[str, str]
    note: str = ""
    died: bool = False


class RunQueued(_Record, frozen=True, kw_only=True, tag="run_queued"):
    """The run, which had begun before, waits in the queue for a place of its concurrency key."""


class RunPaused(_Record, frozen=True, kw_only=True, tag="run_paused"):
    """The run was paused; only a resume continues it. ``by`` is the sender of the request."""

    by: str = ""
    reason: str = ""
    message_id: str = ""


class RunWaiting(_Record, frozen=True, kw_only=True, tag="run_waiting"):
    """The run has nothing to do but to wait, in its process or without one.

    It is a run without checkpoints, whose code is executed again when it is resumed.

    Attributes:
        until: When it goes on at the latest, in UTC; None for never.
        events: The events that its code waits for.
        children: The runs whose end it waits for.
        over: Whether that is over: the run has stayed in its process, and goes on.
    """

    until: datetime.datetime | None = None
    events: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    over: bool = False


class RunBlocked(_Record, frozen=True, kw_only=True, tag="run_blocked"):
    """The run can't be executed with the active plugins.

    Attributes:
        reason: Why, in words.
        plugins: The versions of the active plugins, by name.
        code: ``run.blocked`` for plugins of other versions, ``run.diverged`` for code that
            requests other steps than the journal holds.
        step: The step that differs, or None.
    """

    reason: str
    plugins: dict[str, str] = {}
    code: str = "run.blocked"
    step: str | None = None


class RunCancelRequested(_Record, frozen=True, kw_only=True, tag="run_cancel_requested"):
    """A cancellation was requested; the end of the run is a separate record."""

    by: str = ""
    reason: str = ""
    message_id: str = ""


class RunAmended(_Record, frozen=True, kw_only=True, tag="run_amended"):
    """The run's definition was amended.

    Attributes:
        patch: The operations of the JSON Patch (RFC 6902), in order.
        definition: The whole definition with the amendment.
        by: The sender of the request.
        reason: The reason, in words.
    """

    patch: list[dict[str, Any]]
    definition: dict[str, Any]
    by: str = ""
    reason: str = ""
    message_id: str = ""


class AmendmentRefused(_Record, frozen=True, kw_only=True, tag="amendment_refused"):
    """A requested amendment was refused, since it did not fit what the run had done."""

    message_id: str
    reason: str
    by: str = ""


class RunReset(_Record, frozen=True, kw_only=True, tag="run_rewound"):
    """A run that had ended was opened again; it continues when it is resumed.

    Attributes:
        steps: Steps whose results are discarded; the run executes them again when resumed.
        by: Who asked for it.
        handled: The ids of requests that reached the run as it ended, or later; they no
            longer count.
    """

    steps: list[str]
    by: str = ""
    handled: tuple[str, ...] = ()


class EventReceived(_Record, frozen=True, kw_only=True, tag="event_received"):
    """The run received an event; ``event_id`` is the id of its message.

    ``sender`` is the id of the run that has sent it; "" for none.
    """

    name: str
    event_id: str
    data: Any = None
    sender: str = ""


class TimerSet(_Record, frozen=True, kw_only=True, tag="timer_set"):
    """A timer was set; it is due at ``due``."""

    name: str
    due: datetime.datetime


class TimerFired(_Record, frozen=True, kw_only=True, tag="timer_fired"):
    """A timer fired, ``late_s`` seconds after its due time.

    If ``cut``, it did not fire: the wait was cut off together with its branch.
    """

    name: str
    late_s: float = 0.0
    cut: bool = False


class ChildStarted(_Record, frozen=True, kw_only=True, tag="child_started"):
    """A step started the child run ``child_run_id``."""

    step: str
    child_run_id: str


class StepStarted(_Record, frozen=True, kw_only=True, tag="step_started"):
    """A step's request is about to be sent.

    Attributes:
        step: The step.
        topic: What it requests, or "".
        attempt: The number of the attempt, from 1.
        message: The message, as plain values, with ``***`` or references in place of secrets;
            None where there is none, or it is that of the attempt before.
        message_note: Why the message is not here, in words; "" where it is.
    """

    step: str
    topic: str
    attempt: int = 1
    message: Any = None
    message_note: str = ""


class StepSucceeded(_Record, frozen=True, kw_only=True, tag="step_succeeded"):
    """A step succeeded; ``degraded`` is the reason if its result is that of a fallback."""

    step: str
    data: Any
    plugin: str | None
    plugin_version: str | None
    duration_s: float
    attempt: int = 1
    degraded: str | None = None


class StepFailed(_Record, frozen=True, kw_only=True, tag="step_failed"):
    """A step failed; the run can continue unless the step is ``required``.

    If ``will_retry``, only this attempt failed, and the next one begins at ``next_at``. If
    ``cut``, the step was cut off while it was in progress (a parallel step failed, the time of
    the run was over, or the run was cancelled): its effect is unknown.
    """

    step: str
    error: ErrorInfo
    required: bool
    duration_s: float
    attempt: int = 1
    will_retry: bool = False
    next_at: datetime.datetime | None = None
    cut: bool = False


class StepSkipped(_Record, frozen=True, kw_only=True, tag="step_skipped"):
    """A step was skipped, for a reason.

    If ``cut``, it had been requested: its effect is unknown.
    """

    step: str
    reason: str
    cut: bool = False


class CheckpointSaved(_Record, frozen=True, kw_only=True, tag="state_kept"):
    """A checkpoint of a stateful run; the run is resumed from its last one.

    Attributes:
        state: Everything that the run needs to continue.
        label: A short name of the state.
        event: The name of the event that led to it; "" for none.
        event_id: The event's id.
        event_data: The event's data.
        by: The event's sender, in words.
        late_s: For a timer: how long after its due time it fired, in seconds.
        outcome: The outcome of the event: ``taken``, or the reason why it had no effect.
        trace: What happened on the way to the state, for people.
        timers: The due time of each active timer, in UTC, by name.
        timers_set: Names of the timers that were set with this checkpoint.
        timers_gone: Names of the timers that are no longer active.
        timers_fixed: Names of the active timers that are due at a time of day; the others are
            due once so many seconds have passed, too.
        accepts: Names of the events that the run waits for.
        key: The key by which publications on the bus are correlated with the run, or "".
        busy: Whether the run has work before its next event.
        inbox: The position in the run's inbox up to which its messages are handled.
        handled: The ids of later messages that are handled already.
        definition: The definition after the last amendment; None if there was none.
        failed: Whether the run was about to fail in this state.
        first: Events that are delivered before any other, in order: those that a retry of the
            run delivers again.
        timed_from: When the run's time began to count, if not at its start.
        label_since: Since when the run has this label; None in records of earlier versions.
        begun_with: The definition with which the work before the next event was begun, where it is
            another one than ``definition``, or the run was retried; else None.
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
    timers_fixed: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()
    key: str = ""
    busy: bool = False
    inbox: int = 0
    handled: tuple[str, ...] = ()
    definition: dict[str, Any] | None = None
    failed: bool = False
    first: tuple[ReceivedEvent, ...] = ()
    timed_from: datetime.datetime | None = None
    label_since: datetime.datetime | None = None
    begun_with: dict[str, Any] | None = None


class CompensationStarted(_Record, frozen=True, kw_only=True, tag="compensation_started"):
    """A compensation was requested; ``message`` and ``message_note`` are as in `StepStarted`."""

    step: str
    topic: str
    attempt: int = 1
    message: Any = None
    message_note: str = ""


class CompensationSucceeded(_Record, frozen=True, kw_only=True, tag="compensation_succeeded"):
    """A step was undone by its compensation."""

    step: str
    data: Any
    plugin: str | None
    plugin_version: str | None
    duration_s: float
    attempt: int = 1


class CompensationFailed(_Record, frozen=True, kw_only=True, tag="compensation_failed"):
    """A compensation failed.

    If ``will_retry``, only this attempt failed, and the next one begins at ``next_at``.
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
    | RunQueued
    | RunPaused
    | RunWaiting
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
