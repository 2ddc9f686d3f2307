"""``qtforge-host runs list``."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from typing import Any, Final

import click
from msgspec.structs import replace

from qtforge_host.cli.output import document, json_option, print_json, state, table
from qtforge_host.cli.runs.options import open_journal, shown_status
from qtforge_host.cli.session import Session
from qtforge_sdk.durations import seconds
from qtforge_sdk.journal import Journal, RunQuery, RunSummary
from qtforge_sdk.run_status import RUN_STATUSES

__all__ = ["find_runs", "list_runs", "run_row"]

_STATUSES: Final = (*RUN_STATUSES, "interrupted")
_UNFINISHED_LIMIT: Final = 1_000_000  # of the running, those whose owner is dead are picked out


@click.command("list")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only such; repeat."
)
@click.option("--workflow", help="Only of this workflow.")
@click.option(
    "--waiting-for", metavar="EVENT", help="Only those that wait for that event: go, or user.*."
)
@click.option(
    "--since", metavar="TIME", help="Only started since: 2h, 30d, 2026-01-31, 2026-01-31T12:00."
)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="At most."
)
@json_option
@click.pass_obj
def list_runs(
    session: Session,
    statuses: tuple[str, ...],
    workflow: str | None,
    waiting_for: str | None,
    since: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show runs, the newest first. Imports no plugin.

    A run is 'interrupted' when the process that executed it has died: 'runs resume' goes on.
    """
    wanted = frozenset(statuses)
    query = RunQuery(
        statuses=wanted,
        workflow=workflow,
        started_since=None if since is None else _instant(since),
        waiting_for=waiting_for,
        limit=limit,
    )
    found = asyncio.run(_found(session, query))
    if as_json:
        print_json(document(runs=[run_row(each) for each in found]))
        return
    if not found:
        click.echo(
            "no such run" if wanted or workflow or waiting_for or since else "there is no run yet"
        )
        return
    table(
        ("STATE", "RUN", "WORKFLOW", "STARTED", "TOOK", "NOW"),
        (
            (
                state(shown_status(each)),
                each.run_id,
                each.workflow,
                f"{each.started_at.astimezone():%Y-%m-%d %H:%M:%S}",
                _took(each),
                each.label if each.finished_at is None else "",
            )
            for each in found
        ),
    )


async def _found(session: Session, query: RunQuery) -> Sequence[RunSummary]:
    async with open_journal(session) as journal:
        return await find_runs(journal, query)


async def find_runs(journal: Journal, query: RunQuery) -> Sequence[RunSummary]:
    """Return the runs that a query asks for; it may ask for ``interrupted`` ones too."""
    if not query.statuses & {"running", "interrupted"}:
        return await journal.runs(query)
    # The journal says "running" of both, so all of them are read and then told apart.
    unfinished = await journal.runs(
        replace(query, statuses=frozenset({"running"}), limit=_UNFINISHED_LIMIT)
    )
    found = [each for each in unfinished if shown_status(each) in query.statuses]
    others = query.statuses - {"running", "interrupted"}
    if others:
        found += await journal.runs(replace(query, statuses=others))
        found.sort(key=lambda each: each.started_at, reverse=True)
    return found[: query.limit]


def _instant(text: str) -> datetime.datetime:
    """Return a time in UTC; what has no zone is meant in the user's."""
    try:
        return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    except ValueError:
        pass
    try:
        ago = datetime.timedelta(seconds=seconds(text))
        return datetime.datetime.now(datetime.UTC) - ago
    except (ValueError, OverflowError) as error:
        raise click.UsageError(
            f"--since: '{text}' is neither a duration (2h, 30d) nor a date (2026-01-31)"
        ) from error


def _took(run: RunSummary) -> str:
    if run.finished_at is None:
        return ""
    took_s = (run.finished_at - run.started_at).total_seconds()
    return f"{took_s:.2f} s"


def run_row(run: RunSummary) -> dict[str, Any]:
    """Return a run as ``runs list --json`` has it."""
    finished = run.finished_at
    return {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "kind": run.kind,
        "status": shown_status(run),
        "started_at": run.started_at,
        "finished_at": finished,
        "duration_s": None if finished is None else (finished - run.started_at).total_seconds(),
        "owners": run.epoch,
        "parent": run.parent,
        "state": run.label or None,
        "accepts": run.accepts,
        "waiting_since": run.waiting_since,
    }
