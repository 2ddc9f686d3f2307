"""``qtforge-host inbox``: what waits for a person."""

from __future__ import annotations

import asyncio
import datetime
import functools
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from qtforge_host.api.workflows import WorkflowsOfRuns
from qtforge_host.cli.output import document, json_option, print_json
from qtforge_host.cli.report import document_name
from qtforge_host.cli.runs.options import find_run, open_journal
from qtforge_host.cli.runs.show import workflow_of
from qtforge_host.cli.runs.state_machine import machine_document, send_command
from qtforge_host.cli.session import Session
from qtforge_host.runs.accepted_events import Offer, offers_of
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.journal import Journal, RunQuery, RunSummary

if TYPE_CHECKING:  # reading a journal does not load what executes runs
    from qtforge_host.runs.supervisor import Durable

__all__ = ["inbox", "served_inbox"]

_PEOPLES: Final = "user"  # the first word of events that people send


@dataclass(frozen=True, slots=True)
class _Waiting:
    summary: RunSummary
    view: RunState
    offers: Sequence[Offer]

    @property
    def since(self) -> datetime.datetime:
        return self.view.label_since or self.summary.started_at


@dataclass(frozen=True, slots=True)
class _Page:
    found: Sequence[_Waiting]
    following: str | None  # the run behind which the next page begins


@click.command()
@click.option("--workflow", help="Only of this workflow.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most."
)
@click.option("--after", metavar="RUN", help="Begin behind this run, the last of the page before.")
@json_option
@click.pass_obj
def inbox(
    session: Session, workflow: str | None, limit: int, after: str | None, as_json: bool
) -> None:
    """Show what waits for a person, oldest first, with the command for each decision.

    That is every run that accepts an event named user or user.*, by the time of its start: a
    reminder or another reviewer does not make it younger. No plugin is imported.
    """
    page = asyncio.run(_found(session, workflow, limit, after))
    if as_json:
        print_json(document(inbox=[_row(each) for each in page.found], next=page.following))
        return
    found = page.found
    if not found:
        click.echo("nothing waits for a person")
    for each in found:
        about = "  ".join(filter(None, (document_name(each.view), each.summary.workflow)))
        since = f"{each.since.astimezone():%Y-%m-%d %H:%M:%S}"
        click.echo(f"{click.style(about, bold=True)}  {each.summary.label} since {since}")
        for command in _commands(each):
            click.echo(f"  {command}")
    if page.following is not None:
        words = [] if workflow is None else ["--workflow", workflow]
        words += ["--limit", str(limit), "--after", page.following]
        click.echo(f"there is more: qtforge-host inbox {shlex.join(words)}", err=True)


async def served_inbox(
    durable: Durable, workflow: str | None, limit: int, after: str | None
) -> dict[str, Any]:
    """Return what ``inbox --json`` prints, of one workflow or of all, from a running host.

    Raises:
        RunNotFoundError: It is to begin behind a run that is not there.
    """
    of = functools.partial(workflow_of, durable)
    page = await _waiting(durable.journal, of, workflow, limit, after)
    return document(inbox=[_row(each) for each in page.found], next=page.following)


async def _found(session: Session, workflow: str | None, limit: int, after: str | None) -> _Page:
    async with open_journal(session) as journal:
        behind = None if after is None else await find_run(journal, after)
        return await _waiting(journal, WorkflowsOfRuns(session).of, workflow, limit, behind)


async def _waiting(
    journal: Journal,
    workflow_of_run: Callable[[RunState], Workflow | None],
    workflow: str | None,
    limit: int,
    after: str | None,
) -> _Page:
    query = RunQuery(
        workflow=workflow,
        waiting_for=f"{_PEOPLES}.*",
        after=after,
        oldest_first=True,
        limit=limit + 1,  # the last tells that there is more
    )
    summaries = await journal.runs(query)
    found = [await _looked_at(journal, workflow_of_run, each) for each in summaries[:limit]]
    more = len(summaries) > limit
    return _Page(found, found[-1].summary.run_id if more else None)


async def _looked_at(
    journal: Journal,
    workflow_of_run: Callable[[RunState], Workflow | None],
    summary: RunSummary,
) -> _Waiting:
    records = await journal.tail(summary.run_id)
    view = RunState.from_records(summary.run_id, records)
    if view.checkpoint is None or not view.checkpoint.trace.get("entered"):
        # Only the rest of its history tells since when it is in its state.
        records = await journal.records(summary.run_id)
        view = RunState.from_records(summary.run_id, records)
    history = RunState.from_records(summary.run_id, records)
    read = workflow_of_run(history)
    offers = offers_of(read, history.checkpoint) if read is not None else ()
    peoples = [each for each in offers if _is_peoples(each.accepted.event)]
    return _Waiting(summary, view, peoples)


def _is_peoples(event: str) -> bool:
    return event == _PEOPLES or event.startswith(f"{_PEOPLES}.")


def _commands(waiting: _Waiting) -> list[str]:
    run_id = waiting.summary.run_id
    commands = [send_command(run_id, offer) for offer in waiting.offers]
    known = [command for command in commands if command is not None]
    return known or [f"qtforge-host runs show {run_id}"]


def _row(waiting: _Waiting) -> dict[str, Any]:
    summary = waiting.summary
    return {
        "run_id": summary.run_id,
        "workflow": summary.workflow,
        "document": document_name(waiting.view) or None,
        "state": summary.label,
        "since": waiting.since,
        "machine": machine_document(waiting.view, waiting.offers),
    }
