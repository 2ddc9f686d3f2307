"""Open the journal without a plugin, find a run by what was typed, and list runs."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from msgspec.structs import replace

from qtforge_host.api.documents import RunList, RunRow, run_origin
from qtforge_host.api.errors import NotFoundError
from qtforge_host.config.secrets import SecretStore
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.journals import own_journal
from qtforge_host.runs.state import elapsed_s
from qtforge_sdk.journal import Journal, RunQuery, RunSummary
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.records import RunStarted
from qtforge_sdk.secrets import Secrets
from qtforge_sdk.validation import did_you_mean

__all__ = [
    "find_run",
    "found_runs",
    "list_runs",
    "made_journal",
    "open_journal",
    "opened_journal",
    "run_row",
    "shown_status",
]

_LAST: Final = "last"
_SEARCHED: Final = 10_000
_SHOWN: Final = 5
_STAMP: Final = re.compile(r"(\d{8})(?:-(\d{0,6}))?")
_SPANS_S: Final = (86400, 36000, 3600, 600, 60, 10, 1)  # by how many digits of the time there are
_MARGIN: Final = datetime.timedelta(minutes=1)
_PAGE: Final = 200  # runs that are listed at once where the first record of each is read
_UNFINISHED_LIMIT: Final = 1_000_000  # those whose owner is dead are picked out of them


@contextlib.asynccontextmanager
async def open_journal(settings: Settings) -> AsyncIterator[Journal]:
    """Open the configured journal without starting a host; no plugin is imported.

    Raises:
        StateDirectoryError: The state directory can't be used.
        ConfigError: No journal of the configured name is installed.
    """
    journal = await opened_journal(settings)
    try:
        yield journal
    finally:
        await journal.close()


async def opened_journal(settings: Settings) -> Journal:
    """Return the configured journal, which the caller closes; see `open_journal`."""
    journal = made_journal(settings)
    await journal.open()
    return journal


def made_journal(settings: Settings) -> Journal:
    """Return the configured journal, which is not open."""
    secrets = Secrets(SecretStore(settings.secrets_path, os.environ).find)
    own = own_journal(settings, secrets)
    if own is not None:
        return own
    # Slow to import, and only another distribution's journal needs it.
    from qtforge_host.plugins.extensions import load_journal
    from qtforge_host.plugins.loading import PluginLoader
    from qtforge_host.plugins.resolution import resolve_installed

    installed = resolve_installed(settings)
    loader = PluginLoader(known=installed.loaded)
    return load_journal(installed.resolution, loader, settings, secrets)


async def find_run(journal: Journal, name: str) -> str:
    """Return a run's id from the whole id, its beginning, or ``last`` for the newest run.

    Raises:
        NotFoundError: There is no such run, or there are several.
    """
    if name == _LAST:
        newest = await journal.runs(RunQuery(limit=1))
        if not newest:
            raise NotFoundError("there is no run yet", "", "qtforge-host run WORKFLOW")
        return newest[0].run_id
    try:
        await journal.summary(name)
    except RunNotFoundError:
        return _only(name, await _near(journal, name))
    return name


def shown_status(summary: RunSummary) -> str:
    """Return a run's status; ``interrupted`` where it says ``running`` and its owner is dead."""
    interrupted = summary.status == "running" and not summary.owner_alive
    return "interrupted" if interrupted else summary.status


async def list_runs(
    journal: Journal, query: RunQuery, *, workflow_version: str | None = None
) -> RunList:
    """List runs, newest first.

    Args:
        journal: The journal.
        query: Which runs; its statuses may include ``interrupted``.
        workflow_version: Only runs that were started with this version of their workflow; the
            first record of each run is read for it.
    """
    if workflow_version is None:
        found = await found_runs(journal, query)
    else:
        found = await _found_of_version(journal, query, workflow_version)
    following = found[-1].started_at if len(found) == query.limit else None
    return RunList(runs=[run_row(each) for each in found], next=following)


def run_row(run: RunSummary) -> RunRow:
    """Return a run's line in a list."""
    finished = run.finished_at
    return RunRow(
        run_id=run.run_id,
        workflow=run.workflow,
        kind=run.kind,
        status=shown_status(run),
        started_at=run.started_at,
        finished_at=finished,
        duration_s=elapsed_s(run.started_at, finished),
        owners=run.epoch,
        parent=run.parent,
        title=run.title,
        tags=dict(run.tags),
        started_by=run_origin(run.started_by, run.parent),
        error_code=run.error_code,
        error_plugin=run.error_plugin,
        schedule=run.schedule,
        pool=run.pool,
        priority=run.priority,
        concurrency_key=run.place,
        held_by=list(run.held_by),
        state=run.label or None,
        accepts=list(run.accepts),
        waiting_since=run.waiting_since,
    )


async def _found_of_version(
    journal: Journal, query: RunQuery, version: str
) -> Sequence[RunSummary]:
    found: list[RunSummary] = []
    # Telling "running" from "interrupted" loses the journal's order: one page has all.
    limit = _UNFINISHED_LIMIT if query.statuses & {"running", "interrupted"} else _PAGE
    page_query = replace(query, limit=limit)
    while True:
        page = await found_runs(journal, page_query)
        for each in page:
            (first, *_) = await journal.records(each.run_id, limit=1)
            if isinstance(first, RunStarted) and first.workflow_version == version:
                found.append(each)
                if len(found) == query.limit:
                    return found
        if len(page) < limit:
            return found
        page_query = replace(page_query, after=page[-1].run_id)


async def found_runs(journal: Journal, query: RunQuery) -> Sequence[RunSummary]:
    """Return runs, newest first; the query's statuses may include ``interrupted``."""
    if not query.statuses & {"running", "interrupted"}:
        return await journal.runs(query)
    # The journal calls both "running", so all of them are read, then distinguished.
    unfinished = await journal.runs(
        replace(query, statuses=frozenset({"running"}), limit=_UNFINISHED_LIMIT)
    )
    found = [each for each in unfinished if shown_status(each) in query.statuses]
    others = query.statuses - {"running", "interrupted"}
    if others:
        found += await journal.runs(replace(query, statuses=others))
        found.sort(key=lambda each: each.started_at, reverse=True)
    return found[: query.limit]


async def _near(journal: Journal, name: str) -> Sequence[str]:
    """Return the ids that the name may be the beginning of, newest first."""
    newest = RunQuery(limit=_SEARCHED)
    found = await journal.runs(_started_about(name) or newest) or await journal.runs(newest)
    return [each.run_id for each in found]


def _started_about(name: str) -> RunQuery | None:
    """Return a query for the time that an id begins with; None when it begins with none."""
    stamp = _STAMP.match(name)
    if stamp is None:
        return None
    day, time = stamp[1], stamp[2] or ""
    try:
        first = datetime.datetime.strptime(day + time.ljust(6, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    since = first.replace(tzinfo=datetime.UTC) - _MARGIN  # an id is made just before the run
    until = since + 2 * _MARGIN + datetime.timedelta(seconds=_SPANS_S[len(time)])
    return RunQuery(started_since=since, started_until=until, limit=_SEARCHED)


def _only(name: str, known: Sequence[str]) -> str:
    fitting = [each for each in known if name and each.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        some = ", ".join(fitting[:_SHOWN])
        more = f" and {len(fitting) - _SHOWN} more" if len(fitting) > _SHOWN else ""
        raise NotFoundError(f"several runs begin with '{name}'", f"{some}{more}", "type more of it")
    fix = did_you_mean(name, known, "qtforge-host runs list shows them")
    raise NotFoundError(f"there is no run '{name}'", "", fix)
