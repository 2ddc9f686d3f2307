"""``qtforge-host runs cancel`` and ``pause``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import click

from qtforge_host.app import Host
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, run_async
from qtforge_host.cli.report import print_run
from qtforge_host.cli.runs.options import duration_option, find_run, open_journal
from qtforge_host.cli.runs_messages import BY, answered, message, now, refuse_ended
from qtforge_host.cli.session import Session
from qtforge_host.runs.children import cancel_family
from qtforge_host.runs.state import RunState
from qtforge_sdk import Record
from qtforge_sdk.journal import Journal, MessageKind
from qtforge_sdk.journal_errors import RunOwnedError
from qtforge_sdk.records import RunCancelRequested, RunPaused

__all__ = ["cancel", "pause"]

_WAIT: Final = "10s"

wait_option = click.option(
    "--wait", default=_WAIT, show_default=True, help="How long to wait until it took effect."
)


@click.command()
@click.argument("run")
@click.option("--reason", default="", help="Why, for the run's history.")
@wait_option
@json_option
@click.pass_obj
def cancel(session: Session, run: str, reason: str, wait: str, as_json: bool) -> int:
    """End a run; what it has done is undone where its definition says so.

    When nobody executes the run, it is ended here.
    """
    wait_s = duration_option("--wait", wait).total_seconds()
    view, settled = run_async(_cancel(session, run, reason, wait_s))
    return _report(view, settled, "cancelled", wait, as_json)


@click.command()
@click.argument("run")
@click.option("--reason", default="", help="Why, for the run's history.")
@wait_option
@json_option
@click.pass_obj
def pause(session: Session, run: str, reason: str, wait: str, as_json: bool) -> int:
    """Let a run rest at its next step, until 'runs resume'."""
    wait_s = duration_option("--wait", wait).total_seconds()
    view, settled = run_async(_pause(session, run, reason, wait_s))
    return _report(view, settled, "paused", wait, as_json)


def _report(view: RunState, settled: bool, wanted: str, wait: str, as_json: bool) -> int:
    """Say what became of it; exit code 1 when the run ended otherwise than it was asked to."""
    print_run(view, as_json=as_json)
    if not settled:
        click.echo(f"it is asked, and has not followed within {wait}; it will", err=True)
        return 0
    if view.status != wanted:
        click.echo(f"it was {view.status} before it could be {wanted}", err=True)
        return FAILED
    return 0


async def _pause(session: Session, run: str, reason: str, wait_s: float) -> tuple[RunState, bool]:
    async with open_journal(session) as journal:
        run_id = await find_run(journal, run)
        records = await journal.records(run_id)
        refuse_ended(run_id, records)
        if (view := RunState.from_records(run_id, records)).status == "paused":
            return view, True
        try:
            ownership = await journal.claim(run_id)
        except RunOwnedError:
            return await _ask(
                journal, run_id, "pause", wait_s, lambda view: view.rests or _ended(view)
            )
        try:
            refuse_ended(run_id, await journal.records(run_id))
            await journal.append(
                ownership, [RunPaused(run_id=run_id, at=now(), by=BY, reason=reason)]
            )
        finally:
            await journal.release(ownership)
        return RunState.from_records(run_id, await journal.records(run_id)), True


async def _cancel(session: Session, run: str, reason: str, wait_s: float) -> tuple[RunState, bool]:
    async with open_journal(session) as journal:
        run_id = await find_run(journal, run)
        refuse_ended(run_id, await journal.records(run_id))
        try:
            ended = await cancel_family(journal, run_id, by=BY, reason=reason, at=now())
        except RunOwnedError:
            return await _ask(journal, run_id, "cancel", wait_s, _ended)
        records = await journal.records(run_id)
        if ended:
            return RunState.from_records(run_id, records), True
        history = refuse_ended(run_id, records)
    # What it has done is to be undone, and that needs the plugins.
    async with Host(session.settings) as host:
        durable = await host.durable()
        durable.engine.workflows.recorded(history)  # refused before anything is recorded
        ownership = await durable.journal.claim(run_id)
        refuse_ended(run_id, await durable.journal.records(run_id))
        asked = RunCancelRequested(run_id=run_id, at=now(), by=BY, reason=reason)
        await durable.journal.append(ownership, [asked])
        return await durable.engine.resume(run_id, note="to be cancelled"), True


async def _ask(
    journal: Journal,
    run_id: str,
    kind: MessageKind,
    wait_s: float,
    done: Callable[[RunState], bool],
) -> tuple[RunState, bool]:
    await journal.post(run_id, message(kind))

    def settled(records: Sequence[Record]) -> RunState | None:
        view = RunState.from_records(run_id, records)
        return view if done(view) else None

    view = await answered(journal, run_id, wait_s, settled)
    if view is not None:
        return view, True
    return RunState.from_records(run_id, await journal.records(run_id)), False


def _ended(view: RunState) -> bool:
    return view.finished_at is not None
