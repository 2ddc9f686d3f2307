"""``qtforge-host runs cancel`` and ``pause``."""

from __future__ import annotations

from typing import Any

import click

from qtforge_host.api.bulk import OPEN
from qtforge_host.api.documents import BulkDone
from qtforge_host.api.snapshots import RunSnapshot
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, run_async
from qtforge_host.cli.report import print_snapshot
from qtforge_host.cli.runs.options import duration_option, wait_option
from qtforge_host.cli.runs.selection import (
    do_all,
    selection_of,
    selection_options,
    several_options,
)
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import echo

__all__ = ["cancel", "pause"]

reason_option = click.option("--reason", default="", help="Why, for the run's history.")


@click.command()
@click.argument("run", required=False)
@selection_options(OPEN, "all unfinished runs")
@several_options
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
    **options: Any,
) -> int:
    """Cancel a run; what it did is compensated where its definition says so.

    When no process executes the run, it is cancelled here. Without RUN, all unfinished runs that
    fit the options, at most 1,000; it asks first.
    """
    timeout = duration_option("--wait", wait)

    selection = selection_of((run,) if run else (), options)
    if selection is not None:

        async def done(dry_run: bool) -> BulkDone:
            async with session.client() as client:
                return await client.cancel_all(selection, reason=reason, dry_run=dry_run)

        return do_all("cancel", done, options, as_json=as_json)

    async def cancelled() -> RunSnapshot:
        async with session.client() as client:
            run_id = await client.find(run or "")
            return await client.cancel(run_id, reason=reason, timeout=timeout)

    found = run_async(cancelled())
    return _report(found, "cancel", "cancelled", wait, done=found.ended, as_json=as_json)


@click.command()
@click.argument("run", required=False)
@selection_options(OPEN, "all unfinished runs")
@several_options
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
    **options: Any,
) -> int:
    """Pause a run before its next step, until 'runs resume'.

    Without RUN, all unfinished runs that fit the options, at most 1,000; it asks first.
    """
    timeout = duration_option("--wait", wait)

    selection = selection_of((run,) if run else (), options)
    if selection is not None:

        async def done(dry_run: bool) -> BulkDone:
            async with session.client() as client:
                return await client.pause_all(selection, reason=reason, dry_run=dry_run)

        return do_all("pause", done, options, as_json=as_json)

    async def paused() -> RunSnapshot:
        async with session.client() as client:
            run_id = await client.find(run or "")
            return await client.pause(run_id, reason=reason, timeout=timeout)

    found = run_async(paused())
    return _report(found, "pause", "paused", wait, done=found.stands_still, as_json=as_json)


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
