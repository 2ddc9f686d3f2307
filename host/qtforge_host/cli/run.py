"""``qtforge-host run``: run a workflow over documents."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from qtforge_host import event_loop
from qtforge_host.api.client import RunClient
from qtforge_host.api.documents import RunDocument, RunPlan
from qtforge_host.api.tags import tags_of
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
from qtforge_host.cli.progress import (
    Display,
    RunPrinter,
    progress_display,
    say_queued,
    settle,
)
from qtforge_host.cli.runs.options import tag_option
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
@click.option(
    "--id", "key", metavar="KEY",
    help="A key of your own: the same key starts one run, however often it is used.",
)  # fmt: skip
@tag_option
@click.option("--dry-run", is_flag=True, help="Only check the input, and say what would be done.")
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
    key: str | None,
    tags: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Run WORKFLOW, a name or a TOML file; each PATH is the document of one run.

    A run that waits for an event, such as a person's decision, is printed with the commands
    that send it. A workflow in Python stays with the command meanwhile, which says so on
    standard error. A run that has to wait for a place of its concurrency key is executed when it
    gets one. A run that is there already, with the same key, is printed as it is.

    Exit code 1 when a run failed, 2 when the workflow does not accept the input, 3 when there is
    no such workflow, 130 after Ctrl-C.

    With --json: one JSON document a line, as each run ends, or is queued.
    """
    given = read_input(input_file, assignments)
    with_tags = tags_of(tags)
    if key is not None and len(paths) > 1:
        raise click.UsageError("--id is the key of one run, and there are several documents")
    good = without_bad_names(paths)
    if paths and not good:
        return FAILED
    inputs = [{**given, "document": document_of(path)} for path in good] or [given]
    if dry_run:
        if detach or key is not None or pool != "default" or priority:
            raise click.UsageError(
                "--dry-run does nothing: leave --detach, --id, --pool and --priority out"
            )
        plans = event_loop.run(_plan_all(session, workflow, inputs, assignments, with_tags))
        for plan in plans:
            if as_json:
                print_json(plan, one_line=True)
            else:
                _print_plan(plan)
        return FAILED if len(good) < len(paths) else 0
    if detach:
        queued, there = event_loop.run(
            _enqueue_all(
                session, workflow, inputs, assignments, pool, priority, key=key, tags=with_tags
            )
        )
        for each in queued:
            if as_json:
                print_json(each, one_line=True)
            else:
                word = "there already:" if each.run_id in there else "queued"
                echo(f"{word} {each.run_id}")
        return FAILED if len(good) < len(paths) else 0
    if pool != "default" or priority:
        raise click.UsageError("--pool and --priority are for runs that are queued: add --detach")
    with data_only() as data:
        printer = RunPrinter(data, as_json=as_json)
        try:
            event_loop.run(
                _run_all(
                    session, workflow, inputs, assignments, jobs, printer, key=key, tags=with_tags
                )
            )
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
    *,
    key: str | None,
    tags: Mapping[str, str],
) -> tuple[list[RunDocument], Collection[str]]:
    """Queue runs; return them, and the ids of those that were there already."""
    there: list[str] = []
    async with session.client() as client:
        workflow = await client.workflow(name, files=True, queued=True)
        inputs = [typed(given, assignments, workflow.definition.inputs) for given in inputs]
        for given in inputs:
            await client.check_input(workflow, given)  # before any run is queued
        ids = [
            await client.enqueue(
                workflow,
                given,
                pool=pool,
                priority=priority,
                key=key,
                tags=tags,
                on_there=there.append,
            )
            for given in inputs
        ]
        return [(await client.show(each)).document() for each in ids], there


async def _plan_all(
    session: Session,
    name: str,
    inputs: Sequence[dict[str, Any]],
    assignments: Sequence[str],
    tags: Mapping[str, str],
) -> list[RunPlan]:
    async with session.client() as client:
        workflow = await client.workflow(name, files=True)
        inputs = [typed(given, assignments, workflow.definition.inputs) for given in inputs]
        return [await client.plan(workflow, given, tags=tags) for given in inputs]


def _print_plan(plan: RunPlan) -> None:
    """Say what the start of a run would do."""
    about = f"'{plan.workflow}' {plan.workflow_version}"
    holders = ", ".join(plan.held_by)
    match plan.would:
        case "answer":
            echo(f"{about} would not be started: {plan.existing} has the same unique key")
        case "refuse":
            echo(f"{about} would be refused: no place is left, held by {holders}")
        case "wait":
            echo(f"{about} would wait for a place, held by {holders}")
        case _:
            echo(f"{about} would be started")
    if plan.cancels:
        echo(f"  cancels: {', '.join(plan.cancels)}")
    if plan.title:
        echo(f"  title: {plan.title}")
    if plan.tags:
        echo(f"  tags: {', '.join(f'{name}={value}' for name, value in plan.tags.items())}")
    if plan.priority:
        echo(f"  priority: {plan.priority}")
    if plan.concurrency_key is not None:
        echo(f"  concurrency key: {plan.concurrency_key or 'that of all its runs'}")
    if plan.unique_key is not None:
        echo(f"  unique key: {plan.unique_key}")


async def _run_all(
    session: Session,
    name: str,
    inputs: Sequence[dict[str, Any]],
    assignments: Sequence[str],
    jobs: int,
    printer: RunPrinter,
    *,
    key: str | None,
    tags: Mapping[str, str],
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
                    group.create_task(
                        _work(client, workflow, waiting, display, printer, key=key, tags=tags)
                    )


async def _work(
    client: RunClient,
    workflow: Workflow,
    waiting: Iterator[dict[str, Any]],
    display: Display,
    printer: RunPrinter,
    *,
    key: str | None,
    tags: Mapping[str, str],
) -> None:
    for given in waiting:
        run = await client.run(
            workflow, given, listener=display, key=key, tags=tags, on_queued=say_queued
        )
        settle(run, display, printer)
