"""A run's history: one entry in words for each record, and the path of a state machine."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from qtforge_host.api.documents import HistoryEntry, PathEntry, RunOrigin
from qtforge_host.runs.checkpoints import RESTORED, TIMER
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
    RunQueued,
    RunReset,
    RunResumed,
    RunStarted,
    RunWaiting,
    StartedBy,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TimerFired,
    TimerSet,
)

__all__ = ["move_of", "move_text", "moves", "started_text", "timeline"]

_REFUSED: Final = "policy.breaker_open"  # the plugin was not called
_SET_BACK: Final = datetime.timedelta(seconds=1)  # less is between two processes or threads
TimeText = Callable[[datetime.datetime], str]
"""Writes a time of a run's history."""

_TAKEN: Final = ("taken", "started", RESTORED, "")


def timeline(
    records: Iterable[Record],
    start: datetime.datetime | None = None,
    *,
    time_text: TimeText | None = None,
) -> Iterator[HistoryEntry]:
    """Give an entry for each record of a run, oldest first.

    Args:
        records: The records.
        start: When the run was started; None where the first of these records says it.
        time_text: Writes the times that entries name; None for the local time of day.
    """
    when = time_text or _local_time
    after_s = 0.0
    before: datetime.datetime | None = None
    for record in records:
        start = start or record.at
        # In the order of the records, also where a clock was set back between two of them.
        after_s = max(after_s, round((record.at - start).total_seconds(), 6))
        text = _of_step(record, when) or _of_wait(record, when) or _of_run(record)
        if before is not None and before - record.at >= _SET_BACK:
            text += f" (the clock was set back by {(before - record.at).total_seconds():.0f} s)"
        before = record.at
        error = getattr(record, "error", None)
        yield HistoryEntry(
            at=record.at,
            after_s=after_s,
            record=str(type(record).__struct_config__.tag),
            step=getattr(record, "step", None),
            text=text,
            fix=error.fix if isinstance(error, ErrorInfo) else None,
            traceback=error.traceback if isinstance(error, ErrorInfo) else None,
        )


def move_of(record: CheckpointSaved) -> PathEntry:
    """Return what a checkpoint says about an event, or about a step that the run took itself."""
    taken = record.outcome in _TAKEN
    trace = record.trace
    return PathEntry(
        at=record.at,
        event=record.event,
        timer=record.event_id.startswith(TIMER),
        late_s=record.late_s,
        data=record.event_data,
        by=record.by,
        taken=taken,
        reason="" if taken else record.outcome,
        transitions=list(trace.get("transitions", ())),
        left=list(trace.get("exited", ())),
        entered=list(trace.get("entered", ())),
        warnings=list(trace.get("warnings", ())),
    )


def moves(records: Iterable[Record]) -> Iterator[PathEntry]:
    """Give a state machine's path, and the events that it did not take, oldest first."""
    for record in records:
        if isinstance(record, CheckpointSaved):
            move = move_of(record)
            if not _is_empty(move):
                yield move


def move_text(move: PathEntry) -> str:
    """Return an entry of a path as one line for people, without the time."""
    if not move.taken:
        return f"{_cause(move)} was not taken: {move.reason}"
    way = ", then ".join(move.transitions)
    if move.left or move.entered:
        places = f"{', '.join(move.left)} → {', '.join(move.entered)}"
        way = f"{way}: {places}" if way else f"in {', '.join(move.entered)}"
    elif way:
        way += " (stays)"
    warned = "".join(f"; without {each}" for each in move.warnings)
    return f"{': '.join(filter(None, (_cause(move), way))) or 'continues'}{warned}"


def _is_empty(move: PathEntry) -> bool:
    """Whether it says only that the run continued."""
    return not (move.event or move.transitions or move.entered or move.warnings)


def _cause(move: PathEntry) -> str:
    if move.timer:
        late = f", {move.late_s:.3f} s late" if move.late_s > 0 else ""
        return f"the timer {move.event}{late}"
    if not move.event:
        return ""
    data = move.data if isinstance(move.data, Mapping) else {}
    words = [f"{key}={value}" for key, value in data.items() if not isinstance(value, Mapping)]
    by = f" by {move.by}" if move.by else ""
    return f"{move.event}{' ' if words else ''}{' '.join(words)}{by}"


def _of_step(record: Record, when: TimeText) -> str:
    match record:
        case StepStarted():
            again = f", attempt {record.attempt}" if record.attempt > 1 else ""
            return (f"requests {record.topic}" if record.topic else "begins") + again
        case StepSucceeded():
            degraded = f", degraded: {record.degraded}" if record.degraded else ""
            return f"succeeded in {record.duration_s:.3f} s{_by(record)}{degraded}"
        case StepFailed():
            if record.will_retry:
                next_at = f" at {when(record.next_at)}" if record.next_at else ""
                then = f"; next attempt{next_at}"
            else:
                then = "" if record.required else "; the run continues without it"
            what = "was refused" if record.error.code == _REFUSED else "failed"
            return f"attempt {record.attempt} {what}: {_error(record.error)}{then}"
        case StepSkipped():
            return f"skipped: {record.reason}"
        case CompensationStarted():
            again = f", attempt {record.attempt}" if record.attempt > 1 else ""
            return f"is compensated with {record.topic}{again}"
        case CompensationSucceeded():
            return f"was compensated in {record.duration_s:.3f} s{_by(record)}"
        case CompensationFailed():
            if not record.will_retry:
                return f"could not be compensated: {_error(record.error)}"
            next_at = f" at {when(record.next_at)}" if record.next_at else ""
            error = _error(record.error)
            return f"compensation, attempt {record.attempt} failed: {error}; next attempt{next_at}"
        case ChildStarted():
            return f"started the run {record.child_run_id}"
        case _:
            return ""


def _of_wait(record: Record, when: TimeText) -> str:
    match record:
        case CheckpointSaved():
            return _of_state(record, when)
        case EventReceived():
            return f"received the event '{record.name}'"
        case TimerSet():
            return f"{record.name}: waits until {when(record.due)}"
        case TimerFired(cut=True):
            return f"{record.name}: cut off"
        case TimerFired():
            return f"{record.name}: fired, {max(record.late_s, 0.0):.3f} s late"
        case RunPaused():
            return f"paused{_asked(record)}"
        case RunQueued():
            return "waits in the queue for a place of its concurrency key"
        case RunWaiting(over=True):
            return "goes on"
        case RunWaiting():
            return f"waits{_awaited(record, when)}"
        case RunBlocked():
            return f"blocked: {record.reason}"
        case RunCancelRequested():
            return f"cancel requested{_asked(record)}"
        case _:
            return ""


def _of_state(record: CheckpointSaved, when: TimeText) -> str:
    move = move_of(record)
    if not _is_empty(move):
        return move_text(move)
    if record.outcome == RESTORED:
        again = f"; {', '.join(each.name for each in record.first)} again" if record.first else ""
        return f"is restored {f'in {record.label}' if record.label else 'at its start'}{again}"
    if record.busy:
        timers = ", ".join(
            f"{name} until {when(record.timers[name])}"
            for name in record.timers_set
            if name in record.timers
        )
        return f"sets timers: {timers}" if timers else "continues"
    return f"{'waits' if record.accepts or record.timers else 'ends'} in {record.label}"


def started_text(by: StartedBy | RunOrigin) -> str:
    """Return what started a run, in words."""
    match by.kind:
        case "run":
            return f"by the run {by.name}"
        case "schedule":
            return f"by the schedule {by.name}"
        case "event":
            return f"by the topic {by.name}"
        case "rerun":
            return f"again, as {by.name}"
        case "fork":
            return f"as a fork of {by.name}"
        case _:
            return f"by {by.name}"


def _of_run(record: Record) -> str:
    match record:
        case RunStarted():
            version = f" {record.workflow_version}" if record.workflow_version else ""
            parent = f", by the run {record.parent}" if record.parent else ""
            origin = ""
            if record.started_by is not None and record.started_by.kind != "request":
                origin = f", {started_text(record.started_by)}"
            return f"started: {record.workflow}{version}{parent}{origin}"
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
            return f"to be repeated{by}: {', '.join(record.steps) or 'nothing'}"
        case RunFinished():
            degraded = ", degraded" if record.degraded else ""
            return f"{record.status}{degraded}" + (
                f": {_error(record.error)}" if record.error else ""
            )
        case _:
            return ""


def _by(record: StepSucceeded | CompensationSucceeded) -> str:
    return f" by {record.plugin} {record.plugin_version}" if record.plugin else ""


def _awaited(record: RunWaiting, when: TimeText) -> str:
    parts = [f"for the event '{name}'" for name in record.events]
    parts += [f"for the run {name}" for name in record.children]
    if record.until is not None:
        parts.append(f"until {when(record.until)}")
    return f" {', '.join(parts)}" if parts else ""


def _asked(record: RunPaused | RunCancelRequested | RunAmended) -> str:
    by = f" by {record.by}" if record.by else ""
    return f"{by} ({record.reason})" if record.reason else by


def _error(error: ErrorInfo) -> str:
    return f"{error.code}: {error.message}"


def _local_time(at: datetime.datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
