"""``qtforge-host runs cancel`` and ``pause``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click

from qtforge_host.api.bulk import OPEN
from qtforge_host.api.client import RunClient
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
from qtforge_sdk.runs import RunStatus

__all__ = ["cancel", "pause"]


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what both commands take, besides the session."""
    reason = click.option("--reason", default="", help="Why, for the run's history.")
    for option in (
        journal_option, json_option, wait_option, reason, several_options,
        selection_options(OPEN, "all unfinished runs"), click.argument("run", required=False),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@_options
@click.pass_obj
def cancel(session: Session, /, **given: Any) -> int:
    """Cancel a run; what it did is compensated where its definition says so.

    When no process executes the run, it is cancelled here. Without RUN, all unfinished runs that
    fit the options, at most 1,000; it asks first.
    """
    return _stop(
        session, "cancel", "cancelled", RunClient.cancel, RunClient.cancel_all,
        lambda run: run.ended, **given,
    )  # fmt: skip


@click.command()
@_options
@click.pass_obj
def pause(session: Session, /, **given: Any) -> int:
    """Pause a run before its next step, until 'runs resume'.

    Without RUN, all unfinished runs that fit the options, at most 1,000; it asks first.
    """
    return _stop(
        session, "pause", "paused", RunClient.pause, RunClient.pause_all,
        lambda run: run.stands_still, **given,
    )  # fmt: skip


def _stop(
    session: Session,
    verb: str,
    wanted: RunStatus,
    stop: Callable[..., Awaitable[RunSnapshot]],
    stop_all: Callable[..., Awaitable[BulkDone]],
    is_done: Callable[[RunSnapshot], bool],
    /,
    *,
    run: str | None,
    reason: str,
    wait: str,
    as_json: bool,
    **options: Any,
) -> int:
    """Stop a run, or several; exit code 1 where one ended otherwise than it was requested to.

    Args:
        session: The command's session.
        verb: The command's name.
        wanted: The status of a run that is stopped.
        stop: Stops a run, and waits for that.
        stop_all: Stops several.
        is_done: Whether a run is not executed any further.
        run: The run; None for those that ``options`` select.
        reason: Why, for the run's history.
        wait: How long to wait for the effect.
        as_json: Print a document.
        options: What was given to the options that select several runs.
    """
    timeout = duration_option("--wait", wait)
    selection = selection_of((run,) if run else (), options)
    if selection is not None:

        async def several(dry_run: bool) -> BulkDone:
            async with session.client() as client:
                return await stop_all(client, selection, reason=reason, dry_run=dry_run)

        return do_all(verb, several, options, as_json=as_json)

    async def one() -> RunSnapshot:
        async with session.client() as client:
            return await stop(client, await client.find(run or ""), reason=reason, timeout=timeout)

    found = run_async(one())
    print_snapshot(found, as_json=as_json)
    if not is_done(found):
        echo(f"{verb} requested; still pending after {wait}", err=True)
        return 0
    if found.state.status != wanted:
        echo(f"it was {found.state.status} before it could be {wanted}", err=True)
        return FAILED
    return 0
