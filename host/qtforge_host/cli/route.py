"""``qtforge-host route``: which pipeline each document goes to, and why."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

import click
import msgspec

from qtforge_host import event_loop
from qtforge_host.api.documents import RoutedFile, RoutingRule, run_error
from qtforge_host.app import Host
from qtforge_host.cli.errors import CANCELLED, FAILED
from qtforge_host.cli.inputs import document_of, files_of, without_bad_names
from qtforge_host.cli.output import data_only, json_option, print_json, state
from qtforge_host.cli.progress import progress_display
from qtforge_host.cli.session import Session
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.errors import WorkflowInvalidError

__all__ = ["Routed", "print_rows", "route", "route_document"]

_DECISION: Final = "routing_decision"


_TYPE: Final = "documentType"


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """A file and its run.

    Attributes:
        file: As it was given, or found in a folder.
        run: Its run.
        dry_run: Whether it was decided only.
    """

    file: str
    run: RunState
    dry_run: bool

    @property
    def decision(self) -> Mapping[str, Any]:
        """The decision; empty where there is none."""
        step = self.run.steps.get(_DECISION)
        return step.data if step is not None and isinstance(step.data, Mapping) else {}


def route_document(routed: Routed) -> RoutedFile:
    """Return a file as ``route --json`` prints it."""
    run, decision = routed.run, routed.decision
    return RoutedFile(
        file=routed.file,
        dry_run=routed.dry_run,
        run_id=None if routed.dry_run else run.run_id,
        status=run.status,
        document_type=_type(decision),
        target_pipeline=decision.get("target_pipeline"),
        confidence=decision.get("confidence"),
        reason=decision.get("reason"),
        applied_rules=decision.get("applied_rules", []),
        pipeline_parameters=decision.get("pipeline_parameters", {}),
        names=decision.get("names", {}),
        rules=msgspec.convert(decision.get("rules", []), list[RoutingRule]),
        error=run_error(run.error),
    )


def print_rows(rows: Sequence[Routed], *, explain: bool) -> None:
    """Print a row for each file, then why, where that is asked for."""
    run = [] if all(row.dry_run for row in rows) else ["RUN"]
    header = ["STATE", "FILE", "TYPE", "TARGET", "CONFIDENCE", *run, "REASON"]
    table(header, (_row(row) for row in rows))
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
        str(_type(decision) or ""),
        str(decision.get("target_pipeline", "")),
        "" if confidence is None else f"{confidence:.2f}",
        *([] if routed.dry_run else [run.run_id]),
        # Last, for an error is long.
        str(decision.get("reason", "")) if error is None else f"{error.code}: {error.message}",
    ]


def _type(decision: Mapping[str, Any]) -> Any:
    return decision.get("names", {}).get(_TYPE)


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
        if not self._as_json and self._runs:
            with contextlib.redirect_stdout(self.data):
                print_rows(self.done, explain=self._explain)

    async def _work(self, engine: Any, workflow: Workflow, listener: Any) -> None:
        for at, file in self._waiting:
            given = {"document": document_of(file)}
            self._runs[at] = run = await engine.execute(workflow, given, listener)
            if self._as_json:
                with contextlib.redirect_stdout(self.data):
                    routed = Routed(file=file, run=run, dry_run=self._dry_run)
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
