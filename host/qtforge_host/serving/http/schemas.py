"""What is sent and answered, as types: they check what comes in, and describe what goes out.

What goes out is made by the functions that print the command line's ``--json``; a test holds
these descriptions against it.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from qtforge_host.app import Host
from qtforge_host.runs.supervisor import Durable
from qtforge_host.workflows.definitions import Parsed, Problem, Workflow
from qtforge_sdk.journal import InboxMessage, Journal, RunQuery, RunSummary
from qtforge_sdk.records import CheckpointSaved
from qtforge_sdk.runs import RunStatus

__all__ = [
    "AmendRun",
    "Amended",
    "Documents",
    "ErrorDocument",
    "EventSent",
    "EventsQuery",
    "GraphQuery",
    "InboxDocument",
    "InboxQuery",
    "NoQuery",
    "Plugins",
    "Publish",
    "PublishedDocument",
    "Ready",
    "RecordsDocument",
    "RecordsQuery",
    "RunDocument",
    "RunList",
    "RunsQuery",
    "SendEvent",
    "StartRun",
    "WaitQuery",
    "WorkflowDocument",
    "Workflows",
]

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Each function gives what one command prints with ``--json``.

    Attributes:
        schema_version: The version of all their shapes.
        run: ``runs show``; raises `RunNotFoundError`.
        runs: Finds what ``runs list`` would list.
        run_row: A line of ``runs list``.
        inbox: ``inbox``: of one workflow or of all, so many, behind a run or from the first.
        outcome: ``send``, of a run that keeps its state.
        workflow_row: A line of ``workflows list``.
        plugins: The lines of ``plugins check``.
        graph: ``workflows graph``, in ``mermaid``, ``dot`` or ``svg``.
    """

    schema_version: int
    run: Callable[[Durable, str], Awaitable[Document]]
    runs: Callable[[Journal, RunQuery], Awaitable[Sequence[RunSummary]]]
    run_row: Callable[[RunSummary], Document]
    inbox: Callable[[Durable, str | None, int, str | None], Awaitable[Document]]
    outcome: Callable[[Durable, InboxMessage, CheckpointSaved], Awaitable[Document]]
    workflow_row: Callable[[Parsed, tuple[Problem, ...]], Document]
    plugins: Callable[[Host], list[Document]]
    graph: Callable[[Workflow, str], str]


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True)]


Wait = Annotated[
    str,
    msgspec.Meta(
        pattern="^([0-9]|[1-5][0-9]|60)s$", description="How long to wait at most: 0s to 60s."
    ),
]


class _Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client gives: a key that is not known is a mistake."""


class StartRun(_Given, frozen=True, kw_only=True):
    """Start a workflow on an input."""

    workflow: Name
    input: dict[str, Any] = {}


class SendEvent(_Given, frozen=True, kw_only=True):
    """An event for a run; one with the same ``event_id`` counts once."""

    name: Name
    data: Any = None
    event_id: Name | None = None


class AmendRun(_Given, frozen=True, kw_only=True):
    """A JSON Patch (RFC 6902) for a run's definition."""

    patch: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]
    reason: str = ""


class Publish(_Given, frozen=True, kw_only=True):
    """A message for the subscribers of a topic."""

    topic: Name
    message: Any = None


class NoQuery(_Given, frozen=True, kw_only=True):
    """No parameters."""


class WaitQuery(_Given, frozen=True, kw_only=True):
    """How long to wait."""

    wait: Wait = "0s"


class RunsQuery(_Given, frozen=True, kw_only=True):
    """Which runs; what is left out does not restrict."""

    status: list[RunStatus | Literal["interrupted"]] = []
    workflow: Name | None = None
    waiting_for: Name | None = None
    since: Instant | None = None
    until: Instant | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


class InboxQuery(_Given, frozen=True, kw_only=True):
    """Which of what waits; ``after`` is the ``next`` of the page before."""

    workflow: Name | None = None
    after: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


class RecordsQuery(_Given, frozen=True, kw_only=True):
    """Which of a run's records, by their number from 1."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000


class EventsQuery(_Given, frozen=True, kw_only=True):
    """What to hear: a run's records, a topic's messages, or every record.

    ``after`` is the id of the last event that was heard, where it is not in the header.
    """

    run: Name | None = None
    topic: Name | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None


class GraphQuery(_Given, frozen=True, kw_only=True):
    """Which language."""

    format: Literal["mermaid", "dot", "svg"] = "mermaid"


class _Versioned(msgspec.Struct, frozen=True, kw_only=True):
    schema_version: int


class ErrorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong; ``code`` is stable."""

    code: str
    message: str
    why: str
    fix: str


class ErrorDocument(_Versioned, frozen=True, kw_only=True):
    """Why a request was refused."""

    error: ErrorFacts


class RunError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run or a stage failed."""

    code: str
    message: str
    stage: str | None
    plugin: str | None
    plugin_version: str | None
    fix: str | None


class AcceptedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a run would take now, and the command that sends it."""

    event: str
    transition: str
    to: list[str]
    condition: str | None
    from_within: bool
    data: dict[str, Any] | None
    command: str | None


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """A timer that runs."""

    name: str
    due: datetime.datetime


class MachineDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How a run that keeps its state stands."""

    state: str
    since: datetime.datetime | None
    accepts: list[AcceptedEvent]
    timers: list[Timer]


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a run."""

    name: str
    status: str
    attempts: int
    duration_s: float
    plugin: str | None
    plugin_version: str | None
    warning: str | None
    error: RunError | None


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    at: datetime.datetime
    after_s: float
    record: str
    step: str | None
    text: str
    fix: str | None


class RunDocument(_Versioned, frozen=True, kw_only=True):
    """A run, as ``runs show --json``."""

    run_id: str
    workflow: str
    kind: str
    document: str | None
    status: str
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    duration_s: float | None
    degraded: bool
    result: Any
    stages: list[Stage]
    compensations: list[Stage]
    error: RunError | None
    machine: MachineDocument | None
    owners: int
    history: list[HistoryEntry]


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a list."""

    run_id: str
    workflow: str
    kind: str
    status: str
    started_at: datetime.datetime
    finished_at: datetime.datetime | None
    duration_s: float | None
    owners: int
    parent: str | None
    state: str | None
    accepts: list[str]
    waiting_since: datetime.datetime | None


class RunList(_Versioned, frozen=True, kw_only=True):
    """Runs, the newest first; ``next`` is the ``until`` of the next page, or null."""

    runs: list[RunRow]
    next: datetime.datetime | None


class InboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits for a person."""

    run_id: str
    workflow: str
    document: str | None
    state: str
    since: datetime.datetime
    machine: MachineDocument | None


class InboxDocument(_Versioned, frozen=True, kw_only=True):
    """What waits for a person, oldest first; ``next`` is the next page's ``after``, or null."""

    inbox: list[InboxRow]
    next: str | None


class RecordsDocument(_Versioned, frozen=True, kw_only=True):
    """Records, oldest first; ``next`` is the ``after`` of the next page, or null."""

    run_id: str
    records: list[dict[str, Any]]
    next: int | None


class EventSent(_Versioned, frozen=True, kw_only=True):
    """What became of an event; what is behind ``received`` is of runs that keep their state."""

    run_id: str
    event: str
    event_id: str
    received: bool
    taken: bool | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType | None = msgspec.UNSET
    transitions: list[str] | msgspec.UnsetType = msgspec.UNSET
    left: list[str] | msgspec.UnsetType = msgspec.UNSET
    entered: list[str] | msgspec.UnsetType = msgspec.UNSET
    run: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Amended(_Versioned, frozen=True, kw_only=True):
    """Whether the change is made already."""

    run_id: str
    amended: bool
    patch: list[dict[str, Any]]


class WorkflowProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a definition."""

    source: str
    line: int | None
    path: str
    what: str
    fix: str


class WorkflowRow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow in a list."""

    name: str
    kind: str
    version: str
    description: str
    source: str
    state: str
    problems: list[WorkflowProblem]


class Workflows(_Versioned, frozen=True, kw_only=True):
    """Every workflow."""

    workflows: list[WorkflowRow]


class WorkflowDocument(_Versioned, frozen=True, kw_only=True):
    """A workflow's definition."""

    source: str
    definition: dict[str, Any]


class PluginRow(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin and its state."""

    name: str
    version: str
    distribution: str
    builtin: bool
    state: str
    code: str
    reason: str
    fix: str


class Plugins(_Versioned, frozen=True, kw_only=True):
    """Every plugin found."""

    plugins: list[PluginRow]


class PublishedDocument(_Versioned, frozen=True, kw_only=True):
    """How many subscribers took a message."""

    topic: str
    delivered: int
    dropped: int


class Ready(_Versioned, frozen=True, kw_only=True):
    """Whether requests are served."""

    status: Literal["alive", "ready"]
