"""The list of runs, with filters that are in the address."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import quote, urlencode

import msgspec

from qtforge_host.api.documents import RunRow
from qtforge_host.api.store import RunFilters
from qtforge_host.api.tags import tags_of
from qtforge_host.serving.web.visit import Page, View, Visit
from qtforge_sdk.runs import RunStatus

__all__ = ["PAGES", "RunLine", "RunsPage", "RunsQuery", "run_line"]

Status = Literal[RunStatus, "interrupted"]
Since = Literal["1h", "24h", "7d", "30d"]

_AT_ONCE: Final = 50
_SINCE: Final[Mapping[Since, tuple[datetime.timedelta, str]]] = MappingProxyType(
    {
        "1h": (datetime.timedelta(hours=1), "Last hour"),
        "24h": (datetime.timedelta(days=1), "Last 24 hours"),
        "7d": (datetime.timedelta(days=7), "Last 7 days"),
        "30d": (datetime.timedelta(days=30), "Last 30 days"),
    }
)
# What a person looks for first; the others are shown where there are any.
_ORDER: Final[tuple[Status, ...]] = (
    "running", "waiting", "failed", "blocked", "interrupted", "paused", "queued", "compensated",
    "cancelled", "succeeded",
)  # fmt: skip
_LEAST_BAR: Final = 3.0
_BAR_SCALE: Final = 50.0  # of the logarithm: a short run is still seen beside a long one


class RunsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filters of the list; what is left out does not restrict.

    Attributes:
        q: Only runs with these beginnings of words, in their input, title, tags or error.
        status: Only runs with this status.
        workflow: Only runs of this workflow.
        schedule: Only runs that this schedule has started.
        plugin: Only runs in which this plugin failed.
        error_code: Only runs that failed or are blocked with this error.
        parent: Only runs that this run has started.
        tag: Only runs with these tags, each ``NAME=VALUE``.
        since: Only runs that were started so lately.
        until: Only runs that were started before: the next page.
    """

    q: str | None = None
    status: Status | None = None
    workflow: str | None = None
    schedule: str | None = None
    plugin: str | None = None
    error_code: str | None = None
    parent: str | None = None
    tag: list[str] = []
    since: Since | None = None
    until: datetime.datetime | None = None

    def address(self, **changes: str | None) -> str:
        """Return the address of the list with other filters, from its first page."""
        items: list[tuple[str, str]] = []
        for name in self.__struct_fields__:
            value = changes[name] if name in changes else getattr(self, name)
            if name == "until" and name not in changes:
                continue
            if isinstance(value, list):
                items += [(name, each) for each in value]
            elif value is not None:
                items.append((name, str(value)))
        return "/runs" + (f"?{urlencode(items, quote_via=quote)}" if items else "")

    def filters(self) -> RunFilters:
        """Return the filters as the use cases take them."""
        now = datetime.datetime.now(datetime.UTC)
        return RunFilters(
            statuses=() if self.status is None else (self.status,),
            workflow=self.workflow,
            search=self.q,
            schedule=self.schedule,
            plugin=self.plugin,
            error_code=self.error_code,
            parent=self.parent,
            tags=tags_of(self.tag),
            since=None if self.since is None else now - _SINCE[self.since][0],
            until=self.until,
        )


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Something to choose: a chip, or an option of a list.

    Attributes:
        name: Its text.
        to: Its address, or its value.
        chosen: Whether it is chosen.
        status: The status that it stands for, or "".
        count: How many runs it leaves; None where that is not known.
    """

    name: str
    to: str
    chosen: bool
    status: str = ""
    count: int | None = None


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a list.

    Attributes:
        run_id: Its id.
        short_id: The part of it that tells it from others.
        title: What it is about, or its workflow.
        status: Its status.
        text: The words for the status: of a state machine that waits, its state.
        workflow: Its workflow.
        error: The code of its error, or "".
        started_at: When it was started.
        took_s: How long it took; None until it has ended.
        moves: Whether it executes now.
        part: The width of its bar, in percent.
        parent: The run that started it, or "".
    """

    run_id: str
    short_id: str
    title: str
    status: str
    text: str
    workflow: str
    error: str
    started_at: datetime.datetime
    took_s: float | None
    moves: bool
    part: float
    parent: str


class RunsPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the list shows.

    Attributes:
        rows: The runs, newest first.
        chips: A chip for all runs, and for each status that there is.
        workflows: The workflows that have runs.
        times: Since when.
        further: The other filters that are in force, each with the address without it.
        hidden: The filters that the form keeps, by name.
        search: The words that are searched.
        older: The address of the next page, or "".
        is_first: Whether it is the first page.
        is_filtered: Whether anything restricts the list.
    """

    rows: Sequence[RunLine]
    chips: Sequence[Choice]
    workflows: Sequence[Choice]
    times: Sequence[Choice]
    further: Sequence[Choice]
    hidden: Sequence[tuple[str, str]]
    search: str
    older: str
    is_first: bool
    is_filtered: bool


def run_line(row: RunRow, longest_s: float) -> RunLine:
    """Return a run as lists show it.

    Args:
        row: The run.
        longest_s: How long the longest run of the list took.
    """
    part = 0.0
    if row.duration_s is not None:
        scale = math.log1p(max(longest_s, 0.001) * _BAR_SCALE)
        part = max(_LEAST_BAR, round(100 * math.log1p(row.duration_s * _BAR_SCALE) / scale, 1))
    is_state = row.status == "waiting" and row.state
    return RunLine(
        run_id=row.run_id,
        short_id=row.run_id.rpartition("-")[2],
        title=row.title or row.workflow,
        status=row.status,
        text=(row.state or "") if is_state else row.status,
        workflow=row.workflow,
        error=row.error_code or "",
        started_at=row.started_at,
        took_s=row.duration_s,
        moves=row.status == "running",
        part=min(part, 100.0),
        parent=row.parent or "",
    )


async def show_runs(visit: Visit) -> View:
    """Show the list."""
    query = visit.query(RunsQuery)
    client = visit.client
    found = await client.list(**query.filters(), limit=_AT_ONCE)
    statistics = (await visit.service.page_figures.get()).statistics.runs
    longest_s = max((each.duration_s or 0.0 for each in found.runs), default=0.0)
    page = RunsPage(
        rows=[run_line(each, longest_s) for each in found.runs],
        chips=_chips(query, statistics),
        workflows=_workflows(query, statistics),
        times=[
            Choice(name="Any time", to="", chosen=query.since is None),
            *(
                Choice(name=text, to=since, chosen=query.since == since)
                for since, (_, text) in _SINCE.items()
            ),
        ],
        further=_further(query),
        hidden=[
            (name, value)
            for name, value in (
                ("status", query.status),
                ("schedule", query.schedule),
                ("plugin", query.plugin),
                ("error_code", query.error_code),
                ("parent", query.parent),
                *(("tag", each) for each in query.tag),
            )
            if value is not None
        ],
        search=query.q or "",
        older="" if found.next is None else query.address(until=found.next.isoformat()),
        is_first=query.until is None,
        is_filtered=query.address() != "/runs",
    )
    return View(
        title="Runs", section="runs", template="runs.html", data=page, fragment="_runs.html"
    )


def _chips(query: RunsQuery, statistics: Mapping[tuple[str, str], int]) -> list[Choice]:
    counts: Counter[str] = Counter()
    for (workflow, status), count in statistics.items():
        if query.workflow is None or workflow == query.workflow:
            counts[status] += count
    # The numbers are kept by workflow and status: they say nothing under any other filter.
    is_exact = query.address(status=None, workflow=None) == "/runs"
    return [
        Choice(
            name="All", to=query.address(status=None), chosen=query.status is None,
            count=sum(counts.values()) if is_exact else None,
        ),
        *(
            Choice(
                name=status, to=query.address(status=status), chosen=query.status == status,
                status=status, count=counts[status] if is_exact and counts[status] else None,
            )
            for status in _ORDER
            if counts[status] > 0 or query.status == status
        ),
    ]  # fmt: skip


def _workflows(query: RunsQuery, statistics: Mapping[tuple[str, str], int]) -> list[Choice]:
    names = {workflow for (workflow, _), count in statistics.items() if count > 0}
    names |= {query.workflow} if query.workflow is not None else set()
    return [
        Choice(name="All workflows", to="", chosen=query.workflow is None),
        *(Choice(name=each, to=each, chosen=each == query.workflow) for each in sorted(names)),
    ]


def _further(query: RunsQuery) -> list[Choice]:
    found = [
        Choice(name=f"{words} {value}", to=query.address(**{name: None}), chosen=True)
        for name, words, value in (
            ("schedule", "of schedule", query.schedule),
            ("plugin", "failed in", query.plugin),
            ("error_code", "with error", query.error_code),
            ("parent", "started by", query.parent),
        )
        if value is not None
    ]
    if query.tag:
        tags = ", ".join(query.tag)
        found.append(Choice(name=f"tagged {tags}", to=query.address(tag=None), chosen=True))
    return found


PAGES: Final = (Page(path="/runs", show=show_runs),)
