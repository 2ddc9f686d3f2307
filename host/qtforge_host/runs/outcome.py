"""What a run's records add up to: its stages, its status, its result."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import msgspec

from qtforge_sdk import ErrorInfo, Record, RunStatus, StepResult
from qtforge_sdk.records import (
    CompensationFailed,
    CompensationStarted,
    CompensationSucceeded,
    RunFinished,
    RunStarted,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)

__all__ = ["RunView", "fold"]


class RunView:
    """A run as its records tell it so far.

    Attributes:
        run_id: The run.
        workflow: Its workflow's name, and its kind.
        status: ``running`` until it has ended.
        started_at: In UTC; None before the first record.
        finished_at: In UTC; None until it has ended.
        degraded: Whether it did without something.
        input: What it was started with.
        steps: By name, in the order in which they began.
        compensations: By the name of the step that they undo, in the order in which they ran.
        result: None until it has succeeded.
        summary: A line for people, or "".
        error: Why it failed, or None.
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
        self.steps: dict[str, StepResult] = {}
        self.compensations: dict[str, StepResult] = {}
        self.result: Any = None
        self.summary = ""
        self.error: ErrorInfo | None = None

    @property
    def duration_s(self) -> float | None:
        """Seconds from its start to its end; None until it has ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    def apply(self, record: Record) -> None:
        """Take in the next record."""
        match record:
            case RunStarted():
                self.workflow, self.kind = record.workflow, record.kind
                self.started_at, self.input = record.at, record.input
            case StepStarted():
                self.steps[record.step] = StepResult(
                    name=record.step, status="running", attempts=record.attempt
                )
            case StepSucceeded():
                self.steps[record.step] = _answered(record, record.attempt)
            case StepFailed():
                self.steps[record.step] = _failed(record)
                self.degraded = self.degraded or not record.required
            case StepSkipped():
                self.steps[record.step] = StepResult(
                    name=record.step, status="skipped", warning=record.reason
                )
            case CompensationStarted():
                self.compensations[record.step] = StepResult(
                    name=record.step, status="running", attempts=1
                )
            case CompensationSucceeded():
                self.compensations[record.step] = _answered(record, 1)
            case CompensationFailed():
                self.compensations[record.step] = StepResult(
                    name=record.step,
                    status="failed",
                    attempts=1,
                    duration_s=record.duration_s,
                    plugin=record.error.plugin,
                    plugin_version=record.error.plugin_version,
                    error=record.error,
                )
            case RunFinished():
                self.status = msgspec.convert(record.status, RunStatus)
                self.finished_at, self.degraded = record.at, record.degraded
                self.result, self.summary = record.result, record.summary
                self.error = record.error


def fold(run_id: str, records: Iterable[Record]) -> RunView:
    """Return what these records of one run add up to."""
    view = RunView(run_id)
    for record in records:
        view.apply(record)
    return view


def _answered(record: StepSucceeded | CompensationSucceeded, attempts: int) -> StepResult:
    return StepResult(
        name=record.step,
        status="succeeded",
        data=record.data,
        attempts=attempts,
        duration_s=record.duration_s,
        plugin=record.plugin,
        plugin_version=record.plugin_version,
    )


def _failed(record: StepFailed) -> StepResult:
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
