"""``qtforge-host runs amend``: changes a run's definition, in the order of the options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from qtforge_host.app import Host
from qtforge_host.cli.output import document, json_option, print_json, run_async
from qtforge_host.cli.runs.amend_options import (
    Change,
    ChangingCommand,
    change_options,
    given_changes,
    patch_of,
)
from qtforge_host.cli.runs.options import duration_option, find_run
from qtforge_host.cli.runs_messages import answered, message, refuse_ended
from qtforge_host.cli.session import Session
from qtforge_host.runs.amendments import Amended, Operation, amend_resting, amendment_outcome
from qtforge_host.runs.amendments import amend as amended
from qtforge_host.runs.state import RunState
from qtforge_host.runs.supervisor import Durable
from qtforge_sdk import Record
from qtforge_sdk.errors import AmendmentRefusedError
from qtforge_sdk.journal_errors import RunOwnedError
from qtforge_sdk.records import AmendmentRefused, RunAmended

__all__ = ["amend"]


@click.command(cls=ChangingCommand)
@click.argument("run")
@change_options
@click.option("--reason", default="", help="Why, for the run's history.")
@click.option("--wait", default="10s", show_default=True, help="How long to wait for its effect.")
@json_option
@click.pass_context
def amend(
    ctx: click.Context, /, run: str, reason: str, wait: str, as_json: bool, **options: Any
) -> None:
    """Change what is still to come in a run; what has begun stays as it is.

    Several changes may be given; each is made on top of those before it. All are checked
    first, and made together or not at all. They take effect at the run's next step. A run that
    has ended is changed by 'runs retry', which takes the same options.
    """
    session: Session = ctx.obj
    wait_s = duration_option("--wait", wait).total_seconds()
    changes = list(given_changes(ctx, options))
    if not changes:
        raise click.UsageError("give a change, such as --skip STAGE")

    async def main() -> tuple[str, list[Operation], RunAmended | AmendmentRefused | None]:
        async with Host(session.settings) as host:
            durable = await host.durable()
            run_id = await find_run(durable.journal, run)
            return run_id, *await _amend(durable, run_id, changes, reason, wait_s)

    run_id, patch, answer = run_async(main())
    if isinstance(answer, AmendmentRefused):
        raise AmendmentRefusedError(run_id, answer.reason, "change what is still to come")
    if as_json:
        print_json(document(run_id=run_id, amended=answer is not None, patch=patch))
    elif answer is not None:
        click.echo(f"the run {run_id} is amended")
    if answer is None:
        click.echo(f"it is asked, and has not followed within {wait}; it will", err=True)


def _checked(
    durable: Durable, run_id: str, records: Sequence[Record], patch: Sequence[Operation] | None,
    changes: Sequence[Change],
) -> tuple[list[Operation], Amended]:  # fmt: skip
    workflows = durable.engine.workflows
    workflow = workflows.recorded(RunState.from_records(run_id, records))
    made = list(patch) if patch is not None else patch_of(run_id, workflow, changes)
    steps = RunState.from_records(run_id, records).steps
    return made, amended(run_id, workflow, made, steps, workflows.check)


async def _amend(
    durable: Durable, run_id: str, changes: Sequence[Change], reason: str, wait_s: float
) -> tuple[list[Operation], RunAmended | AmendmentRefused | None]:
    journal = durable.journal
    records = await journal.records(run_id)
    refuse_ended(run_id, records)
    patch, _ = _checked(durable, run_id, records, None, changes)  # a refusal is immediate
    asked = message("amend", data={"patch": patch, "reason": reason})
    try:
        workflows = durable.engine.workflows
        return patch, await amend_resting(journal, workflows, run_id, patch, asked, reason)
    except RunOwnedError:
        await journal.post(run_id, asked)
    answer: RunAmended | AmendmentRefused | None = await answered(
        journal,
        run_id,
        wait_s,
        lambda records: amendment_outcome(run_id, records, asked.message_id),
    )
    return patch, answer
