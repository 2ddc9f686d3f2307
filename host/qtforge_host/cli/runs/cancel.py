"""``qtforge-host runs cancel`` and ``pause``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import click

from qtforge_host.api.bulk import Selection
from qtforge_host.api.documents import BulkDone
from qtforge_host.api.snapshots import RunSnapshot
from qtforge_host.api.tags import tags_of
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json, run_async
from qtforge_host.cli.report import print_snapshot
from qtforge_host.cli.runs.options import duration_option, wait_option
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import echo
from qtforge_sdk.run_status import UNFINISHED

__all__ = ["cancel", "pause"]

_STATUSES: Final = tuple(sorted(UNFINISHED))


def _bulk_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select several runs."""
    for option in (
        click.option("--yes", is_flag=True, help="With several runs: do not ask."),
        click.option(
            "--status", "statuses", multiple=True, type=click.Choice(_STATUSES),
            help="Instead of RUN: all unfinished runs with this status; repeat.",
        ),
        click.option(
            "--tag", "tags", multiple=True, metavar="NAME=VALUE",
            help="Instead of RUN: all unfinished runs with this tag; repeat.",
        ),
        click.option("--schedule", metavar="NAME", help="Instead of RUN: those of this schedule."),
        click.option("--workflow", metavar="NAME", help="Instead of RUN: those of this workflow."),
    ):  # fmt: skip
        command = option(command)
    return command


reason_option = click.option("--reason", default="", help="Why, for the run's history.")


@click.command()
@click.argument("run", required=False)
@_bulk_options
@reason_option
@wait_option
@json_option
@journal_option
@click.pass_obj
def cancel(
    session: Session,
    /,
    run: str | None,
    reason: str,
    wait: str,
    as_json: bool,
    yes: bool,
    **options: Any,
) -> int:
    """Cancel a run; what it did is compensated where its definition says so.

    When no process executes the run, it is cancelled here. Without RUN, all unfinished runs that
    fit the options, at most 1,000; it asks first.
    """
    timeout = duration_option("--wait", wait)

    selection = _selection(run, options)
    if selection is not None:
        return _do_all(session, "cancel", selection, reason, yes=yes, as_json=as_json)

    async def cancelled() -> RunSnapshot:
        async with session.client() as client:
            run_id = await client.find(run or "")
            return await client.cancel(run_id, reason=reason, timeout=timeout)

    found = run_async(cancelled())
    return _report(found, "cancel", "cancelled", wait, done=found.ended, as_json=as_json)


@click.command()
@click.argument("run", required=False)
@_bulk_options
@reason_option
@wait_option
@json_option
@journal_option
@click.pass_obj
def pause(
    session: Session,
    /,
    run: str | None,
    reason: str,
    wait: str,
    as_json: bool,
    yes: bool,
    **options: Any,
) -> int:
    """Pause a run before its next step, until 'runs resume'.

    Without RUN, all unfinished runs that fit the options, at most 1,000; it asks first.
    """
    timeout = duration_option("--wait", wait)

    selection = _selection(run, options)
    if selection is not None:
        return _do_all(session, "pause", selection, reason, yes=yes, as_json=as_json)

    async def paused() -> RunSnapshot:
        async with session.client() as client:
            run_id = await client.find(run or "")
            return await client.pause(run_id, reason=reason, timeout=timeout)

    found = run_async(paused())
    return _report(found, "pause", "paused", wait, done=found.stands_still, as_json=as_json)


def _selection(run: str | None, options: Mapping[str, Any]) -> Selection | None:
    """Return which runs the options mean; None where one run is named.

    Raises:
        click.UsageError: Both are given, or neither.
    """
    selection = Selection(
        workflow=options["workflow"],
        statuses=frozenset(options["statuses"]),
        tags=tags_of(options["tags"]),
        schedule=options["schedule"],
    )
    if (run is None) == (not selection.is_given):
        raise click.UsageError("name a RUN, or give --workflow, --status, --tag or --schedule")
    return selection if run is None else None


def _do_all(
    session: Session,
    verb: Literal["cancel", "pause"],
    selection: Selection,
    reason: str,
    *,
    yes: bool,
    as_json: bool,
) -> int:
    """Do the same with all runs of a selection; exit code 1 where it failed with one."""

    async def done(dry_run: bool) -> BulkDone:
        async with session.client() as client:
            do = client.cancel_all if verb == "cancel" else client.pause_all
            return await do(selection, reason=reason, dry_run=dry_run)

    if not yes:
        planned = run_async(done(dry_run=True))
        count = len(planned.runs)
        if count:
            runs = "1 run" if count == 1 else f"{count:,} runs"
            click.confirm(f"{verb} {runs}?", abort=True, err=True)
    found = run_async(done(dry_run=False))
    if as_json:
        print_json(found)
    else:
        for run_id in found.runs:
            echo(f"{verb} requested: {run_id}")
        for failure in found.failed:
            echo(f"{failure.run_id}: {failure.message}", err=True)
        if not found.runs and not found.failed:
            echo("no such run")
        if found.more:
            echo("there are more: give the command again", err=True)
    return FAILED if found.failed else 0


def _report(
    run: RunSnapshot, request: str, wanted: str, wait: str, *, done: bool, as_json: bool
) -> int:
    """Print the run; exit code 1 where it ended otherwise than it was requested to."""
    print_snapshot(run, as_json=as_json)
    if not done:
        echo(f"{request} requested; still pending after {wait}", err=True)
        return 0
    if run.state.status != wanted:
        echo(f"it was {run.state.status} before it could be {wanted}", err=True)
        return FAILED
    return 0
