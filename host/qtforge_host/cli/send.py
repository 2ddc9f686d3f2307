"""``qtforge-host send``: send an event to a run, and show how the run handled it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from qtforge_host.api.event_outcome import EventOutcome
from qtforge_host.api.timeline import move_of, move_text
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.inputs import input_option, read_input, set_option
from qtforge_host.cli.output import json_option, print_json, run_async, state
from qtforge_host.cli.report import print_run
from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import echo

__all__ = ["send"]

_TIMEOUT: Final = "30s"


@click.command()
@click.argument("run")
@click.argument("event")
@set_option
@input_option
@click.option("--event-id", metavar="ID", help="An event with the same id is handled once.")
@click.option("--wait", is_flag=True, help="Exit code 1 when it is not handled in time.")
@click.option(
    "--timeout", default=_TIMEOUT, show_default=True, help="How long to wait until it is handled."
)
@json_option
@journal_option
@click.pass_obj
def send(
    session: Session,
    run: str,
    event: str,
    assignments: tuple[str, ...],
    input_file: Path | None,
    event_id: str | None,
    wait: bool,
    timeout: str,
    as_json: bool,
) -> int:
    """Send EVENT to RUN, with the data that --set and --input give.

    A state machine, such as an approval, handles the event at once: in the process that
    executes the run, or else here. The answer names the transition that took the event and the
    state that it led to, or why no transition took it, which is exit code 1; so is a run that
    fails at it. Any other run receives the event when it is executed; --wait waits for that.
    """
    if not event.strip():
        raise click.UsageError("an event has a name")
    data = read_input(input_file, assignments)
    limit = duration_option("--timeout", timeout)

    async def sent() -> EventOutcome:
        async with session.client() as client:
            return await client.send(
                await client.find(run),
                event,
                data,
                event_id=event_id,
                timeout=limit,
                receipt_timeout=limit if wait else 0.0,
            )

    outcome = run_async(sent())
    if as_json:
        print_json(outcome.document())
    if outcome.checkpoint is None:
        return _received(outcome, wait, timeout, as_json)
    return _handled(outcome, as_json)


def _handled(outcome: EventOutcome, as_json: bool) -> int:
    if outcome.checkpoint is None or outcome.run is None:
        raise TypeError("only a state machine handles an event at once")
    move = move_of(outcome.checkpoint)
    if not as_json:
        echo(f"{state('taken' if move.taken else 'not taken')}  {move_text(move)}")
        print_run(outcome.run.state, as_json=False, offers=outcome.run.offers)
    return 0 if move.taken and outcome.run.error is None else FAILED


def _kept(outcome: EventOutcome) -> str:
    """Return what becomes of an event that the code of a run has not received."""
    if outcome.received or outcome.paused or not outcome.waits_for:
        return ""
    if outcome.event in outcome.waits_for:
        return ", which continues with it once a process such as 'serve' takes it"
    others = " or ".join(f"'{each}'" for each in outcome.waits_for)
    return f", which now waits for {others}, and is kept until it waits for this one"


def _received(outcome: EventOutcome, wait: bool, timeout: str, as_json: bool) -> int:
    if not as_json:
        done = "was received by" if outcome.received else "is sent to"
        echo(f"the event '{outcome.event}' {done} {outcome.run_id}{_kept(outcome)}")
        if outcome.paused:
            fix = f"qtforge-host runs resume {outcome.run_id}"
            echo(f"  the run is paused, and handles it once it is resumed: {fix}", err=True)
        if wait and not outcome.received:
            echo(f"  still pending after {timeout}", err=True)
    return FAILED if wait and not outcome.received else 0
