"""``qtforge-host runs resume``, ``retry`` and ``fork``: they execute runs here."""

from __future__ import annotations

import asyncio
import copy
import datetime
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import click

from qtforge_host.app import Host
from qtforge_host.cli.errors import CANCELLED, show
from qtforge_host.cli.inputs import assign, set_option
from qtforge_host.cli.output import data_only, json_option
from qtforge_host.cli.progress import Display, RunPrinter, progress_display
from qtforge_host.cli.runs.amend_options import (
    ChangingCommand,
    change_options,
    given_changes,
    patch_of,
)
from qtforge_host.cli.runs.options import find_run
from qtforge_host.cli.session import Session
from qtforge_host.run_files import RunFiles
from qtforge_host.runs.accepted_events import offers_of
from qtforge_host.runs.engine import RunIds
from qtforge_host.runs.reset import ResetAmendment, forked, reset_run
from qtforge_host.runs.state import RunState
from qtforge_host.runs.supervisor import Durable
from qtforge_host.runs.versions import VersionPolicy
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Journal, RunQuery
from qtforge_sdk.journal_errors import RunOwnedError
from qtforge_sdk.run_status import RECOVERABLE

__all__ = ["fork", "resume", "retry"]

_ALL = 1_000_000
_BY = "the command line"

versions_option = click.option(
    "--accept-versions",
    "versions",
    flag_value="any",
    default="same-major",
    type=click.UNPROCESSED,
    help="Go on with the plugins that are here, whatever their versions.",
)


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--all", "every", is_flag=True, help="All that were interrupted or are blocked.")
@versions_option
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Runs at once."
)
@json_option
@click.pass_obj
def resume(
    session: Session,
    runs: tuple[str, ...],
    every: bool,
    versions: VersionPolicy,
    jobs: int,
    as_json: bool,
) -> int:
    """Take runs up again, here; what they have done is not done again.

    Exit code 1 when one did not succeed.
    """
    if every == bool(runs):
        raise click.UsageError("give the runs to resume, or --all")

    async def main(outcome: RunPrinter) -> None:
        async with _durable(session) as durable:
            if every:
                wanted = await _interrupted(durable.journal)
                if not wanted:
                    click.echo("no run was interrupted or is blocked", err=True)
            else:
                found = [await find_run(durable.journal, run) for run in runs]
                wanted = list(dict.fromkeys(found))
            await _resume_all(durable, wanted, versions, jobs, outcome, skip_owned=every)

    return _execute(main, as_json=as_json)


@click.command(cls=ChangingCommand)
@click.argument("run")
@click.option("--from", "stage", metavar="STAGE", help="Do this stage and all after it again.")
@change_options
@click.option("--reason", default="", help="Why it is changed, for the run's history.")
@versions_option
@json_option
@click.pass_context
def retry(
    ctx: click.Context,
    /,
    run: str,
    stage: str | None,
    reason: str,
    versions: VersionPolicy,
    as_json: bool,
    **options: Any,
) -> int:
    """Do a run that failed, was compensated or was cancelled again, from where it failed.

    A stage that was undone is done again too, and so is all that came after it. The definition
    may be changed for that: what is done again and what is still to come, not what stays done.
    """
    session: Session = ctx.obj
    changes = list(given_changes(ctx, options))

    async def main(outcome: RunPrinter) -> None:
        async with _durable(session) as durable:
            run_id = await find_run(durable.journal, run)
            workflows = durable.engine.workflows
            records = await durable.journal.records(run_id)
            workflow = workflows.recorded(RunState.from_records(run_id, records))
            amend = None
            if changes:
                patch = patch_of(run_id, workflow, changes)
                amend = ResetAmendment(workflows.recorded, patch, workflows.check, reason)
            again = await reset_run(durable.journal, run_id, stage, at=_now(), by=_BY, amend=amend)
            click.echo(f"again: {', '.join(again) or 'nothing that was done'}", err=True)
            await _resume_all(durable, [run_id], versions, 1, outcome, note="retried")

    return _execute(main, as_json=as_json)


@click.command()
@click.argument("run")
@click.option(
    "--from", "stage", metavar="STAGE", help="Keep what was done before it; else begin anew."
)
@set_option
@versions_option
@json_option
@click.pass_obj
def fork(
    session: Session,
    run: str,
    stage: str | None,
    assignments: tuple[str, ...],
    versions: VersionPolicy,
    as_json: bool,
) -> int:
    """Make a new run of another, with its input and its results before STAGE, and execute it.

    The other run stays as it is.
    """

    async def main(outcome: RunPrinter) -> None:
        async with _durable(session) as durable:
            run_id = await find_run(durable.journal, run)
            files = RunFiles.of(session.settings.state_dir)
            new_id = await _fork(durable, run_id, stage, assignments, files)
            click.echo(f"the new run is {new_id}", err=True)
            note = f"forked from {run_id}" + (f" at {stage}" if stage else "")
            await _resume_all(durable, [new_id], versions, 1, outcome, note=note)

    return _execute(main, as_json=as_json)


def _execute(main: Callable[[RunPrinter], Any], *, as_json: bool) -> int:
    with data_only() as data:
        printer = RunPrinter(data, as_json=as_json)
        try:
            asyncio.run(main(printer))
        except KeyboardInterrupt:
            click.echo("cancelled", err=True)
            return CANCELLED
    return printer.exit_code


@asynccontextmanager
async def _durable(session: Session) -> AsyncIterator[Durable]:
    async with Host(session.settings) as host:
        yield await host.durable()


async def _interrupted(journal: Journal) -> list[str]:
    """Return the runs that can be taken up, oldest first; a child goes on with its parent."""
    query = RunQuery(statuses=RECOVERABLE, limit=_ALL)
    free = {each.run_id: each for each in await journal.runs(query) if not each.owner_alive}
    return [run_id for run_id, each in reversed(free.items()) if each.parent not in free]


async def _resume_all(
    durable: Durable,
    run_ids: Sequence[str],
    versions: VersionPolicy,
    jobs: int,
    outcome: RunPrinter,
    *,
    note: str = "",
    skip_owned: bool = False,
) -> None:
    waiting = iter(run_ids)
    with progress_display(len(run_ids), outcome) as display:

        async def work(waiting: Iterator[str], display: Display) -> None:
            for run_id in waiting:
                try:
                    view = await durable.engine.resume(
                        run_id, display, versions=versions, note=note
                    )
                except RunOwnedError:
                    if not skip_owned:  # else another process was quicker, which is as good
                        raise
                except QtForgeError as error:
                    if len(run_ids) == 1:
                        raise
                    show(error, debug=False)  # the others are not held up by it
                    outcome.exit_code = outcome.exit_code or error.exit_code
                else:
                    if view.status == "waiting":
                        history = RunState.from_records(run_id, await durable.journal.tail(run_id))
                        workflow = durable.engine.workflows.recorded(history)
                        outcome.offers[run_id] = offers_of(workflow, history.checkpoint)
                    display.settled(view)

        workers = min(jobs, len(run_ids))
        await asyncio.gather(*(work(waiting, display) for _ in range(workers)))


async def _fork(
    durable: Durable, run_id: str, stage: str | None, assignments: Sequence[str], files: RunFiles
) -> str:
    records = await durable.journal.records(run_id)
    history = RunState.from_records(run_id, records)
    durable.engine.workflows.recorded(history)  # refused now rather than half done
    found = history.started.input if history.started is not None else {}
    given = copy.deepcopy(dict(found))
    assign(given, assignments)
    now = _now()
    started, copies = forked(records, RunIds().new(now), given, at=now, stage=stage)
    files.share(run_id, started.run_id)
    ownership = await durable.journal.create(started)
    await durable.journal.append(ownership, copies)
    return started.run_id


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
