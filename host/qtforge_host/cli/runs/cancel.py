"""``qtforge-host runs cancel`` and ``pause``."""

from __future__ import annotations

import click

from qtforge_host.api.snapshots import RunSnapshot
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, run_async
from qtforge_host.cli.report import print_snapshot
from qtforge_host.cli.runs.options import duration_option, wait_option
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import echo

__all__ = ["cancel", "pause"]

reason_option = click.option("--reason", default="", help="Why, for the run's history.")


@click.command()
@click.argument("run")
@reason_option
@wait_option
@json_option
@journal_option
@click.pass_obj
def cancel(session: Session, run: str, reason: str, wait: str, as_json: bool) -> int:
    """Cancel a run; what it did is compensated where its definition says so.

    When no process executes the run, it is cancelled here.
    """
    timeout = duration_option("--wait", wait)

    async def cancelled() -> RunSnapshot:
        async with session.client() as client:
            run_id = await client.find(run)
            return await client.cancel(run_id, reason=reason, timeout=timeout)

    found = run_async(cancelled())
    return _report(found, "cancel", "cancelled", wait, done=found.ended, as_json=as_json)


@click.command()
@click.argument("run")
@reason_option
@wait_option
@json_option
@journal_option
@click.pass_obj
def pause(session: Session, run: str, reason: str, wait: str, as_json: bool) -> int:
    """Pause a run before its next step, until 'runs resume'."""
    timeout = duration_option("--wait", wait)

    async def paused() -> RunSnapshot:
        async with session.client() as client:
            run_id = await client.find(run)
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
