"""``qtforge-host workflows``: list, show, validate and draw workflows."""

from __future__ import annotations

from pathlib import Path

import click

from qtforge_host.api.documents import Workflows
from qtforge_host.api.drawing import Language, graph_of_workflow
from qtforge_host.api.host_client import workflow_document
from qtforge_host.cli.drawing import write_graph
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json, run_async, state
from qtforge_host.cli.session import Session
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo, echo_lines
from qtforge_host.workflows.definitions import Workflow

__all__ = ["workflows"]


@click.group()
def workflows() -> None:
    """List, show, validate and draw workflows."""


@workflows.command("list")
@json_option
@click.pass_obj
def list_workflows(session: Session, as_json: bool) -> None:
    """Show every workflow, and whether it can run."""

    async def found() -> Workflows:
        async with session.client() as client:
            return await client.host.workflows()

    listed = run_async(found())
    if as_json:
        print_json(listed)
        return
    table(
        ("STATE", "WORKFLOW", "KIND", "VERSION", "FROM", "DESCRIPTION"),
        (
            (state(row.state), row.name, row.kind, row.version, row.source, row.description)
            for row in listed.workflows
        ),
    )
    _print_problems(listed)


@workflows.command()
@click.argument("name", metavar="NAME|FILE")
@json_option
@click.pass_obj
def show(session: Session, name: str, as_json: bool) -> None:
    """Show a workflow's definition."""
    workflow = _definition(session, name)
    if as_json:
        print_json(workflow_document(workflow))
    else:
        echo(f"# {workflow.source}")
        echo_lines(workflow.text.rstrip())


@workflows.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME|FILE...")
@json_option
@click.pass_obj
def validate(session: Session, names: tuple[str, ...], as_json: bool) -> int:
    """Check definitions: keys, types, stages, topics, expressions, requirements.

    Exit code 1 when one has a problem, 3 when there is none of that name.
    """

    async def checked() -> Workflows:
        async with session.client() as client:
            return await client.host.check_workflows(list(names))

    found = run_async(checked())
    if as_json:
        print_json(found)
    else:
        for row in found.workflows:
            if not row.problems:
                echo(f"{state('succeeded')}: {row.source} ({row.name})")
        _print_problems(found)
    return FAILED if any(row.problems for row in found.workflows) else 0


@workflows.command()
@click.argument("name", metavar="NAME|FILE")
@click.option(
    "--format",
    "language",
    type=click.Choice(["mermaid", "dot", "svg"]),
    help="The default is what the output file's suffix names, else mermaid.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; the default is standard output.",
)
@click.pass_obj
def graph(session: Session, name: str, language: Language | None, output: Path | None) -> None:
    """Draw a workflow: for Markdown (mermaid), for Graphviz (dot), or as a picture (svg)."""
    workflow = _definition(session, name)
    write_graph(graph_of_workflow(workflow), language, output)


def _definition(session: Session, name: str) -> Workflow:
    async def found() -> Workflow:
        async with session.client() as client:
            return await client.host.definition(name, files=True)

    return run_async(found())


def _print_problems(found: Workflows) -> None:
    for row in found.workflows:
        for problem in row.problems:
            place = problem.source if problem.line is None else f"{problem.source}:{problem.line}"
            where = f"{place}: {problem.path}" if problem.path else place
            echo()
            echo(f"{where}: {problem.what}")
            if problem.fix:
                echo(f"  fix: {problem.fix}")
