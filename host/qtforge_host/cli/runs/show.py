"""``qtforge-host runs show`` and ``watch``."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from qtforge_host.api.drawing import picture, write_picture
from qtforge_host.api.timeline import line, timeline
from qtforge_host.api.workflows import WorkflowsOfRuns
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.report import print_run, run_document, run_lines
from qtforge_host.cli.runs.options import (
    duration_option,
    find_run,
    open_journal,
    shown_status,
    summary_of,
)
from qtforge_host.cli.runs.state_machine import moves
from qtforge_host.cli.session import Session
from qtforge_host.runs.accepted_events import Offer, offers_of
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.definitions import Workflow
from qtforge_host.workflows.errors import NotDrawableError
from qtforge_sdk import Record
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.graphs import Graph
from qtforge_sdk.journal import Journal
from qtforge_sdk.records import CheckpointSaved

if TYPE_CHECKING:  # reading a journal does not load what executes runs
    from qtforge_host.runs.supervisor import Durable

__all__ = ["run_with_history", "show", "watch", "workflow_of"]

_POLL_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Seen:
    """A run at one moment; ``status`` is ``interrupted`` where its owner has died."""

    records: Sequence[Record]
    view: RunState
    status: str
    owners: int
    workflow: Workflow | None = None  # read only where it is needed

    @property
    def offers(self) -> Sequence[Offer]:
        """What it would take now; empty once it has ended, or where that is not known."""
        if self.workflow is None or self.view.finished_at is not None:
            return ()
        return offers_of(self.workflow, self.view.checkpoint)


@click.command()
@click.argument("run")
@click.option("--records", "raw", is_flag=True, help="Print every record as a line of JSON.")
@click.option(
    "--graph",
    "language",
    type=click.Choice(["mermaid", "dot", "svg"]),
    help="Draw its workflow instead, with where the run is and the path that it took.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --graph: where to; the default is standard output.",
)
@json_option
@click.pass_obj
def show(
    session: Session,
    run: str,
    raw: bool,
    language: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Show a run: its stages or its state, and all that happened, in order."""
    if output is not None and language is None:
        raise click.UsageError("-o goes with --graph")

    async def found() -> _Seen:
        async with open_journal(session) as journal:
            seen = await _look(journal, await find_run(journal, run))
            if language is None and seen.view.checkpoint is None:
                return seen
            workflow = WorkflowsOfRuns(session).of(seen.view)
            return replace(seen, workflow=workflow)

    seen = asyncio.run(found())
    if language is not None:
        write_picture(_picture(seen), language, output)
    elif raw:
        for record in seen.records:
            print_json(to_plain(record), one_line=True)
    elif as_json:
        print_json(_document(seen))
    else:
        _print(seen)


@click.command()
@click.argument("run")
@click.option("--timeout", default="1h", show_default=True, help="Watch no longer than that.")
@json_option
@click.pass_obj
def watch(session: Session, run: str, timeout: str, as_json: bool) -> int:
    """Follow a run until it ends, or rests, or nobody executes it any more.

    Exit code 0 when it succeeded. With --json: a line for each record, then the run.
    """
    limit_s = duration_option("--timeout", timeout).total_seconds()

    async def followed() -> _Seen | None:
        async with open_journal(session) as journal:
            run_id = await find_run(journal, run)
            with _display(as_json) as shown:
                return await _follow(journal, run_id, limit_s, shown)

    seen = asyncio.run(followed())
    if seen is None:
        click.echo(f"it has not ended within {timeout}; it goes on", err=True)
        return FAILED
    if as_json:
        print_json(_document(seen, history=False), one_line=True)
    else:
        print_run(seen.view, as_json=False)
        _say_interrupted(seen)
    return 0 if seen.status == "succeeded" else FAILED


async def _look(journal: Journal, run_id: str) -> _Seen:
    records = await journal.records(run_id)
    summary = await summary_of(journal, run_id, records[0].at)
    return _Seen(
        records, RunState.from_records(run_id, records), shown_status(summary), summary.epoch
    )


async def _follow(
    journal: Journal, run_id: str, limit_s: float, shown: Callable[[_Seen], None]
) -> _Seen | None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while True:
                seen = await _look(journal, run_id)
                shown(seen)
                if seen.status not in ("running", "waiting"):
                    return seen
                await asyncio.sleep(_POLL_S)
    return None


@contextlib.contextmanager
def _display(as_json: bool) -> Iterator[Callable[[_Seen], None]]:
    """Give what shows a run's state: in place on a terminal, else a line for what is new."""
    if as_json or not sys.stdout.isatty():
        yield _Lines(as_json).show
        return
    # rich is imported only where there is a terminal to show it on.
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), transient=True, auto_refresh=False, redirect_stdout=False) as live:

        def update(seen: _Seen) -> None:
            text = "\n".join(run_lines(seen.view))
            live.update(Text.from_ansi(text, no_wrap=True, overflow="ellipsis"), refresh=True)

        yield update


class _Lines:
    """Prints what was not there before."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._printed = 0

    def show(self, seen: _Seen) -> None:
        for entry in list(timeline(seen.records))[self._printed :]:
            if self._as_json:
                print_json(entry, one_line=True)
            else:
                click.echo(line(entry))
        self._printed = len(seen.records)


async def run_with_history(durable: Durable, run_id: str) -> dict[str, Any]:
    """Return a run as ``runs show --json`` has it.

    Raises:
        RunNotFoundError: There is none.
    """
    seen = await _look(durable.journal, run_id)
    if seen.view.checkpoint is not None:
        workflow = workflow_of(durable, seen.view)
        seen = replace(seen, workflow=workflow)
    return _document(seen)


def workflow_of(durable: Durable, history: RunState) -> Workflow | None:
    """Return a run's workflow; None where it can't be run here any more."""
    try:
        return durable.engine.workflows.recorded(history)
    except QtForgeError:
        return None


def _picture(seen: _Seen) -> Graph:
    """Return the picture of a run's workflow, marked where its kind can do that.

    Raises:
        NotDrawableError.
    """
    if seen.workflow is None:
        why = f"it is written in Python, or the kind '{seen.view.kind}' is not installed"
        raise NotDrawableError(f"the workflow of {seen.view.run_id}", why)
    checkpoints = [record for record in seen.records if isinstance(record, CheckpointSaved)]
    return picture(seen.workflow, checkpoints)


def _document(seen: _Seen, *, history: bool = True) -> dict[str, Any]:
    document = {
        **run_document(seen.view, seen.offers),
        "status": seen.status,
        "owners": seen.owners,
    }
    if history and seen.view.checkpoint is not None:
        document["path"] = list(moves(seen.records))
    if history:
        document["history"] = list(timeline(seen.records))
    return document


def _print(seen: _Seen) -> None:
    for each in run_lines(seen.view, status=seen.status, offers=seen.offers):
        click.echo(each)
    _say_interrupted(seen)
    path = list(moves(seen.records))
    if path:
        click.echo("\npath")
    for move in path:
        glyph = " " if move.taken else "✗"
        text = "".join(each if each.isprintable() else " " for each in move.text())
        click.echo(f"{glyph} {move.at.astimezone():%Y-%m-%d %H:%M:%S}  {text}")
    started = seen.records[0].at.astimezone()
    owners = f", {seen.owners} owners so far" if seen.owners > 1 else ""
    click.echo(f"\nhistory, from {started:%Y-%m-%d %H:%M:%S}{owners}")
    for entry in timeline(seen.records):
        click.echo(f"  {line(entry)}")


def _say_interrupted(seen: _Seen) -> None:
    if seen.status == "interrupted":
        click.echo("  the process that executed it has died")
        click.echo(f"  fix: qtforge-host runs resume {seen.view.run_id}")
