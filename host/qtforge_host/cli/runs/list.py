"""``qtforge-host runs list``."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final, Literal, get_args

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import RunCount, RunList, RunRow
from qtforge_host.api.store import RunFilters, open_store
from qtforge_host.api.tags import tags_of
from qtforge_host.cli.output import json_option, print_json, state
from qtforge_host.cli.pager import paged
from qtforge_host.cli.runs.rows import brief_time, folded, short_ids, tree
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.tables import table, terminal_width
from qtforge_host.cli.terminal import echo, style
from qtforge_host.clock import in_utc
from qtforge_sdk.durations import seconds
from qtforge_sdk.runs import RunStatus

__all__ = ["list_runs"]

_STATUSES: Final = (*get_args(RunStatus), "interrupted")


@click.command("list")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(_STATUSES),
    help="Only runs with this status; repeat.",
)  # fmt: skip
@click.option("--workflow", help="Only runs of this workflow.")
@click.option(
    "--workflow-version", metavar="VERSION",
    help="Only runs that were started with this version of their workflow.",
)  # fmt: skip
@click.option(
    "--tag", "tags", multiple=True, metavar="NAME=VALUE",
    help="Only runs with this tag; repeat for several.",
)  # fmt: skip
@click.option("--schedule", metavar="NAME", help="Only runs that this schedule has started.")
@click.option(
    "--error-code", metavar="CODE", help="Only runs that failed or are blocked with this error."
)
@click.option("--plugin", metavar="NAME", help="Only runs in which this plugin failed.")
@click.option("--parent", metavar="RUN", help="Only runs that this run has started.")
@click.option(
    "--search", metavar="TEXT",
    help="Only runs with these words in id, title, workflow, origin, input, tags or error.",
)  # fmt: skip
@click.option("--pool", help="Only runs of this pool.")
@click.option(
    "--needs", metavar="NAME==VERSION",
    help="Only unfinished runs that need this plugin; the version's first number counts.",
)  # fmt: skip
@click.option(
    "--waiting-for", metavar="EVENT", help="Only runs that wait for this event: go, or user.*."
)
@click.option(
    "--since", metavar="TIME",
    help="Only runs started since: 2h, 30d, 2026-01-31, 2026-01-31T12:00.",
)  # fmt: skip
@click.option(
    "--until", metavar="TIME", help="Only runs started before; the 'next' of the page before."
)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True,
    help="At most so many.",
)  # fmt: skip
@click.option(
    "--all", "every_run", is_flag=True,
    help="On a terminal: also the runs that others in the list have started, beneath them.",
)  # fmt: skip
@click.option(
    "--count", "only_count", is_flag=True, help="Only say how many there are, up to 1,000."
)
@json_option
@journal_option
@click.pass_obj
@paged
def list_runs(
    session: Session,
    statuses: tuple[RunStatus | Literal["interrupted"], ...],
    workflow: str | None,
    workflow_version: str | None,
    tags: tuple[str, ...],
    schedule: str | None,
    error_code: str | None,
    plugin: str | None,
    parent: str | None,
    search: str | None,
    pool: str | None,
    needs: str | None,
    waiting_for: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    every_run: bool,
    only_count: bool,
    as_json: bool,
) -> None:
    """Show runs, newest first. Imports no plugin.

    A terminal shows the ids as short as other commands take them, and folds the runs that a
    run in the list has started; a file has every run, and whole ids.

    A run is 'interrupted' when the process that executed it has ended: 'runs resume' resumes it.
    """
    with_tags = tags_of(tags)
    first, before = _instant("--since", since), _instant("--until", until)

    if only_count and workflow_version is not None:
        raise click.UsageError("--count does not go with --workflow-version")

    async def found() -> RunList | RunCount:
        async with open_store(session.settings) as runs:
            filters = RunFilters(
                statuses=statuses,
                workflow=workflow,
                tags=with_tags,
                schedule=schedule,
                error_code=error_code,
                plugin=plugin,
                parent=None if parent is None else await runs.find(parent),
                search=search,
                pool=pool,
                needs=needs,
                waiting_for=waiting_for,
                since=first,
                until=before,
            )
            if only_count:
                return await runs.count(**filters)
            return await runs.list(**filters, workflow_version=workflow_version, limit=limit)

    listed = event_loop.run(found())
    if as_json:
        print_json(listed)
        return
    if isinstance(listed, RunCount):
        echo(f"{listed.count:,}{'+' if listed.more else ''}")
        return
    if not listed.runs:
        given = (
            statuses, workflow, workflow_version, tags, schedule, error_code, plugin, parent, pool,
            needs, waiting_for, search,
        )  # fmt: skip
        restricted = any(given) or since or until
        echo("no such run" if restricted else "there is no run yet")
        return
    if terminal_width() is None:
        _print_whole(listed.runs)
    else:
        _print_briefly(listed.runs, every_run=every_run)


def _print_whole(runs: Sequence[RunRow]) -> None:
    """Print every run with all that is known of it, for a file or another program."""
    titled = any(each.title for each in runs)
    last = ("TITLE",) if titled else ()
    table(
        ("STATE", "RUN", "WORKFLOW", "STARTED", "BY", "TOOK", "NOW", *last),
        (
            (
                state(each.status),
                each.run_id,
                each.workflow,
                f"{each.started_at.astimezone():%Y-%m-%d %H:%M:%S}",
                _origin(each),
                _took(each),
                _now(each) or each.error_code or "",
                *((each.title,) if titled else ()),
            )
            for each in runs
        ),
    )


def _print_briefly(runs: Sequence[RunRow], *, every_run: bool) -> None:
    """Print runs for a terminal: with short ids, children folded or beneath their parents."""
    names = short_ids(each.run_id for each in runs)
    now = datetime.datetime.now(datetime.UTC)
    if every_run:
        rows = [(each, "  " * (depth - 1) + "└ " * bool(depth), "") for each, depth in tree(runs)]
    else:
        rows = [(each, "", f" +{count}" if count else "") for each, count in folded(runs)]
    table(
        ("STATE", "RUN", "WORKFLOW", "STARTED", "TOOK/NOW", "TITLE"),
        (
            (
                state(each.status),
                names[each.run_id],
                f"{before}{each.workflow}{after}",
                brief_time(each.started_at, now),
                _took(each) or _now(each),
                each.title,
            )
            for each, before, after in rows
        ),
        whole=("RUN", "STARTED", "TOOK/NOW"),
        short=("TITLE", "TOOK/NOW"),
    )
    if len(rows) < len(runs):
        echo(style("+N: so many runs that it has started; --all shows them", dim=True))


def _instant(option: str, text: str | None) -> datetime.datetime | None:
    """Return a time in UTC; without a zone it is in the user's."""
    if text is None:
        return None
    try:
        return in_utc(datetime.datetime.fromisoformat(text))
    except ValueError:
        pass
    try:
        ago = datetime.timedelta(seconds=seconds(text))
        return datetime.datetime.now(datetime.UTC) - ago
    except (ValueError, OverflowError) as error:
        raise click.UsageError(
            f"{option}: '{text}' is neither a duration (2h, 30d) nor a date (2026-01-31)"
        ) from error


def _origin(run: RunRow) -> str:
    """Return what started a run: the schedule, the topic, the other run, or who asked."""
    if run.started_by is None:
        return ""
    kind = "" if run.started_by.kind == "request" else run.started_by.kind
    return f"{kind} {run.started_by.name}".strip()


def _now(run: RunRow) -> str:
    """Return a machine's state, or the events or the place that a run waits for."""
    if run.finished_at is not None:
        return ""
    if run.held_by:
        more = f" and {len(run.held_by) - 1} more" if len(run.held_by) > 1 else ""
        return f"place held by {run.held_by[0]}{more}"
    if run.state or run.status != "waiting" or not run.accepts:
        return run.state or ""
    return f"waits for {', '.join(run.accepts)}"


def _took(run: RunRow) -> str:
    return "" if run.duration_s is None else f"{run.duration_s:.2f} s"
