"""``qtforge-host workflows``: what can be run, and whether it is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from qtforge_host.api.drawing import picture, write_picture
from qtforge_host.app import Host
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import document, json_option, print_json, run_async, state, table
from qtforge_host.cli.session import Session
from qtforge_host.workflows.definitions import Parsed, Problem
from qtforge_sdk.errors import WorkflowInvalidError

__all__ = ["workflow_row", "workflows"]

T = TypeVar("T")
Checked = tuple[Parsed, tuple[Problem, ...]]


@click.group()
def workflows() -> None:
    """List, show and validate workflows."""


@workflows.command("list")
@json_option
@click.pass_obj
def list_workflows(session: Session, as_json: bool) -> None:
    """Show every workflow, and whether it can run."""
    checked = _with_host(
        session, lambda host: [(each, host.problems(each)) for each in host.catalog.all()]
    )
    if as_json:
        print_json(document(workflows=[workflow_row(*each) for each in checked]))
        return
    table(
        ("STATE", "WORKFLOW", "KIND", "VERSION", "FROM", "DESCRIPTION"),
        (
            (state(row["state"]), row["name"], row["kind"], row["version"], row["source"],
             row["description"])
            for row in (workflow_row(*each) for each in checked)
        ),
    )  # fmt: skip
    _print_problems(checked)


@workflows.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(session: Session, name: str, as_json: bool) -> None:
    """Show a workflow's definition."""

    def definition(host: Host) -> Parsed:
        return host.catalog.find(name)

    parsed = _with_host(session, definition)
    if parsed.workflow is None:
        raise WorkflowInvalidError(name, "\n".join(map(str, parsed.problems)))
    if as_json:
        print_json(document(source=parsed.source, definition=parsed.workflow.definition))
    else:
        click.echo(f"# {parsed.source}")
        click.echo(parsed.workflow.text.rstrip())


@workflows.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME|FILE...")
@json_option
@click.pass_obj
def validate(session: Session, names: tuple[str, ...], as_json: bool) -> int:
    """Check definitions: keys, types, stages, topics, expressions, requirements.

    Exit code 1 when one has a problem, 3 when there is none of that name.
    """

    def checked(host: Host) -> list[Checked]:
        found = [host.catalog.find(name) for name in names]
        return [(each, host.problems(each)) for each in found]

    results = _with_host(session, checked)
    if as_json:
        print_json(document(workflows=[workflow_row(*each) for each in results]))
    else:
        for parsed, problems in results:
            if not problems:
                click.echo(f"{state('succeeded')}: {parsed.source} ({parsed.name})")
        _print_problems(results)
    return FAILED if any(problems for _, problems in results) else 0


@workflows.command()
@click.argument("name", metavar="NAME|FILE")
@click.option(
    "--format",
    "language",
    type=click.Choice(["mermaid", "dot", "svg"]),
    help="The default is what the output file's suffix says, else mermaid.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to; the default is standard output.",
)
@click.pass_obj
def graph(session: Session, name: str, language: str | None, output: Path | None) -> None:
    """Draw a workflow: for Markdown (mermaid), for Graphviz (dot), or as a picture (svg)."""
    parsed = _with_host(session, lambda host: host.catalog.find(name))
    if parsed.workflow is None:
        raise WorkflowInvalidError(name, "\n".join(map(str, parsed.problems)))
    write_picture(picture(parsed.workflow), language, output)


def _with_host(session: Session, ask: Callable[[Host], T]) -> T:
    async def main() -> T:
        async with Host(session.settings) as host:
            return ask(host)

    return run_async(main())


def workflow_row(parsed: Parsed, problems: tuple[Problem, ...]) -> dict[str, Any]:
    """Return a workflow as ``workflows list --json`` has it."""
    definition = None if parsed.workflow is None else parsed.workflow.definition
    unmet = any(problem.path.startswith("requires[") for problem in problems)
    return {
        "name": parsed.name or "?",
        "kind": definition.kind if definition else "?",
        "version": definition.version if definition else "?",
        "description": definition.description if definition else "",
        "source": parsed.source,
        "state": "ready" if not problems else "unmet" if unmet else "broken",
        "problems": problems,
    }


def _print_problems(checked: list[Checked]) -> None:
    for _, problems in checked:
        for problem in problems:
            place = problem.source if problem.line is None else f"{problem.source}:{problem.line}"
            where = f"{place}: {problem.path}" if problem.path else place
            click.echo(f"\n{where}: {problem.what}")
            if problem.fix:
                click.echo(f"  fix: {problem.fix}")
