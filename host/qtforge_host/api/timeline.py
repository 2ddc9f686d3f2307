"""A run's history in words: one entry for each record."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import click

from qtforge_host.cli.runs.state_machine import move_of
from qtforge_host.runs.checkpoints import RESTORED
from qtforge_sdk import ErrorInfo, Record
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

__all__ = ["Entry", "line", "timeline"]

_REFUSED: Final = "policy.breaker_open"  # the plugin was not asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What happened.

    Attributes:
        at: When, in UTC.
        after_s: Seconds since the run's start.
        record: The record's kind, such as ``step_succeeded``.
        step: The step or timer that it is about, or None.
        text: In words.
        fix: What the reader can do, or None.
    """

    at: datetime.datetime
    after_s: float
    record: str
    step: str | None
    text: str
    fix: str | None


def timeline(records: Iterable[Record]) -> Iterator[Entry]:
    """Give an entry for each record of a run, oldest first."""
    start: datetime.datetime | None = None
    for record in records:
        start = start or record.at
        error = getattr(record, "error", None)
        yield Entry(
            at=record.at,
            after_s=round((record.at - start).total_seconds(), 6),
            record=str(type(record).__struct_config__.tag),
            step=getattr(record, "step", None),
            text=_of_step(record) or _of_wait(record) or _of_run(record),
            fix=error.fix if isinstance(error, ErrorInfo) else None,
        )


def line(entry: Entry) -> str:
    """Return an entry as one line for people."""
    where = f"{entry.step}: " if entry.step else ""
    text = "".join(each if each.isprintable() else " " for each in f"{where}{entry.text}")
    fix = f" (fix: {entry.fix})" if entry.fix else ""
    return f"{click.style(f'+{entry.after_s:.3f} s', dim=True)}  {text}{fix}"


def _of_step(record: Record) -> str:
    match record:
        case StepStarted():
            again = f", attempt {record.attempt}" if record.attempt > 1 else ""
            return (f"asks {record.topic}" if record.topic else "begins") + again
        case StepSucceeded():
            degraded = f", degraded: {record.degraded}" if record.degraded else ""
            return f"succeeded in {record.duration_s:.3f} s{_by(record)}{degraded}"
        case StepFailed():
            if record.will_retry:
                next_at = f" at {_clock(record.next_at)}" if record.next_at else ""
                then = f"; next attempt{next_at}"
            else:
                then = "" if record.required else "; the run goes on without it"
            what = "was refused" if record.error.code == _REFUSED else "failed"
            return f"attempt {record.attempt} {what}: {_error(record.error)}{then}"
        case StepSkipped():
            return f"skipped: {record.reason}"
        case CompensationStarted():
            again = f", attempt {record.attempt}" if record.attempt > 1 else ""
            return f"is undone with {record.topic}{again}"
        case CompensationSucceeded():
            return f"was undone in {record.duration_s:.3f} s{_by(record)}"
        case CompensationFailed():
            if not record.will_retry:
                return f"could not be undone: {_error(record.error)}"
            next_at = f" at {_clock(record.next_at)}" if record.next_at else ""
            error = _error(record.error)
            return f"undoing, attempt {record.attempt} failed: {error}; next attempt{next_at}"
        case ChildStarted():
            return f"started the run {record.child_run_id}"
        case _:
            return ""


def _of_wait(record: Record) -> str:
    match record:
        case CheckpointSaved():
            return _of_state(record)
        case EventReceived():
            return f"the event '{record.name}' came"
        case TimerSet():
            return f"{record.name}: waits until {_clock(record.due)}"
        case TimerFired():
            return f"{record.name}: the time has come, {max(record.late_s, 0.0):.3f} s late"
        case RunPaused():
            return f"paused{_asked(record)}"
        case RunBlocked():
            return f"blocked: {record.reason}"
        case RunCancelRequested():
            return f"is to be cancelled{_asked(record)}"
        case _:
            return ""


def _of_state(record: CheckpointSaved) -> str:
    move = move_of(record)
    if not move.is_empty:
        return move.text()
    if record.outcome == RESTORED:
        again = f"; {', '.join(each.name for each in record.first)} again" if record.first else ""
        return f"is back {f'in {record.label}' if record.label else 'at its start'}{again}"
    if record.busy:
        timers = ", ".join(
            f"{name} until {_clock(record.timers[name])}"
            for name in record.timers_set
            if name in record.timers
        )
        return f"sets timers: {timers}" if timers else "goes on"
    return f"{'waits' if record.accepts or record.timers else 'ends'} in {record.label}"


def _of_run(record: Record) -> str:
    match record:
        case RunStarted():
            version = f" {record.workflow_version}" if record.workflow_version else ""
            parent = f", by the run {record.parent}" if record.parent else ""
            return f"started: {record.workflow}{version}{parent}"
        case RunResumed():
            return f"resumed: {record.note}" if record.note else "resumed"
        case RunAmended():
            changes = "; ".join(
                f"{each.get('op')} {each.get('path')}"
                for each in record.patch
                if each.get("op") != "test"
            )
            return f"amended{_asked(record)}: {changes}"
        case AmendmentRefused():
            return f"an amendment was refused: {record.reason}"
        case RunReset():
            by = f" (by {record.by})" if record.by else ""
            return f"to be done again{by}: {', '.join(record.steps) or 'nothing'}"
        case RunFinished():
            degraded = ", degraded" if record.degraded else ""
            return f"{record.status}{degraded}" + (
                f": {_error(record.error)}" if record.error else ""
            )
        case _:
            return ""


def _by(record: StepSucceeded | CompensationSucceeded) -> str:
    return f" by {record.plugin} {record.plugin_version}" if record.plugin else ""


def _asked(record: RunPaused | RunCancelRequested | RunAmended) -> str:
    by = f" by {record.by}" if record.by else ""
    return f"{by} ({record.reason})" if record.reason else by


def _error(error: ErrorInfo) -> str:
    return f"{error.code}: {error.message}"


def _clock(at: datetime.datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
