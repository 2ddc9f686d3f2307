"""What clients send, as types that check it; answers are in `qtforge_host.api.documents`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from qtforge_host.api.documents import MOST_PLANNED_TIMES
from qtforge_sdk.journal import CURSOR
from qtforge_sdk.records import POOL_NAME, Record
from qtforge_sdk.run_keys import MOST_TAG_VALUE, MOST_TAGS, TAG_NAME
from qtforge_sdk.run_logs import LogLevel
from qtforge_sdk.runs import RunStatus

__all__ = [
    "GRAPH_TYPES",
    "SCHEMA_TYPE",
    "AmendRun",
    "EventsQuery",
    "ForkRun",
    "GraphQuery",
    "InboxQuery",
    "NoQuery",
    "PlanRun",
    "PruneRuns",
    "Publish",
    "Reason",
    "RecordsQuery",
    "ReplayRuns",
    "Request",
    "RerunRun",
    "Resume",
    "ResumeRuns",
    "RetryRun",
    "RetryRuns",
    "RunsQuery",
    "SelectRuns",
    "SendEvent",
    "StartRun",
    "TagRun",
    "WaitQuery",
]

GRAPH_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"mermaid": "text/vnd.mermaid", "dot": "text/vnd.graphviz", "svg": "image/svg+xml"}
)

SCHEMA_TYPE: Final = "application/schema+json"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


Instant = Annotated[datetime.datetime, msgspec.Meta(tz=True)]


# Python's ``$`` matches before a last line break, too; JavaScript's, which JSON Schema means, not.
_END: Final = r"(?!\n)$"

Wait = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^([0-9]|[1-5][0-9]|60)s{_END}",
        description="How long to wait at most: 0s to 60s.",
        examples=["10s"],
    ),
]


Tag = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^{TAG_NAME}=.{{1,{MOST_TAG_VALUE}}}{_END}", description="Such as customer=ACME."
    ),
]


Tags = Annotated[dict[str, str], msgspec.Meta(max_length=MOST_TAGS)]


class _Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that a client sends; an unknown key is refused."""


class Queue(_Given, frozen=True, kw_only=True):
    """How a run waits for a process that has room for it."""

    pool: Annotated[str, msgspec.Meta(pattern=f"^{POOL_NAME}{_END}", examples=["reports"])] = (
        "default"
    )
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] = 0
    not_before: Instant | None = None


class PlanRun(_Given, frozen=True, kw_only=True):
    """Which workflow would be started, on which input, with which tags."""

    workflow: Name
    input: dict[str, Any] = {}
    tags: Tags = {}


class StartRun(_Given, frozen=True, kw_only=True):
    """Start a workflow on an input, at once or, with ``queue``, when a process has room for it.

    ``tags`` are those besides the workflow's.
    """

    workflow: Name
    input: dict[str, Any] = {}
    tags: Tags = {}
    queue: Queue | None = None


class RerunRun(_Given, frozen=True, kw_only=True):
    """What changes in the input, and tags in addition to those of the other run."""

    input: dict[str, Any] = {}
    tags: Tags = {}


class TagRun(_Given, frozen=True, kw_only=True):
    """Tags by their names; null removes one."""

    tags: Annotated[dict[str, str | None], msgspec.Meta(min_length=1, max_length=100)]


class SendEvent(_Given, frozen=True, kw_only=True):
    """An event for a run; one with the same ``event_id`` is handled once."""

    name: Name
    data: Any = None
    event_id: Name | None = None


class Reason(_Given, frozen=True, kw_only=True):
    """Why, for the run's history."""

    reason: str = ""


class _Selected(_Given, frozen=True, kw_only=True):
    """Runs by what they have in common."""

    workflow: Name | None = None
    tags: Tags = {}
    schedule: Name | None = None
    error_code: Name | None = None
    plugin: Name | None = None
    dry_run: bool = False


class SelectRuns(_Selected, frozen=True, kw_only=True):
    """Which unfinished runs, by what they have in common, and why; ``dry_run`` only names them."""

    status: list[Literal["queued", "running", "interrupted", "waiting", "paused", "blocked"]] = []
    reason: str = ""


class Resume(_Given, frozen=True, kw_only=True):
    """How to resume: ``accept_versions`` does so with whatever versions are installed."""

    accept_versions: bool = False


class ResumeRuns(_Selected, frozen=True, kw_only=True):
    """Which paused, blocked or interrupted runs, by what they have in common.

    Without anything in common: all that no process executes although there is something to do;
    not those that are paused. ``dry_run`` only names them.
    """

    status: list[Literal["paused", "blocked", "interrupted"]] = []
    accept_versions: bool = False


class RetryRuns(_Selected, frozen=True, kw_only=True):
    """Which runs without success, by what they have in common, and as for one run what is redone.

    Without ``status`` those that failed or were compensated; ``dry_run`` only names them.
    """

    status: list[Literal["failed", "compensated", "cancelled"]] = []
    from_step: Name | None = msgspec.field(default=None, name="from")
    patch: list[dict[str, Any]] = []
    reason: str = ""
    accept_versions: bool = False


class ReplayRuns(_Given, frozen=True, kw_only=True):
    """Which runs, newest first; ``after`` is the ``next`` of the page before."""

    workflow: Name | None = None
    unfinished: bool = True
    after: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class AmendRun(_Given, frozen=True, kw_only=True):
    """A JSON Patch (RFC 6902) for a run's definition."""

    patch: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]
    reason: str = ""


class RetryRun(_Given, frozen=True, kw_only=True):
    """From which step to do a run again, and how its definition changes for that."""

    from_step: Name | None = msgspec.field(default=None, name="from")
    patch: list[dict[str, Any]] = []
    reason: str = ""
    accept_versions: bool = False


class ForkRun(_Given, frozen=True, kw_only=True):
    """Before which step the results are kept, and what changes in the input."""

    from_step: Name | None = msgspec.field(default=None, name="from")
    input: dict[str, Any] = {}
    accept_versions: bool = False


class PruneRuns(_Selected, frozen=True, kw_only=True):
    """Which runs are deleted: how long ago they ended, such as ``30d``, what they have in common.

    With ``policy`` in place of the age, they are those that ``[retention]`` does not keep any
    longer.
    """

    status: list[Literal["succeeded", "failed", "compensated", "cancelled"]] = []
    older_than: (
        Annotated[
            str,
            msgspec.Meta(
                pattern=f"^([0-9]+(ms|s|m|h|d))+{_END}", max_length=40, examples=["30d", "1d12h"]
            ),
        ]
        | None
    ) = None
    policy: bool = False


class Request(_Given, frozen=True, kw_only=True):
    """A request to the plugins that handle a topic, or to one of them."""

    topic: Name
    message: Any = None
    timeout: Annotated[
        str, msgspec.Meta(pattern=f"^([1-9]|[1-5][0-9]|60)s{_END}", examples=["30s"])
    ] = "30s"
    plugin: Name | None = None


class ResumeSchedule(_Given, frozen=True, kw_only=True):
    """Whether planned times that passed meanwhile are made up."""

    catch_up: bool = False


class TriggerSchedule(_Given, frozen=True, kw_only=True):
    """Whether to start a run while another one of the schedule is unfinished."""

    force: bool = False


class BackfillSchedule(_Given, frozen=True, kw_only=True):
    """The planned times whose runs are started: from one moment up to another.

    With ``jobs`` at most so many of these runs are unfinished at once. Those for which there is no
    place in the time of the query ``wait`` are left out, as the answer's ``is_cut_short`` says;
    the same request without ``again`` continues after the others.
    """

    since: datetime.datetime
    until: datetime.datetime
    dry_run: bool = False
    again: bool = False
    jobs: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None


class Publish(_Given, frozen=True, kw_only=True):
    """A message for the subscribers of a topic."""

    topic: Name
    message: Any = None


class NoQuery(_Given, frozen=True, kw_only=True):
    """No parameters."""


class WaitQuery(_Given, frozen=True, kw_only=True):
    """How long to wait."""

    wait: Wait = "0s"


class CountQuery(_Given, frozen=True, kw_only=True):
    """Which runs; a parameter that is left out does not restrict."""

    status: list[RunStatus | Literal["interrupted"]] = []
    workflow: Name | None = None
    pool: Name | None = None
    needs: Name | None = None
    waiting_for: Name | None = None
    tag: list[Tag] = []
    schedule: Name | None = None
    error_code: Name | None = None
    plugin: Name | None = None
    parent: Name | None = None
    search: Name | None = None
    since: Instant | None = None
    until: Instant | None = None


class RunsQuery(CountQuery, frozen=True, kw_only=True):
    """Which runs, and how many at most."""

    workflow_version: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


class InboxQuery(_Given, frozen=True, kw_only=True):
    """Which page; ``after`` is the ``next`` of the page before."""

    workflow: Name | None = None
    after: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


class RecordsQuery(_Given, frozen=True, kw_only=True):
    """Which of a run's records, by their number from 1."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000


class LiveLogsQuery(_Given, frozen=True, kw_only=True):
    """Which entries of a run's log are followed; the header's id overrides ``after``."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    step: Name | None = None
    level: LogLevel = "debug"


class LogsQuery(LiveLogsQuery, frozen=True, kw_only=True):
    """Which entries of a run's log: after a position, of a step, of a level or a higher one."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000


_RECORDS: Final = "|".join(str(each.__struct_config__.tag) for each in get_args(Record))
RecordName = Annotated[str, msgspec.Meta(pattern=f"^({_RECORDS}){_END}")]


class EventsQuery(_Given, frozen=True, kw_only=True):
    """Which events: a run's records, a topic's messages, or every record.

    ``after`` is the id of the last event that the client has, unless the header names it. With
    ``record`` only records of these kinds are sent, such as ``run_started`` and ``run_finished``.
    """

    run: Name | None = None
    topic: Name | None = None
    record: list[RecordName] = []
    after: Annotated[str, msgspec.Meta(pattern=f"^{CURSOR}{_END}")] | None = None


class CronQuery(_Given, frozen=True, kw_only=True):
    """A cron expression, such as ``30 6 * * mon-fri`` or ``@daily``, and whose clock counts."""

    cron: Name
    timezone: Name = "UTC"
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST_PLANNED_TIMES)] = 10


class GraphQuery(_Given, frozen=True, kw_only=True):
    """The language of the drawing."""

    format: Literal["mermaid", "dot", "svg"] = "mermaid"
