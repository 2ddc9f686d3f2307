"""A run's steps as its records tell them, with each attempt, for the timeline and the details."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from qtforge_sdk import ErrorInfo, Record
from qtforge_sdk.records import (
    ChildStarted,
    CompensationFailed,
    CompensationStarted,
    CompensationSucceeded,
    RunFinished,
    RunReset,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TimerFired,
    TimerSet,
)

__all__ = ["Attempt", "Step", "StepKind", "anchor_text", "steps_of"]

StepKind = Literal["step", "undo", "wait"]
_ITEM: Final = re.compile(r"\[\d+\]$")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9]")
_PREFIX: Final[Mapping[StepKind, str]] = MappingProxyType({"step": "s", "undo": "u", "wait": "w"})


class Attempt(msgspec.Struct, kw_only=True):
    """One try of a step.

    Attributes:
        start: When it began.
        end: When it ended; None while it is in progress.
        status: ``running``, ``succeeded``, ``failed``, ``retried`` (it failed, and another one
            followed), ``warning``, ``skipped``, ``undone``, ``waiting``.
        error: Why it failed, or None.
        number: The number of the attempt, from 1.
    """

    start: datetime.datetime
    end: datetime.datetime | None = None
    status: str = "running"
    error: ErrorInfo | None = None
    number: int = 1


class Step(msgspec.Struct, kw_only=True):
    """A step, the compensation of one, or a time in which the run waited.

    Attributes:
        name: Its name.
        kind: Which of these.
        topic: What it requests, or "".
        attempts: Each try, in order.
        status: That of the last one.
        message: What was sent; None for nothing.
        message_note: Why the message is not here, or "".
        data: The result, or None.
        error: Why it failed, or None.
        plugin: The plugin that answered, and its version, or "".
        child: The run that it started, or "".
        note: Why it was skipped, or is degraded; or "".
    """

    name: str
    kind: StepKind = "step"
    topic: str = ""
    attempts: list[Attempt]
    status: str = "running"
    message: Any = None
    message_note: str = ""
    data: Any = None
    error: ErrorInfo | None = None
    plugin: str = ""
    child: str = ""
    note: str = ""

    @property
    def anchor(self) -> str:
        """Its id in a page."""
        return f"{_PREFIX[self.kind]}-{anchor_text(self.name)}"

    @property
    def group(self) -> str:
        """The step of which it is an item, or ""."""
        found = _ITEM.search(self.name)
        return self.name[: found.start()] if found and self.kind == "step" else ""

    @property
    def is_failed(self) -> bool:
        """Whether it failed in the end."""
        return self.status == "failed"

    def took_s(self, now: datetime.datetime) -> float:
        """How long its attempts took, without the time between them."""
        return sum(((each.end or now) - each.start).total_seconds() for each in self.attempts)


def anchor_text(name: str) -> str:
    """Return a name as part of an id in a page.

    >>> anchor_text("charge_card"), anchor_text("a.b[0]")
    ('charge_5f_card', 'a_2e_b_5b_0_5d_')
    """
    return _UNSAFE.sub(lambda found: f"_{ord(found[0]):x}_", name)


def steps_of(records: Iterable[Record]) -> Sequence[Step]:
    """Return what a run has done, in the order in which it began.

    Args:
        records: Its records, oldest first; the first ones may be missing.
    """
    return _Folding().fold(records)


class _Folding:
    def __init__(self) -> None:
        self._all: list[Step] = []
        self._steps: dict[str, Step] = {}
        self._undone: dict[str, Step] = {}
        self._waits: dict[str, Step] = {}

    def fold(self, records: Iterable[Record]) -> Sequence[Step]:
        for record in records:
            self._step(record)
            self._compensation(record)
            self._wait(record)
        return self._all

    def _step(self, record: Record) -> None:
        match record:
            case StepStarted():
                step = self._named(record.step)
                step.topic = record.topic or step.topic
                last = step.attempts[-1] if step.attempts else None
                # The same attempt begins again where its process has died, or a run without
                # checkpoints has rested meanwhile.
                if last is None or last.end is not None or record.attempt > last.number:
                    step.attempts.append(Attempt(start=record.at, number=record.attempt))
                step.status, step.error = "running", None
                if record.message is not None or record.message_note:
                    step.message, step.message_note = record.message, record.message_note
            case StepSucceeded():
                step = self._named(record.step)
                self._end(step, record.at, "succeeded", record.duration_s)
                step.data, step.error = record.data, None
                step.plugin = _served_by(record.plugin, record.plugin_version)
                step.note = record.degraded or ""
                step.status = "warning" if record.degraded else "succeeded"
            case StepFailed():
                step = self._named(record.step)
                after = "retried" if record.will_retry else "failed"
                status = after if record.required or record.will_retry else "warning"
                self._end(step, record.at, status, record.duration_s, record.error)
                step.error, step.status = record.error, status
                step.plugin = _served_by(record.error.plugin, record.error.plugin_version)
            case StepSkipped():
                step = self._named(record.step)
                if step.attempts and step.attempts[-1].end is None:
                    self._end(step, record.at, "skipped")
                step.status, step.note = "skipped", record.reason
                if not step.attempts:
                    step.attempts.append(Attempt(start=record.at, end=record.at, status="skipped"))
            case ChildStarted():
                self._named(record.step).child = record.child_run_id
            case RunReset():
                for name in record.steps:  # an attempt that follows is one more of the same step
                    if name in self._steps:
                        self._steps[name].status = "retried"
            case RunFinished():
                for step in self._all:
                    if step.attempts and step.attempts[-1].end is None:
                        self._end(step, record.at, "skipped")
                        step.status = "skipped"
            case _:
                pass

    def _compensation(self, record: Record) -> None:
        match record:
            case CompensationStarted():
                undo = self._undone.get(record.step)
                if undo is None:
                    undo = Step(name=record.step, kind="undo", topic=record.topic, attempts=[])
                    self._undone[record.step] = undo
                    self._all.append(undo)
                undo.attempts.append(Attempt(start=record.at))
                undo.status, undo.error = "running", None
            case CompensationSucceeded() if undo := self._undone.get(record.step):
                self._end(undo, record.at, "undone", record.duration_s)
                undo.status, undo.data = "undone", record.data
                undo.plugin = _served_by(record.plugin, record.plugin_version)
            case CompensationFailed() if undo := self._undone.get(record.step):
                undo.status = "retried" if record.will_retry else "failed"
                self._end(undo, record.at, undo.status, record.duration_s, record.error)
                undo.error = record.error
            case _:
                pass

    def _wait(self, record: Record) -> None:
        match record:
            case TimerSet() if record.name not in self._steps:  # else the step is the wait
                self._begin_wait(record.name, record.at)
            case TimerFired():
                self._end_wait(record.name, record.at)
            case _:
                pass

    def _begin_wait(self, name: str, at: datetime.datetime) -> None:
        wait = self._waits.get(name)
        if wait is not None and wait.attempts[-1].end is None:
            return
        if wait is None:
            wait = self._waits[name] = Step(name=name, kind="wait", attempts=[])
            self._all.append(wait)
        wait.attempts.append(Attempt(start=at, status="waiting"))
        wait.status = "waiting"

    def _end_wait(self, name: str, at: datetime.datetime) -> None:
        wait = self._waits.get(name)
        if wait is not None and wait.attempts[-1].end is None:
            wait.attempts[-1].end = at
            wait.status = "succeeded"

    def _named(self, name: str) -> Step:
        step = self._steps.get(name)
        if step is None:
            step = self._steps[name] = Step(name=name, attempts=[])
            self._all.append(step)
        return step

    @staticmethod
    def _end(
        step: Step,
        at: datetime.datetime,
        status: str,
        duration_s: float | None = None,
        error: ErrorInfo | None = None,
    ) -> None:
        if not step.attempts or step.attempts[-1].end is not None:
            # Its start is among the records that were left out.
            start = at - datetime.timedelta(seconds=duration_s or 0.0)
            step.attempts.append(Attempt(start=start))
        last = step.attempts[-1]
        last.end, last.status, last.error = max(at, last.start), status, error


def _served_by(plugin: str | None, version: str | None) -> str:
    return " ".join(filter(None, (plugin, version)))
