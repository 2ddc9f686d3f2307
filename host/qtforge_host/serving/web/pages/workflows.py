"""The workflows, one of them, and the form that starts a run of it."""

from __future__ import annotations

import shlex
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
from markupsafe import Markup

from qtforge_host.api.documents import ScheduleRow, WorkflowRow, error_document
from qtforge_host.api.errors import KeyInvalidError, KeyReusedError
from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.web.input_form import (
    WHOLE,
    Field,
    WrongField,
    fields_of,
    input_of,
    texts_of,
)
from qtforge_host.serving.web.visit import Done, Notice, Page, View, Visit
from qtforge_sdk.errors import QtForgeError, RunInputError
from qtforge_sdk.run_status import RUN_STATUSES

__all__ = ["PAGES", "StartPage", "WorkflowPage", "WorkflowsPage"]

_LONGEST_SOURCE: Final = 100_000  # characters of a definition
_FIELD: Final = "input:"  # before the name of an input, in the names of the form's fields
_STATES: Final = {"ready": "succeeded", "unmet": "warning", "broken": "failed"}


class WorkflowLine(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as lists show it.

    Attributes:
        row: The workflow.
        status: For the colour of its state.
        counts: How many runs it has with each status.
        others: The other versions that are there.
    """

    row: WorkflowRow
    status: str
    counts: Sequence[tuple[str, int]]
    others: Sequence[str]


class WorkflowsPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the list shows.

    Attributes:
        rows: The workflows, those with problems first.
    """

    rows: Sequence[WorkflowLine]


class WorkflowPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of a workflow shows.

    Attributes:
        line: The workflow.
        may_start: Whether the person may start a run of it, and it can run.
        graph: Its graph; "" where its definition has problems.
        source: The text of its definition, or "".
        definition: Its keys, where there is no text.
        requires: The plugins that it requires.
        inputs: The fields of its input.
        has_schema: Whether it declares its inputs.
        schedules: The schedules that start it.
    """

    line: WorkflowLine
    may_start: bool
    graph: Markup
    source: str
    definition: Mapping[str, Any]
    requires: Sequence[str]
    inputs: Sequence[Field]
    has_schema: bool
    schedules: Sequence[ScheduleRow]


class StartPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the form shows.

    Attributes:
        name: The workflow.
        description: What it does, or "".
        fields: Its fields.
        key: The idempotency key of the run that it starts.
        like: The run whose input is filled in, or "".
        left_out: Whether that has secrets, which are not filled in.
        error: Why it was refused, or "".
        details: More about that, or "".
        wrong: The field that is wrong, or None.
        command: The same for the command line.
    """

    name: str
    description: str
    fields: Sequence[Field]
    key: str
    like: str = ""
    left_out: bool = False
    error: str = ""
    details: str = ""
    wrong: str | None = None
    command: str = ""


class StartQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The run whose input is filled in.

    Attributes:
        like: Its id.
    """

    like: str | None = None


class _NoQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


async def show_workflows(visit: Visit) -> View:
    """Show all workflows."""
    visit.query(_NoQuery)
    lines = await _lines(visit)
    page = WorkflowsPage(rows=sorted(lines, key=lambda each: each.row.state == "ready"))
    return View(title="Workflows", section="workflows", template="workflows.html", data=page)


async def _lines(visit: Visit) -> list[WorkflowLine]:
    rows: dict[str, list[WorkflowRow]] = {}
    for each in (await visit.client.host.workflows()).workflows:
        rows.setdefault(each.name, []).append(each)
    counts: dict[str, Counter[str]] = {}
    statistics = (await visit.service.page_figures.get()).statistics.runs
    for (workflow, status), count in statistics.items():
        counts.setdefault(workflow, Counter())[status] += count
    return [_line(found, counts.get(name, Counter())) for name, found in rows.items()]


def _line(rows: Sequence[WorkflowRow], counts: Counter[str]) -> WorkflowLine:
    row, *others = rows  # the newest is the first
    return WorkflowLine(
        row=row,
        status=_STATES.get(row.state, "pending"),
        counts=[(each, counts[each]) for each in RUN_STATUSES if counts[each] > 0],
        others=[each.version for each in others],
    )


async def show_workflow(visit: Visit) -> View:
    """Show one workflow."""
    visit.query(_NoQuery)
    name, host = visit.path["name"], visit.client.host
    line = next((each for each in await _lines(visit) if each.row.name == name), None)
    graph, is_drawn, source = Markup(""), True, ""
    definition: Mapping[str, Any] = {}
    schema: Mapping[str, Any] | None = None
    is_read = True
    try:
        workflow = await host.definition(name)
        document = await host.show_workflow(name)
    except QtForgeError:
        if line is None:
            raise
        is_read = False  # its problems are shown instead
    else:
        source, definition = workflow.text[:_LONGEST_SOURCE], document.definition
        schema = document.input_schema
        graph, is_drawn = await _graph(visit, name)
    if line is None:
        raise RefusedError(404, "http.not_found", f"there is no workflow '{name}'")
    schedules = (await visit.client.schedules.list()).schedules
    page = WorkflowPage(
        line=line,
        may_start=visit.person.may("operate") and line.row.state == "ready",
        graph=graph,
        source=source,
        definition={} if source else definition,
        requires=[str(each) for each in definition.get("requires", ())],
        inputs=fields_of(schema, None) if is_read and schema is not None else (),
        has_schema=schema is not None,
        schedules=[each for each in schedules if each.workflow == name],
    )
    return View(
        title=name,
        section="workflows",
        template="workflow.html",
        data=page,
        fragment="_workflow.html",
        moves=not is_drawn,
    )


async def _graph(visit: Visit, name: str) -> tuple[Markup, bool]:
    try:
        graph = await visit.client.host.workflow_graph(name)
    except QtForgeError as error:  # such as a workflow in Python: the page lacks nothing else
        return Markup('<p class="muted none">{}</p>').format(error.why or error.what), True
    return await visit.pictures.draw(graph, {})


async def show_start(visit: Visit) -> View:
    """Show the form, filled in with the input of an earlier run where one is named."""
    like = visit.query(StartQuery).like or ""
    document = await visit.client.host.show_workflow(visit.path["name"])
    texts = None
    left_out = False
    if like:
        given = await _input_like(visit, like)
        workflow = await visit.client.host.definition(visit.path["name"])
        texts = texts_of(document.input_schema, given, workflow.definition.secret_names)
        shown = input_names(document.input_schema, texts)
        left_out = any(name not in shown and given[name] is not None for name in given)
    return await _form(visit, texts, like=like, left_out=left_out)


def input_names(schema: Mapping[str, Any] | None, texts: Mapping[str, str]) -> set[str]:
    """Return the names of the inputs that are filled in."""
    return set(texts) if schema is not None else set(input_of(None, texts))


async def _input_like(visit: Visit, run_id: str) -> Mapping[str, Any]:
    run = (await visit.client.show(run_id)).document()
    name = visit.path["name"]
    if run.workflow != name:
        raise RefusedError(
            422, "http.invalid_request", f"the run is one of '{run.workflow}', not of '{name}'", "",
            "start it from its own page",
        )  # fmt: skip
    return run.input if isinstance(run.input, Mapping) else {}


async def _form(
    visit: Visit,
    texts: Mapping[str, str] | None,
    *,
    like: str = "",
    left_out: bool = False,
    key: str = "",
    error: str = "",
    details: str = "",
    wrong: str | None = None,
) -> View:
    name = visit.path["name"]
    document = await visit.client.host.show_workflow(name)
    is_typed = document.input_schema is not None
    page = StartPage(
        name=name,
        description=document.definition.get("description", ""),
        fields=fields_of(document.input_schema, texts),
        key=key or str(uuid.uuid4()),
        like=like,
        left_out=left_out,
        error=error,
        details=details,
        wrong=wrong,
        command=shlex.join(["qtforge-host", "run", name]) + ("" if is_typed else " --input FILE"),
    )
    return View(
        title=f"Start {name}",
        section="workflows",
        template="start.html",
        data=page,
        status=422 if error else 200,
    )


async def start(visit: Visit) -> View | Done:
    """Start a run, or show the form again with what was typed, and what is wrong with it."""
    items = dict(visit.form_items)
    texts = {
        name.removeprefix(_FIELD): text for name, text in items.items() if name.startswith(_FIELD)
    }
    key, like, name = items.get("key", ""), items.get("like", ""), visit.path["name"]
    document = await visit.client.host.show_workflow(name)
    try:
        given = input_of(document.input_schema, texts)
        run_id = await visit.client.start(name, given, key=key or str(uuid.uuid4()))
    except WrongField as found:
        subject = "The input" if found.name == WHOLE else f"“{found.name}”"
        what = f"{subject} {found.what}."
        return await _form(visit, texts, like=like, key=key, error=what, wrong=found.name)
    except QtForgeError as refused:
        if refused.http_status >= 500:
            raise
        facts = error_document(refused).error
        message = facts.message[:1].upper() + facts.message[1:] + "."
        details = "\n".join(filter(None, (facts.why, facts.fix)))
        wrong = refused.key if isinstance(refused, RunInputError) else None
        if isinstance(refused, KeyReusedError | KeyInvalidError):
            key = ""  # what is sent next is another run
        return await _form(
            visit, texts, like=like, key=key, error=message, details=details, wrong=wrong
        )
    notice = Notice(text=f"A run of {name} was started.")
    return Done(notice=notice, to=f"/runs/{quote(run_id, safe='')}")


PAGES: Final = (
    Page(path="/workflows", show=show_workflows),
    Page(path="/workflows/{name}", show=show_workflow),
    Page(path="/workflows/{name}/start", scope="operate", show=show_start, act=start),
)
