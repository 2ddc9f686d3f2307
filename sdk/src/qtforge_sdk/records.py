"""What is recorded of a run, in the order in which it happened.

A run's history is these records and nothing else; `qtforge_sdk.hookspecs` hands each
to ``qtforge_on_run_event``. Times are UTC; durations are seconds. The names are those
of durable-execution engines (Temporal's history, DBOS's operation outputs).
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

__all__ = [
    "CompensationFailed",
    "CompensationStarted",
    "CompensationSucceeded",
    "ErrorInfo",
    "Record",
    "RunFinished",
    "RunStarted",
    "StepFailed",
    "StepSkipped",
    "StepStarted",
    "StepSucceeded",
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
    """A run began: which workflow, of which kind and version, on what input."""

    workflow: str
    kind: str
    workflow_version: str
    input: Any
    plugins: dict[str, str]


class StepStarted(_Record, frozen=True, kw_only=True, tag="step_started"):
    """A step's request is about to be sent."""

    step: str
    topic: str
    attempt: int = 1


class StepSucceeded(_Record, frozen=True, kw_only=True, tag="step_succeeded"):
    """A step was answered."""

    step: str
    data: Any
    plugin: str | None
    plugin_version: str | None
    duration_s: float
    attempt: int = 1


class StepFailed(_Record, frozen=True, kw_only=True, tag="step_failed"):
    """A step failed; ``required`` tells whether the run can go on without it."""

    step: str
    error: ErrorInfo
    required: bool
    duration_s: float
    attempt: int = 1


class StepSkipped(_Record, frozen=True, kw_only=True, tag="step_skipped"):
    """A step was left out, and why."""

    step: str
    reason: str


class CompensationStarted(_Record, frozen=True, kw_only=True, tag="compensation_started"):
    """A step is about to be undone."""

    step: str
    topic: str


class CompensationSucceeded(_Record, frozen=True, kw_only=True, tag="compensation_succeeded"):
    """A step was undone."""

    step: str
    data: Any
    plugin: str | None
    plugin_version: str | None
    duration_s: float


class CompensationFailed(_Record, frozen=True, kw_only=True, tag="compensation_failed"):
    """A step could not be undone."""

    step: str
    error: ErrorInfo
    duration_s: float


class RunFinished(_Record, frozen=True, kw_only=True, tag="run_finished"):
    """A run ended: ``succeeded``, ``failed``, ``compensated`` or ``cancelled``."""

    status: str
    degraded: bool
    result: Any
    summary: str
    error: ErrorInfo | None


Record = (
    RunStarted
    | StepStarted
    | StepSucceeded
    | StepFailed
    | StepSkipped
    | CompensationStarted
    | CompensationSucceeded
    | CompensationFailed
    | RunFinished
)
