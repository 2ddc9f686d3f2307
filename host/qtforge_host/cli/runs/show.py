"""``qtforge-host runs show`` and ``watch``."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import HistoryEntry
from qtforge_host.api.drawing import Language, graph_of_run
from qtforge_host.api.lookup import find_run, open_journal, shown_status
from qtforge_host.api.snapshots import RunSnapshot, look
from qtforge_host.api.timeline import move_text, moves, timeline
from qtforge_host.api.workflows import WorkflowsOfRuns
from qtforge_host.cli.drawing import write_graph
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.report import print_run, run_lines
from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.session import Session
from qtforge_host.cli.terminal import echo, rendered, style
from qtforge_host.runs.state import RunState
from qtforge_sdk import Record
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.journal import Journal

__all__ = ["show", "watch"]

_POLL_S: Final = 0.25
_PAGE: Final = 1000  # records that are read at once


@click.command()
@click.argument("run")
@click.option("--records", "raw", is_flag=True, help="Print every record as a line of JSON.")
@click.option(
    "--graph",
    "language",
    type=click.Choice(["mermaid", "dot", "svg"]),
    help="Draw its workflow instead, with the run's state and path.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --graph: the file to write; the default is standard output.",
)
@json_option
@click.pass_obj
def show(
    session: Session,
    run: str,
    raw: bool,
    language: Language | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Show a run: its stages or its state, and its history."""
    if output is not None and language is None:
        raise click.UsageError("-o goes with --graph")
    workflows = WorkflowsOfRuns(session.settings)
    if raw and language is None:
        event_loop.run(_print_records(session, run))
        return

    async def found() -> RunSnapshot:
        async with open_journal(session.settings) as journal:
            return await look(journal, await find_run(journal, run), workflows.of)

    seen = event_loop.run(found())
    if language is not None:
        workflow = seen.workflow or workflows.of(seen.state)
        write_graph(graph_of_run(seen, workflow), language, output)
    elif as_json:
        print_json(seen.document())
    else:
        _print(seen)


@click.command()
@click.argument("run")
@click.option("--timeout", default="1h", show_default=True, help="Watch no longer than that.")
@json_option
@click.pass_obj
def watch(session: Session, run: str, timeout: str, as_json: bool) -> int:
    """Follow a run until it ends, is paused or blocked, or its process dies.

    Exit code 0 when it succeeded. With --json: a line for each record, then the run.
    """
    limit_s = duration_option("--timeout", timeout).total_seconds()

    async def followed() -> RunSnapshot | None:
        async with open_journal(session.settings) as journal:
            run_id = await find_run(journal, run)
            with _display(as_json) as shown:
                return await _follow(journal, run_id, limit_s, shown)

    seen = event_loop.run(followed())
    if seen is None:
        echo(f"the run has not ended within {timeout}; it continues", err=True)
        return FAILED
    if as_json:
        print_json(seen.watched(), one_line=True)
    else:
        print_run(seen.state, as_json=False)
        _say_interrupted(seen)
    return 0 if seen.status == "succeeded" else FAILED


async def _print_records(session: Session, run: str) -> None:
    async with open_journal(session.settings) as journal:
        run_id = await find_run(journal, run)
        after = 0
        while page := await journal.records(run_id, after, _PAGE):
            for record in page:
                print_json(to_plain(record), one_line=True)
            after += len(page)


async def _follow(
    journal: Journal,
    run_id: str,
    limit_s: float,
    shown: Callable[[RunState, Sequence[Record]], None],
) -> RunSnapshot | None:
    """Show a run's state with each page of new records until it no longer executes or waits."""
    state, after = RunState(run_id), 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while True:
                summary = await journal.summary(run_id)
                while page := await journal.records(run_id, after, _PAGE):
                    for record in page:
                        state.apply(record)
                    after += len(page)
                    shown(state, page)
                if shown_status(summary) not in ("running", "waiting"):
                    return await look(journal, run_id, every_step=True)
                await asyncio.sleep(_POLL_S)
    return None


@contextlib.contextmanager
def _display(as_json: bool) -> Iterator[Callable[[RunState, Sequence[Record]], None]]:
    """Give what shows a run: in place on a terminal, else a line for each new record."""
    if as_json or not sys.stdout.isatty():
        yield partial(_print_lines, as_json)
        return
    # rich is imported only where there is a terminal to show it on.
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), transient=True, auto_refresh=False, redirect_stdout=False) as live:

        def update(state: RunState, _: Sequence[Record]) -> None:
            text = "\n".join(map(rendered, run_lines(state)))
            live.update(Text.from_ansi(text, no_wrap=True, overflow="ellipsis"), refresh=True)

        yield update


def _print_lines(as_json: bool, state: RunState, records: Sequence[Record]) -> None:
    for entry in timeline(records, state.started_at):
        if as_json:
            print_json(entry, one_line=True)
        else:
            echo(_line(entry))


def _line(entry: HistoryEntry) -> str:
    """Return an entry as one line for people."""
    where = f"{entry.step}: " if entry.step else ""
    text = f"{where}{entry.text}"
    fix = f" (fix: {entry.fix})" if entry.fix else ""
    return f"{style(f'+{entry.after_s:.3f} s', dim=True)}  {text}{fix}"


def _print(seen: RunSnapshot) -> None:
    for each in run_lines(seen.state, status=seen.status, offers=seen.offers):
        echo(each)
    _say_interrupted(seen)
    path = list(moves(seen.records))
    if path:
        echo()
        echo("path")
    for move in path:
        glyph = " " if move.taken else "✗"
        text = move_text(move)
        echo(f"{glyph} {move.at.astimezone():%Y-%m-%d %H:%M:%S}  {text}")
    started = (seen.state.started_at or seen.records[0].at).astimezone()
    owners = f", {seen.owners} owners so far" if seen.owners > 1 else ""
    echo()
    echo(f"history, from {started:%Y-%m-%d %H:%M:%S}{owners}")
    if seen.omitted:
        echo(f"  ... {seen.omitted:,} earlier records; --records prints all")
    for entry in timeline(seen.records, seen.state.started_at):
        echo(f"  {_line(entry)}")


def _say_interrupted(seen: RunSnapshot) -> None:
    if seen.status == "interrupted":
        echo("  the process that executed it has died")
        echo(f"  fix: qtforge-host runs resume {seen.run_id}")
