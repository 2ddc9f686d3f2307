"""``qtforge-host runs logs``."""

from __future__ import annotations

from typing import Final

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import LogRow, LogsDocument
from qtforge_host.api.store import RunStore, open_store
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import clean_line, echo, style
from qtforge_sdk.run_logs import LOG_LEVELS, LogLevel

__all__ = ["logs"]

_COLORS: Final = {"warning": "yellow", "error": "red", "critical": "red"}


@click.command()
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--step", metavar="STEP", help="Only what this step has logged.")
@click.option(
    "--level", type=click.Choice(LOG_LEVELS), default="debug", show_default=True,
    help="Only entries of this level or a higher one.",
)  # fmt: skip
@json_option
@journal_option
@click.pass_obj
def logs(
    session: Session, run: str, follow: bool, step: str | None, level: LogLevel, as_json: bool
) -> None:
    """Show what a run's code has logged, printed and warned of, oldest first.

    With --follow and --json: a line for each entry.
    """

    async def shown() -> None:
        async with open_store(session.settings) as runs:
            run_id = await runs.find(run)
            if follow:
                async for row in runs.follow_logs(run_id, step=step, level=level):
                    _print(row, as_json=as_json)
                return
            found = await _all(runs, run_id, step, level)
        if as_json:
            print_json(found)
            return
        for row in found.logs:
            _print(row, as_json=False)
        if not found.logs:
            what = "such entry is kept" if step or level != "debug" else "log of it is kept"
            echo(f"no {what}", err=True)

    event_loop.run(shown())


async def _all(runs: RunStore, run_id: str, step: str | None, level: LogLevel) -> LogsDocument:
    """Return the whole log, whose size is bounded by the configuration."""
    page = await runs.logs(run_id, step=step, level=level)
    rows = page.logs
    while page.next is not None:
        page = await runs.logs(run_id, after=page.next, step=step, level=level)
        rows += page.logs
    return LogsDocument(run_id=run_id, logs=rows, next=None)


def _print(row: LogRow, *, as_json: bool) -> None:
    if as_json:
        print_json(row, one_line=True)
        return
    first, *more = row.text.split("\n")
    at = row.at.astimezone()
    when = style(f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}", dim=True)
    level = style(f"{row.level:<8}", fg=_COLORS.get(row.level))
    again = f" ({row.attempt})" if row.attempt is not None and row.attempt > 1 else ""
    where = f"{clean_line(row.step)}{again}: " if row.step else ""
    echo(f"{when}  {level}  {where}{clean_line(first)}")
    for line in more:
        echo(f"    {clean_line(line)}")
