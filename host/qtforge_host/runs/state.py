"""What a run's records add up to: its stages, its status, its result."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, Final, cast, get_args

import msgspec

from qtforge_sdk import ErrorInfo, Record, RunStatus, StepResult
from qtforge_sdk.records import (
    CheckpointSaved,
    CompensationFailed,
    CompensationStarted,
    CompensationSucceeded,
    RunAmended,
    RunBlocked,
    RunFinished,
    RunPaused,
    RunReset,
    RunResumed,
    RunStarted,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)

__all__ = ["RunState"]

_STATUSES: Final = frozenset(get_args(RunStatus))


class RunState:
    """A run as its records tell it so far.

    Attributes:
        run_id: The run.
        workflow: Its workflow's name, and its kind.
        status: ``running`` until it has ended, unless it rests.
        started_at: In UTC; None before the first record.
        finished_at: In UTC; None until it has ended.
        degraded: Whether it did without something.
        input: What it was started with.
        parent: The run that started it, or None.
        depth: How many runs stand above it.
        steps: By name, in the order in which they began.
        compensations: By the name of the step that they undo, in the order in which they ran.
        amendments: How often its definition was changed.
        kept: For one that keeps its state: what it kept last; None for the others.
        label: For one that keeps its state: the state in a word.
        label_since: Since when that holds, in UTC; None for the others.
        accepts: For one that keeps its state: the events that it waits for.
        timers: For one that keeps its state: when each timer is due, by its name.
        result: None until it has succeeded.
        summary: A line for people, or "".
        error: Why it failed, rests or is blocked, or None.
    """

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
        self.kept: CheckpointSaved | None = None
        self.label = ""
        self.label_since: datetime.datetime | None = None
        self.accepts: tuple[str, ...] = ()
        self.timers: dict[str, datetime.datetime] = {}
        self.result: Any = None
        self.summary = ""
        self.error: ErrorInfo | None = None

    @classmethod
    def from_records(cls, run_id: str, records: Iterable[Record]) -> RunState:
        """Return what these records of one run add up to."""
        state = cls(run_id)
        for record in records:
            state.apply(record)
        return state

    @property
    def duration_s(self) -> float | None:
        """Seconds from its start to its end; None until it has ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def rests(self) -> bool:
        """Whether nothing happens until somebody does something."""
        return self.status in ("paused", "blocked")

    def apply(self, record: Record) -> None:
        """Take in the next record."""
        match record:
            case StepStarted():  # the most frequent first: each case costs those below it
                self.steps[record.step] = StepResult(
                    name=record.step, status="running", attempts=record.attempt
                )
            case StepSucceeded():
                self.steps[record.step] = _answered(record, record.attempt, record.degraded)
                if record.degraded is not None:
                    self.degraded = True
            case StepFailed() | StepSkipped():
                self._apply_step(record)
            case CompensationStarted() | CompensationSucceeded() | CompensationFailed():
                self._apply_compensation(record)
            case RunStarted():
                self.workflow, self.kind, self.parent = record.workflow, record.kind, record.parent
                self.started_at, self.input = record.at, record.input
                self.depth = record.depth
            case RunAmended():
                self.amendments += 1
            case RunReset():
                for step in record.steps:
                    self.steps.pop(step, None)
                    self.compensations.pop(step, None)
                self.degraded = any(
                    step.status in ("warning", "succeeded") and step.warning is not None
                    for step in self.steps.values()
                )
            case _:
                self._apply_status(record)

    def _apply_step(self, record: StepFailed | StepSkipped) -> None:
        if isinstance(record, StepFailed):
            step = _failed(record)
            self.degraded = self.degraded or not (record.required or record.will_retry)
        else:
            step = StepResult(name=record.step, status="skipped", warning=record.reason)
        self.steps[record.step] = step

    def _apply_compensation(
        self, record: CompensationStarted | CompensationSucceeded | CompensationFailed
    ) -> None:
        if isinstance(record, CompensationStarted):
            step = StepResult(name=record.step, status="running", attempts=record.attempt)
        elif isinstance(record, CompensationSucceeded):
            step = _answered(record, record.attempt, None)
        else:
            step = StepResult(
                name=record.step,
                status="running" if record.will_retry else "failed",
                attempts=record.attempt,
                duration_s=record.duration_s,
                plugin=record.error.plugin,
                plugin_version=record.error.plugin_version,
                error=record.error,
            )
        self.compensations[record.step] = step

    def _apply_status(self, record: Record) -> None:
        match record:
            case RunPaused():
                self.status = "paused"
                self.error = None
            case RunBlocked():
                self.status = "blocked"
                self.error = ErrorInfo(
                    code="run.blocked",
                    message=record.reason,
                    fix=f"qtforge-host runs resume {self.run_id} --accept-versions",
                )
            case CheckpointSaved():
                self.status, self.error = "running" if record.busy else "waiting", None
                self.finished_at = None
                if record.label != self.label or record.trace.get("entered"):
                    self.label_since = record.at
                self.kept = record
                self.label, self.accepts, self.timers = record.label, record.accepts, record.timers
            case RunResumed():
                self.status, self.error, self.finished_at = "running", None, None
            case RunFinished():
                self.status = _status(record)
                self.finished_at, self.degraded = record.at, record.degraded
                self.result, self.summary = record.result, record.summary
                self.error = record.error
                self._end_unfinished()
            case _:
                pass

    def _end_unfinished(self) -> None:
        """A step that was in progress when the run ended did not succeed."""
        error = ErrorInfo(code="run.cancelled", message="the run ended before it was done")
        for name, step in self.steps.items():
            if step.status == "running":
                self.steps[name] = msgspec.structs.replace(step, status="failed", error=error)


def _status(record: RunFinished) -> RunStatus:
    if record.status in _STATUSES:  # msgspec builds its rules for a Literal anew at each call
        return cast(RunStatus, record.status)
    status: RunStatus = msgspec.convert(record.status, RunStatus)
    return status


def _answered(
    record: StepSucceeded | CompensationSucceeded, attempts: int, warning: str | None
) -> StepResult:
    return StepResult(
        name=record.step,
        status="succeeded",
        data=record.data,
        attempts=attempts,
        duration_s=record.duration_s,
        plugin=record.plugin,
        plugin_version=record.plugin_version,
        warning=warning,
    )


def _failed(record: StepFailed) -> StepResult:
    if record.will_retry:
        return StepResult(
            name=record.step, status="running", attempts=record.attempt, error=record.error
        )
    return StepResult(
        name=record.step,
        status="failed" if record.required else "warning",
        attempts=record.attempt,
        duration_s=record.duration_s,
        plugin=record.error.plugin,
        plugin_version=record.error.plugin_version,
        warning=None if record.required else record.error.message,
        error=record.error,
    )
