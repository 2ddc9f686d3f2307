"""Print runs as they end, and show the others on a terminal meanwhile."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, TextIO

from qtforge_host.api.snapshots import RunSnapshot, document_name
from qtforge_host.cli.terminal import CleanStream, clean_line, echo, raw
from qtforge_host.runs.log import RunListener
from qtforge_host.runs.state import RunState
from qtforge_sdk import Record
from qtforge_sdk.journal import RunSummary
from qtforge_sdk.records import RunWaiting

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.text import Text
from collections.abc import Sequence

from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.report import awaited, print_run
from qtforge_host.runs.accepted_events import Offer

__all__ = ["Display", "Printer", "RunPrinter", "progress_display", "say_queued", "settle"]


class RunPrinter:
    """Prints the runs of one command.

    Args:
        data: The stream to print to.
        as_json: As JSON Lines.

    Attributes:
        offers: By run, the events that a waiting one accepts; set before it is printed.
        there: The runs that were there already: how they are is no failure of the command.
        exit_code: 1 when a run did not succeed; a command may set another.
    """

    def __init__(self, data: TextIO, *, as_json: bool) -> None:
        self.data = data
        self.offers: dict[str, Sequence[Offer]] = {}
        self.there: set[str] = set()
        self.exit_code = 0
        self._as_json = as_json
        self._printed: set[str] = set()

    def ended(self, run: RunState) -> None:
        """Print a run that has ended or rests, unless it was printed already."""
        if run.run_id in self._printed:
            return
        self._printed.add(run.run_id)
        if run.status not in ("succeeded", "waiting") and run.run_id not in self.there:
            self.exit_code = FAILED
        # Unless the output is collected, to be put above the lines of a terminal.
        stream = sys.stdout if isinstance(sys.stdout, _Terminal) else self.data
        with contextlib.redirect_stdout(stream):
            print_run(run, as_json=self._as_json, offers=self.offers.get(run.run_id, ()))
            stream.flush()


_NAME_WIDTH = 48


class Printer(Protocol):
    """Prints runs to ``data``."""

    data: TextIO

    def ended(self, run: RunState) -> None:
        """Print a run that has ended or rests, now or later."""


class Display(RunListener, Protocol):
    """Shows runs as they execute."""

    def settled(self, run: RunState) -> None:
        """Called when a run ends or rests."""


def settle(run: RunSnapshot, display: Display, printer: RunPrinter) -> None:
    """Print a run that a command has executed, or that was there already."""
    printer.offers[run.run_id] = run.offers
    if run.is_there_already:
        echo(f"there already: {run.run_id}", err=True)
        printer.there.add(run.run_id)
    display.settled(run.state)


def say_queued(run: RunSummary) -> None:
    """Say that a run waits for a place, and which run holds it: it may take long."""
    others = len(run.held_by) - 1
    more = f" and {others} more" if others > 0 else ""
    echo(f"{run.run_id} waits for a place, held by {run.held_by[0]}{more}", err=True)


@contextlib.contextmanager
def progress_display(total: int, printer: Printer) -> Iterator[Display]:
    """Give a listener that prints each run that ends, and shows the others on a terminal."""
    if not sys.stderr.isatty():
        yield _Plain(printer)
        return
    # rich is imported only where there is a terminal to show it on.
    from rich.console import Console
    from rich.file_proxy import FileProxy
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    )
    progress = Progress(
        *columns,
        console=Console(file=raw(sys.stderr)),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    # A warning goes above the lines, not through them, and is cleaned before, too.
    above = FileProxy(_Unwrapped(progress.console), raw(sys.stderr))  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        stack.enter_context(progress)
        clean = CleanStream(above, masks_of=sys.stderr)  # type: ignore[arg-type]
        stack.enter_context(contextlib.redirect_stderr(clean))
        yield _Lines(progress, total, printer)


class _Unwrapped:
    """A console that leaves long lines to the terminal.

    Where rich broke one, a part of it that comes from others would begin a line, as what the host
    says does.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> None:
        self._console.__enter__()

    def __exit__(self, *error: object) -> None:
        self._console.__exit__(None, None, None)

    def print(self, shown: Text | str) -> None:
        """Print it."""
        self._console.print(shown, markup=False, soft_wrap=True)


class _Waits:
    """Says for which events a run waits that stays with the command, each event once.

    That is no result: it goes to standard error.
    """

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def say(self, run: RunState) -> None:
        for event, command in awaited(run):
            if (run.run_id, event) not in self._said:
                self._said.add((run.run_id, event))
                echo(f"{run.run_id} waits for {event}: {command}", err=True)


class _Plain:
    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._waits = _Waits()

    def on_record(self, run: RunState, record: Record) -> None:
        if run.finished_at is not None or run.rests:
            self._printer.ended(run)
        elif isinstance(record, RunWaiting):
            self._waits.say(run)

    def on_progress(
        self, run: RunState, step: str, done: float, total: float | None, text: str
    ) -> None:
        """There is no terminal to show it on."""

    def settled(self, run: RunState) -> None:
        """Print it, unless that was done."""
        self._printer.ended(run)


class _Lines:
    """A line for each run in progress, and one for all of them."""

    def __init__(self, progress: Progress, total: int, printer: Printer) -> None:
        self._progress = progress
        self._printer = printer
        self._total = total
        self._done = 0
        self._waits = _Waits()
        self._lines: dict[str, TaskID] = {}
        self._all = progress.add_task("all runs", now=f"0 of {total}") if total > 1 else None

    def on_record(self, run: RunState, record: Record) -> None:
        if run.finished_at is not None or run.rests:
            self._finish(run)
            return
        if run.run_id not in self._lines:
            name = clean_line((document_name(run) or run.workflow)[:_NAME_WIDTH])
            self._lines[run.run_id] = self._progress.add_task(name, now="")
            # At once, so that it can be watched, paused or amended from another terminal.
            self._progress.console.print(f"run {run.run_id}  {name}", markup=False, style="dim")
        if isinstance(record, RunWaiting):
            self._waits.say(run)
        running = [step.name for step in run.steps.values() if step.status == "running"]
        self._progress.update(self._lines[run.run_id], now=clean_line(", ".join(running)))

    def on_progress(
        self, run: RunState, step: str, done: float, total: float | None, text: str
    ) -> None:
        line = self._lines.get(run.run_id)
        if line is not None:
            count = f" {done:g}" if total is None else f" {done:g}/{total:g}"
            self._progress.update(line, now=clean_line(f"{step}{count} {text}".rstrip()))

    def settled(self, run: RunState) -> None:
        """Take its line away, and print it unless that was done."""
        if run.run_id in self._lines:
            self._finish(run)
        else:
            self._printer.ended(run)

    def _finish(self, run: RunState) -> None:
        line = self._lines.pop(run.run_id, None)
        if line is not None:
            self._progress.remove_task(line)
        self._done += 1
        if self._all is not None:
            self._progress.update(self._all, now=f"{self._done} of {self._total}")
        if self._printer.data.isatty():
            self._print_above(run)
        else:
            self._printer.ended(run)

    def _print_above(self, run: RunState) -> None:
        """Print to the terminal that shows the lines, above them and without wrapping."""
        from rich.text import Text

        said = _Terminal()
        with contextlib.redirect_stdout(said):
            self._printer.ended(run)
        if lines := said.getvalue().rstrip():
            self._progress.console.print(Text.from_ansi(lines), soft_wrap=True)


class _Terminal(io.StringIO):
    """Collects what is meant for the terminal, its colours too."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return sys.__stdout__.encoding if sys.__stdout__ is not None else "utf-8"

    def isatty(self) -> bool:
        return True
