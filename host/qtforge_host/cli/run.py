"""``qtforge-host run``: a workflow over documents, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from qtforge_host.app import Host
from qtforge_host.cli.errors import CANCELLED
from qtforge_host.cli.inputs import document_of, input_option, read_input, set_option
from qtforge_host.cli.output import data_only, json_option
from qtforge_host.cli.progress import Display, RunPrinter, progress_display
from qtforge_host.cli.session import Session
from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.runs.accepted_events import offers_of
from qtforge_host.runs.engine import Engine
from qtforge_host.workflows.checking import checked_input
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
@json_option
@click.pass_obj
def run(
    session: Session,
    workflow: str,
    paths: tuple[str, ...],
    assignments: tuple[str, ...],
    input_file: Path | None,
    jobs: int,
    as_json: bool,
) -> int:
    """Run WORKFLOW, a name or a TOML file; each PATH is the document of one run.

    One that waits for an event, such as a person's decision, is told with the commands that
    send it. Exit code 1 when a run failed, 2 when the input is not what the workflow wants, 3
    when there is no such workflow, 130 after Ctrl-C.
    With --json: one JSON document a line, as each run ends.
    """
    given = read_input(input_file, assignments)
    inputs = [{**given, "document": document_of(path)} for path in paths] or [given]
    with data_only() as data:
        printer = RunPrinter(data, as_json=as_json)
        try:
            asyncio.run(_run_all(session, workflow, inputs, jobs, printer))
        except KeyboardInterrupt:
            click.echo("cancelled", err=True)
            return CANCELLED
    return printer.exit_code


async def _run_all(
    session: Session,
    name: str,
    inputs: Sequence[dict[str, Any]],
    jobs: int,
    printer: RunPrinter,
) -> None:
    async with Host(session.settings) as host:
        workflow = host.workflow(name)
        engine = (await host.durable()).engine
        evaluator = Evaluator(host.expressions)
        for given in inputs:
            checked_input(workflow, given, evaluator)  # before any is begun
        waiting = iter(inputs)
        with progress_display(len(inputs), printer) as display:
            workers = (
                _work(engine, workflow, waiting, display, printer)
                for _ in range(min(jobs, len(inputs)))
            )
            async with asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(worker)


async def _work(
    engine: Engine, workflow: Workflow, waiting: Any, display: Display, printer: RunPrinter
) -> None:
    for given in waiting:
        view = await engine.execute(workflow, given, display)
        printer.offers[view.run_id] = offers_of(workflow, view.checkpoint)
        display.settled(view)
