"""``qtforge-host inbox``: runs that wait for a person."""

from __future__ import annotations

import shlex

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import InboxDocument, InboxRow
from qtforge_host.api.store import open_store
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.pager import paged
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import echo, style

__all__ = ["inbox"]


@click.command()
@click.option("--workflow", help="Only runs of this workflow.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True,
    help="At most so many.",
)  # fmt: skip
@click.option("--after", metavar="RUN", help="Begin after this run, the last of the page before.")
@json_option
@journal_option
@click.pass_obj
@paged
def inbox(
    session: Session, workflow: str | None, limit: int, after: str | None, as_json: bool
) -> None:
    """Show the runs that wait for a person, oldest first, with the command for each decision.

    These are the runs that accept an event named user or user.*, in the order of their starts:
    a reminder or another reviewer does not move them. No plugin is imported.
    """

    async def found() -> InboxDocument:
        async with open_store(session.settings) as runs:
            last = None if after is None else await runs.find(after)
            return await runs.inbox(workflow=workflow, limit=limit, after=last)

    page = event_loop.run(found())
    if as_json:
        print_json(page)
        return
    if not page.inbox:
        echo("nothing waits for a person")
    for each in page.inbox:
        about = "  ".join(filter(None, (each.document, each.workflow)))
        since = f"{each.since.astimezone():%Y-%m-%d %H:%M:%S}"
        echo(f"{style(about, bold=True)}  {each.state or 'waits'} since {since}")
        for command in _commands(each):
            echo(f"  {command}")
    if page.next is not None:
        words = [] if workflow is None else ["--workflow", workflow]
        words += ["--limit", str(limit), "--after", page.next]
        echo(f"there is more: qtforge-host inbox {shlex.join(words)}", err=True)


def _commands(row: InboxRow) -> list[str]:
    accepts = [] if row.machine is None else row.machine.accepts
    known = [each.command for each in accepts if each.command is not None]
    known += [shlex.join(["qtforge-host", "send", row.run_id, event]) for event in row.accepts]
    return known or [f"qtforge-host runs show {row.run_id}"]
