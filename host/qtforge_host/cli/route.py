"""``qtforge-host route``: which pipeline each document goes to, and why."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from qtforge_host import event_loop
from qtforge_host.api.client import RunClient
from qtforge_host.api.routing import ROUTING_WORKFLOW, Routed, routing_workflow
from qtforge_host.cli.errors import CANCELLED, FAILED
from qtforge_host.cli.inputs import document_of, files_of, without_bad_names
from qtforge_host.cli.output import data_only, json_option, print_json, state
from qtforge_host.cli.progress import Display, progress_display
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.definitions import Workflow

__all__ = ["print_rows", "route"]


def print_rows(rows: Sequence[Routed], *, explain: bool) -> None:
    """Print a row for each file, then why, where that is asked for."""
    run = [] if all(row.dry_run for row in rows) else ["RUN"]
    header = ["STATE", "FILE", "TYPE", "TARGET", "CONFIDENCE", *run, "REASON"]
    table(
        header,
        (_row(row) for row in rows),
        whole=("RUN",),
        short=("TYPE", "TARGET"),
    )
    for row in rows if explain else ():
        if row.decision:
            echo()
            echo(f"{row.file}: {row.decision['target_pipeline']}")
            for rule in row.decision["rules"]:
                echo(f"  {state(rule['outcome'])}: {rule['name']} ({rule['priority']})")
                echo(f"      {rule['condition']}")
                echo(f"      {rule['why']}")


def _row(routed: Routed) -> list[str]:
    run, decision = routed.run, routed.decision
    confidence = decision.get("confidence")
    error = run.error
    return [
        state(run.status),
        routed.file,
        routed.document_type or "",
        str(decision.get("target_pipeline", "")),
        "" if confidence is None else f"{confidence:.2f}",
        *([] if routed.dry_run else [run.run_id]),
        # Last, for an error is long.
        str(decision.get("reason", "")) if error is None else f"{error.code}: {error.message}",
    ]


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--dry-run", is_flag=True, help="Decide only: run no pipeline, and store nothing.")
@click.option("--explain", is_flag=True, help="Try every rule, and show why it holds or not.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Files at once."
)
@json_option
@journal_option
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
    found = files_of(paths)
    files = without_bad_names(found)
    if found and not files:
        return FAILED
    with data_only() as data:
        routing = _Routing(files, data, dry_run=dry_run, explain=explain, as_json=as_json)
        try:
            event_loop.run(routing.run(session, jobs))
        except KeyboardInterrupt:
            routing.show()
            echo("cancelled", err=True)
            return CANCELLED
        routing.show()
    left_out = len(files) < len(found)
    return FAILED if left_out or any(each.run.status != "succeeded" for each in routing.done) else 0


class _Routing:
    """The files of one command and their runs; also the printer of the progress display."""

    def __init__(
        self, files: Sequence[str], data: TextIO, *, dry_run: bool, explain: bool, as_json: bool
    ) -> None:
        self.data = data
        self._files = files
        self._waiting = iter(enumerate(files))
        self._dry_run = dry_run
        self._explain = explain
        self._as_json = as_json
        self._runs: dict[int, RunState] = {}

    @property
    def done(self) -> list[Routed]:
        """The files whose runs have ended, in the order in which they were given."""
        return [
            Routed(file=self._files[at], run=run, dry_run=self._dry_run)
            for at, run in sorted(self._runs.items())
        ]

    def ended(self, run: RunState) -> None:
        """Say nothing yet: the rows of a table are printed together."""

    async def run(self, session: Session, jobs: int) -> None:
        """Route every file, so many at once."""
        async with session.client(in_memory=self._dry_run) as client:
            workflow = routing_workflow(
                await client.workflow(ROUTING_WORKFLOW),
                dry_run=self._dry_run,
                explain=self._explain,
            )
            with progress_display(len(self._files), self) as display:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(jobs, len(self._files))):
                        group.create_task(self._work(client, workflow, display))

    def show(self) -> None:
        """Print the table, unless every line was printed already."""
        if not self._as_json and self._runs:
            with contextlib.redirect_stdout(self.data):
                print_rows(self.done, explain=self._explain)

    async def _work(self, client: RunClient, workflow: Workflow, display: Display) -> None:
        for at, file in self._waiting:
            run = await client.run(workflow, {"document": document_of(file)}, listener=display)
            self._runs[at] = run.state
            if self._as_json:
                routed = Routed(file=file, run=run.state, dry_run=self._dry_run)
                with contextlib.redirect_stdout(self.data):
                    print_json(routed.document(), one_line=True)
                    sys.stdout.flush()
