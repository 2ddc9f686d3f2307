"""The use cases of runs that need the journal alone; no plugin is imported for them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypedDict, Unpack

from qtforge_host.api.documents import (
    HostStatus,
    InboxDocument,
    LogRow,
    LogsDocument,
    Patches,
    Pruned,
    PrunedRow,
    RecordsDocument,
    RunCount,
    RunList,
    RunTags,
)
from qtforge_host.api.errors import NoRetentionError, SearchInvalidError
from qtforge_host.api.lookup import find_run, found_runs, list_runs, shown_status
from qtforge_host.api.parts import Parts
from qtforge_host.clock import in_utc
from qtforge_host.config.settings import Settings
from qtforge_host.run_files import EXPORT_SUFFIX, RunFiles
from qtforge_host.runs.state import RunState
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.journal_kit.search_words import search_terms
from qtforge_sdk.records import Record
from qtforge_sdk.run_logs import LogLevel
from qtforge_sdk.run_status import UNFINISHED
from qtforge_sdk.runs import RunStatus

if TYPE_CHECKING:  # each use case imports what it needs: a listing is quick over a million runs
    from qtforge_host.api.bulk import Selection
    from qtforge_host.api.drawing import Language
    from qtforge_host.api.snapshots import RunSnapshot
    from qtforge_host.api.workflows import WorkflowsOfRuns
    from qtforge_host.runs.retention import Removed
    from qtforge_host.workflows.definitions import Workflow
    from qtforge_sdk.graphs import Graph

__all__ = ["EXPORT_SUFFIX", "MOST_COUNTED", "RunFilters", "RunStore", "open_store"]

MOST_COUNTED: Final = 1000
"""Up to so many runs are counted exactly."""

_POLL_S: Final = 0.25
_LAST_LOGS_S: Final = 0.5  # after a run's end its last entries may not be written yet
_UNFINISHED: Final = UNFINISHED | {"interrupted"}
_ALL: Final = 1_000_000
_PAGE: Final = 1000  # records that are read at once


@contextlib.asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[RunStore]:
    """Give the use cases of runs that need no host; the journal is opened when one needs it.

    Args:
        settings: The configuration.
    """
    parts = Parts(settings)
    try:
        yield RunStore(parts)
    finally:
        await parts.close()


class RunFilters(TypedDict, total=False):
    """The filters of `RunStore.list`, each as it says there."""

    statuses: Collection[RunStatus | Literal["interrupted"]]
    workflow: str | None
    pool: str | None
    needs: str | None
    waiting_for: str | None
    tags: Mapping[str, str]
    schedule: str | None
    error_code: str | None
    plugin: str | None
    parent: str | None
    search: str | None
    since: datetime.datetime | None
    until: datetime.datetime | None


class RunStore:
    """Finds, lists and shows runs, deletes them, and takes them elsewhere.

    Args:
        parts: The journal; the caller closes it.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._workflows: WorkflowsOfRuns | None = None

    async def find(self, name: str) -> str:
        """Return a run's id from the whole id, its beginning, or ``last`` for the newest run.

        Raises:
            NotFoundError: There is no such run, or there are several.
        """
        return await find_run(await self._parts.journal(), name)

    async def logs(
        self,
        run_id: str,
        *,
        after: int = 0,
        step: str | None = None,
        level: LogLevel = "debug",
        limit: int = 1000,
    ) -> LogsDocument:
        """Return what a run has logged and printed, the oldest first.

        Args:
            run_id: The run.
            after: Only entries after this position; the ``next`` of the page before.
            step: Only those of this step.
            level: Only those of this level or a higher one.
            limit: At most so many.

        Raises:
            RunNotFoundError: There is no such run.
        """
        from qtforge_sdk.run_logs import LogQuery

        await (await self._parts.journal()).summary(run_id)
        query = LogQuery(run_id=run_id, after=after, step=step, level=level, limit=limit)
        found = await (await self._parts.logs()).logs(query)
        rows = [
            LogRow(
                position=position,
                at=each.at,
                level=each.level,
                logger=each.logger,
                step=each.step or None,
                attempt=each.attempt or None,
                text=each.text,
            )
            for position, each in found
        ]
        following = rows[-1].position if len(rows) == limit else None
        return LogsDocument(run_id=run_id, logs=rows, next=following)

    async def follow_logs(
        self, run_id: str, *, after: int = 0, step: str | None = None, level: LogLevel = "debug"
    ) -> AsyncIterator[LogRow]:
        """Give what a run logs as it does so, until the run has ended.

        Args:
            run_id: The run.
            after: Only entries after this position.
            step: Only those of this step.
            level: Only those of this level or a higher one.

        Raises:
            RunNotFoundError: There is no such run.
        """
        journal = await self._parts.journal()
        had_ended = False
        while True:
            has_ended = (await journal.summary(run_id)).finished_at is not None
            page = await self.logs(run_id, after=after, step=step, level=level)
            for row in page.logs:
                yield row
                after = row.position
            if page.next is not None:
                continue
            if had_ended:  # what it has said last was written meanwhile
                return
            had_ended = has_ended
            await asyncio.sleep(_LAST_LOGS_S if has_ended else _POLL_S)

    async def list(
        self,
        *,
        statuses: Collection[RunStatus | Literal["interrupted"]] = (),
        workflow: str | None = None,
        pool: str | None = None,
        needs: str | None = None,
        waiting_for: str | None = None,
        workflow_version: str | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
        schedule: str | None = None,
        error_code: str | None = None,
        plugin: str | None = None,
        parent: str | None = None,
        search: str | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
        limit: int = 50,
    ) -> RunList:
        """List runs, newest first; what is left out does not restrict.

        Args:
            statuses: Any of these.
            workflow: The workflow's name.
            pool: The pool's name.
            needs: A plugin that they need, such as ``ocr==1``; only the first number of the version
                counts. Without statuses, only unfinished runs are listed.
            waiting_for: An event that they wait for; ``user.*`` is ``user`` and all beneath it.
            workflow_version: The version of the workflow with which they were started.
            tags: All of these tags, each with that value.
            schedule: The schedule that started them.
            error_code: The code of the error with which they failed or are blocked.
            plugin: The plugin that failed in them.
            parent: The run that started them.
            search: Beginnings of words in their id, title, workflow, origin, input, tags or error;
                they have all of these words, whatever their order and case.
            since: Started then or later.
            until: Started before that; the ``next`` of the page before.
            limit: At most so many.

        Raises:
            QueueInvalidError: ``needs`` is not ``NAME==VERSION``.
            SearchInvalidError: There is no word to search for.
        """
        query = _query(
            statuses=statuses,
            workflow=workflow,
            pool=pool,
            needs=needs,
            waiting_for=waiting_for,
            tags=tags,
            schedule=schedule,
            error_code=error_code,
            plugin=plugin,
            parent=parent,
            search=search,
            since=since,
            until=until,
            limit=limit,
        )
        return await list_runs(
            await self._parts.journal(), query, workflow_version=workflow_version
        )

    async def count(self, **filters: Unpack[RunFilters]) -> RunCount:
        """Count runs, exactly up to `MOST_COUNTED`; the filters are those of `list`.

        Raises:
            QueueInvalidError: ``needs`` is not ``NAME==VERSION``.
            SearchInvalidError: There is no word to search for.
        """
        query = _query(**filters, limit=MOST_COUNTED + 1)
        found = len(await found_runs(await self._parts.journal(), query))
        return RunCount(count=min(found, MOST_COUNTED), more=found > MOST_COUNTED)

    async def status(self) -> HostStatus:
        """Return what there is: runs, processes, plugins, schedules, and what waits for a person.

        Raises:
            StateDirectoryError: The state directory can't be used.
            ConfigError: A schedule is not valid.
        """
        from qtforge_host.api.status import host_status

        return await host_status(self._parts, self._workflow_of)

    async def show(self, run_id: str) -> RunSnapshot:
        """Return a run as it is now, with its history.

        Raises:
            RunNotFoundError: There is no such run.
        """
        from qtforge_host.api.snapshots import look

        return await look(await self._parts.journal(), run_id, self._workflow_of)

    async def follow(
        self,
        run_id: str,
        on_records: Callable[[RunState, Sequence[Record]], None],
        timeout: Duration,
    ) -> RunSnapshot | None:
        """Call a function with each new record of a run until the run ends, in any process.

        Args:
            run_id: The run.
            on_records: Called with the run's state, and the records that led to it.
            timeout: How long at most.

        Returns:
            The run once it has ended, is paused or blocked, or its process has died; None when
            the time is over first.

        Raises:
            RunNotFoundError: There is no such run.
        """
        from qtforge_host.api.snapshots import look

        journal = await self._parts.journal()
        state, after = RunState(run_id), 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds(timeout)):
                while True:
                    summary = await journal.summary(run_id)
                    while page := await journal.records(run_id, after, _PAGE):
                        for record in page:
                            state.apply(record)
                        after += len(page)
                        on_records(state, page)
                    if shown_status(summary) not in ("running", "waiting"):
                        return await look(journal, run_id, every_step=True)
                    await asyncio.sleep(_POLL_S)
        return None

    async def records(self, run_id: str, *, after: int = 0, limit: int = 1000) -> RecordsDocument:
        """Return a run's records, oldest first.

        Args:
            run_id: The run.
            after: The number of the record after which the page begins, from 1.
            limit: At most so many.

        Raises:
            RunNotFoundError: There is no such run.
        """
        journal = await self._parts.journal()
        records = await journal.records(run_id, after, limit)
        page = [to_plain(record) for record in records]
        end = after + len(page)
        following = end if page and end < (await journal.summary(run_id)).records else None
        return RecordsDocument(run_id=run_id, records=page, next=following)

    async def draw(self, run_id: str, language: Language = "mermaid") -> str:
        """Draw a run's workflow, with the run's state and path where its kind can.

        Raises:
            RunNotFoundError: There is no such run.
            DrawingError: It can't be drawn, or not in that language here.
        """
        from qtforge_host.api.drawing import draw

        return draw(await self.graph(run_id), language)

    async def graph(self, run_id: str) -> Graph:
        """Return the graph of a run's workflow, with the run's state and path where its kind can.

        Raises:
            RunNotFoundError: There is no such run.
            NotDrawableError: The workflow can't be read here, or its kind draws none.
        """
        return self.graph_of(await self.show(run_id))

    def graph_of(self, run: RunSnapshot) -> Graph:
        """Return the graph of a run that was read already; see `graph`.

        Raises:
            NotDrawableError: The workflow can't be read here, or its kind draws none.
        """
        from qtforge_host.api.drawing import graph_of_run

        return graph_of_run(run, run.workflow or self._workflow_of(run.state))

    async def inbox(
        self, *, workflow: str | None = None, limit: int = 50, after: str | None = None
    ) -> InboxDocument:
        """List the runs that wait for a person, oldest first.

        Args:
            workflow: Only runs of this workflow.
            limit: At most so many.
            after: The run after which the page begins: the ``next`` of the page before.

        Raises:
            RunNotFoundError: There is no run ``after``.
        """
        from qtforge_host.api.inbox import list_inbox

        journal = await self._parts.journal()
        return await list_inbox(
            journal, self._workflow_of, workflow=workflow, limit=limit, after=after
        )

    async def patches(self, workflow: str) -> Patches:
        """Count what a workflow's unfinished runs do with the changes of its code.

        Args:
            workflow: The workflow's name.
        """
        from qtforge_host.api.code_changes import patches_of

        return await patches_of(await self._parts.journal(), workflow)

    async def selected(self, selection: Selection) -> Sequence[str]:
        """Return every run that fits a selection, newest first, whether it has ended or not.

        Args:
            selection: Which runs.

        Raises:
            SelectionError: Which runs are meant is not said, or can't be.
        """
        from qtforge_host.api.bulk import ANY, query_of

        query = query_of(selection, ANY, limit=_ALL)
        return [each.run_id for each in await found_runs(await self._parts.journal(), query)]

    async def tag(self, run_id: str, changed: Mapping[str, str | None]) -> RunTags:
        """Change tags of a run, whether it has ended or not.

        Args:
            run_id: The run.
            changed: Names with their new values; None removes one.

        Raises:
            RunNotFoundError: There is no such run.
            TagsInvalidError: There would be too many, or one can't be used.
        """
        tags = await (await self._parts.journal()).tag(run_id, changed)
        return RunTags(run_id=run_id, tags=dict(tags))

    async def prune(
        self,
        ended_before: datetime.datetime | None = None,
        selection: Selection | None = None,
        *,
        dry_run: bool = False,
    ) -> Pruned:
        """Delete runs that have ended, with their files.

        A run stays while the run that has started it is unfinished. With a selection, the runs that
        a run has awaited are deleted with it.

        Args:
            ended_before: Those that ended before that time; None for any time.
            selection: Which of them; None for all.
            dry_run: Only count them.

        Raises:
            SelectionError: Which runs are meant is not said, or can't be.
        """
        from qtforge_host.api.bulk import ENDED, Selection, query_of
        from qtforge_host.runs.retention import delete_ended, delete_selected

        journal = await self._parts.journal()
        files = RunFiles(self._parts.settings.run_files_dir, await self._parts.logs())
        before = await journal.now() if ended_before is None else ended_before
        if ended_before is None or selection is not None:
            query = query_of(selection or Selection(), ENDED, limit=_PAGE)
            removed = await delete_selected(journal, files, query, before, dry_run=dry_run)
        else:
            removed = await delete_ended(journal, files, before, dry_run=dry_run)
        return _pruned(removed, dry_run=dry_run)

    async def apply_retention(
        self, selection: Selection | None = None, *, dry_run: bool = False
    ) -> Pruned:
        """Delete the runs that ``[retention]`` does not keep any longer, with their files.

        The last runs of each workflow that it keeps are counted over all runs of the workflow.

        Args:
            selection: Which of them; None for all.
            dry_run: Only count them.

        Raises:
            NoRetentionError: The configuration has no ``[retention]``.
            SelectionError: The selection restricts nothing, or has a status of unfinished runs.
        """
        from qtforge_host.api.bulk import ENDED, query_of
        from qtforge_host.runs.retention import Retention

        settings = self._parts.settings
        if not settings.retention:
            raise NoRetentionError(str(settings.config_path))
        journal = await self._parts.journal()
        files = RunFiles(settings.run_files_dir, await self._parts.logs())
        retention = Retention(settings.retention, journal, files)
        now = await journal.now()
        if selection is None:
            removed = await retention.apply(now, dry_run=dry_run)
        else:
            only = query_of(selection, ENDED, limit=_PAGE)
            removed = await retention.apply(now, dry_run=dry_run, only=only)
        return _pruned(removed, dry_run=dry_run)

    async def export(self, run_id: str) -> bytes:
        """Return a run with its inbox and large values as one archive.

        Raises:
            RunNotFoundError: There is no such run.
        """
        return await (await self._parts.journal()).export(run_id)

    async def import_(self, archive: bytes) -> str:
        """Add a run from an archive, and return its id; the same run again changes nothing.

        Raises:
            ArchiveInvalidError: It is not an archive, or is damaged.
            RunExistsError: Another run has that id.
        """
        return await (await self._parts.journal()).import_(archive)

    async def lacks_secrets(self, run_id: str) -> bool:
        """Return whether a run was imported without its secrets: a step that needs one fails."""
        secrets = await (await self._parts.journal()).secrets(run_id)
        return any(each.is_missing for each in secrets.values())

    def files_of(self, run_id: str) -> tuple[int, int, Path]:
        """Return how many files a run's steps made, their size in bytes, and their folder."""
        files = RunFiles(self._parts.settings.run_files_dir)
        return *files.size(run_id), files.folder / run_id

    def _workflow_of(self, state: RunState) -> Workflow | None:
        """Return a run's workflow; None where it can't be read here."""
        durable = self._parts.open_durable
        if durable is not None:
            try:
                return durable.engine.workflows.recorded(state)
            except QtForgeError:
                return None
        if self._workflows is None:
            from qtforge_host.api.workflows import WorkflowsOfRuns

            self._workflows = WorkflowsOfRuns(self._parts.settings)
        return self._workflows.of(state)


def _pruned(removed: Removed, *, dry_run: bool) -> Pruned:
    rows = [
        PrunedRow(workflow=workflow, status=status, runs=count)
        for (workflow, status), count in sorted(removed.runs.items())
    ]
    return Pruned(pruned=removed.count, dry_run=dry_run, workflows=rows)


def _query(
    *,
    statuses: Collection[RunStatus | Literal["interrupted"]] = (),
    workflow: str | None = None,
    pool: str | None = None,
    needs: str | None = None,
    waiting_for: str | None = None,
    tags: Mapping[str, str] = MappingProxyType({}),
    schedule: str | None = None,
    error_code: str | None = None,
    plugin: str | None = None,
    parent: str | None = None,
    search: str | None = None,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    limit: int,
) -> RunQuery:
    """Return the query for `RunFilters`.

    Raises:
        QueueInvalidError: ``needs`` is not ``NAME==VERSION``.
        SearchInvalidError: There is no word to search for.
    """
    if search is not None and not search_terms(search):
        raise SearchInvalidError(search)
    needed = None
    if needs is not None:
        from qtforge_host.api.nodes import needed_plugin  # few lists need it

        needed = needed_plugin(needs)
    return RunQuery(
        statuses=frozenset(statuses or (_UNFINISHED if needed else ())),
        workflow=workflow,
        pool=pool,
        needs=needed,
        waiting_for=waiting_for,
        tags=tags,
        schedule=schedule,
        error_code=error_code,
        error_plugin=plugin,
        parent=parent,
        search=search,
        started_since=None if since is None else in_utc(since),
        started_until=None if until is None else in_utc(until),
        limit=limit,
    )
