"""``qtforge-host schedules``: when ``serve`` starts workflows by itself."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import (
    MOST_PLANNED_TIMES,
    PlannedRow,
    ScheduleDocument,
    ScheduleRow,
    ScheduleRuns,
)
from qtforge_host.api.extras import SCHEDULES, check_installed
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.pager import paged
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo
from qtforge_sdk.durations import duration_text
from qtforge_sdk.errors import ConfigError

if TYPE_CHECKING:
    from qtforge_host.api.schedules import ScheduleClient

__all__ = ["schedules"]

T = TypeVar("T")


@click.group()
def schedules() -> None:
    """List, show, pause and trigger what 'serve' starts by the clock."""


@schedules.command("list")
@json_option
@journal_option
@click.pass_obj
@paged
def list_schedules(session: Session, as_json: bool) -> None:
    """Show every schedule of the configuration, its next time and its last run."""
    found = _use(session, lambda client: client.list())
    if as_json:
        print_json(found)
        return
    rows = found.schedules
    if not rows:
        echo(f"there is no [schedules.NAME] in {session.settings.config_path}")
        return
    table(
        ("SCHEDULE", "WORKFLOW", "WHEN", "NEXT", "LAST RUN"),
        (
            (each.name, each.workflow, _rhythm(each), _next_briefly(each), each.last_run or "")
            for each in rows
        ),
        whole=("NEXT", "LAST RUN"),
        short=("WORKFLOW", "WHEN"),
    )


@schedules.command()
@click.argument("name")
@json_option
@journal_option
@click.pass_obj
@paged
def show(session: Session, name: str, as_json: bool) -> None:
    """Show a schedule, the outcomes of its last planned times, and the next ones."""
    found = _use(session, lambda client: client.show(name))
    _print(found, as_json=as_json)


@schedules.command()
@click.argument("name")
@click.option("--reason", default="", help="Why, for its history.")
@json_option
@journal_option
@click.pass_obj
def pause(session: Session, name: str, reason: str, as_json: bool) -> None:
    """Let a schedule start nothing, until 'schedules resume'."""
    found = _use(session, lambda client: client.pause(name, reason=reason))
    _print_change(found, as_json=as_json)


@schedules.command()
@click.argument("name")
@click.option(
    "--catch-up", is_flag=True,
    help="Make up for planned times that passed meanwhile, as 'catch_up' says; at least the last.",
)  # fmt: skip
@json_option
@journal_option
@click.pass_obj
def resume(session: Session, name: str, catch_up: bool, as_json: bool) -> None:
    """Let a paused schedule start runs again."""
    found = _use(session, lambda client: client.resume(name, catch_up=catch_up))
    _print_change(found, as_json=as_json)


@schedules.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also while a run of the schedule is unfinished.")
@json_option
@journal_option
@click.pass_obj
def trigger(session: Session, name: str, force: bool, as_json: bool) -> None:
    """Queue a run of a schedule now; serve or a worker executes it.

    Exit code 4 when a run of the schedule is unfinished and its 'overlap' is not "allow".
    """
    found = _use(session, lambda client: client.trigger(name, force=force))
    _print_runs(found, as_json=as_json)


@schedules.command()
@click.argument("name")
@click.option("--from", "since", required=True, metavar="TIME", help="The first planned time.")
@click.option("--to", "until", required=True, metavar="TIME", help="The last planned time.")
@click.option("--dry-run", is_flag=True, help="Only show which runs there would be.")
@click.option("--again", is_flag=True, help="Also those that were started before, as new runs.")
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N",
    help="At most so many unfinished at once; the command waits. All at once without it.",
)  # fmt: skip
@json_option
@journal_option
@click.pass_obj
def backfill(
    session: Session,
    name: str,
    since: str,
    until: str,
    dry_run: bool,
    again: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Queue the runs of planned times of the past; serve or a worker executes them.

    A TIME is a date or a time, such as 2026-11-01 or 2026-11-01T06:30, in the schedule's time
    zone. What was started for a planned time is not started again; so with --jobs the command
    may be ended, and given again.
    """
    first, last = _moment("--from", since), _moment("--to", until)
    shows_rows = jobs is not None and not dry_run and not as_json

    def show_row(row: PlannedRow) -> None:
        if shows_rows:
            echo(f"{_when(row.at)}  {row.outcome:<10}  {row.run_id or row.why}")

    found = _use(
        session,
        lambda client: client.backfill(
            name, since=first, until=last, dry_run=dry_run, again=again, jobs=jobs, on_row=show_row
        ),
    )
    if not shows_rows or not found.runs:
        _print_runs(found, as_json=as_json)
    elif found.is_cut_short:
        echo("no process executes these runs: start 'serve', and give the command again", err=True)


@schedules.command()
@click.argument("cron")
@click.option("--timezone", default="UTC", show_default=True, help="Whose clock counts.")
@click.option("--count", type=click.IntRange(1, MOST_PLANNED_TIMES), default=10, show_default=True)
@json_option
def test(cron: str, timezone: str, count: int, as_json: bool) -> None:
    """Show the next times of a cron expression, such as '30 6 * * mon-fri' or @daily."""
    check_installed(SCHEDULES)
    # It imports the library that reads cron expressions, which may not be there.
    from qtforge_host.api.schedules import times_of_cron

    try:
        found = times_of_cron(cron, timezone, count)
    except ConfigError as error:
        raise click.UsageError(f"{error.why}: {error.fix}") from None
    if as_json:
        print_json(found)
        return
    for each in found.times:
        echo(_when(each))


def _use(session: Session, use_case: Callable[[ScheduleClient], Coroutine[Any, Any, T]]) -> T:
    """Return what a use case of schedules returns."""
    check_installed(SCHEDULES)
    # It imports the library that reads cron expressions, which may not be there.
    from qtforge_host.api.schedules import open_schedules

    async def used() -> T:
        async with open_schedules(session.settings) as client:
            return await use_case(client)

    return event_loop.run(used())


def _print(found: ScheduleDocument, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    each = found.schedule
    lines = [
        ("workflow", each.workflow),
        ("when", _rhythm(each)),
        ("next", _next(each)),
        ("overlap", each.overlap),
        ("catch up", each.catch_up),
        ("pool", each.pool),
    ]
    if each.jitter_s:
        lines.append(("jitter", f"up to {duration_text(each.jitter_s)}"))
    if each.start is not None:
        lines.append(("start", _when(each.start)))
    if each.end is not None:
        lines.append(("end", _when(each.end)))
    if each.pause_after is not None:
        lines.append(("pause after", f"{each.pause_after} failures in a row"))
    if found.unfinished:
        lines.append(("unfinished", ", ".join(found.unfinished[-3:])))
    echo(each.name)
    for name, value in lines:
        echo(f"  {name:<13}{value}")
    if found.past:
        echo()
        _times(found.past)
    if found.coming:
        echo()
        echo("next times" if each.paused_at is None else "next times, were it not paused")
        for moment in found.coming:
            echo(f"  {_when(moment)}")


def _print_change(found: ScheduleDocument, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    echo(f"{found.schedule.name}: {_next(found.schedule)}")


def _print_runs(found: ScheduleRuns, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found.runs:
        _times(found.runs)
    else:
        echo(f"no past planned time of {found.schedule} is in that span")


def _times(rows: Sequence[PlannedRow]) -> None:
    table(
        ("TIME", "OUTCOME", "RUN"),
        ((_when(each.at), each.outcome, each.run_id or each.why) for each in rows),
    )


def _rhythm(row: ScheduleRow) -> str:
    if row.every_s is not None:
        return f"every {_interval(row.every_s)}"
    return row.cron if row.timezone == "UTC" else f"{row.cron} ({row.timezone})"


def _interval(seconds: float) -> str:
    for unit, size_s in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size_s == 0:
            return f"{seconds / size_s:g}{unit}"
    return duration_text(seconds)


def _next(row: ScheduleRow) -> str:
    if not row.enabled:
        return "disabled"
    if row.paused_at is not None:
        return f"paused: {row.paused_why}" if row.paused_why else "paused"
    return "never" if row.next is None else _when(row.next)


def _next_briefly(row: ScheduleRow) -> str:
    if row.paused_at is not None:
        return "paused"
    if row.next is None:
        return _next(row)
    is_often = row.every_s is not None and row.every_s % 60
    return f"{row.next.astimezone():%Y-%m-%d %H:%M{':%S' if is_often else ''}}"


def _when(moment: datetime.datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _moment(option: str, text: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        fix = "a date or a time such as 2026-11-01 or 2026-11-01T06:30"
        raise click.UsageError(f"{option}: '{text}' is not a time: write {fix}") from None
