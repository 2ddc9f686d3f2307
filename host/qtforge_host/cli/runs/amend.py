"""``qtforge-host runs amend``."""

from __future__ import annotations

from typing import Any

import click

from qtforge_host.api.documents import Amended
from qtforge_host.cli.output import json_option, print_json, run_async
from qtforge_host.cli.runs.amend_options import (
    ChangingCommand,
    change_options,
    given_changes,
    patch_of,
)
from qtforge_host.cli.runs.options import duration_option, wait_option
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import echo

__all__ = ["amend"]


@click.command(cls=ChangingCommand)
@click.argument("run")
@change_options
@click.option("--reason", default="", help="Why, for the run's history.")
@wait_option
@json_option
@journal_option
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
    timeout = duration_option("--wait", wait)
    changes = list(given_changes(ctx, options))
    if not changes:
        raise click.UsageError("give a change, such as --skip STAGE")

    async def amended() -> Amended:
        async with session.client() as client:
            run_id = await client.find(run)
            return await client.amend(
                run_id,
                lambda workflow: patch_of(run_id, workflow, changes),
                reason=reason,
                timeout=timeout,
            )

    found = run_async(amended())
    if as_json:
        print_json(found)
    elif found.amended:
        echo(f"the run {found.run_id} is amended")
    if not found.amended:
        echo(f"amendment requested; still pending after {wait}", err=True)
