"""``qtforge-host runs show`` and ``watch``."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.report import print_run, run_document, run_lines
from qtforge_host.cli.runs_journal import (
    duration_option,
    find_run,
    open_journal,
    shown_status,
    summary_of,
)
from qtforge_host.cli.runs_timeline import line, timeline
from qtforge_host.cli.session import Session
from qtforge_host.runs.outcome import RunView, fold
from qtforge_sdk import Record
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.journal import Journal

__all__ = ["run_with_history", "show", "watch"]

_POLL_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Seen:
    """A run at one moment; ``status`` is ``interrupted`` where its owner has died."""

    records: Sequence[Record]
    view: RunView
    status: str
    owners: int


@click.command()
@click.argument("run")
@click.option("--records", "raw", is_flag=True, help="Print every record as a line of JSON.")
@json_option
@click.pass_obj
def show(session: Session, run: str, raw: bool, as_json: bool) -> None:
    """Show a run: its stages, and all that happened, in order."""

    async def found() -> _Seen:
        async with open_journal(session) as journal:
            return await _look(journal, await find_run(journal, run))

    seen = asyncio.run(found())
    if raw:
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
    return _Seen(records, fold(run_id, records), shown_status(summary), summary.epoch)


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


async def run_with_history(journal: Journal, run_id: str) -> dict[str, Any]:
    """Return a run as ``runs show --json`` has it.

    Raises:
        RunNotFoundError: There is none.
    """
    return _document(await _look(journal, run_id))


def _document(seen: _Seen, *, history: bool = True) -> dict[str, Any]:
    document = {**run_document(seen.view), "status": seen.status, "owners": seen.owners}
    if history:
        document["history"] = list(timeline(seen.records))
    return document


def _print(seen: _Seen) -> None:
    for each in run_lines(seen.view, status=seen.status):
        click.echo(each)
    _say_interrupted(seen)
    started = seen.records[0].at.astimezone()
    owners = f", {seen.owners} owners so far" if seen.owners > 1 else ""
    click.echo(f"\nhistory, from {started:%Y-%m-%d %H:%M:%S}{owners}")
    for entry in timeline(seen.records):
        click.echo(f"  {line(entry)}")


def _say_interrupted(seen: _Seen) -> None:
    if seen.status == "interrupted":
        click.echo("  the process that executed it has died")
        click.echo(f"  fix: qtforge-host runs resume {seen.view.run_id}")
