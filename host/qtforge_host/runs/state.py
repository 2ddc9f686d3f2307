"""What a run's records add up to: its status, its steps, and what it resumes from."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from qtforge_host.runs.deaths import Deaths, compensation_key
from qtforge_sdk import ErrorInfo, Record, RunStatus, StepResult
from qtforge_sdk.errors import NodeLostError
from qtforge_sdk.records import (
    REST_TIMER,
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
    RunQueued,
    RunReset,
    RunResumed,
    RunStarted,
    RunWaiting,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TimerFired,
    TimerSet,
)
from qtforge_sdk.run_status import RESTING, RUN_STATUSES, STATUS_AFTER

__all__ = ["RunState", "elapsed_s"]

Outcome = StepSucceeded | StepFailed | StepSkipped


def elapsed_s(
    started: datetime.datetime | None, finished: datetime.datetime | None
) -> float | None:
    """Return the seconds between two times of a run; None where one is missing.

    Never negative: the clock may have been set back between them.
    """
    if started is None or finished is None:
        return None
    return max(0.0, (finished - started).total_seconds())


class RunState:
    """A run as its records describe it: the one fold over them.

    The first group of attributes is shown to people; the second is what the engine needs to
    execute the run, so that it need not ask again what was answered.

    Attributes:
        run_id: The run.
        workflow: The name of its workflow; "" before the first record.
        kind: The workflow's kind.
        status: ``running`` before the first record.
        started_at: In UTC; None before the first record.
        finished_at: In UTC; None until the run has ended.
        degraded: Whether the run did without something.
        input: The run's input.
        parent: The run that started it, or None.
        depth: How many runs are above it.
        steps: The steps by name, in the order in which they began.
        compensations: By the step that they undo, in the order in which they ran.
        amendments: How often the definition was changed.
        label: The state of a stateful run in a word.
        label_since: When the run got that label, in UTC; None for runs that are not stateful.
        accepts: The events that a stateful run waits for.
        timers: When each timer of a stateful run is due, by name.
        result: None until the run has succeeded.
        summary: A line for people, or "".
        error: Why the run failed or is blocked, or None.

        started: The first record; None before there is one.
        finished: The record of the run's end, unless a reset has opened the run again.
        blocked: Why the run is blocked; None once it was resumed.
        timed_from: When the run's time began: at its start, or at its last reset.
        reset_at: When the run was reset last, or None.
        checkpoint: What a stateful run saved last; steps before it are not known.
        outcomes: A step's final record, by name, in the order in which they ended. That of a
            step that was cut off is not its last if the step is done again.
        begun: Steps that were requested and have no outcome, or were cut off: their effect is
            unknown.
        topics: The topic that each step requested, by name.
        failed_attempts: The attempts of steps that another is to follow.
        compensating: Whether a compensation has begun; until the run has ended.
        compensated: Steps whose compensation has succeeded.
        not_compensated: Steps whose compensation has failed for good; until the run has ended.
        failed_compensations: The attempts of compensations that another is to follow.
        cancel_requested: The request to cancel the run, unless it was being compensated
            already; None once the run has ended.
        due: When each named timer is due.
        fired: The named timers that have fired, or were cut off.
        cut_timers: Those that were cut off.
        events: The events received, oldest first.
        handled: The ids of the messages that the run has handled.
        children: The run that each step started.
        all_children: The same runs, and those of steps that no longer count.
        deaths: The deaths of the run's owners; None until it was resumed.
        resumed: Whether the run was resumed since its last checkpoint, or ever.
        definition: The definition after the last amendment, or None.
        served_by: The plugins that answered steps, with their versions.
        inbox: The position up to which the inbox has been handled.
    """

    __slots__ = (
        "accepts",
        "all_children",
        "amendments",
        "begun",
        "blocked",
        "cancel_requested",
        "checkpoint",
        "children",
        "compensated",
        "compensating",
        "compensations",
        "cut_timers",
        "deaths",
        "definition",
        "degraded",
        "depth",
        "due",
        "error",
        "events",
        "failed_attempts",
        "failed_compensations",
        "finished",
        "finished_at",
        "fired",
        "handled",
        "inbox",
        "input",
        "kind",
        "label",
        "label_since",
        "not_compensated",
        "outcomes",
        "parent",
        "reset_at",
        "result",
        "resumed",
        "run_id",
        "served_by",
        "started",
        "started_at",
        "status",
        "steps",
        "summary",
        "timed_from",
        "timers",
        "topics",
        "workflow",
    )

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.workflow = ""
        self.kind = ""
        self.status: RunStatus = "running"
        self.started_at: datetime.datetime | None = None
        self.finished_at: datetime.datetime | None = None
        self.degraded = False
        self.input: Any = None
        self.parent: str | None = None
        self.depth = 0
        self.steps: dict[str, StepResult] = {}
        self.compensations: dict[str, StepResult] = {}
        self.amendments = 0
        self.label = ""
        self.label_since: datetime.datetime | None = None
        self.accepts: tuple[str, ...] = ()
        self.timers: dict[str, datetime.datetime] = {}
        self.result: Any = None
        self.summary = ""
        self.error: ErrorInfo | None = None

        self.started: RunStarted | None = None
        self.finished: RunFinished | None = None
        self.blocked: RunBlocked | None = None
        self.timed_from: datetime.datetime | None = None
        self.reset_at: datetime.datetime | None = None
        self.checkpoint: CheckpointSaved | None = None
        self.outcomes: dict[str, Outcome] = {}
        self.begun: dict[str, None] = {}
        self.topics: dict[str, str] = {}
        self.failed_attempts: dict[str, StepFailed] = {}
        self.compensating = False
        self.compensated: set[str] = set()
        self.not_compensated: set[str] = set()
        self.failed_compensations: dict[str, CompensationFailed] = {}
        self.cancel_requested: RunCancelRequested | None = None
        self.due: dict[str, datetime.datetime] = {}
        self.fired: set[str] = set()
        self.cut_timers: set[str] = set()
        self.events: list[EventReceived] = []
        self.handled: set[str] = set()
        self.children: dict[str, str] = {}
        self.all_children: set[str] = set()
        self.deaths: Deaths | None = None
        self.resumed = False
        self.definition: dict[str, Any] | None = None
        self.served_by: dict[str, str] = {}
        self.inbox = 0

    @classmethod
    def from_records(cls, run_id: str, records: Iterable[Record]) -> RunState:
        """Return what these records of one run add up to."""
        state = cls(run_id)
        for record in records:
            state.apply(record)
        return state

    @property
    def duration_s(self) -> float | None:
        """Seconds from the run's start to its end; None until it has ended."""
        return elapsed_s(self.started_at, self.finished_at)

    @property
    def title(self) -> str:
        """One line for people, or ""."""
        keys = None if self.started is None else self.started.keys
        return "" if keys is None else keys.title

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags with which it was started; its summary has those of now."""
        keys = None if self.started is None else self.started.keys
        return {} if keys is None else keys.tags

    @property
    def rests(self) -> bool:
        """Whether it is paused or blocked: only a request changes that."""
        return self.status in RESTING

    def taken_events(self) -> set[str]:
        """Return the ids of the events that a step has been answered with."""
        answers = (each.data for each in self.outcomes.values() if isinstance(each, StepSucceeded))
        named = [answer.get("event_id") for answer in answers if isinstance(answer, dict)]
        return {event.event_id for event in self.events if event.event_id in named}

    def apply(self, record: Record) -> None:
        """Add the next record."""
        match record:
            case StepStarted():  # the most frequent first: each case costs those below it
                self.topics[record.step] = record.topic
                self.begun[record.step] = None
                self.steps[record.step] = StepResult(
                    name=record.step, status="running", attempts=record.attempt
                )
            case StepSucceeded():
                self._step_succeeded(record)
            case CheckpointSaved():
                self._checkpoint_saved(record)
            case RunStarted() | RunFinished():
                self._status(record)
            case StepFailed():
                self._step_failed(record)
            case StepSkipped():
                self.outcomes[record.step] = record
                self.begun.pop(record.step, None)
                self.steps[record.step] = StepResult(
                    name=record.step, status="skipped", warning=record.reason
                )
            case CompensationStarted() | CompensationSucceeded() | CompensationFailed():
                self._compensation(record)
            case TimerSet():
                self.due[record.name] = record.due
            case TimerFired():
                self.fired.add(record.name)
                if record.cut:
                    self.cut_timers.add(record.name)
            case EventReceived():
                self.events.append(record)
                self.handled.add(record.event_id)
            case ChildStarted():
                self.children[record.step] = record.child_run_id
                self.all_children.add(record.child_run_id)
            case RunAmended():
                self.amendments += 1
                self.definition = record.definition
                self.handled.add(record.message_id)
            case AmendmentRefused():
                self.handled.add(record.message_id)
            case RunCancelRequested():
                if not self.compensating:  # a compensation comes to its own end
                    self.cancel_requested = self.cancel_requested or record
                self.handled.add(record.message_id)
            case RunReset():
                self._reset(record)
                self._status(record)
            case _:
                self._status(record)

    def _step_succeeded(self, record: StepSucceeded) -> None:
        step = record.step
        self.outcomes[step] = record
        self.begun.pop(step, None)
        plugin, version = record.plugin, record.plugin_version
        self.steps[step] = StepResult(
            name=step,
            status="succeeded",
            data=record.data,
            attempts=record.attempt,
            duration_s=record.duration_s,
            plugin=plugin,
            plugin_version=version,
            warning=record.degraded,
        )
        if plugin and version:
            self.served_by[plugin] = version
        if record.degraded is not None:
            self.degraded = True

    def _step_failed(self, record: StepFailed) -> None:
        step, error = record.step, record.error
        if record.will_retry:
            self.failed_attempts[step] = record
            self._add_loss(error, step)
            self.steps[step] = StepResult(
                name=step, status="running", attempts=record.attempt, error=error
            )
            return
        self.outcomes[step] = record
        if not record.cut:
            self.begun.pop(step, None)
        self.degraded = self.degraded or not record.required
        self.steps[step] = StepResult(
            name=step,
            status="failed" if record.required else "warning",
            attempts=record.attempt,
            duration_s=record.duration_s,
            plugin=error.plugin,
            plugin_version=error.plugin_version,
            warning=None if record.required else error.message,
            error=error,
        )

    def _compensation(
        self, record: CompensationStarted | CompensationSucceeded | CompensationFailed
    ) -> None:
        self.compensating = True
        step = record.step
        if isinstance(record, CompensationStarted):
            result = StepResult(name=step, status="running", attempts=record.attempt)
        elif isinstance(record, CompensationSucceeded):
            self.compensated.add(step)
            result = StepResult(
                name=step,
                status="succeeded",
                data=record.data,
                attempts=record.attempt,
                duration_s=record.duration_s,
                plugin=record.plugin,
                plugin_version=record.plugin_version,
            )
        else:
            if record.will_retry:
                self.failed_compensations[step] = record
                self._add_loss(record.error, compensation_key(step))
            else:
                self.not_compensated.add(step)
            result = StepResult(
                name=step,
                status="running" if record.will_retry else "failed",
                attempts=record.attempt,
                duration_s=record.duration_s,
                plugin=record.error.plugin,
                plugin_version=record.error.plugin_version,
                error=record.error,
            )
        self.compensations[step] = result

    def _checkpoint_saved(self, record: CheckpointSaved) -> None:
        self.status = "running" if record.busy else "waiting"
        self.error = self.finished_at = None
        if record.label_since is not None:
            self.label_since = record.label_since
        elif record.label != self.label or record.trace.get("entered"):
            self.label_since = record.at
        self.label, self.accepts, self.timers = record.label, record.accepts, record.timers
        self.checkpoint = record
        self.inbox = max(self.inbox, record.inbox)
        self.handled = set(record.handled)
        self.definition = record.definition or self.definition
        if record.timed_from is not None:
            self.timed_from = self.reset_at = record.timed_from
        for known in (
            self.outcomes,
            self.begun,
            self.topics,
            self.failed_attempts,
            self.children,
        ):
            known.clear()
        self.events.clear()
        self.resumed = False  # what was begun before is known
        self.deaths = None

    def _add_loss(self, error: ErrorInfo, key: str) -> None:
        """Count a node that was lost while it did a step or a compensation."""
        if error.code == NodeLostError.code:
            self.deaths = self.deaths or Deaths()
            self.deaths.add_loss(key)

    def _reset(self, record: RunReset) -> None:
        self.deaths = None
        for step in record.steps:
            for known in (
                self.outcomes,
                self.begun,
                self.topics,
                self.failed_attempts,
                self.due,
            ):
                known.pop(step, None)
            self.steps.pop(step, None)
            self.compensations.pop(step, None)
            self.children.pop(step, None)
            self.compensated.discard(step)
            self.fired.discard(step)
            self.cut_timers.discard(step)
        self.degraded = any(
            step.status in ("warning", "succeeded") and step.warning is not None
            for step in self.steps.values()
        )
        self.timed_from = self.reset_at = record.at
        self.handled.update(record.handled)
        self.finished = self.finished_at = None

    def _status(self, record: Record) -> None:
        """Add a record that does little more than change the status."""
        status_of = STATUS_AFTER.get(record.__class__)
        if status_of is None:
            return
        self.status = _known(status_of(record))
        self.error = None
        match record:
            case RunStarted():
                self._started(record)
            case RunResumed():
                self.finished = self.finished_at = self.blocked = None
                self.resumed = True
                self.deaths = self.deaths or Deaths()
                self.deaths.add_owner(record.died, self.steps, self.compensations, self.outcomes)
                if self.checkpoint is None:  # it does not wait any more
                    self.accepts, self.timers = (), {}
            case RunQueued():
                self.finished = self.finished_at = self.blocked = None
            case RunWaiting():
                self.accepts = record.events
                self.timers = {} if record.until is None else {REST_TIMER: record.until}
            case RunPaused():
                self.handled.add(record.message_id)
            case RunBlocked():
                self.blocked = record
                self.error = ErrorInfo(
                    code=record.code,
                    message=record.reason,
                    stage=record.step,
                    fix=f"qtforge-host runs resume {self.run_id}"
                    + (" --accept-versions" if record.step is None else " with code that fits it"),
                )
            case RunFinished():
                self._finished(record)

    def _started(self, record: RunStarted) -> None:
        self.started = record
        self.workflow, self.kind, self.parent = record.workflow, record.kind, record.parent
        self.started_at = self.timed_from = record.at
        self.input, self.depth = record.input, record.depth

    def _finished(self, record: RunFinished) -> None:
        self.finished, self.finished_at = record, record.at
        self.degraded, self.error = record.degraded, record.error
        self.result, self.summary = record.result, record.summary
        self.cancel_requested = self.blocked = None
        self.compensating = False
        self.not_compensated.clear()
        self.failed_compensations.clear()
        error = ErrorInfo(code="run.cancelled", message="the run ended before it was done")
        for name, step in self.steps.items():  # what was in progress did not succeed
            if step.status == "running":
                self.steps[name] = msgspec.structs.replace(step, status="failed", error=error)


def _known(status: str) -> RunStatus:
    if status in RUN_STATUSES:  # msgspec builds its rules for a Literal anew at each call
        return cast(RunStatus, status)
    known: RunStatus = msgspec.convert(status, RunStatus)  # raises
    return known
