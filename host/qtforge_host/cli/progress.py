"""What a terminal shows while runs go on; nothing where standard error is none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qtforge_host.cli.report import document_name
from qtforge_host.runs.engine import RunListener
from qtforge_host.runs.outcome import RunView
from qtforge_sdk import Record

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["progress_display"]

_MIN_WIDTH = 60


@contextmanager
def progress_display(total: int, ended: Callable[[RunView], None]) -> Iterator[RunListener]:
    """Give a listener that calls ``ended`` for each run, and shows the others on a terminal."""
    if not sys.stderr.isatty():
        yield _Plain(ended)
        return
    from rich.console import Console  # only where there is a terminal to show it on
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bars(progress, total, ended)


class _Plain:
    def __init__(self, ended: Callable[[RunView], None]) -> None:
        self._ended = ended

    def on_record(self, view: RunView, record: Record) -> None:
        if view.finished_at is not None:
            self._ended(view)

    def on_progress(
        self, view: RunView, step: str, done: float, total: float | None, text: str
    ) -> None:
        """Nobody looks."""


class _Bars:
    """One bar for all runs, and a line for each run in progress."""

    def __init__(self, progress: Progress, total: int, ended: Callable[[RunView], None]) -> None:
        self._progress = progress
        self._ended = ended
        self._lines: dict[str, TaskID] = {}
        self._all = progress.add_task("all runs", total=total, now="") if total > 1 else None

    def on_record(self, view: RunView, record: Record) -> None:
        if view.finished_at is not None:
            line = self._lines.pop(view.run_id, None)
            if line is not None:
                self._progress.remove_task(line)
            if self._all is not None:
                self._progress.advance(self._all)
            self._print(view)
            return
        if view.run_id not in self._lines:
            name = (document_name(view) or view.workflow)[:_MIN_WIDTH]
            self._lines[view.run_id] = self._progress.add_task(
                f"  {_escape(name)}", total=None, now=""
            )
        running = [step.name for step in view.steps.values() if step.status == "running"]
        self._progress.update(self._lines[view.run_id], now=", ".join(running), total=None)

    def on_progress(
        self, view: RunView, step: str, done: float, total: float | None, text: str
    ) -> None:
        line = self._lines.get(view.run_id)
        if line is not None:
            now = f"{step}: {text}" if text else step
            self._progress.update(line, completed=done, total=total, now=now)

    def _print(self, view: RunView) -> None:
        # The bars are taken away meanwhile: standard output may be the same terminal.
        self._progress.stop()
        self._ended(view)
        self._progress.start()


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
