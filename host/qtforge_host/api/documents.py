"""Every JSON document of the command line and the HTTP interface, as one Struct each.

``--json``, the HTTP answers and the OpenAPI document are all made from these types. A field
that may be `msgspec.UNSET` is left out of the document where it has no value; every other
field is always there. Times are in UTC.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from qtforge_host.plugin_check.findings import CheckReport
from qtforge_host.plugin_check.findings import Finding as PluginFinding
from qtforge_sdk.errors import HandlerFailedError, QtForgeError

if TYPE_CHECKING:  # a listing of plugins does without the records of runs
    from qtforge_sdk import ErrorInfo
    from qtforge_sdk.records import StartedBy

__all__ = [
    "SCHEMA_VERSION",
    "AcceptedEvent",
    "Amended",
    "BackupDocument",
    "BreakerRow",
    "BulkDone",
    "BulkFailure",
    "ConfigDocument",
    "ConfigFiles",
    "DistributionChange",
    "DoctorDocument",
    "ErrorDocument",
    "ErrorFacts",
    "EventSent",
    "Finding",
    "HandlerRow",
    "HealthDocument",
    "HealthRow",
    "HistoryEntry",
    "Imported",
    "InboxDocument",
    "InboxRow",
    "JournalChecked",
    "JournalCopied",
    "LogRow",
    "LogsDocument",
    "MachineDocument",
    "NeededPlugin",
    "NeededPool",
    "NodeDocument",
    "NodeRow",
    "Nodes",
    "PatchRow",
    "Patches",
    "PathEntry",
    "PluginChecks",
    "PluginCommand",
    "PluginCommands",
    "PluginCreated",
    "PluginDetails",
    "PluginProblem",
    "PluginRow",
    "Plugins",
    "PluginsChanged",
    "PluginsLocked",
    "PoolRow",
    "Pools",
    "Pruned",
    "PrunedRow",
    "Published",
    "Ready",
    "RecordsDocument",
    "RefusedRun",
    "ReplayRow",
    "Replays",
    "Response",
    "RoutedFile",
    "RoutingRule",
    "RunCount",
    "RunDocument",
    "RunError",
    "RunList",
    "RunOrigin",
    "RunOutcome",
    "RunPlan",
    "RunRow",
    "RunTags",
    "ScheduleRow",
    "Schedules",
    "Stage",
    "Timer",
    "TokenCreated",
    "TokenRevoked",
    "TokenRow",
    "Tokens",
    "Topics",
    "Versioned",
    "WatchedRun",
    "WorkflowCreated",
    "WorkflowDocument",
    "WorkflowProblem",
    "WorkflowRow",
    "Workflows",
    "error_document",
    "run_error",
    "run_origin",
]

SCHEMA_VERSION: Final = 1


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a document."""


class Versioned(msgspec.Struct, frozen=True, kw_only=True):
    """A document; ``schema_version`` is the version of its shape."""

    schema_version: int = SCHEMA_VERSION


class ErrorFacts(Part, frozen=True, kw_only=True):
    """An error; ``code`` is stable."""

    code: str
    message: str
    why: str
    fix: str


class ErrorDocument(Versioned, frozen=True, kw_only=True):
    """Why a request was refused."""

    error: ErrorFacts


class RunError(Part, frozen=True, kw_only=True):
    """Why a run or a stage failed.

    ``place`` is ``file:line`` of the plugin's code that raised what it should not have, and
    ``traceback`` how it came there; that of a step is with the step.
    """

    code: str
    message: str
    stage: str | None
    plugin: str | None
    plugin_version: str | None
    fix: str | None
    place: str | None
    traceback: str | None


class AcceptedEvent(Part, frozen=True, kw_only=True):
    """An event that a waiting run accepts, and the command that sends it.

    ``from_within`` events are raised by the run itself, such as by a timer; their ``command``
    is null. ``data`` is what the condition asks for, as far as the condition tells.
    """

    event: str
    transition: str
    to: list[str]
    condition: str | None
    from_within: bool
    data: dict[str, Any]
    command: str | None


class Timer(Part, frozen=True, kw_only=True):
    """A timer that has not fired."""

    name: str
    due: datetime.datetime


class MachineDocument(Part, frozen=True, kw_only=True):
    """The state of a state machine."""

    state: str
    since: datetime.datetime | None
    accepts: list[AcceptedEvent]
    timers: list[Timer]


class Stage(Part, frozen=True, kw_only=True):
    """A stage of a run, or the compensation of one."""

    name: str
    status: str
    attempts: int
    duration_s: float
    plugin: str | None
    plugin_version: str | None
    warning: str | None
    error: RunError | None


class PathEntry(Part, frozen=True, kw_only=True):
    """An event that a state machine handled, or a step that it took by itself.

    ``event`` is "" where nothing came from outside; ``late_s`` is a timer's delay in seconds.
    An event that no transition took has ``taken`` false and a ``reason``.
    """

    at: datetime.datetime
    event: str
    timer: bool
    late_s: float
    data: Any
    by: str
    taken: bool
    reason: str
    transitions: list[str]
    left: list[str]
    entered: list[str]
    warnings: list[str]


class HistoryEntry(Part, frozen=True, kw_only=True):
    """A record of a run in words.

    ``after_s`` is seconds since the run's start; it never decreases, also where the clock was set
    back, which ``at`` shows. ``traceback`` is that of a failed attempt.
    """

    at: datetime.datetime
    after_s: float
    record: str
    step: str | None
    text: str
    fix: str | None
    traceback: str | None


class RunOrigin(Part, frozen=True, kw_only=True):
    """What started a run.

    ``kind`` is ``schedule``, ``event``, ``rerun``, ``fork``, ``run`` or ``request``; ``name`` is
    the schedule, the topic, the other run, or who asked.
    """

    kind: str
    name: str


class RunOutcome(Versioned, frozen=True, kw_only=True):
    """A run, as ``run --json`` prints it."""

    run_id: str
    workflow: str
    kind: str
    document: str | None
    title: str
    tags: dict[str, str]
    started_by: RunOrigin | None
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


class WatchedRun(RunOutcome, frozen=True, kw_only=True):
    """A run, as ``runs watch --json`` prints it at last; ``owners`` counts its processes."""

    owners: int


class ChildRow(Part, frozen=True, kw_only=True):
    """A run that another one has started; ``step`` is the step that did, as far as it is known."""

    run_id: str
    workflow: str
    title: str
    status: str
    step: str | None
    started_at: datetime.datetime
    finished_at: datetime.datetime | None


class RunDocument(WatchedRun, frozen=True, kw_only=True):
    """A run with its history, as ``runs show --json``; ``path`` is of a state machine.

    ``parent`` is the run that has started it, in its step ``parent_step``; ``children`` are those
    that it has started itself, the first 100. ``held_by`` are the runs that hold the places of its
    concurrency key, while it waits for one.

    Path, history and stages of a long run are those of its last 1,000 records; ``omitted`` is the
    number of records before them.
    """

    path: list[PathEntry] | msgspec.UnsetType = msgspec.UNSET
    parent: str | None
    parent_step: str | None
    children: list[ChildRow]
    held_by: list[str]
    input: Any
    history: list[HistoryEntry]
    omitted: int | msgspec.UnsetType = msgspec.UNSET


class LogRow(Part, frozen=True, kw_only=True):
    """An entry of a run's log; of later ones ``position`` is higher.

    ``logger`` is ``stdout``, ``stderr`` or ``py.warnings`` for what was printed.
    """

    position: int
    at: datetime.datetime
    level: str
    logger: str
    step: str | None
    attempt: int | None
    text: str


class LogsDocument(Versioned, frozen=True, kw_only=True):
    """What a run has logged and printed, oldest first; ``next`` is the next page's ``after``."""

    run_id: str
    logs: list[LogRow]
    next: int | None


class RunRow(Part, frozen=True, kw_only=True):
    """A run in a list.

    ``concurrency_key`` is null where it needs no place; ``held_by`` are the runs that hold the
    places, while it waits for one.
    """

    run_id: str
    workflow: str
    kind: str
    title: str
    tags: dict[str, str]
    started_by: RunOrigin | None
    error_code: str | None
    error_plugin: str | None
    status: str
    started_at: datetime.datetime
    finished_at: datetime.datetime | None
    duration_s: float | None
    owners: int
    parent: str | None
    schedule: str | None
    pool: str
    priority: int
    concurrency_key: str | None
    held_by: list[str]
    state: str | None
    accepts: list[str]
    waiting_since: datetime.datetime | None


class RunList(Versioned, frozen=True, kw_only=True):
    """Runs, newest first; ``next`` is the ``until`` of the next page, or null."""

    runs: list[RunRow]
    next: datetime.datetime | None


class RunCount(Versioned, frozen=True, kw_only=True):
    """How many runs fit some filters, exactly up to 1,000; ``more`` where there are more."""

    count: int
    more: bool


class BulkFailure(Part, frozen=True, kw_only=True):
    """A run with which it could not be done, and why."""

    run_id: str
    code: str
    message: str


class BulkDone(Versioned, frozen=True, kw_only=True):
    """With which runs it was done, or with ``dry_run`` would be; ``more`` where some are left."""

    runs: list[str]
    failed: list[BulkFailure]
    more: bool


class RunTags(Versioned, frozen=True, kw_only=True):
    """The tags of a run."""

    run_id: str
    tags: dict[str, str]


class RunPlan(Versioned, frozen=True, kw_only=True):
    """What the start of a run would do; nothing was done.

    ``would`` is ``start``; ``wait``, where the runs in ``held_by`` hold the places of its
    concurrency key; ``refuse``, where they do and it would not wait; or ``answer``, where
    ``existing`` is the run with its unique key. ``cancels`` are the runs that would be asked to
    cancel.
    """

    workflow: str
    workflow_version: str
    title: str
    tags: dict[str, str]
    priority: int
    unique_key: str | None
    concurrency_key: str | None
    would: Literal["start", "wait", "refuse", "answer"]
    existing: str | None
    held_by: list[str]
    cancels: list[str]


class NodeRow(Part, frozen=True, kw_only=True):
    """A process that takes runs, or executes some.

    ``owner`` is its name in the journal. ``status`` is ``active``, ``draining`` or ``drained``.
    A command that executes runs by itself has the role ``command``, and null as its ``capacity``.
    The lease is null where the journal notices the end of a process at once.
    """

    node: str
    owner: str
    role: str
    status: str
    host: str
    pid: int
    since: datetime.datetime
    runs: int
    capacity: int | None
    pools: list[str]
    plugins: dict[str, str]
    lease_s: float | None
    lease_left_s: float | None


class Nodes(Versioned, frozen=True, kw_only=True):
    """The live processes that take runs, or execute some; the oldest first."""

    nodes: list[NodeRow]


class NeededPlugin(Part, frozen=True, kw_only=True):
    """How many unfinished runs need a version of a plugin, by its first number; 1,000 at most."""

    plugin: str
    version: str
    runs: int


class NeededPool(Part, frozen=True, kw_only=True):
    """How many runs of a pool have begun and not ended; 1,000 at most."""

    pool: str
    runs: int


class NodeDocument(Versioned, frozen=True, kw_only=True):
    """A node; ``needed`` and ``needed_pools`` are what runs need of it that no other node has."""

    node: str
    owner: str
    role: str
    status: str
    host: str
    pid: int
    since: datetime.datetime
    runs: int
    capacity: int | None
    pools: list[str]
    plugins: dict[str, str]
    lease_s: float | None
    lease_left_s: float | None
    needed: list[NeededPlugin]
    needed_pools: list[NeededPool]


class PoolRow(Part, frozen=True, kw_only=True):
    """A pool; ``nodes`` take its runs, ``oldest_wait_s`` is null without queued runs."""

    pool: str
    status: str
    queued: int
    executing: int
    nodes: int
    oldest_wait_s: float | None


class Pools(Versioned, frozen=True, kw_only=True):
    """Pools, by name."""

    pools: list[PoolRow]


class InboxRow(Part, frozen=True, kw_only=True):
    """A run that waits for a person; ``accepts`` has the events that code in Python waits for.

    ``due`` is when the next timer of a state machine fires, such as a reminder.
    """

    run_id: str
    workflow: str
    title: str
    tags: dict[str, str]
    started_by: RunOrigin | None
    document: str | None
    state: str
    since: datetime.datetime
    due: datetime.datetime | None
    machine: MachineDocument | None
    accepts: list[str] = []


class InboxDocument(Versioned, frozen=True, kw_only=True):
    """Runs that wait for a person, oldest first; ``next`` is the next page's ``after``, or null."""

    inbox: list[InboxRow]
    next: str | None


class RecordsDocument(Versioned, frozen=True, kw_only=True):
    """Records, oldest first; ``next`` is the ``after`` of the next page, or null."""

    run_id: str
    records: list[dict[str, Any]]
    next: int | None


class EventSent(Versioned, frozen=True, kw_only=True):
    """How an event was handled; the fields after ``waits_for`` are of state machines.

    ``waits_for`` has the events that the code of a run waited for when this one was sent.
    """

    run_id: str
    event: str
    event_id: str
    received: bool
    waits_for: list[str] | msgspec.UnsetType = msgspec.UNSET
    taken: bool | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType | None = msgspec.UNSET
    transitions: list[str] | msgspec.UnsetType = msgspec.UNSET
    left: list[str] | msgspec.UnsetType = msgspec.UNSET
    entered: list[str] | msgspec.UnsetType = msgspec.UNSET
    run: RunOutcome | msgspec.UnsetType = msgspec.UNSET


class Amended(Versioned, frozen=True, kw_only=True):
    """Whether the definition is changed already."""

    run_id: str
    amended: bool
    patch: list[dict[str, Any]]


class PrunedRow(Part, frozen=True, kw_only=True):
    """How many runs of a workflow with a status were deleted, or would be."""

    workflow: str
    status: str
    runs: int


class Pruned(Versioned, frozen=True, kw_only=True):
    """How many runs were deleted, or would be in a dry run.

    ``workflows`` is there in a dry run, and where ``[retention]`` was followed.
    """

    pruned: int
    dry_run: bool = False
    workflows: list[PrunedRow] | msgspec.UnsetType = msgspec.UNSET


class Imported(Versioned, frozen=True, kw_only=True):
    """The run that was imported."""

    run_id: str


class JournalInitialized(Versioned, frozen=True, kw_only=True):
    """What was done to make the tables of a shared journal."""

    done: str


class RefusedRun(Part, frozen=True, kw_only=True):
    """A run that was not copied, and why."""

    run_id: str
    why: str


class JournalCopied(Versioned, frozen=True, kw_only=True):
    """What ``journal copy`` has done.

    Attributes:
        runs: The copied runs.
        records: Their records.
        messages: The messages in their inboxes.
        secrets: What their references stand for.
        already_there: The runs that the target had already, with the same records.
        refused: The number of runs that were not copied.
        refused_runs: The first of these.
    """

    runs: int = 0
    records: int = 0
    messages: int = 0
    secrets: int = 0
    already_there: int = 0
    refused: int = 0
    refused_runs: list[RefusedRun] = []


class JournalChecked(Versioned, frozen=True, kw_only=True):
    """Whether the records of a journal and what follows from them agree."""

    ok: bool
    runs: int
    findings: list[Finding]


class BackupDocument(Versioned, frozen=True, kw_only=True):
    """What a backup holds, or what was restored from it, in bytes before compression."""

    path: str
    runs: int
    files: int
    size_bytes: int


class WorkflowProblem(Part, frozen=True, kw_only=True):
    """A problem of a definition."""

    source: str
    line: int | None
    path: str
    what: str
    fix: str


class WorkflowRow(Part, frozen=True, kw_only=True):
    """A workflow in a list."""

    name: str
    kind: str
    version: str
    description: str
    source: str
    state: str
    problems: list[WorkflowProblem]


class Workflows(Versioned, frozen=True, kw_only=True):
    """Workflows."""

    workflows: list[WorkflowRow]


class WorkflowCreated(Versioned, frozen=True, kw_only=True):
    """A workflow's definition that was written.

    Attributes:
        name: The workflow's name.
        kind: Its kind.
        file: The file.
    """

    name: str
    kind: str
    file: str


class WorkflowDocument(Versioned, frozen=True, kw_only=True):
    """A workflow's definition.

    Attributes:
        source: Where it comes from.
        definition: Its keys.
        input_schema: The JSON Schema of a run's input; None where any input is accepted.
    """

    source: str
    definition: dict[str, Any]
    input_schema: dict[str, Any] | None = None


class PatchRow(Part, frozen=True, kw_only=True):
    """A change of a workflow's code, and what its unfinished runs do with it.

    Attributes:
        patch: Its name in `Run.patched`.
        new: How many unfinished runs do the new code.
        old: How many do the old code.
        not_asked: How many have not asked.
        old_can_go: Whether no unfinished run needs the old code.
    """

    patch: str
    new: int
    old: int
    not_asked: int
    old_can_go: bool


class Patches(Versioned, frozen=True, kw_only=True):
    """The patches that a workflow's runs have asked for."""

    workflow: str
    unfinished: int
    patches: list[PatchRow]


class ReplayRow(Part, frozen=True, kw_only=True):
    """What the installed code does with a run.

    Attributes:
        run_id: The run.
        file: The export that it was read from, or "".
        workflow: The workflow's name.
        verdict: ``same``, ``continues``, ``asks more`` or ``diverged``.
        step: The next step, or where it diverged; "" for the end of the run.
        topic: What the next step requests, or "".
        detail: What the journal holds and what the code requests, where it diverged.
        text: All of that as a line.
    """

    run_id: str
    file: str
    workflow: str
    verdict: str
    step: str
    topic: str
    detail: str
    text: str


class Replays(Versioned, frozen=True, kw_only=True):
    """What the installed code does with runs; ``next`` is the next page's ``after``, or null."""

    runs: list[ReplayRow]
    next: str | None = None


class PluginRow(Part, frozen=True, kw_only=True):
    """A plugin and its state."""

    name: str
    version: str
    distribution: str
    builtin: bool
    state: str
    code: str
    reason: str
    fix: str


class PluginProblem(Part, frozen=True, kw_only=True):
    """A problem that belongs to no plugin."""

    where: str
    reason: str
    fix: str


class Plugins(Versioned, frozen=True, kw_only=True):
    """Every plugin found; ``diverged`` is there after a check with ``--replay``."""

    plugins: list[PluginRow]
    problems: list[PluginProblem]
    diverged: list[ReplayRow] | msgspec.UnsetType = msgspec.UNSET


class PluginDetails(Versioned, frozen=True, kw_only=True):
    """Everything known of one plugin without importing it.

    Attributes:
        topics: What it answers or wraps.
        subscriptions: The patterns of its subscribers.
        hooks: The hooks of the host that it implements.
        workflows: The files of its workflows, as names and patterns.
        starts: When it starts: with the host, and why, or when something needs it; "" where it
            may not start.
    """

    name: str
    version: str
    distribution: str
    builtin: bool
    state: str
    code: str
    reason: str
    fix: str
    entry_point: str
    location: str
    requires: list[str]
    extras: list[str]
    config_file: str
    config_keys: list[str]
    topics: list[str]
    subscriptions: list[str]
    hooks: list[str]
    workflows: list[str]
    starts: str


class PluginCommand(Part, frozen=True, kw_only=True):
    """A command that a plugin contributes."""

    name: str
    help: str


class PluginCommands(Versioned, frozen=True, kw_only=True):
    """The commands that plugins contribute."""

    commands: list[PluginCommand]


class PluginChecks(Versioned, frozen=True, kw_only=True):
    """What `plugins check` has found in each target.

    Attributes:
        targets: The findings of each target.
        errors: The number of errors in all of them.
        advice: The number of other findings.
    """

    targets: list[CheckReport]
    errors: int
    advice: int


class PluginCreated(Versioned, frozen=True, kw_only=True):
    """A plugin's project that was written.

    Attributes:
        name: The plugin's name.
        folder: The project's folder.
        files: Its files, relative to the folder.
        commands: What its author does next.
    """

    name: str
    folder: str
    files: list[str]
    commands: list[str]


class DistributionChange(Part, frozen=True, kw_only=True):
    """A distribution that was installed, replaced or removed.

    Attributes:
        distribution: Its canonical name.
        before: The version that was there, or "".
        after: The version that is there, or "".
    """

    distribution: str
    before: str
    after: str


class PluginsChanged(Versioned, frozen=True, kw_only=True):
    """What an installation has changed.

    Attributes:
        installer: ``pip`` or ``uv``.
        changes: The distributions that differ.
        plugins: The plugins of these distributions, with their states.
        findings: The errors that a check of these plugins has found.
    """

    installer: str
    changes: list[DistributionChange]
    plugins: list[PluginRow]
    findings: list[PluginFinding]


class PluginsLocked(Versioned, frozen=True, kw_only=True):
    """A lock file that was written.

    Attributes:
        installer: ``pip`` or ``uv``.
        file: The file.
        locked: The distributions in it, as ``name==version``.
        left_out: Those that were installed from a folder, a file or a repository.
    """

    installer: str
    file: str
    locked: list[str]
    left_out: list[str]


class TokenRow(Part, frozen=True, kw_only=True):
    """A token of the HTTP interface, without its text."""

    id: str
    name: str
    scope: str
    created_at: datetime.datetime | None
    expires_at: datetime.datetime | None
    expired: bool


class Tokens(Versioned, frozen=True, kw_only=True):
    """The tokens of the HTTP interface."""

    tokens: list[TokenRow]


class TokenCreated(Versioned, frozen=True, kw_only=True):
    """A new token, with its text, which is never shown again."""

    token: str
    id: str
    name: str
    scope: str
    created_at: datetime.datetime
    expires_at: datetime.datetime | None


class TokenRevoked(Versioned, frozen=True, kw_only=True):
    """A token that is no longer valid."""

    revoked: str


class HandlerRow(Part, frozen=True, kw_only=True):
    """A plugin's handler of a topic."""

    topic: str
    plugin: str
    version: str
    execution: str
    accepts: str | None
    wrapper: bool
    message_type: str
    response_type: str
    node: str


class Topics(Versioned, frozen=True, kw_only=True):
    """The handlers of every topic, in the order in which they are tried."""

    handlers: list[HandlerRow]


class Response(Versioned, frozen=True, kw_only=True):
    """A plugin's response to a request."""

    topic: str
    response: Any


class Published(Versioned, frozen=True, kw_only=True):
    """How many subscribers got a message."""

    topic: str
    delivered: int
    dropped: int


class HealthRow(Part, frozen=True, kw_only=True):
    """A plugin's health."""

    plugin: str
    status: str
    text: str
    latency_s: float
    checked_at: datetime.datetime
    since: datetime.datetime


class BreakerRow(Part, frozen=True, kw_only=True):
    """A circuit breaker's last transition, of all processes."""

    topic: str
    plugin: str
    state: str
    since: datetime.datetime
    reason: str


class HealthDocument(Versioned, frozen=True, kw_only=True):
    """The health of every active plugin, and of every circuit breaker that ever opened."""

    plugins: list[HealthRow]
    breakers: list[BreakerRow]


class ScheduleRow(Part, frozen=True, kw_only=True):
    """A schedule; ``next`` is its next planned time, ``last_run`` the last run it started.

    Of several expressions, ``cron`` has one after the other, separated by ``; ``.
    """

    name: str
    workflow: str
    cron: str
    timezone: str
    enabled: bool
    catch_up: str
    input: dict[str, Any]
    next: datetime.datetime | None
    last_run: str | None
    every_s: float | None = None
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    jitter_s: float = 0.0
    overlap: str = "skip"
    pause_after: int | None = None
    pool: str = "default"
    paused_at: datetime.datetime | None = None
    paused_why: str = ""


class PlannedRow(Part, frozen=True, kw_only=True):
    """A planned time of a schedule, and its outcome.

    ``outcome`` is ``started``, ``queued`` (started later, after the run before), ``skipped``,
    ``missed``, ``triggered``, ``backfilled``, ``there`` (its run was started before) or, of a
    time that is only shown, ``planned``.
    """

    at: datetime.datetime
    outcome: str
    run_id: str | None
    why: str = ""


class ScheduleDocument(Versioned, frozen=True, kw_only=True):
    """A schedule, its last planned times, the latest first, and its next ones.

    ``unfinished`` are the runs that it started and that have not ended.
    """

    schedule: ScheduleRow
    unfinished: list[str]
    past: list[PlannedRow]
    coming: list[datetime.datetime]


class ScheduleRuns(Versioned, frozen=True, kw_only=True):
    """The runs that were started of a schedule by hand, or would be.

    ``is_cut_short`` tells that the rest was not queued, since no process executes these, or
    the time to wait for the ends of others was over.
    """

    schedule: str
    runs: list[PlannedRow]
    is_cut_short: bool = False


MOST_PLANNED_TIMES: Final = 1000
"""The most times of a `PlannedTimes`."""


class PlannedTimes(Versioned, frozen=True, kw_only=True):
    """The next times of a cron expression."""

    cron: str
    timezone: str
    times: list[datetime.datetime]


class Schedules(Versioned, frozen=True, kw_only=True):
    """Every schedule of the configuration."""

    schedules: list[ScheduleRow]


class HostStatus(Versioned, frozen=True, kw_only=True):
    """A host on one screen.

    ``runs`` counts by status; ``nodes`` are the live processes that take or execute runs;
    ``waiting`` counts the runs that wait for a person (1,000 at most), the oldest of which are in
    ``inbox``; ``plugins`` counts by state, and ``troubled`` are those that neither can be used nor
    were disabled; ``schedules`` has those that start a run next, and ``paused`` names the others
    that would.
    """

    runs: dict[str, int]
    nodes: list[NodeRow]
    waiting: int
    inbox: list[InboxRow]
    plugins: dict[str, int]
    troubled: list[PluginRow]
    problems: list[PluginProblem]
    schedules: list[ScheduleRow]
    paused: list[str]


class Finding(Part, frozen=True, kw_only=True):
    """A result of one check of ``doctor``.

    ``part`` is ``configuration``, ``workflows``, ``state directory``, ``permissions``,
    ``journal``, ``runs``, ``run files`` or ``plugins``; ``record`` is the number of the run's
    record from 1; ``unusable`` says that the state directory can't be used at all.
    """

    part: str
    ok: bool
    what: str
    fix: str = ""
    run_id: str | None = None
    record: int | None = None
    unusable: bool = False


class DoctorDocument(Versioned, frozen=True, kw_only=True):
    """The findings of ``doctor``, and with ``--repair`` what was changed before they were made."""

    ok: bool
    findings: list[Finding]
    repairs: list[str] | msgspec.UnsetType = msgspec.UNSET


class ConfigFiles(Part, frozen=True, kw_only=True):
    """The files that the configuration is read from."""

    config: str
    managed: str
    state_dir: str


class Setting(Part, frozen=True, kw_only=True):
    """A setting in force; ``source`` is ``FILE:LINE``, an option, a variable or ``default``."""

    key: list[str]
    value: Any
    source: str


class ConfigDocument(Versioned, frozen=True, kw_only=True):
    """The configuration in force; ``settings`` has all of it as it is written in the files."""

    files: ConfigFiles
    host: dict[str, Any]
    plugins: dict[str, dict[str, Any]]
    settings: list[Setting]


class ConfigPath(Versioned, frozen=True, kw_only=True):
    """Where the configuration file is, or would be."""

    path: str
    exists: bool


class ConfigProblem(Part, frozen=True, kw_only=True):
    """A problem of the configuration."""

    where: str
    what: str
    fix: str


class ConfigChecked(Versioned, frozen=True, kw_only=True):
    """A configuration that was checked, with all its problems."""

    file: str
    problems: list[ConfigProblem]


class RoutingRule(Part, frozen=True, kw_only=True):
    """A rule of a routing decision, and whether it held."""

    name: str
    target: str
    priority: int
    condition: str
    outcome: str
    why: str


class RoutedFile(Versioned, frozen=True, kw_only=True):
    """A file of ``route --json``."""

    file: str
    dry_run: bool
    run_id: str | None
    status: str
    document_type: str | None
    target_pipeline: str | None
    confidence: float | None
    reason: str | None
    applied_rules: list[str]
    pipeline_parameters: dict[str, Any]
    names: dict[str, Any]
    rules: list[RoutingRule]
    error: RunError | None


class Ready(Versioned, frozen=True, kw_only=True):
    """Whether the process lives, or serves requests."""

    status: Literal["alive", "ready"]


def error_document(error: QtForgeError) -> ErrorDocument:
    """Return a deliberate error as a document.

    The code of a handler that failed is the plugin's own, which is more specific; the message
    names the plugin.
    """
    code = error.cause_code if isinstance(error, HandlerFailedError) else ""
    facts = ErrorFacts(code=code or error.code, message=error.what, why=error.why, fix=error.fix)
    return ErrorDocument(error=facts)


def run_origin(by: StartedBy | None, parent: str | None) -> RunOrigin | None:
    """Return what started a run; None where an earlier version did not record it."""
    if by is not None:
        return RunOrigin(kind=by.kind, name=by.name)
    return None if parent is None else RunOrigin(kind="run", name=parent)


def run_error(error: ErrorInfo | None) -> RunError | None:
    """Return a run's or a stage's error as documents have it."""
    if error is None:
        return None
    return RunError(
        code=error.code,
        message=error.message,
        stage=error.stage,
        plugin=error.plugin,
        plugin_version=error.plugin_version,
        fix=error.fix,
        place=error.place,
        traceback=error.traceback,
    )
