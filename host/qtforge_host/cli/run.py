"""``qtforge-host run``: run a workflow over documents."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from qtforge_host import event_loop
from qtforge_host.api.client import RunClient
from qtforge_host.api.documents import RunDocument
from qtforge_host.cli.errors import CANCELLED, FAILED
from qtforge_host.cli.inputs import (
    document_of,
    input_option,
    read_input,
    set_option,
    typed,
    without_bad_names,
)
from qtforge_host.cli.output import data_only, json_option, print_json
from qtforge_host.cli.progress import Display, RunPrinter, progress_display
from qtforge_host.cli.session import Session, bus_option, journal_option
from qtforge_host.cli.terminal import echo
from qtforge_host.workflows.definitions import Workflow

__all__ = ["run"]


@click.command()
@click.argument("workflow")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@set_option
@input_option
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Runs at once."
)
@click.option(
    "--detach", is_flag=True, help="Queue the runs for serve, and print their ids at once."
)
@click.option("--pool", default="default", show_default=True, help="With --detach: the pool.")
@click.option(
    "--priority",
    type=click.IntRange(-100, 100),
    default=0,
    show_default=True,
    help="With --detach: runs of a higher one are first.",
)
@json_option
@journal_option
@bus_option
@click.pass_obj
def run(
    session: Session,
    workflow: str,
    paths: tuple[str, ...],
    assignments: tuple[str, ...],
    input_file: Path | None,
    jobs: int,
    detach: bool,
    pool: str,
    priority: int,
    as_json: bool,
) -> int:
    """Run WORKFLOW, a name or a TOML file; each PATH is the document of one run.

    A run that waits for an event, such as a person's decision, is printed with the commands
    that send it. Exit code 1 when a run failed, 2 when the workflow does not accept the input, 3
    when there is no such workflow, 130 after Ctrl-C.
    With --json: one JSON document a line, as each run ends, or is queued.
    """
    given = read_input(input_file, assignments)
    good = without_bad_names(paths)
    if paths and not good:
        return FAILED
    inputs = [{**given, "document": document_of(path)} for path in good] or [given]
    if detach:
        queued = event_loop.run(
            _enqueue_all(session, workflow, inputs, assignments, pool, priority)
        )
        for each in queued:
            if as_json:
                print_json(each, one_line=True)
            else:
                echo(f"queued {each.run_id}")
        return FAILED if len(good) < len(paths) else 0
    if pool != "default" or priority:
        raise click.UsageError("--pool and --priority are for runs that are queued: add --detach")
    with data_only() as data:
        printer = RunPrinter(data, as_json=as_json)
        try:
            event_loop.run(_run_all(session, workflow, inputs, assignments, jobs, printer))
        except KeyboardInterrupt:
            echo("cancelled", err=True)
            return CANCELLED
    return printer.exit_code or (FAILED if len(good) < len(paths) else 0)


async def _enqueue_all(
    session: Session,
    name: str,
    inputs: Sequence[dict[str, Any]],
    assignments: Sequence[str],
    pool: str,
    priority: int,
) -> list[RunDocument]:
    async with session.client() as client:
        workflow = await client.workflow(name, files=True, queued=True)
        inputs = [typed(given, assignments, workflow.definition.inputs) for given in inputs]
        for given in inputs:
            await client.check_input(workflow, given)  # before any run is queued
        ids = [
            await client.enqueue(workflow, given, pool=pool, priority=priority) for given in inputs
        ]
        return [(await client.show(each)).document() for each in ids]


async def _run_all(
    session: Session,
    name: str,
    inputs: Sequence[dict[str, Any]],
    assignments: Sequence[str],
    jobs: int,
    printer: RunPrinter,
) -> None:
    async with session.client() as client:
        workflow = await client.workflow(name, files=True)
        inputs = [typed(given, assignments, workflow.definition.inputs) for given in inputs]
        for given in inputs:
            await client.check_input(workflow, given)  # before any run is started
        waiting = iter(inputs)
        with progress_display(len(inputs), printer) as display:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(jobs, len(inputs))):
                    group.create_task(_work(client, workflow, waiting, display, printer))


async def _work(
    client: RunClient,
    workflow: Workflow,
    waiting: Iterator[dict[str, Any]],
    display: Display,
    printer: RunPrinter,
) -> None:
    for given in waiting:
        run = await client.run(workflow, given, listener=display)
        printer.offers[run.run_id] = run.offers
        display.settled(run.state)
