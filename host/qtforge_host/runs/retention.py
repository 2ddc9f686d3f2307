"""Delete the runs that ``[retention]`` does not keep any longer."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from qtforge_host.config.retention import RetentionRule, RetentionSettings
from qtforge_host.run_files import RunFiles
from qtforge_sdk.journal import Journal, RunQuery, RunSummary
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.run_status import FINISHED, RunStatus

__all__ = ["Removed", "Retention", "delete_ended", "delete_selected"]

_PAGE: Final = 500  # runs that are read at once
_CHILDREN: Final = 5_000  # likewise of one run, of which each page reads all
_MOST_RUNS: Final = 100  # that are deleted at once, so that other writes can run in between
_MOST_RECORDS: Final = 5_000  # likewise, unless one run has more
_ALL: Final = RunQuery(statuses=frozenset(FINISHED))


class Removed(msgspec.Struct):
    """What was deleted, or would be.

    Attributes:
        runs: The number of runs, by workflow and status, with their children.
        children: How many of them went with the run that had started them.
    """

    runs: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    children: int = 0

    @property
    def count(self) -> int:
        """The number of runs."""
        return self.runs.total()


async def _no_pause() -> None:
    pass


class Retention:
    """Deletes runs by their age.

    A child that ended before its parent is a part of it: it stays as long as its parent, and is
    deleted with it. One that outlived its parent is a run like any other.

    Args:
        settings: When runs are deleted.
        journal: The runs.
        files: Their files.
    """

    def __init__(self, settings: RetentionSettings, journal: Journal, files: RunFiles) -> None:
        self._settings = settings
        self._journal = journal
        self._files = files

    async def apply(
        self,
        now: datetime.datetime,
        *,
        dry_run: bool = False,
        only: RunQuery = _ALL,
        pause: Callable[[], Awaitable[None]] = _no_pause,
    ) -> Removed:
        """Delete what is too old, in small batches, and the files to which no run refers then.

        Args:
            now: The time.
            dry_run: Only count.
            only: Of these runs, with their children; its limit does not count.
            pause: Awaited between two batches.
        """
        return await _delete(
            self._journal, self._files, self._batches(now, only), dry_run=dry_run, pause=pause
        )

    async def _batches(self, now: datetime.datetime, only: RunQuery) -> AsyncIterator[_Batch]:
        for workflow, status in sorted((await self._journal.statistics()).runs):
            if only.workflow not in (None, workflow) or status not in (only.statuses or {status}):
                continue
            rule = self._settings.of(workflow)
            age_s = rule.ages_s.get(_ended(status)) if status in FINISHED else None
            if age_s is None:
                continue
            before = now - datetime.timedelta(seconds=age_s)
            async for batch in _batches_of(
                self._journal, self._old(workflow, status, rule, before, only), before
            ):
                yield batch

    async def _old(
        self,
        workflow: str,
        status: str,
        rule: RetentionRule,
        before: datetime.datetime,
        only: RunQuery,
    ) -> AsyncIterator[RunSummary]:
        """Give the runs of a workflow that are too old, and are no part of another run."""
        last = RunQuery(workflow=workflow, statuses=frozenset(FINISHED), limit=rule.keep_last)
        kept = {each.run_id for each in await self._journal.runs(last)} if rule.keep_last else set()
        query = replace(
            only,
            workflow=workflow,
            statuses=frozenset({status}),
            started_until=before,  # it ended later
            oldest_first=True,
            limit=_PAGE,
        )
        async for page in _pages(self._journal, query):
            parents: dict[str, RunSummary | None] = {}
            for run in page:
                if run.run_id in kept or run.finished_at is None or run.finished_at >= before:
                    continue
                if run.parent is not None and run.parent not in parents:
                    parents[run.parent] = await _find(self._journal, run.parent)
                above = None if run.parent is None else parents[run.parent]
                if above is None or not _is_part(run, above):
                    yield run


class _Batch:
    """Runs that are deleted at once; of a tree those below come first."""

    def __init__(self, ended_before: datetime.datetime) -> None:
        self.ended_before = ended_before
        self.runs: list[RunSummary] = []
        self.children: set[str] = set()
        self._records = 0

    def is_full(self, run: RunSummary) -> bool:
        """Return whether a further run would be too much."""
        records = self._records + run.records
        return len(self.runs) >= _MOST_RUNS or (bool(self.runs) and records > _MOST_RECORDS)

    def add(self, run: RunSummary, *, is_child: bool) -> None:
        self.runs.append(run)
        self._records += run.records
        if is_child:
            self.children.add(run.run_id)


async def _batches_of(
    journal: Journal, runs: AsyncIterator[RunSummary], ended_before: datetime.datetime
) -> AsyncIterator[_Batch]:
    """Give runs with their parts in batches, each run once."""
    batch = _Batch(ended_before)
    found: set[str] = set()
    async for run in runs:
        async for each in _with_parts(journal, run):
            if each.run_id in found:  # it was found as a part of another
                continue
            found.add(each.run_id)
            if batch.is_full(each):
                yield batch
                batch = _Batch(ended_before)
            batch.add(each, is_child=each is not run)
    if batch.runs:
        yield batch


async def _with_parts(journal: Journal, run: RunSummary) -> AsyncIterator[RunSummary]:
    """Give a run after its parts, and each of these after its own."""
    stack = [(run, _parts(journal, run))]
    while stack:
        above, parts = stack[-1]
        part = await anext(parts, None)
        if part is not None:
            stack.append((part, _parts(journal, part)))
        else:
            stack.pop()
            yield above


async def _parts(journal: Journal, above: RunSummary) -> AsyncIterator[RunSummary]:
    query = RunQuery(
        parent=above.run_id, statuses=frozenset(FINISHED), limit=_CHILDREN, oldest_first=True
    )
    async for page in _pages(journal, query):
        for run in page:
            if _is_part(run, above):
                yield run


async def _delete(
    journal: Journal,
    files: RunFiles,
    batches: AsyncIterator[_Batch],
    *,
    dry_run: bool,
    pause: Callable[[], Awaitable[None]] = _no_pause,
) -> Removed:
    """Delete runs, and the files to which no run refers then, or only count them."""
    removed = Removed()
    async for batch in batches:
        if dry_run:
            gone = {each.run_id for each in batch.runs}
        else:
            await pause()
            ids = [each.run_id for each in batch.runs]
            gone = {*await journal.delete(ids, ended_before=batch.ended_before)}
            await files.remove_logs(sorted(gone))
        for run in batch.runs:
            if run.run_id in gone:
                removed.runs[run.workflow, run.status] += 1
                removed.children += run.run_id in batch.children
    if removed.count and not dry_run:
        await files.sweep(journal)
    return removed


async def delete_selected(
    journal: Journal,
    files: RunFiles,
    query: RunQuery,
    before: datetime.datetime,
    *,
    dry_run: bool,
) -> Removed:
    """Delete the runs that fit a query, with those that they have awaited, in small batches.

    A run whose parent is unfinished stays.

    Args:
        journal: The runs.
        files: Their files.
        query: Which runs, of those that have ended.
        before: Those that ended before.
        dry_run: Only count.
    """
    paged = replace(query, started_until=before, oldest_first=True, limit=_PAGE)
    batches = _batches_of(journal, _deletable(journal, paged, before), before)
    return await _delete(journal, files, batches, dry_run=dry_run)


async def delete_ended(
    journal: Journal, files: RunFiles, before: datetime.datetime, *, dry_run: bool
) -> Removed:
    """Delete the runs that ended before a time, each for itself, in small batches.

    Args:
        journal: The runs.
        files: Their files.
        before: Those that ended before; a run whose parent is unfinished stays.
        dry_run: Only count.
    """
    query = replace(_ALL, started_until=before, oldest_first=True, limit=_PAGE)
    removed = await _delete(
        journal, files, _alone(_deletable(journal, query, before), before), dry_run=dry_run
    )
    if not dry_run:  # what ended meanwhile, and what belongs to no run
        await journal.prune(before)
    return removed


async def _alone(
    runs: AsyncIterator[RunSummary], ended_before: datetime.datetime
) -> AsyncIterator[_Batch]:
    """Give runs in batches, without their parts."""
    batch = _Batch(ended_before)
    async for run in runs:
        if batch.is_full(run):
            yield batch
            batch = _Batch(ended_before)
        batch.add(run, is_child=False)
    if batch.runs:
        yield batch


async def _deletable(
    journal: Journal, query: RunQuery, before: datetime.datetime
) -> AsyncIterator[RunSummary]:
    """Give the runs of a query that ended before a time, and whose parent has ended."""
    async for page in _pages(journal, query):
        for run in page:
            if run.finished_at is None or run.finished_at >= before:
                continue
            above = None if run.parent is None else await _find(journal, run.parent)
            if above is None or above.finished_at is not None:
                yield run


def _is_part(run: RunSummary, above: RunSummary) -> bool:
    """Return whether a run belongs to its parent, which has awaited it."""
    if above.finished_at is None:
        return True
    return run.finished_at is not None and run.finished_at <= above.finished_at


def _ended(status: str) -> RunStatus:
    return next(each for each in FINISHED if each == status)


async def _find(journal: Journal, run_id: str) -> RunSummary | None:
    try:
        return await journal.summary(run_id)
    except RunNotFoundError:
        return None


async def _pages(journal: Journal, query: RunQuery) -> AsyncIterator[Sequence[RunSummary]]:
    """Give the pages of a listing, each after the next one was read: its runs may be deleted."""
    page = await journal.runs(query)
    while page:
        try:
            following = (
                await journal.runs(_after(query, page[-1])) if len(page) == query.limit else ()
            )
        except RunNotFoundError:  # another process has deleted the last one: the rest comes later
            following = ()
        yield page
        page = following


def _after(query: RunQuery, run: RunSummary) -> RunQuery:
    return replace(query, after=run.run_id)
