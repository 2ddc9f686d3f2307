"""``qtforge-host workflows``: list, show, validate, draw and replay workflows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qtforge_host.api.documents import Patches, ReplayRow, Replays, WorkflowCreated, Workflows
from qtforge_host.api.listings import kept_workflows
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json, run_async, state
from qtforge_host.cli.pager import paged
from qtforge_host.cli.schemas import output_option, write_schema
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo, echo_lines

if TYPE_CHECKING:  # imported where they are used: a list that was kept needs none of them
    from qtforge_host.api.drawing import Language
    from qtforge_host.workflows.definitions import Workflow
    from qtforge_sdk.graphs import Graph

__all__ = ["workflows"]


@click.group()
def workflows() -> None:
    """List, show, write, validate, draw and replay workflows."""


@workflows.command("list")
@json_option
@click.pass_obj
@paged
def list_workflows(session: Session, as_json: bool) -> None:
    """Show every workflow, and whether it can run."""

    async def found() -> Workflows:
        async with session.client() as client:
            return await client.host.workflows()

    listed = kept_workflows(session.settings) or run_async(found())
    if as_json:
        print_json(listed)
        return
    table(
        ("STATE", "WORKFLOW", "KIND", "VERSION", "FROM", "DESCRIPTION"),
        (
            (state(row.state), row.name, row.kind, row.version, row.source, row.description)
            for row in listed.workflows
        ),
        short=("FROM", "DESCRIPTION"),
        paths=("FROM",),
    )
    _print_problems(listed)


@workflows.command()
@click.argument("name", metavar="NAME|FILE")
@json_option
@click.pass_obj
@paged
def show(session: Session, name: str, as_json: bool) -> None:
    """Show a workflow's definition."""
    from qtforge_host.api.host_client import workflow_document  # see above

    workflow = _definition(session, name)
    if as_json:
        print_json(workflow_document(workflow))
    else:
        echo(f"# {workflow.source}")
        echo_lines(workflow.text.rstrip())


@workflows.command()
@click.argument("name")
@click.option("--kind", default="sequential", show_default=True, metavar="KIND",
              help="sequential, graph, conditional, parallel, reactive or a plugin's.")  # fmt: skip
@click.option("--operation", "operations", multiple=True, metavar="TOPIC",
              help="A stage that asks this topic; may be repeated.")  # fmt: skip
@json_option
@click.pass_obj
def new(session: Session, name: str, kind: str, operations: tuple[str, ...], as_json: bool) -> None:
    """Write a definition to begin with, beside the configuration."""

    async def made() -> WorkflowCreated:
        async with session.client() as client:
            return await client.host.new_workflow(name, kind, operations)

    written = run_async(made())
    if as_json:
        print_json(written)
        return
    echo(f"wrote {written.file}; continue with")
    echo()
    for verb in ("validate", "show"):
        echo(f"  qtforge-host workflows {verb} {name}")
    echo(f"  qtforge-host run {name}")


@workflows.command()
@click.argument("kind")
@output_option
@click.pass_obj
def schema(session: Session, kind: str, output: Path | None) -> None:
    """Print the JSON Schema of a kind's definitions, with which an editor checks them.

    Name it in a definition's first line: #:schema FILE.
    """

    async def found() -> dict[str, Any]:
        async with session.client() as client:
            return await client.host.workflow_schema(kind)

    write_schema(run_async(found()), output)


@workflows.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME|FILE...")
@click.option(
    "--fix-header", is_flag=True,
    help="Let valid files name the schema of their kind, which is written beside them.",
)  # fmt: skip
@json_option
@click.pass_obj
@paged
def validate(session: Session, names: tuple[str, ...], fix_header: bool, as_json: bool) -> int:
    """Check definitions: keys, types, stages, topics, expressions, requirements.

    Exit code 1 when one has a problem, 3 when there is none of that name.
    """

    async def checked() -> tuple[Workflows, dict[str, dict[str, Any]]]:
        async with session.client() as client:
            rows = await client.host.check_workflows(list(names))
            kinds = {row.kind for row in rows.workflows if fix_header and not row.problems}
            known = {kind: await client.host.workflow_schema(kind) for kind in sorted(kinds)}
            return rows, known

    found, schemas = run_async(checked())
    for row, name in zip(found.workflows, names, strict=True):
        if not row.problems and row.kind in schemas and Path(name).is_file():
            from qtforge_host.schema_files import add_header  # few files need it

            file = add_header(Path(name), row.kind, schemas[row.kind])
            if file is not None:
                echo(f"{name}: names its schema, {file}", err=True)
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
    from qtforge_host.cli.drawing import write_graph  # see above

    async def drawn() -> Graph:
        async with session.client() as client:
            return await client.host.workflow_graph(name, files=True)

    write_graph(run_async(drawn()), language, output)


@workflows.command()
@click.argument("name")
@json_option
@journal_option
@click.pass_obj
@paged
def patches(session: Session, name: str, as_json: bool) -> None:
    """Show which changes of a workflow's code its unfinished runs do.

    Where none needs the old code of a change any more, its 'else' can go.
    """
    from qtforge_host import event_loop  # see above
    from qtforge_host.api.store import open_store

    async def counted() -> Patches:
        async with open_store(session.settings) as runs:
            found = await runs.patches(name)
        if found.patches or found.unfinished:
            return found
        async with session.client() as client:  # whether there is such a workflow
            return await client.patches(name)

    found = event_loop.run(counted())
    if as_json:
        print_json(found)
        return
    unfinished = "1 unfinished run" if found.unfinished == 1 else f"{found.unfinished} unfinished"
    echo(f"{name}: {unfinished}")
    if not found.patches:
        echo("no run of it has asked for a patch")
        return
    table(
        ("PATCH", "NEW", "OLD", "NOT ASKED", "THE OLD CODE CAN GO"),
        (
            (
                row.patch,
                str(row.new),
                str(row.old),
                str(row.not_asked),
                "yes" if row.old_can_go else "no",
            )
            for row in found.patches
        ),
    )


@workflows.command()
@click.argument("names", nargs=-1, metavar="[NAME|FILE]...")
@click.option("--unfinished", is_flag=True, help="Runs that have not ended; the default.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="The newest N runs instead.")
@json_option
@journal_option
@click.pass_obj
@paged
def replay(
    session: Session, names: tuple[str, ...], unfinished: bool, last: int | None, as_json: bool
) -> int:
    """Show what the installed code does with runs: nothing is requested or written.

    Of all workflows or those named; a FILE is one that 'runs export' has written. Exit code 1
    when the code does other steps than the journal of a run holds.
    """
    if unfinished and last is not None:
        raise click.UsageError("--unfinished and --last exclude each other")
    from qtforge_host.api.store import EXPORT_SUFFIX  # see above

    exports = [name for name in names if name.endswith(EXPORT_SUFFIX)]
    named = [name for name in names if name not in exports]
    contents = [(name, _content(name)) for name in exports]

    async def replayed() -> list[ReplayRow]:
        async with session.client() as client:
            rows = [await client.host.replay_export(content, name) for name, content in contents]
            wanted: list[str | None] = [*named] if names else [None]
            for each in wanted:
                rows += [row async for row in client.host.replay(each, last=last)]
            return rows

    found = run_async(replayed())
    diverged = sum(row.verdict == "diverged" for row in found)
    if as_json:
        print_json(Replays(runs=found))
    else:
        if found:
            rows = ((row.file or row.run_id, row.workflow, row.text) for row in found)
            table(("RUN", "WORKFLOW", "THE CODE THAT IS HERE"), rows)
        count = "1 run" if len(found) == 1 else f"{len(found)} runs"
        echo(f"{count}, {diverged} diverged")
    return FAILED if diverged else 0


def _content(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror or error}") from error


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
