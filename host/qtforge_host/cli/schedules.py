"""``qtforge-host schedules``: when ``serve`` starts workflows by itself."""

from __future__ import annotations

import datetime

import click

from qtforge_host.api.extras import SCHEDULES, check_installed
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.session import Session
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo

__all__ = ["schedules"]


@click.group()
def schedules() -> None:
    """List when 'serve' starts workflows by itself."""


@schedules.command("list")
@json_option
@click.pass_obj
def list_schedules(session: Session, as_json: bool) -> None:
    """Show every schedule of the configuration, its next time and its last run."""
    check_installed(SCHEDULES)
    # It imports the library that reads cron expressions, which may not be there.
    from qtforge_host.api.schedules import list_schedules

    settings = session.settings
    found = list_schedules(settings, datetime.datetime.now(datetime.UTC))
    if as_json:
        print_json(found)
        return
    if not found.schedules:
        echo(f"there is no [schedules.NAME] in {settings.config_path}")
        return
    table(
        ("SCHEDULE", "WORKFLOW", "CRON", "TIMEZONE", "NEXT", "LAST RUN"),
        (
            (each.name, each.workflow, each.cron, each.timezone,
             _when(each.next) if each.enabled else "disabled", each.last_run or "")
            for each in found.schedules
        ),
    )  # fmt: skip


def _when(moment: datetime.datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
