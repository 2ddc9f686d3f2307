"""``qtforge-host schedules``: when ``serve`` starts workflows by itself."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click

from qtforge_host.cli.output import document, json_option, print_json, table
from qtforge_host.cli.session import Session
from qtforge_host.serving.options import check_installed

if TYPE_CHECKING:
    from qtforge_host.serving.scheduler import Done, Schedule

__all__ = ["schedules"]


@click.group()
def schedules() -> None:
    """List when 'serve' starts workflows by itself."""


@schedules.command("list")
@json_option
@click.pass_obj
def list_schedules(session: Session, as_json: bool) -> None:
    """Show every schedule of the configuration, its next time and its last run."""
    check_installed(("cronsim",))
    # They import the library that reads cron expressions, which may not be there.
    from qtforge_host.serving.scheduler import ScheduleMemory, read_schedules
    from qtforge_host.serving.state_files import ServeFolder

    settings = session.settings
    done = ScheduleMemory(ServeFolder(settings.state_dir).schedules_path).all()
    now = datetime.datetime.now(datetime.UTC)
    rows = [_row(each, done.get(each.name), now) for each in read_schedules(settings)]
    if as_json:
        print_json(document(schedules=rows))
        return
    if not rows:
        click.echo(f"there is no [schedules.NAME] in {settings.config_path}")
        return
    table(
        ("SCHEDULE", "WORKFLOW", "CRON", "TIMEZONE", "NEXT", "LAST RUN"),
        (
            (row["name"], row["workflow"], row["cron"], row["timezone"],
             _when(row["next"]) if row["enabled"] else "disabled", row["last_run"] or "")
            for row in rows
        ),
    )  # fmt: skip


def _row(schedule: Schedule, done: Done | None, now: datetime.datetime) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "workflow": schedule.workflow,
        "cron": schedule.cron,
        "timezone": schedule.timezone.key,
        "enabled": schedule.enabled,
        "catch_up": schedule.catch_up,
        "input": schedule.input,
        "next": schedule.after(now) if schedule.enabled else None,
        "last_run": None if done is None else done.run_id,
    }


def _when(moment: datetime.datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
