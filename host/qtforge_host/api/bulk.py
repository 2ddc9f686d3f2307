"""Select runs by what they have in common, and do the same with each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from qtforge_host.api.documents import BulkDone, BulkFailure
from qtforge_host.api.lookup import found_runs
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Journal, RunQuery
from qtforge_sdk.run_status import FINISHED, RUN_STATUSES, UNFINISHED

__all__ = [
    "ANY",
    "ENDED",
    "MOST_AT_ONCE",
    "OPEN",
    "RESUMABLE",
    "RETRIABLE",
    "Selectable",
    "Selection",
    "SelectionError",
    "do_with_all",
    "do_with_each",
    "query_of",
]

MOST_AT_ONCE: Final = 1000
"""The most runs of one call; an answer says whether more are left."""


class SelectionError(QtForgeError):
    """A selection of runs is missing, or cannot be made.

    Args:
        what: What is wrong.
        fix: How to fix it.
    """

    code = "run.selection_invalid"
    exit_code = 2
    http_status = 422

    def __init__(self, what: str, fix: str, /) -> None:
        super().__init__(what, "", fix)


class Selectable(msgspec.Struct, frozen=True):
    """With which runs something can be done, by their status.

    Attributes:
        statuses: The statuses that may be given; ``interrupted`` is one of them where a run without
            a living owner can be meant.
        default: Those that count where none is given.
    """

    statuses: frozenset[str]
    default: frozenset[str]


_UNFINISHED: Final = UNFINISHED | {"interrupted"}
OPEN: Final = Selectable(_UNFINISHED, _UNFINISHED)
"""What can be cancelled or paused."""
RESUMABLE: Final = Selectable(
    frozenset({"paused", "blocked", "interrupted"}), frozenset({"paused", "blocked", "interrupted"})
)
RETRIABLE: Final = Selectable(
    frozenset({"failed", "compensated", "cancelled"}), frozenset({"failed", "compensated"})
)
"""What was cancelled was so on purpose: it is retried where its status is given."""
ENDED: Final = Selectable(FINISHED, FINISHED)
ANY: Final = Selectable(frozenset(RUN_STATUSES) | {"interrupted"}, frozenset())


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are meant: those that fit everything that is given.

    Attributes:
        workflow: The workflow's name.
        statuses: Any of these; empty for those with which it is usually done.
        tags: All of these tags, each with that value.
        schedule: The schedule that started them.
        error_code: The code of the error with which they failed or are blocked.
        plugin: The plugin that failed.
    """

    workflow: str | None = None
    statuses: frozenset[str] = frozenset()
    tags: Mapping[str, str] = {}
    schedule: str | None = None
    error_code: str | None = None
    plugin: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether anything restricts it."""
        named = self.workflow or self.schedule or self.error_code or self.plugin
        return bool(named or self.statuses or self.tags)


def query_of(selection: Selection, selectable: Selectable, *, limit: int) -> RunQuery:
    """Return the query for the runs that are meant; its statuses may include ``interrupted``.

    Args:
        selection: Which runs.
        selectable: With which runs it can be done.
        limit: At most so many.

    Raises:
        SelectionError: Nothing restricts them, or it can't be done with runs of a status.
    """
    if not selection.is_given:
        fix = "give a workflow, a status, a tag, a schedule, an error code or a plugin"
        raise SelectionError("which runs are meant is not said", fix)
    wrong = sorted(selection.statuses - selectable.statuses)
    if wrong:
        fix = f"give one of: {', '.join(sorted(selectable.statuses))}"
        raise SelectionError(f"it can't be done with a run that is {wrong[0]}", fix)
    return RunQuery(
        statuses=selection.statuses or selectable.default,
        workflow=selection.workflow,
        tags=selection.tags,
        schedule=selection.schedule,
        error_code=selection.error_code,
        error_plugin=selection.plugin,
        limit=limit,
    )


async def do_with_all(
    journal: Journal,
    selection: Selection,
    selectable: Selectable,
    do: Callable[[str], Awaitable[object]],
    *,
    dry_run: bool,
) -> BulkDone:
    """Do the same with each run that is meant, the newest first, whatever fails with another.

    Args:
        journal: Holds the runs.
        selection: Which ones; at most `MOST_AT_ONCE`.
        selectable: With which runs it can be done.
        do: What is done with each.
        dry_run: Only say which.

    Raises:
        SelectionError: Nothing restricts them, or it can't be done with runs of a status.
    """
    found = await found_runs(journal, query_of(selection, selectable, limit=MOST_AT_ONCE + 1))
    run_ids = [each.run_id for each in found[:MOST_AT_ONCE]]
    done = await do_with_each(run_ids, do, dry_run=dry_run)
    return msgspec.structs.replace(done, more=len(found) > MOST_AT_ONCE)


async def do_with_each(
    run_ids: Sequence[str], do: Callable[[str], Awaitable[object]], *, dry_run: bool
) -> BulkDone:
    """Do the same with each of these runs, whatever fails with another.

    Args:
        run_ids: The runs.
        do: What is done with each.
        dry_run: Only say which.
    """
    if dry_run:
        return BulkDone(runs=[*run_ids], failed=[], more=False)
    done, failed = [], []
    for run_id in run_ids:
        try:
            await do(run_id)
        except QtForgeError as error:  # such as that it has just ended
            failed.append(BulkFailure(run_id=run_id, code=error.code, message=str(error)))
        else:
            done.append(run_id)
    return BulkDone(runs=done, failed=failed, more=False)
