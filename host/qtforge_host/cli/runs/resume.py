"""``qtforge-host runs resume``, ``retry`` and ``fork``: they execute runs in this process."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

import click

from qtforge_host import event_loop
from qtforge_host.api.bulk import RESUMABLE, RETRIABLE, Selection
from qtforge_host.api.client import RunClient, fork_note
from qtforge_host.api.documents import BulkDone, RunTags
from qtforge_host.api.store import open_store
from qtforge_host.api.tags import changes_of, tags_of
from qtforge_host.cli.errors import CANCELLED, show
from qtforge_host.cli.inputs import read_input, set_option, typed
from qtforge_host.cli.output import data_only, json_option, print_json
from qtforge_host.cli.progress import Display, RunPrinter, progress_display, say_queued, settle
from qtforge_host.cli.runs.amend_options import (
    ChangingCommand,
    change_options,
    given_changes,
    patch_of,
)
from qtforge_host.cli.runs.options import tag_option, versions_option
from qtforge_host.cli.runs.selection import (
    planned_runs,
    print_rest,
    selection_of,
    selection_options,
    several_options,
)
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.terminal import echo
from qtforge_host.runs.versions import VersionPolicy
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal_errors import RunOwnedError

__all__ = ["fork", "rerun", "resume", "retry", "tag"]


jobs_option = click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Runs at once."
)


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--all", "every", is_flag=True, help="Every run that has something to do.")
@selection_options(RESUMABLE, "all paused, blocked and interrupted runs")
@several_options
@versions_option
@jobs_option
@json_option
@journal_option
@click.pass_obj
def resume(
    session: Session,
    /,
    runs: tuple[str, ...],
    every: bool,
    versions: VersionPolicy,
    jobs: int,
    as_json: bool,
    **options: Any,
) -> int:
    """Resume runs in this process; what they have done is not done again.

    --all resumes those that were interrupted, are blocked, or wait although they were sent
    something or a timer is due; not those that are paused. With the options
    that select runs: all that fit, at most 1,000, also paused ones; it asks first.

    Exit code 1 when one did not succeed.
    """
    selection = selection_of(runs, options, others={"--all": every})
    if selection is not None:
        planned = _planned(session, "resume", RunClient.resume_all, selection, options, as_json)
        if planned is None:
            return 0
        runs = tuple(planned)

    async def resumed(client: RunClient, printer: RunPrinter) -> None:
        if every:
            wanted = await client.resumable()
            if not wanted:
                echo("no run was interrupted, is blocked or has anything to handle", err=True)
        else:
            wanted = list(dict.fromkeys([await client.find(run) for run in runs]))
        await _execute(client, wanted, versions, jobs, printer, every=every)

    return _with_client(session, resumed, as_json=as_json)


@click.command(cls=ChangingCommand)
@click.argument("run", required=False)
@click.option(
    "--from", "stage", metavar="STAGE", help="Do this stage and what depends on it again."
)
@selection_options(RETRIABLE, "all runs that failed or were compensated")
@several_options
@change_options
@click.option("--reason", default="", help="Why it is changed, for the run's history.")
@versions_option
@jobs_option
@json_option
@journal_option
@click.pass_context
def retry(
    ctx: click.Context,
    /,
    run: str | None,
    stage: str | None,
    reason: str,
    versions: VersionPolicy,
    jobs: int,
    as_json: bool,
    **options: Any,
) -> int:
    """Retry a run that failed, was compensated or was cancelled, from where it failed.

    A compensated stage is done again too, and so is what depends on it. The definition may
    be changed for that: what is done again and what is still to come, not what stays done.

    Without RUN, all runs that fit the options, at most 1,000, but cancelled ones only with
    --status cancelled; it asks first.
    """
    session: Session = ctx.obj
    changes = list(given_changes(ctx, options))

    def patched(run_id: str, workflow: Workflow) -> Sequence[dict[str, Any]]:
        return patch_of(run_id, workflow, changes)

    selected: list[str] = []
    selection = selection_of((run,) if run else (), options)
    if selection is not None:
        planned = _planned(session, "retry", RunClient.retry_all, selection, options, as_json)
        if planned is None:
            return 0
        selected = planned

    async def retried(client: RunClient, printer: RunPrinter) -> None:
        wanted = selected if run is None else [await client.find(run)]

        async def reset(run_id: str) -> None:
            again = await client.retry(
                run_id,
                from_step=stage,
                patch=functools.partial(patched, run_id),
                reason=reason,
            )
            whose = f"{run_id}: " if run is None else ""
            echo(f"{whose}again: {', '.join(again) or 'nothing that was done'}", err=True)

        await _execute(client, wanted, versions, jobs, printer, note="retried", before=reset)

    return _with_client(session, retried, as_json=as_json)


@click.command()
@click.argument("run")
@click.option(
    "--from",
    "stage",
    metavar="STAGE",
    help="Keep what does not depend on this stage; the default keeps nothing.",
)
@set_option
@versions_option
@json_option
@journal_option
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
    given = read_input(None, assignments)

    def changes(workflow: Workflow) -> dict[str, Any]:
        return typed(given, assignments, workflow.definition.inputs)

    async def forked(client: RunClient, printer: RunPrinter) -> None:
        run_id = await client.find(run)
        new_id = await client.fork(run_id, from_step=stage, given=changes)
        echo(f"the new run is {new_id}", err=True)
        await _execute(client, [new_id], versions, 1, printer, note=fork_note(run_id, stage))

    return _with_client(session, forked, as_json=as_json)


@click.command()
@click.argument("run")
@set_option
@tag_option
@json_option
@journal_option
@click.pass_obj
def rerun(
    session: Session,
    run: str,
    assignments: tuple[str, ...],
    tags: tuple[str, ...],
    as_json: bool,
) -> int:
    """Run the workflow of another run again, with its input and tags, from the beginning.

    The other run stays as it is. The workflow is the one of now; 'runs fork' takes it as the other
    run has it, and can keep results.
    """
    given, with_tags = read_input(None, assignments), tags_of(tags)

    def changes(workflow: Workflow) -> dict[str, Any]:
        return typed(given, assignments, workflow.definition.inputs)

    async def again(client: RunClient, printer: RunPrinter) -> None:
        run_id = await client.find(run)
        with progress_display(1, printer) as display:
            new = await client.run_again(
                run_id, changes, tags=with_tags, listener=display, on_queued=say_queued
            )
            settle(new, display, printer)

    return _with_client(session, again, as_json=as_json)


@click.command()
@click.argument("run")
@click.argument("changes", nargs=-1, required=True, metavar="NAME=VALUE...")
@json_option
@journal_option
@click.pass_obj
def tag(session: Session, run: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Change tags of a run, whether it has ended or not; NAME= removes one."""
    changed = changes_of(changes)

    async def tagged() -> RunTags:
        async with open_store(session.settings) as runs:
            return await runs.tag(await runs.find(run), changed)

    found = event_loop.run(tagged())
    if as_json:
        print_json(found)
    else:
        shown = ", ".join(f"{name}={value}" for name, value in found.tags.items())
        echo(f"{found.run_id}: {shown or 'no tags'}")


def _planned(
    session: Session,
    verb: str,
    do_all: Callable[..., Awaitable[BulkDone]],
    selection: Selection,
    options: Mapping[str, Any],
    as_json: bool,
) -> list[str] | None:
    """Return which of the selected runs something is done with, after a question.

    Returns:
        The runs; None where these were only to be shown, which is done.
    """

    async def plan() -> BulkDone:
        async with session.client() as client:
            return await do_all(client, selection, dry_run=True)

    planned = planned_runs(verb, plan(), options, as_json=as_json)
    if planned is None:
        return None
    print_rest(planned)
    return planned.runs


def _with_client(
    session: Session,
    work: Callable[[RunClient, RunPrinter], Coroutine[Any, Any, None]],
    *,
    as_json: bool,
) -> int:
    async def main(printer: RunPrinter) -> None:
        async with session.client() as client:
            await work(client, printer)

    with data_only() as data:
        printer = RunPrinter(data, as_json=as_json)
        try:
            event_loop.run(main(printer))
        except KeyboardInterrupt:
            echo("cancelled", err=True)
            return CANCELLED
    return printer.exit_code


async def _execute(
    client: RunClient,
    run_ids: Sequence[str],
    versions: VersionPolicy,
    jobs: int,
    printer: RunPrinter,
    *,
    note: str = "",
    every: bool = False,
    before: Callable[[str], Awaitable[None]] | None = None,
) -> None:
    """Execute runs; ``before`` is done with each just before, so that none is left half done."""
    waiting = iter(run_ids)
    with progress_display(len(run_ids), printer) as display:

        async def work(waiting: Iterator[str], display: Display) -> None:
            for run_id in waiting:
                try:
                    if before is not None:
                        await before(run_id)
                    try:
                        run = await client.execute(
                            run_id,
                            listener=display,
                            versions=versions,
                            note=note,
                            unpause=not every,
                            on_queued=say_queued,
                        )
                    except RunOwnedError:
                        if before is None:
                            raise
                        run = await client.wait(run_id)  # it is open: `serve` was quicker
                except RunOwnedError:
                    if not every:  # another process was quicker, which is as good
                        raise
                except QtForgeError as error:
                    if len(run_ids) == 1:
                        raise
                    show(error, debug=False)  # the other runs do not depend on it
                    printer.exit_code = printer.exit_code or error.exit_code
                else:
                    printer.offers[run_id] = run.offers
                    display.settled(run.state)

        workers = min(jobs, len(run_ids))
        await asyncio.gather(*(work(waiting, display) for _ in range(workers)))
