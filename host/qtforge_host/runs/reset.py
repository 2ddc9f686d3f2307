"""Doing a part of a run again: in the same run (retry), or in a new one (fork)."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from qtforge_host.runs.amendments import Check
from qtforge_host.runs.amendments import amend as amended
from qtforge_host.runs.checkpoints import restored
from qtforge_host.runs.errors import (
    KeepsStateError,
    RunNotEndedError,
    RunSucceededError,
    UnknownStepError,
)
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Record
from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.journal import Journal
from qtforge_sdk.records import (
    CheckpointSaved,
    ChildStarted,
    CompensationFailed,
    CompensationStarted,
    EventReceived,
    RunAmended,
    RunReset,
    RunStarted,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TimerFired,
    TimerSet,
)

__all__ = ["Rewriting", "forked", "rewind", "steps_again"]

_Named = (
    StepStarted | StepSucceeded | StepFailed | StepSkipped | ChildStarted | TimerSet | TimerFired
)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """How a run's definition changes when the run is done again.

    Attributes:
        recorded: Gives a run's workflow, with its definition as it is now.
        patch: The operations of a JSON Patch (RFC 6902), in order.
        check: Checks topics and expressions.
        reason: Why, for the run's history.
    """

    recorded: Callable[[RunState], Workflow]
    patch: Sequence[Mapping[str, Any]]
    check: Check
    reason: str = ""


class _Steps:
    """A run's steps and timers by where in its records they ended, or began if they did not."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.places: dict[str, int] = {}
        self.open: set[str] = set()
        self.failed: set[str] = set()
        self.missed: set[str] = set()  # failed, and the run went on without them
        self.undone: set[str] = set()
        self.timers: set[str] = set()
        for place, record in enumerate(records):
            self._take(place, record)

    def _take(self, place: int, record: Record) -> None:
        match record:
            case StepStarted() | StepFailed(will_retry=True):
                self.places.setdefault(record.step, place)
                self.open.add(record.step)
            case StepSucceeded() | StepFailed() | StepSkipped():
                self.places[record.step] = place
                self.open.discard(record.step)
                if isinstance(record, StepFailed):
                    (self.failed if record.required else self.missed).add(record.step)
            case TimerSet():
                self.timers.add(record.name)
                self.places.setdefault(record.name, place)
                self.open.add(record.name)
            case TimerFired():
                self.places[record.name] = place
                self.open.discard(record.name)
            case CompensationStarted() | CompensationFailed():
                self.undone.add(record.step)
            case RunReset():
                for step in record.steps:
                    self.places.pop(step, None)
                    for known in (self.open, self.failed, self.missed, self.undone):
                        known.discard(step)
            case _:
                pass


def steps_again(run_id: str, records: Sequence[Record], stage: str | None = None) -> list[str]:
    """Return which steps are to be done again, in the order of their records.

    That is the stage and everything that ended after it; without a stage, the first that
    failed and everything after it. Where every step ended and none that failed was required,
    such as when too few of many succeeded, it is the first that failed all the same. A step
    that was undone, or may have been, no longer holds, so it is done again as well, with all
    that came after it; so is one that never ended.

    Args:
        run_id: For errors.
        records: The run's.
        stage: A step that has begun, or None.

    Raises:
        UnknownStepError: No step of that name has begun.
    """
    steps = _Steps(records)
    if stage is not None and stage not in steps.places:
        near = difflib.get_close_matches(stage, steps.places, n=1)
        known = ", ".join(steps.places) or "none"
        fix = f"did you mean '{near[0]}'?" if near else f"begun are {known}"
        raise UnknownStepError(run_id, stage, fix)
    wanted = steps.undone | ({stage} if stage is not None else steps.failed)
    if not wanted and not steps.open - steps.timers:
        wanted = steps.missed
    ended = [steps.places[step] for step in wanted if step in steps.places]
    first = min(ended, default=len(records))
    again = [step for step, place in steps.places.items() if place >= first or step in steps.open]
    return sorted(again, key=steps.places.__getitem__)


async def rewind(
    journal: Journal,
    run_id: str,
    stage: str | None = None,
    *,
    at: datetime.datetime,
    by: str = "",
    amend: Rewriting | None = None,
) -> list[str]:
    """Open a run that did not succeed again; it goes on when it is resumed.

    An amendment is journaled together with it, after it was checked against what stays done.

    Args:
        journal: Holds it.
        run_id: The run.
        stage: From where to do it again; None for where it failed.
        at: Now, in UTC.
        by: Who asked.
        amend: How its definition changes; None leaves it as it is.

    Returns:
        The steps that will be done again, and the events that will be handled before others.

    Raises:
        AmendmentRefusedError: The amendment is not possible; nothing was changed.
        KeepsStateError: A stage is given, and the run keeps its state.
        RunNotEndedError: It has not ended.
        RunSucceededError: It has succeeded.
        UnknownStepError: No step of that name has begun.
        RunOwnedError: Another process has just opened it again.
    """
    await _rewound(journal, run_id, stage, at, by, amend)  # refused early
    ownership = await journal.claim(run_id)
    try:
        made = await _rewound(journal, run_id, stage, at, by, amend)
        await journal.append(ownership, made)
    finally:
        await journal.release(ownership)
    events = [f"the event {event.name}" for event in _first(made)]
    return [*made[0].steps, *events]


def forked(
    records: Sequence[Record],
    new_id: str,
    given: Mapping[str, Any],
    *,
    at: datetime.datetime,
    stage: str | None = None,
) -> tuple[RunStarted, list[Record]]:
    """Return the beginning of a new run that has done what another did before a stage.

    Args:
        records: The other run's.
        new_id: The new run's name.
        given: The new run's input.
        at: Now, in UTC.
        stage: The first stage that is done again; None for all.

    Returns:
        The new run's first record, and those that follow it: the amendments, and the records
        of every step before the stage.

    Raises:
        KeepsStateError: A stage is given, and the run keeps its state.
        UnknownStepError: No step of that name has begun.
    """
    started = _started(records)
    _check_stage(started.run_id, records, stage)
    steps = _Steps(records)
    again = steps.places if stage is None else steps_again(started.run_id, records, stage)
    kept = set(steps.places) - set(again)
    first = msgspec.structs.replace(
        started, run_id=new_id, at=at, input=dict(given), parent=None, parent_step=None
    )
    copies: list[Record] = []
    for record in records:
        if isinstance(record, RunReset):
            copies = [each for each in copies if _step_of(each) not in record.steps]
        elif isinstance(record, RunAmended) or _step_of(record) in kept:
            copies.append(msgspec.structs.replace(record, run_id=new_id, at=at))
    return first, _events(records, copies, new_id, at) + copies


async def _rewound(
    journal: Journal,
    run_id: str,
    stage: str | None,
    at: datetime.datetime,
    by: str,
    amend: Rewriting | None,
) -> tuple[RunReset, *tuple[Record, ...]]:
    """Return the records that open a run again."""
    records = _ended(run_id, await journal.records(run_id))
    _check_stage(run_id, records, stage)
    state = restored(records, await journal.inbox(run_id), at)
    steps = steps_again(run_id, records, stage) if state is None else list(state.again)
    rewound = RunReset(run_id=run_id, at=at, steps=steps, by=by)
    made: list[Record] = [] if state is None else [state.kept, *state.answers]
    if amend is not None:
        kept = RunState.from_records(run_id, [*records, rewound]).steps
        workflow = amend.recorded(RunState.from_records(run_id, records))
        fix = "change what is done again; --from STAGE does more again"
        _, definition = amended(run_id, workflow, amend.patch, kept, amend.check, fix=fix)
        made.append(
            RunAmended(
                run_id=run_id,
                at=at,
                patch=[dict(each) for each in amend.patch],
                definition=definition,
                by=by,
                reason=amend.reason,
            )
        )
    return rewound, *made


def _first(records: Iterable[Record]) -> Iterable[ReceivedEvent]:
    return (event for each in records if isinstance(each, CheckpointSaved) for event in each.first)


def _check_stage(run_id: str, records: Iterable[Record], stage: str | None) -> None:
    if stage is not None and any(isinstance(each, CheckpointSaved) for each in records):
        raise KeepsStateError(run_id)


def _ended(run_id: str, records: Sequence[Record]) -> Sequence[Record]:
    finished = RunState.from_records(run_id, records).finished
    if finished is None:
        raise RunNotEndedError(run_id)
    if finished.status == "succeeded":
        raise RunSucceededError(run_id)
    return records


def _started(records: Sequence[Record]) -> RunStarted:
    first = records[0]
    if not isinstance(first, RunStarted):  # a journal refuses such a run
        raise TypeError(f"the first record is {type(first).__name__}, not RunStarted")
    return first


def _step_of(record: Record) -> str | None:
    if not isinstance(record, _Named):
        return None
    return record.name if isinstance(record, TimerSet | TimerFired) else record.step


def _events(
    records: Iterable[Record], copies: Iterable[Record], new_id: str, at: datetime.datetime
) -> list[Record]:
    """Return the events that the copied steps have taken; the new run waits for all others."""
    taken = {
        record.data.get("event_id")
        for record in copies
        if isinstance(record, StepSucceeded) and isinstance(record.data, dict)
    }
    return [
        msgspec.structs.replace(record, run_id=new_id, at=at)
        for record in records
        if isinstance(record, EventReceived) and record.event_id in taken
    ]
