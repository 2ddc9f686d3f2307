"""Prepare a shared journal for its first use, check any journal, and copy one into another."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from qtforge_host.api.documents import Finding, JournalChecked, JournalCopied, RefusedRun
from qtforge_host.api.lookup import made_journal, open_journal
from qtforge_host.config.settings import Settings
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.journal import Damage, Journal, RunQuery, RunSummary, SharedJournal
from qtforge_sdk.journal_errors import (
    JournalDamagedError,
    RecordNotStorableError,
    RunExistsError,
    RunNotFoundError,
)

__all__ = [
    "REPAIR",
    "checked_journal",
    "copied_journal",
    "copy_runs",
    "damage_findings",
    "initialized_journal",
]

REPAIR: Final = (
    "qtforge-host doctor --repair, where it is no record; else restore the state directory, or the"
    " shared journal's database, from a copy; other runs are not touched by it"
)
_MANY: Final = 20  # a journal may hold millions of records
_PAGE: Final = 500
_AT_ONCE: Final = 8  # runs in memory


async def initialized_journal(settings: Settings) -> str:
    """Make the tables of the configured journal, or migrate older ones; return what was done.

    Raises:
        StorageError: It could not be done; nothing was changed.
        ConfigError: No journal of the configured name is installed, or it has no tables.
    """
    journal = made_journal(settings)
    if not isinstance(journal, SharedJournal):
        raise ConfigError(
            settings.journal_source,
            f"the journal '{settings.journal_name}' needs no tables",
            "qtforge-host journal init postgresql://USER@HOST/DATABASE",
        )
    return await journal.initialize()


async def checked_journal(settings: Settings) -> JournalChecked:
    """Compare everything that follows from the records of a journal with them.

    Raises:
        StorageError: It can't be read.
        ConfigError: No journal of the configured name is installed.
    """
    async with open_journal(settings) as journal:
        damages = await journal.check()
        counted = await journal.statistics()
    return JournalChecked(
        ok=not damages, runs=sum(counted.runs.values()), findings=damage_findings(damages)
    )


def damage_findings(damages: Sequence[Damage]) -> list[Finding]:
    """Return what `Journal.check` found as findings: the first ones, and how many there are."""
    found = [*map(_finding, damages[:_MANY])]
    if len(damages) > _MANY:
        runs = len({each.run_id for each in damages if each.run_id is not None})
        what = f"and {len(damages) - _MANY} more findings, {len(damages)} in {runs} runs in all"
        found.append(Finding(part="journal", ok=False, what=what, fix=REPAIR))
    return found


def _finding(damage: Damage) -> Finding:
    where = "" if damage.run_id is None else f"the run {damage.run_id}: "
    where += "" if damage.position is None else f"record {damage.position}: "
    return Finding(
        part="journal",
        ok=False,
        what=f"{where}{damage.what}",
        fix=REPAIR,
        run_id=damage.run_id,
        record=damage.position,
    )


async def copied_journal(
    source: Settings, target: Settings, *, secrets: bool, progress: Callable[[JournalCopied], None]
) -> JournalCopied:
    """Copy all runs of one configured journal into another; see `copy_runs`.

    Raises:
        StorageError: One of them can't be used.
        ConfigError: One of them is not installed, or both are the same.
    """
    if source.journal == target.journal:
        raise ConfigError("TO", "it is the journal that is copied", "give another one")
    # Made before either is opened, so that a wrong address leaves nothing behind.
    made = made_journal(source), made_journal(target)
    async with contextlib.AsyncExitStack() as stack:
        for journal in made:
            await journal.open()
            stack.push_async_callback(journal.close)
        return await copy_runs(*made, secrets=secrets, progress=progress)


async def copy_runs(
    source: Journal,
    target: Journal,
    *,
    secrets: bool = True,
    progress: Callable[[JournalCopied], None] = lambda _: None,
) -> JournalCopied:
    """Copy all runs of a journal into another, the oldest first; the first one is not changed.

    A copied run has the same records, messages and large values, and the same status: queued,
    waiting and interrupted runs continue in the target. A run that a live process owns is
    refused, and one of which the target has another version. Runs that are there already are left
    as they are, but for messages that were sent since, so that a copy that was cut is continued by
    doing it again. A few runs are in memory at a time.

    Args:
        source: The journal, open.
        target: The other one, open.
        secrets: Whether what the runs' references stand for is copied.
        progress: Called after each page of runs, with what was done so far.

    Returns:
        What was done.
    """
    copier = _Copier(source, target, secrets=secrets)
    query = RunQuery(oldest_first=True, limit=_PAGE)
    while page := await source.runs(query):
        # Queued runs keep their order, which is that in which they are stored.
        for is_queued, group in itertools.groupby(page, lambda each: each.status == "queued"):
            runs = [each.run_id for each in group]
            at_once = 1 if is_queued else _AT_ONCE
            for first in range(0, len(runs), at_once):
                await _together(copier.copy(each) for each in runs[first : first + at_once])
        progress(copier.done)
        query = replace(query, after=page[-1].run_id)
    for value in await source.kept_values(""):
        await target.keep_value(value.key, value.data, 0)  # what is there already is kept
    return copier.done


async def _together(copies: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all; where one fails, end the others, and raise its error as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in copies:
                group.create_task(each)
    except ExceptionGroup as errors:
        raise next(iter(errors.exceptions)) from None


class _Refusal(Exception):
    """Why a run is not copied."""


class _Copier:
    """Copies runs, several at once.

    Args:
        source: The journal.
        target: The other one.
        secrets: Whether what the runs' references stand for is copied.

    Attributes:
        done: What was done so far.
    """

    def __init__(self, source: Journal, target: Journal, *, secrets: bool) -> None:
        self.done = JournalCopied()
        self._source = source
        self._target = target
        self._secrets = secrets

    async def copy(self, run_id: str) -> None:
        """Copy a run, or say why it is not copied."""
        try:
            await self._copy(run_id)
        except RunNotFoundError:
            pass  # it was pruned meanwhile
        except _Refusal as refusal:
            self._refuse(run_id, str(refusal))
        except (JournalDamagedError, RecordNotStorableError) as error:
            self._refuse(run_id, error.why or error.what)

    async def _copy(self, run_id: str) -> None:
        source, target = self._source, self._target
        before = await _summary(target, run_id)
        if before is not None and before.owner_alive:
            raise _Refusal("a process executes it in the target")
        archive = await source.export(run_id)
        summary = await source.summary(run_id)
        if summary.owner_alive and summary.finished_at is None:
            raise _Refusal("a process executes it: end that process, and copy again")
        known = await source.secrets(run_id) if self._secrets else {}
        if before is None and known:  # first: the run may be executed as soon as it is there
            await target.store_secrets(run_id, known)
        try:
            await target.import_(archive, pause=False)
        except RunExistsError:
            raise _Refusal(
                "the target has another run of this id, or another state of it"
            ) from None
        messages = await source.inbox(run_id)
        if before is not None:
            if summary.finished_at is None:
                for each in messages:
                    await target.post(run_id, each.message)
            self._add(already_there=1)
            return
        copied = await target.summary(run_id)
        if not copied.owner_alive and (copied.status, copied.records) != (
            summary.status, summary.records,
        ):  # fmt: skip
            raise _Refusal(
                f"it changed meanwhile: {summary.records} records there, {copied.records} copied"
            )
        self._add(runs=1, records=summary.records, messages=len(messages), secrets=len(known))

    def _refuse(self, run_id: str, why: str) -> None:
        self._add(refused=1)
        if len(self.done.refused_runs) < _MANY:
            shown = [*self.done.refused_runs, RefusedRun(run_id=run_id, why=why)]
            self.done = replace(self.done, refused_runs=shown)

    def _add(self, **counts: int) -> None:
        more = {name: getattr(self.done, name) + count for name, count in counts.items()}
        self.done = replace(self.done, **more)


async def _summary(journal: Journal, run_id: str) -> RunSummary | None:
    with contextlib.suppress(RunNotFoundError):
        return await journal.summary(run_id)
    return None
