"""One run: its timeline, steps, history, input and log."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec
from markupsafe import Markup

from qtforge_host.api.documents import HistoryEntry, LogRow, RunDocument, Timer
from qtforge_host.api.snapshots import RunSnapshot
from qtforge_host.serving.web.actions import Action
from qtforge_host.serving.web.gantt import Gantt, gantt
from qtforge_host.serving.web.pages.run_actions import PAGES as ACTIONS
from qtforge_host.serving.web.pages.run_actions import actions_of
from qtforge_host.serving.web.pages.runs import RunLine, run_line
from qtforge_host.serving.web.pictures import marks_of
from qtforge_host.serving.web.steps import Step, steps_of
from qtforge_host.serving.web.visit import Download, Page, View, Visit
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.records import RunStarted
from qtforge_sdk.run_logs import LogLevel

__all__ = ["PAGES", "RunPage", "RunQuery", "StoryEntry"]

Tab = Literal["timeline", "steps", "history", "input", "log"]

_STEPS: Final = 100  # of a page of the details
_LOGS: Final = 500
_CHILDREN: Final = 20
_LONGEST_SOURCE: Final = 100_000  # characters of a definition


class RunQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a run is shown.

    Attributes:
        tab: Which part.
        skip: The number of steps that are left out at the beginning.
        only: Only these entries of the history.
        step: Only this step's entries of the log.
        level: Only entries of the log of this level or a higher one.
        after: Only entries of the log after this position.
    """

    tab: Tab = "timeline"
    skip: int = 0
    only: Literal["failed", "events"] | None = None
    step: str | None = None
    level: LogLevel = "debug"
    after: int = 0


class TabLink(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the page: its name, and how many entries it has; None where that says nothing."""

    name: Tab
    text: str
    count: int | None = None


class StoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a state machine.

    Attributes:
        at: When.
        text: What, in a few words.
        by: Who did it, or "".
        to: The states that it entered, or "".
        comment: What the person has written, or "".
        reason: Why it was not taken, or "".
        status: For its colour.
        icon: Its symbol.
    """

    at: datetime.datetime
    text: str
    by: str
    to: str
    comment: str
    reason: str
    status: str
    icon: str


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of a run shows.

    Attributes:
        run: The run's document.
        title: What it is about, or its workflow.
        version: Of the workflow.
        status_text: The words for its status.
        origin: What started it, in words, and the address of that or "".
        actions: What can be done with it.
        tab: The part that is shown.
        tabs: All parts.
        query: What is shown of that part.
        now: The end of the timeline.
        gantt: The timeline; None in other parts.
        graph: The graph; "" in other parts.
        is_drawn: Whether the graph is whole; else it is still being drawn.
        steps: A page of the steps.
        steps_before: The address of the page before, or "".
        steps_after: The address of the next page, or "".
        story: Of a state machine: what happened, newest first.
        timers: Of a state machine: the timers to come.
        history: What happened, in sentences.
        logs: A page of the log.
        logs_after: The address of its next page, or "".
        started: The first record; None where it was left out.
        source: The definition's text, cut where it is very long.
        children: The runs that it has started.
        omitted: The number of records that are left out at the beginning.
    """

    run: RunDocument
    title: str
    version: str
    status_text: str
    origin: tuple[str, str]
    actions: Sequence[Action]
    tab: Tab
    tabs: Sequence[TabLink]
    query: RunQuery
    now: datetime.datetime
    gantt: Gantt | None = None
    graph: Markup = Markup("")
    is_drawn: bool = True
    steps: Sequence[Step] = ()
    steps_before: str = ""
    steps_after: str = ""
    story: Sequence[StoryEntry] = ()
    timers: Sequence[Timer] = ()
    history: Sequence[HistoryEntry] = ()
    logs: Sequence[LogRow] = ()
    logs_after: str = ""
    started: RunStarted | None = None
    source: str = ""
    children: Sequence[RunLine] = ()
    omitted: int = 0


async def show_run(visit: Visit) -> View:
    """Show a run."""
    query = visit.query(RunQuery)
    run_id = visit.path["run_id"]
    run = await visit.client.show(run_id)
    document = run.document()
    steps = steps_of(run.records)
    started = run.state.started
    now = run.state.finished_at or datetime.datetime.now(datetime.UTC)
    title = document.title or document.workflow
    machine = document.machine
    shown = [each for each in steps if each.kind != "wait"]
    page = RunPage(
        run=document,
        title=title,
        version="" if started is None else started.workflow_version,
        status_text=machine.state
        if machine is not None and document.status == "waiting"
        else document.status,
        origin=_origin(document),
        actions=actions_of(run, steps) if visit.person.may("operate") else (),
        tab=query.tab,
        tabs=[
            TabLink(name="timeline", text="Timeline"),
            TabLink(name="steps", text="Steps", count=len(shown)),
            TabLink(name="history", text="History", count=len(document.history) + run.omitted),
            TabLink(name="input", text="Input"),
            TabLink(name="log", text="Log"),
        ],
        query=query,
        now=now,
        started=started,
        omitted=run.omitted,
        **await _of_tab(visit, query, run, document, steps, now),
    )
    return View(
        title=title,
        section="runs",
        template="run.html",
        data=page,
        fragment="_run.html",
        run_id=run_id,
        moves=document.status == "running" or not page.is_drawn,
    )


async def _of_tab(
    visit: Visit,
    query: RunQuery,
    run: RunSnapshot,
    document: RunDocument,
    steps: Sequence[Step],
    now: datetime.datetime,
) -> dict[str, Any]:
    """Return what only the part has that is shown."""
    match query.tab:
        case "timeline":
            start = run.records[0].at if run.omitted else document.started_at or now
            machine = document.machine
            graph, is_drawn = await _graph(visit, run, steps)
            return {
                "gantt": gantt(steps, start, max(now, start), skip=query.skip),
                "graph": graph,
                "is_drawn": is_drawn,
                "story": _story(document),
                "timers": machine.timers if machine is not None and not run.ended else (),
            }
        case "steps":
            shown = [each for each in steps if each.kind != "wait"]
            page = shown[query.skip : query.skip + _STEPS]
            more = len(shown) > query.skip + _STEPS
            before = max(query.skip - _STEPS, 0)
            return {
                "steps": page,
                "steps_before": f"?tab=steps&skip={before}" if query.skip else "",
                "steps_after": f"?tab=steps&skip={query.skip + _STEPS}" if more else "",
            }
        case "history":
            return {"history": [each for each in document.history if _is_shown(each, query)]}
        case "input":
            started = run.state.started
            found = await visit.client.list(parent=run.run_id, limit=_CHILDREN)
            longest_s = max((each.duration_s or 0.0 for each in found.runs), default=0.0)
            return {
                "source": "" if started is None else started.definition_text[:_LONGEST_SOURCE],
                "children": [run_line(each, longest_s) for each in found.runs],
            }
        case "log":
            logs = await visit.client.logs(
                run.run_id, after=query.after, step=query.step, level=query.level, limit=_LOGS
            )
            following = ""
            if logs.next is not None:
                items = {"tab": "log", "level": query.level, "after": str(logs.next)}
                items |= {} if query.step is None else {"step": query.step}
                following = f"?{urlencode(items)}"
            return {"logs": logs.logs, "logs_after": following}


async def _graph(visit: Visit, run: RunSnapshot, steps: Sequence[Step]) -> tuple[Markup, bool]:
    try:
        graph = visit.client.graph_of(run)
    except QtForgeError as error:  # such as a workflow in Python: the page lacks nothing else
        return Markup('<p class="muted none">{}</p>').format(error.why or error.what), True
    marks = marks_of(graph)
    for each in steps:
        if each.kind != "wait":
            prefix = "undo" if each.kind == "undo" else "stage"
            marks[f"{prefix} {each.group or each.name}"] = f"st-{each.status}"
    return await visit.pictures.draw(graph, marks)


def _story(document: RunDocument) -> list[StoryEntry]:
    if not isinstance(document.path, list):
        return []
    found = []
    for entry in reversed(document.path):
        data = entry.data if isinstance(entry.data, dict) else {}
        by = data.get("by")
        comment = data.get("comment")
        text = ", ".join(entry.transitions) or entry.event or "started"
        if entry.timer:
            icon = "clock"
        elif not entry.taken:
            icon = "fail"
        else:
            icon = "person" if by or entry.by else "ok"
        found.append(
            StoryEntry(
                at=entry.at,
                text=text,
                by=by if isinstance(by, str) else entry.by,
                to=", ".join(entry.entered),
                comment=comment if isinstance(comment, str) else "",
                reason="" if entry.taken else entry.reason,
                status="succeeded" if entry.taken else "failed",
                icon=icon,
            )
        )
    return found


def _is_shown(entry: HistoryEntry, query: RunQuery) -> bool:
    if query.only == "failed":
        return "failed" in entry.record or entry.traceback is not None
    if query.only == "events":
        return entry.step is None
    return True


def _origin(document: RunDocument) -> tuple[str, str]:
    by = document.started_by
    if by is None:
        return "", ""
    name = quote(by.name, safe="")
    match by.kind:
        case "run":
            return f"by the run {by.name}", f"/runs/{name}"
        case "rerun":
            return f"like {by.name}", f"/runs/{name}"
        case "fork":
            return f"forked from {by.name}", f"/runs/{name}"
        case "schedule":
            return f"by the schedule {by.name}", f"/runs?schedule={name}"
        case "event":
            return f"by the event {by.name}", ""
        case _:
            return (f"by {by.name}" if by.name else ""), ""


async def export_run(visit: Visit) -> Download:
    """Give a run as an archive."""
    run_id = visit.path["run_id"]
    content = await visit.client.export(run_id)
    # An id that was not made here may hold characters that a header may not.
    name = run_id if run_id.isascii() and run_id.replace("-", "").isalnum() else "run"
    return Download(name=f"{name}.qtforge-run", content=content)


PAGES: Final = (
    Page(path="/runs/{run_id}", show=show_run),
    Page(path="/runs/{run_id}/export", show=export_run),
    *ACTIONS,
)
