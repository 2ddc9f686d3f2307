"""Redo a part of a run: in the same run (retry), or in a new one (fork)."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.runs.amendments import Check
from qtforge_host.runs.amendments import amend as amended
from qtforge_host.runs.checkpoints import restored
from qtforge_host.runs.errors import (
    RunNotEndedError,
    RunSucceededError,
    StatefulRunError,
    UnknownStepError,
)
from qtforge_host.runs.state import RunState
from qtforge_host.trace_context import trace_of_fork
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Record
from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.journal import Journal
from qtforge_sdk.journal_kit.appending import handled_messages
from qtforge_sdk.records import (
    CheckpointSaved,
    ChildStarted,
    CompensationFailed,
    CompensationStarted,
    EventReceived,
    RunAmended,
    RunReset,
    RunStarted,
    StartedBy,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TimerFired,
    TimerSet,
)
from qtforge_sdk.runs import CONCLUSION
from qtforge_sdk.validation import did_you_mean

__all__ = ["ResetAmendment", "forked", "reset_run", "steps_again"]

_PARTS: Final = ("", ".", "[", "#", "/")  # what follows a stage's name in those of its steps
_Named = (
    StepStarted | StepSucceeded | StepFailed | StepSkipped | ChildStarted | TimerSet | TimerFired
)


class ResetAmendment(msgspec.Struct, frozen=True):
    """How a run's definition changes when the run is reset.

    Attributes:
        recorded: Returns a run's workflow, with its definition as it is now.
        patch: The operations of a JSON Patch (RFC 6902), in order.
        check: Checks topics and expressions.
        reason: Why, for the run's history.
    """

    recorded: Callable[[RunState], Workflow]
    patch: Sequence[Mapping[str, Any]]
    check: Check
    reason: str = ""


class _Steps:
    """A run's steps and timers, by the place of the record that ended or else began them."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.places: dict[str, int] = {}
        self.open: set[str] = set()
        self.failed: set[str] = set()
        self.optional: set[str] = set()  # failed, and the run continued without them
        self.compensated: set[str] = set()
        self.timers: set[str] = set()
        for place, record in enumerate(records):
            self._take(place, record)

    @property
    def concluding(self) -> set[str]:
        """The steps that were done last, whatever came; they are always done again."""
        return {step for step in self.places if step.startswith(CONCLUSION)}

    def _take(self, place: int, record: Record) -> None:
        match record:
            case StepStarted() | StepFailed(will_retry=True) | StepFailed(cut=True):
                self.places.setdefault(record.step, place)
                self.open.add(record.step)
            case StepSucceeded() | StepFailed() | StepSkipped():
                self.places[record.step] = place
                self.open.discard(record.step)
                if isinstance(record, StepFailed) and not record.step.startswith(CONCLUSION):
                    (self.failed if record.required else self.optional).add(record.step)
            case TimerSet():
                self.timers.add(record.name)
                self.places.setdefault(record.name, place)
                self.open.add(record.name)
            case TimerFired():
                self.places[record.name] = place
                self.open.discard(record.name)
            case CompensationStarted() | CompensationFailed():
                self.compensated.add(record.step)
            case RunReset():
                for step in record.steps:
                    self.places.pop(step, None)
                    for known in (self.open, self.failed, self.optional, self.compensated):
                        known.discard(step)
            case _:
                pass

    def repeated(self, wanted: set[str], workflow: Workflow | None) -> set[str]:
        """Return what is done again when these steps are, as far as it has begun."""
        ended = sorted(self.places, key=self.places.__getitem__)
        if workflow is not None and wanted:
            failed = self.failed | self.optional
            orchestrator, definition = workflow.orchestrator, workflow.definition
            found = orchestrator.repeated_with(definition, wanted, ended, failed)
            if found is not None:
                return (set(found) | set(wanted)) & self.places.keys()
        first = len(ended)
        for place, step in enumerate(ended):
            if step in wanted or any(
                _is_within(step, each) for each in wanted - self.places.keys()
            ):
                first = place
                break
        return set(ended[first:])


def steps_again(
    run_id: str,
    records: Sequence[Record],
    stage: str | None = None,
    workflow: Workflow | None = None,
) -> list[str]:
    """Return the steps to redo, in the order of their records.

    That is the stage and what its workflow's orchestrator says depends on it, or else every step
    that ended after it; without a stage, likewise for every step that failed. When every step
    ended and no required one failed, such as when too few of many succeeded, it is the first
    optional step that failed. A step that was undone, or may have been, is redone as well, with
    what depends on it; so is a step that never ended.

    Args:
        run_id: For errors.
        records: The run's.
        stage: A step that has begun, or what the names of several begin with; or None.
        workflow: The run's, with its definition as it is now; None where it is not known.

    Raises:
        UnknownStepError: No step of that name has begun.
    """
    steps = _Steps(records)
    if stage is not None and not any(_is_within(step, stage) for step in steps.places):
        raise UnknownStepError(run_id, stage, did_you_mean(stage, steps.places))
    wanted = steps.compensated | ({stage} if stage is not None else _innermost(steps.failed))
    if not wanted and not steps.open - steps.timers:
        wanted = steps.optional
    again = steps.open | steps.concluding | steps.repeated(wanted, workflow)
    return sorted(again, key=steps.places.__getitem__)


def _is_within(step: str, stage: str) -> bool:
    """Return whether a step is a stage, or a part of it such as ``each[3].load`` of ``each``."""
    return step.startswith(stage) and step[len(stage) : len(stage) + 1] in _PARTS


def _innermost(steps: Collection[str]) -> set[str]:
    """Return the steps of which no part is among them."""
    wholes = {step[:place] for step in steps for place, each in enumerate(step) if each in ".[#/"}
    return {step for step in steps if step not in wholes}


async def reset_run(
    journal: Journal,
    run_id: str,
    stage: str | None = None,
    *,
    at: datetime.datetime,
    by: str = "",
    amend: ResetAmendment | None = None,
    records: Sequence[Record] = (),
    workflow: Workflow | None = None,
) -> list[str]:
    """Open a run that ended without success again; it continues when it is resumed.

    Requests that reached the run as it ended, such as a late cancel, no longer count then. An
    amendment is recorded together with the reset, after it was checked against the steps that
    stay done.

    Args:
        journal: Holds the run.
        run_id: The run.
        stage: The first step to redo; None for the one that failed.
        at: Now, in UTC.
        by: Who asked.
        amend: How its definition changes; None leaves it as it is.
        records: The run's first records, as far as the caller has read them.
        workflow: The run's, which tells what depends on a step; None where it is not known.

    Returns:
        The steps that will be redone, and the events that will be handled before others.

    Raises:
        AmendmentRefusedError: The amendment is not possible; nothing was changed.
        StatefulRunError: A stage is given, and the run is stateful.
        RunNotEndedError: It has not ended.
        RunSucceededError: It has succeeded.
        UnknownStepError: No step of that name has begun.
        RunOwnedError: Another process has just reset it.
    """
    found = [*records, *await journal.records(run_id, len(records))]
    await _reset_records(
        journal, run_id, found, stage, at, by, amend, workflow
    )  # refused before the claim
    ownership = await journal.claim(run_id)
    try:
        found += await journal.records(run_id, len(found))
        made = await _reset_records(journal, run_id, found, stage, at, by, amend, workflow)
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
    workflow: Workflow | None = None,
) -> tuple[RunStarted, list[Record]]:
    """Return the first records of a new run that has done what another did before a stage.

    Args:
        records: The other run's.
        new_id: The new run's id.
        given: The new run's input.
        at: Now, in UTC.
        stage: The first step to redo; None for all.
        workflow: The other run's, which tells what depends on a step.

    Returns:
        The new run's first record, and those that follow it: the amendments, and the records
        of every step before the stage.

    Raises:
        StatefulRunError: A stage is given, and the run is stateful.
        UnknownStepError: No step of that name has begun.
    """
    started = _started(records)
    _check_stage(started.run_id, records, stage)
    steps = _Steps(records)
    again = steps.places if stage is None else steps_again(started.run_id, records, stage, workflow)
    kept = set(steps.places) - set(again)
    keys = started.keys
    first = msgspec.structs.replace(
        started,
        run_id=new_id,
        at=at,
        input=dict(given),
        parent=None,
        parent_step=None,
        # It is made on purpose, although there may be one with its key.
        keys=None if keys is None else msgspec.structs.replace(keys, unique=None),
        started_by=StartedBy(kind="fork", name=started.run_id),
        trace=trace_of_fork(started.run_id, started.trace, new_id),
    )
    copies: list[Record] = []
    for record in records:
        if isinstance(record, RunReset):
            copies = [each for each in copies if _step_of(each) not in record.steps]
        elif isinstance(record, RunAmended) or _step_of(record) in kept:
            copies.append(msgspec.structs.replace(record, run_id=new_id, at=at))
    return first, _events(records, copies, new_id, at) + copies


async def _reset_records(
    journal: Journal,
    run_id: str,
    records: Sequence[Record],
    stage: str | None,
    at: datetime.datetime,
    by: str,
    amend: ResetAmendment | None,
    workflow: Workflow | None,
) -> tuple[RunReset, *tuple[Record, ...]]:
    """Return the records that reset a run."""
    before = RunState.from_records(run_id, records)
    _check_failed(before)
    _check_stage(run_id, records, stage)
    inbox = await journal.inbox(run_id)
    handled = handled_messages(records)
    void = tuple(
        entry.message.message_id
        for entry in inbox
        if entry.message.kind != "event" and entry.message.message_id not in handled
    )
    restored_run = restored(records, inbox, void, at)
    if restored_run is None:
        steps, made = steps_again(run_id, records, stage, workflow), list[Record]()
    else:
        steps = list(restored_run.again)
        made = [restored_run.checkpoint, *restored_run.answers]
    reset = RunReset(run_id=run_id, at=at, steps=steps, by=by, handled=void)
    begun_with = before.definition or _started(records).definition
    if amend is not None:
        kept = RunState.from_records(run_id, [*records, reset]).steps
        recorded = amend.recorded(before)
        fix = "change only steps that are redone; --from STAGE redoes more of them"
        _, begun_with = amended(run_id, recorded, amend.patch, kept, amend.check, fix=fix)
        made.append(
            RunAmended(
                run_id=run_id,
                at=at,
                patch=[dict(each) for each in amend.patch],
                definition=begun_with,
                by=by,
                reason=amend.reason,
            )
        )
    if restored_run is not None:
        # What is repeated ends as the retry began it, also when the run is amended meanwhile.
        made[0] = msgspec.structs.replace(restored_run.checkpoint, begun_with=begun_with)
    return reset, *made


def _first(records: Iterable[Record]) -> Iterable[ReceivedEvent]:
    return (event for each in records if isinstance(each, CheckpointSaved) for event in each.first)


def _check_stage(run_id: str, records: Iterable[Record], stage: str | None) -> None:
    if stage is not None and any(isinstance(each, CheckpointSaved) for each in records):
        raise StatefulRunError(run_id)


def _check_failed(state: RunState) -> None:
    if state.finished is None:
        raise RunNotEndedError(state.run_id)
    if state.finished.status == "succeeded":
        raise RunSucceededError(state.run_id)


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
    """Return the events that the copied steps were answered with; the new run waits for others."""
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
