"""``qtforge-host runs show`` and ``watch``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import HistoryEntry
from qtforge_host.api.drawing import Language
from qtforge_host.api.snapshots import RunSnapshot
from qtforge_host.api.store import open_store
from qtforge_host.api.timeline import move_text, moves, started_text, timeline
from qtforge_host.cli.drawing import write_graph
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.pager import paged
from qtforge_host.cli.report import print_run, run_lines
from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.runs.values import value_lines
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import clean_line, echo, rendered, style
from qtforge_host.runs.state import RunState
from qtforge_sdk import ErrorInfo, Record
from qtforge_sdk.graphs import Graph
from qtforge_sdk.records import (
    CompensationFailed,
    CompensationStarted,
    StepFailed,
    StepStarted,
)

__all__ = ["details", "show", "watch"]


@click.command()
@click.argument("run")
@click.option(
    "--full", is_flag=True,
    help="Print input and result whole, and each stage's message, tracebacks and result.",
)  # fmt: skip
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
@journal_option
@click.pass_obj
@paged
def show(
    session: Session,
    run: str,
    full: bool,
    raw: bool,
    language: Language | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Show a run: its stages or its state, its input and result, and its history."""
    if output is not None and language is None:
        raise click.UsageError("-o goes with --graph")
    if raw and language is None:
        event_loop.run(_print_records(session, run))
        return

    async def found() -> tuple[RunSnapshot, Graph | None]:
        async with open_store(session.settings) as runs:
            run_id = await runs.find(run)
            return await runs.show(run_id), None if language is None else await runs.graph(run_id)

    seen, graph = event_loop.run(found())
    if graph is not None:
        write_graph(graph, language, output)
    elif as_json:
        print_json(seen.document())
    else:
        _print(seen, full=full)


@click.command()
@click.argument("run")
@click.option("--timeout", default="1h", show_default=True, help="Watch no longer than that.")
@json_option
@journal_option
@click.pass_obj
def watch(session: Session, run: str, timeout: str, as_json: bool) -> int:
    """Follow a run until it ends, is paused or blocked, or its process dies.

    Exit code 0 when it succeeded. With --json: a line for each record, then the run.
    """
    limit = duration_option("--timeout", timeout)

    async def followed() -> RunSnapshot | None:
        async with open_store(session.settings) as runs:
            run_id = await runs.find(run)
            with _display(as_json) as shown:
                return await runs.follow(run_id, shown, limit)

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
    async with open_store(session.settings) as runs:
        run_id = await runs.find(run)
        after: int | None = 0
        while after is not None:
            page = await runs.records(run_id, after=after)
            for record in page.records:
                print_json(record, one_line=True)
            after = page.next


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


def _print(seen: RunSnapshot, *, full: bool) -> None:
    for each in run_lines(
        seen.state, status=seen.status, offers=seen.offers, tags=seen.tags, held_by=seen.held_by
    ):
        echo(each)
    _say_interrupted(seen)
    origin = seen.origin
    if origin is not None:
        echo(f"  started {started_text(origin)}")
    if not full and any(_has_traceback(each) for each in seen.records):
        echo(f"  traceback: qtforge-host runs show {seen.run_id} --full")
    for line in details(seen, full=full):
        echo(line)
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
    for entry in seen.history():
        echo(f"  {_line(entry)}")


def details(seen: RunSnapshot, *, full: bool) -> Iterator[str]:
    """Give the lines of a run's input and result, and with ``full`` what its steps have done."""
    blocks = [value_lines("input", seen.state.input, full=full)]
    blocks += _of_steps(seen) if full else []
    blocks.append(value_lines("result", seen.state.result, full=full))
    for lines in map(list, blocks):
        yield from ["", *lines] if lines else []


def _of_steps(seen: RunSnapshot) -> Iterator[Iterator[str]]:
    """Give the lines of each step's messages, the tracebacks of its attempts, and its result."""
    told: dict[str, list[Iterator[str]]] = {name: [] for name in seen.state.steps}
    for record in seen.records:
        match record:
            case StepStarted() | CompensationStarted():
                undoes = isinstance(record, CompensationStarted)
                title = f"message of {'the compensation of ' * undoes}{record.step}"
                lines = value_lines(title, record.message, full=True)
                if record.message_note:
                    lines = iter([f"{title}: {record.message_note}"])
                told.setdefault(record.step, []).append(lines)
            case StepFailed() | CompensationFailed():
                told.setdefault(record.step, []).append(_traceback(record))
    for name, found in told.items():
        yield from found
        step = seen.state.steps.get(name)
        data = None if step is None else step.data
        yield value_lines(f"result of {name}", data, full=True)
    error = seen.state.error
    yield _text_lines("traceback", None if error is None else error.traceback)


def _has_traceback(record: Record) -> bool:
    error = getattr(record, "error", None)
    return isinstance(error, ErrorInfo) and bool(error.traceback)


def _traceback(record: StepFailed | CompensationFailed) -> Iterator[str]:
    what = "the compensation of " if isinstance(record, CompensationFailed) else ""
    title = f"traceback of {what}{record.step}, attempt {record.attempt}"
    return _text_lines(title, record.error.traceback)


def _text_lines(title: str, text: str | None) -> Iterator[str]:
    if text:
        yield title
        yield from (f"  {clean_line(line)}" for line in text.split("\n"))


def _say_interrupted(seen: RunSnapshot) -> None:
    if seen.status == "interrupted":
        echo("  the process that executed it has ended")
        echo(f"  fix: qtforge-host runs resume {seen.run_id}")
