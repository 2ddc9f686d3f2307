"""``qtforge-host route``: which pipeline each document goes to, and why."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any, Final, TextIO

import click
import msgspec

from qtforge_host.app import Host
from qtforge_host.cli.data import data_only
from qtforge_host.cli.errors import CANCELLED, FAILED
from qtforge_host.cli.files import files_of
from qtforge_host.cli.inputs import document_of
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.progress import progress_display
from qtforge_host.cli.route_report import Routed, print_rows, route_document
from qtforge_host.cli.session import Session
from qtforge_host.runs.definitions import Workflow
from qtforge_host.runs.outcome import RunView
from qtforge_sdk.errors import WorkflowInvalidError

__all__ = ["route"]

_WORKFLOW: Final = "document-routing"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--dry-run", is_flag=True, help="Decide only: run no pipeline, and store nothing.")
@click.option("--explain", is_flag=True, help="Try every rule, and show why it holds or not.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Files at once."
)
@json_option
@click.pass_obj
def route(
    session: Session,
    paths: tuple[str, ...],
    dry_run: bool,
    explain: bool,
    jobs: int,
    as_json: bool,
) -> int:
    """Send each document to the pipeline that the rules of 'document-routing' choose for it.

    A PATH is a file, or a folder whose files are taken. Exit code 1 when a file could not be
    routed; the others are. With --json: one JSON document a line, as each file is done.
    """
    files = files_of(paths)
    with data_only() as data:
        routing = _Routing(files, data, dry_run=dry_run, explain=explain, as_json=as_json)
        try:
            asyncio.run(routing.run(session, jobs))
        except KeyboardInterrupt:
            routing.show()
            click.echo("cancelled", err=True)
            return CANCELLED
        routing.show()
    return FAILED if any(each.view.status != "succeeded" for each in routing.done) else 0


class _Routing:
    """The files of one command, and what became of each; also what the progress display tells."""

    def __init__(
        self, files: Sequence[str], data: TextIO, *, dry_run: bool, explain: bool, as_json: bool
    ) -> None:
        self.data = data
        self._files = files
        self._waiting = iter(enumerate(files))
        self._dry_run = dry_run
        self._explain = explain
        self._as_json = as_json
        self._views: dict[int, RunView] = {}

    @property
    def done(self) -> list[Routed]:
        """What became of the files, in the order in which they were given."""
        return [
            Routed(file=self._files[at], view=view, dry_run=self._dry_run)
            for at, view in sorted(self._views.items())
        ]

    def ended(self, view: RunView) -> None:
        """Say nothing yet: the rows of a table are printed together."""

    async def run(self, session: Session, jobs: int) -> None:
        """Route every file, so many at once."""
        settings = session.settings
        if self._dry_run:
            settings = msgspec.structs.replace(settings, journal="memory")
        async with Host(settings) as host:
            workflow = self._workflow(host)
            with progress_display(len(self._files), self) as listener:
                engine = (await host.durable()).engine
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(jobs, len(self._files))):
                        group.create_task(self._work(engine, workflow, listener))

    def show(self) -> None:
        """Print the table, unless every line was printed already."""
        if not self._as_json and self._views:
            with contextlib.redirect_stdout(self.data):
                print_rows(self.done, explain=self._explain)

    async def _work(self, engine: Any, workflow: Workflow, listener: Any) -> None:
        for at, file in self._waiting:
            given = {"document": document_of(file)}
            self._views[at] = view = await engine.execute(workflow, given, listener)
            if self._as_json:
                with contextlib.redirect_stdout(self.data):
                    routed = Routed(file=file, view=view, dry_run=self._dry_run)
                    print_json(route_document(routed), one_line=True)
                    sys.stdout.flush()

    def _workflow(self, host: Host) -> Workflow:
        workflow = host.workflow(_WORKFLOW)
        definition = workflow.definition
        changes = {"dry_run": self._dry_run, "explain": self._explain}
        if not set(changes) <= set(definition.__struct_fields__):
            why = f"{workflow.source}: its kind is '{definition.kind}', which decides nothing"
            raise WorkflowInvalidError(_WORKFLOW, why)
        changed = msgspec.structs.replace(definition, **changes)
        return dataclasses.replace(workflow, definition=changed)
