"""Counts what this process recorded of runs."""

from __future__ import annotations

from collections import Counter

from qtforge_sdk import Record
from qtforge_sdk.records import RunFinished, RunStarted, StepFailed, StepSkipped, StepSucceeded

__all__ = ["RunCounts"]

_MANY = 10_000  # unfinished runs whose workflows are known


class RunCounts:
    """Counts since the process started.

    Attributes:
        started: By workflow.
        ended: By workflow and status; "" for a workflow that another process started.
        steps: By outcome: ``succeeded``, ``failed``, ``retried``, ``warning``, ``skipped``.
    """

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        self.steps: Counter[str] = Counter()
        self._workflows: dict[str, str] = {}

    def take(self, record: Record) -> None:
        """Count a record."""
        match record:
            case StepSucceeded():
                self.steps["succeeded"] += 1
            case StepFailed():
                retried = "retried" if record.will_retry else None
                self.steps[retried or ("failed" if record.required else "warning")] += 1
            case StepSkipped():
                self.steps["skipped"] += 1
            case RunStarted():
                self.started[record.workflow] += 1
                if len(self._workflows) < _MANY:
                    self._workflows[record.run_id] = record.workflow
            case RunFinished():
                workflow = self._workflows.pop(record.run_id, "")
                self.ended[workflow, record.status] += 1
            case _:
                pass
