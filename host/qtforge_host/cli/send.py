"""``qtforge-host send``: an event for a run, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from qtforge_host.app import Host
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.inputs import input_option, read_input, set_option
from qtforge_host.cli.output import document, json_option, print_json, run_async, state
from qtforge_host.cli.report import print_run, run_document
from qtforge_host.cli.runs.options import duration_option, find_run, open_journal
from qtforge_host.cli.runs.show import workflow_of
from qtforge_host.cli.runs.state_machine import move_of
from qtforge_host.cli.runs_messages import answered, message, refuse_ended
from qtforge_host.cli.session import Session
from qtforge_host.runs.accepted_events import Offer, offers_of
from qtforge_host.runs.state import RunState
from qtforge_host.runs.supervisor import Durable
from qtforge_sdk.journal import InboxMessage
from qtforge_sdk.records import CheckpointSaved

__all__ = ["send", "served_outcome"]

_TIMEOUT: Final = "30s"


@click.command()
@click.argument("run")
@click.argument("event")
@set_option
@input_option
@click.option("--wait", is_flag=True, help="Exit code 1 when it is not handled in time.")
@click.option(
    "--timeout", default=_TIMEOUT, show_default=True, help="How long to wait for what comes of it."
)
@json_option
@click.pass_obj
def send(
    session: Session,
    run: str,
    event: str,
    assignments: tuple[str, ...],
    input_file: Path | None,
    wait: bool,
    timeout: str,
    as_json: bool,
) -> int:
    """Send EVENT to RUN, with the data that --set and --input give.

    A run that waits for events, such as an approval, handles it at once: in the process that
    executes the run, or else here. The answer says which transition took it and where that led,
    or why nothing took it, with exit code 1, as where the run fails at it. Any other run takes
    it in when it is executed; --wait waits for that.
    """
    if not event.strip():
        raise click.UsageError("an event has a name")
    given = message("event", name=event, data=read_input(input_file, assignments))
    timeout_s = duration_option("--timeout", timeout).total_seconds()
    run_id, stateful = run_async(_find(session, run))
    if not stateful:
        received = run_async(_post(session, run_id, given, timeout_s if wait else 0.0))
        return _say_received(run_id, given, received, wait, timeout, as_json)
    kept, view, offers = run_async(_deliver(session, run_id, given, timeout_s))
    if kept is None:
        return _say_received(run_id, given, False, wait, timeout, as_json)
    return _say_outcome(given, kept, view, offers, as_json)


async def _find(session: Session, run: str) -> tuple[str, bool]:
    """Return the run's id, and whether it handles events one by one.

    Raises:
        NotFoundError: There is none.
        RunEndedError: It has ended.
    """
    async with open_journal(session) as journal:
        run_id = await find_run(journal, run)
        history = refuse_ended(run_id, await journal.tail(run_id))
        return run_id, history.checkpoint is not None


async def _post(session: Session, run_id: str, given: InboxMessage, wait_s: float) -> bool:
    """Put an event into a run's inbox; return whether it was received in time."""
    async with open_journal(session) as journal:
        await journal.post(run_id, given)
        if not wait_s:
            return False
        found = await answered(
            journal,
            run_id,
            wait_s,
            lambda records: (
                given.message_id in RunState.from_records(run_id, records).handled or None
            ),
        )
        return bool(found)


async def _deliver(
    session: Session, run_id: str, given: InboxMessage, timeout_s: float
) -> tuple[CheckpointSaved | None, RunState, Sequence[Offer]]:
    """Have an event handled, here or where the run is executed; return what came of it."""
    async with Host(session.settings) as host:
        durable = await host.durable()
        engine = durable.engine
        kept = await durable.supervisor.send(run_id, given, timeout_s=timeout_s)
        if kept is not None and engine.active_runs.get(run_id) is not None:
            await engine.resume(run_id)  # it is executed here: wait until it rests again
        records = await durable.journal.records(run_id)
        view = history = RunState.from_records(run_id, records)
        waits = history.finished is None and history.checkpoint is not None
        workflow = engine.workflows.recorded(history) if waits else None
        return kept, view, offers_of(workflow, history.checkpoint) if workflow else ()


def _say_outcome(
    given: InboxMessage,
    kept: CheckpointSaved,
    view: RunState,
    offers: Sequence[Offer],
    as_json: bool,
) -> int:
    move = move_of(kept)
    if as_json:
        print_json(_outcome(given, kept, view, offers))
    else:
        click.echo(f"{state('taken' if move.taken else 'not taken')}  {move.text()}")
        print_run(view, as_json=False, offers=offers)
    return 0 if move.taken and view.error is None else FAILED


async def served_outcome(
    durable: Durable, given: InboxMessage, kept: CheckpointSaved
) -> dict[str, Any]:
    """Return what became of an event as ``send --json`` prints it, from a running host."""
    records = await durable.journal.tail(kept.run_id)
    view = history = RunState.from_records(kept.run_id, records)
    waits = history.finished is None and history.checkpoint is not None
    workflow = workflow_of(durable, history) if waits else None
    return _outcome(given, kept, view, offers_of(workflow, history.checkpoint) if workflow else ())


def _outcome(
    given: InboxMessage, kept: CheckpointSaved, view: RunState, offers: Sequence[Offer]
) -> dict[str, Any]:
    move = move_of(kept)
    return document(
        run_id=view.run_id,
        event=given.name,
        event_id=given.message_id,
        received=True,
        taken=move.taken,
        reason=move.reason or None,
        transitions=move.transitions,
        left=move.left,
        entered=move.entered,
        run=run_document(view, offers),
    )


def _say_received(
    run_id: str, given: InboxMessage, received: bool, wait: bool, timeout: str, as_json: bool
) -> int:
    if as_json:
        content: dict[str, Any] = {"event_id": given.message_id, "received": received}
        print_json(document(run_id=run_id, event=given.name, **content))
    else:
        said = "was received by" if received else "is sent to"
        click.echo(f"the event '{given.name}' {said} {run_id}")
        if wait and not received:
            click.echo(f"  it has not been received within {timeout}", err=True)
    return FAILED if wait and not received else 0
