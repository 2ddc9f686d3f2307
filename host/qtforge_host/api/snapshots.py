"""A run at one moment, as documents show it."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qtforge_host.api.documents import (
    AcceptedEvent,
    ChildRow,
    HistoryEntry,
    MachineDocument,
    RunDocument,
    RunOrigin,
    RunOutcome,
    Stage,
    Timer,
    WatchedRun,
    run_error,
    run_origin,
)
from qtforge_host.api.lookup import shown_status
from qtforge_host.api.timeline import moves, timeline
from qtforge_host.runs import run_keys
from qtforge_host.runs.accepted_events import Offer, offers_of
from qtforge_host.runs.late_amendments import late_amendments
from qtforge_host.runs.state import RunState
from qtforge_sdk import ErrorInfo, Record, StepResult
from qtforge_sdk.conversion import to_json, to_plain
from qtforge_sdk.journal import Journal, RunQuery, RunSummary
from qtforge_sdk.records import AmendmentRefused
from qtforge_sdk.run_status import RESTING

if TYPE_CHECKING:  # heavy, and most runs are shown without their workflow
    from qtforge_host.workflows.definitions import Workflow

__all__ = [
    "MOST_RECORDS",
    "RunSnapshot",
    "WorkflowOf",
    "document_name",
    "look",
    "machine_document",
    "run_outcome",
    "send_command",
    "timers_by_time",
]

MOST_RECORDS: Final = 1000
"""The largest number of records of a run that are read to show it."""

_MOST_CHILDREN: Final = 100
_IDLE: Final = RESTING | {"waiting"}

WorkflowOf = Callable[[RunState], "Workflow | None"]
"""Gives a run's workflow; None where it can't be read here."""


class RunSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A run at one moment.

    Attributes:
        state: What its records add up to.
        status: The state's, or ``interrupted`` where the process that executed it has ended.
        owners: How many processes have executed it.
        records: Its newest records, oldest first.
        omitted: The number of records before these.
        workflow: Of a state machine: its workflow, where it can be read here.
        tags: Its tags.
        held_by: The runs that hold the places of its concurrency key, while it waits for one.
        children: The first runs that it has started, the oldest first.
        late: The amendments that reached its inbox when it was too late to read it; no record
            is written after the last one.
        is_there_already: Whether a start was answered with it, since it has the same key.
    """

    state: RunState
    status: str
    owners: int
    records: Sequence[Record]
    omitted: int = 0
    workflow: Workflow | None = None
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    held_by: tuple[str, ...] = ()
    children: Sequence[RunSummary] = ()
    late: tuple[AmendmentRefused, ...] = ()
    is_there_already: bool = False

    def __repr__(self) -> str:
        """Return which run it is: its records may be long, and hold what no log should."""
        name = f"run_id={self.run_id!r}, workflow={self.state.workflow!r}"
        return f"{type(self).__name__}({name}, status={self.status!r})"

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.state.run_id

    @property
    def result(self) -> Any:
        """The run's result; None until it has succeeded."""
        return self.state.result

    @property
    def error(self) -> ErrorInfo | None:
        """Why it failed, is paused or is blocked, or None."""
        return self.state.error

    @property
    def origin(self) -> RunOrigin | None:
        """What started it; None where an earlier version did not record it."""
        return _origin(self.state)

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.state.finished_at is not None

    @property
    def rests(self) -> bool:
        """Whether it has ended, or executes nothing until an event, a timer or a person comes.

        A run without checkpoints that waits is in the middle of its code, and does not count.
        """
        is_amid = self.status == "waiting" and self.state.checkpoint is None
        return self.ended or (self.status in _IDLE and not is_amid)

    @property
    def stands_still(self) -> bool:
        """Whether it has ended, or is paused or blocked: nothing but a request changes that."""
        return self.ended or self.state.rests

    @property
    def offers(self) -> Sequence[Offer]:
        """The events that it accepts now; empty once it has ended, or where they are not known."""
        if self.workflow is None or self.ended:
            return ()
        return offers_of(self.workflow, self.state.checkpoint)

    def history(self) -> Iterator[HistoryEntry]:
        """Give an entry for each of its newest records, and for what came too late for one."""
        return timeline([*self.records, *self.late], self.state.started_at)

    def outcome(self) -> RunOutcome:
        """Return it as ``run --json`` prints it."""
        return run_outcome(self.state, self.offers, self.tags)

    def watched(self) -> WatchedRun:
        """Return it as the last line of ``runs watch --json``."""
        return WatchedRun(**self._facts())

    def document(self) -> RunDocument:
        """Return it with its history, as ``runs show --json`` prints it."""
        path = msgspec.UNSET if self.state.checkpoint is None else list(moves(self.records))
        history = list(self.history())
        omitted = self.omitted or msgspec.UNSET
        return RunDocument(
            **self._facts(),
            path=path,
            parent=None if self.state.started is None else self.state.started.parent,
            parent_step=None if self.state.started is None else self.state.started.parent_step,
            children=[self._child(each) for each in self.children],
            held_by=list(self.held_by),
            input=_plain(self.state.input),
            history=history,
            omitted=omitted,
        )

    def _child(self, child: RunSummary) -> ChildRow:
        steps = (step for step, run_id in self.state.children.items() if run_id == child.run_id)
        return ChildRow(
            run_id=child.run_id,
            workflow=child.workflow,
            title=child.title,
            status=shown_status(child),
            step=next(steps, None),
            started_at=child.started_at,
            finished_at=child.finished_at,
        )

    def _facts(self) -> dict[str, Any]:
        facts = msgspec.structs.asdict(self.outcome())
        return {**facts, "status": self.status, "owners": self.owners}


async def look(
    journal: Journal,
    run_id: str,
    workflow_of: WorkflowOf | None = None,
    *,
    every_step: bool = False,
    most: int = MOST_RECORDS,
) -> RunSnapshot:
    """Return a run as its journal holds it now.

    The time is bounded: of a run with more than ``most`` records, the steps and the history are
    those of its last ones.

    Args:
        journal: The journal.
        run_id: The run.
        workflow_of: Gives the workflow of a state machine, for the events that it accepts.
        most: How many records are read at most.
        every_step: Include every step of a run that saves no checkpoints, however many there are.

    Raises:
        RunNotFoundError: There is no such run.
    """
    summary = await journal.summary(run_id)
    below = RunQuery(parent=run_id, oldest_first=True, limit=_MOST_CHILDREN)
    children = await journal.runs(below)
    whole = summary.records <= most or (every_step and not summary.stateful)
    if whole:
        records = await journal.records(run_id)
        omitted = max(len(records) - most, 0)
        state = RunState.from_records(run_id, records)
        records = records[omitted:]
    else:
        omitted = summary.records - most
        first = await journal.records(run_id, limit=1)
        records = await journal.records(run_id, omitted)
        state = RunState.from_records(run_id, [*first, *records])
        if summary.stateful and state.checkpoint is None:  # it is older than these records
            state = RunState.from_records(run_id, await journal.tail(run_id))
    # The records are read last: what they say is newer, where the two differ.
    is_current = summary.status == state.status
    return RunSnapshot(
        state=state,
        status=shown_status(summary) if is_current else state.status,
        owners=summary.epoch,
        records=records,
        omitted=omitted,
        workflow=workflow_of(state) if workflow_of is not None and summary.stateful else None,
        tags=summary.tags,
        held_by=summary.held_by,
        children=children,
        late=await late_amendments(journal, state) if whole else (),
    )


def document_name(state: RunState) -> str:
    """Return the name of the document that a run is about, or ""."""
    return run_keys.document_name(state.input)


def run_outcome(
    state: RunState, offers: Sequence[Offer] = (), tags: Mapping[str, str] | None = None
) -> RunOutcome:
    """Return a run as ``run --json`` prints it.

    Args:
        state: The run.
        offers: The events that it accepts now.
        tags: Its tags; None for those with which it was started.
    """
    return RunOutcome(
        run_id=state.run_id,
        workflow=state.workflow,
        kind=state.kind,
        document=document_name(state) or None,
        title=state.title,
        tags=dict(state.tags if tags is None else tags),
        started_by=_origin(state),
        status=state.status,
        started_at=state.started_at,
        finished_at=state.finished_at,
        duration_s=state.duration_s,
        degraded=state.degraded,
        result=_plain(state.result),
        stages=[_stage(step) for step in state.steps.values()],
        compensations=[_stage(step) for step in state.compensations.values()],
        error=run_error(state.error),
        machine=machine_document(state, offers),
    )


def _origin(state: RunState) -> RunOrigin | None:
    """Return what started a run; None where an earlier version did not record it."""
    started = state.started
    return None if started is None else run_origin(started.started_by, started.parent)


def machine_document(state: RunState, offers: Sequence[Offer]) -> MachineDocument | None:
    """Return the state of a state machine; None for any other run."""
    if state.checkpoint is None:
        return None
    return MachineDocument(
        state=state.label,
        since=state.label_since,
        accepts=[
            AcceptedEvent(
                event=offer.accepted.event,
                transition=offer.accepted.transition,
                to=list(offer.accepted.targets),
                condition=offer.accepted.condition,
                from_within=offer.accepted.from_within,
                data=offer.data,
                command=send_command(state.run_id, offer),
            )
            for offer in offers
        ],
        timers=[Timer(name=name, due=due) for name, due in timers_by_time(state.timers)],
    )


def send_command(run_id: str, offer: Offer) -> str | None:
    """Return the command that sends an event; None where the run itself raises it."""
    if offer.accepted.from_within:
        return None
    words = ["qtforge-host", "send", run_id, offer.accepted.event]
    for key, value in _leaves(offer.data):
        text = value if isinstance(value, str) else to_json(value).decode()
        words += ["--set", f"{key}={text}"]
    return shlex.join(words)


def timers_by_time(
    timers: Mapping[str, datetime.datetime],
) -> list[tuple[str, datetime.datetime]]:
    """Return timers with when they are due, the next first."""
    return sorted(timers.items(), key=lambda timer: timer[1])


def _leaves(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _plain(value: Any) -> Any:
    try:
        return to_plain(value)
    except TypeError:  # it has no plain form; its text still tells what it was
        return str(value)


def _stage(step: StepResult) -> Stage:
    return Stage(
        name=step.name,
        status=step.status,
        attempts=step.attempts,
        duration_s=round(step.duration_s, 6),
        plugin=step.plugin,
        plugin_version=step.plugin_version,
        warning=step.warning,
        error=run_error(step.error),
    )
