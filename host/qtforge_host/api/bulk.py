"""Select runs by what they have in common, and do the same with each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from qtforge_host.api.documents import BulkDone, BulkFailure
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Journal, RunQuery
from qtforge_sdk.run_status import UNFINISHED

__all__ = ["MOST_AT_ONCE", "Selection", "SelectionError", "do_with_all"]

MOST_AT_ONCE: Final = 1000
"""The most runs of one call; what is left over is said."""


class SelectionError(QtForgeError):
    """The runs that are meant are not told, or can't be.

    Args:
        what: What is wrong.
        fix: How to fix it.
    """

    code = "run.selection_invalid"
    exit_code = 2
    http_status = 422

    def __init__(self, what: str, fix: str, /) -> None:
        super().__init__(what, "", fix)


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which unfinished runs are meant: those that fit everything that is given.

    Attributes:
        workflow: The workflow's name.
        statuses: Any of these; empty for all that an unfinished run may have.
        tags: All of these tags, each with that value.
        schedule: The schedule that started them.
    """

    workflow: str | None = None
    statuses: frozenset[str] = frozenset()
    tags: Mapping[str, str] = {}
    schedule: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether anything restricts it."""
        return bool(self.workflow or self.statuses or self.tags or self.schedule)


async def do_with_all(
    journal: Journal,
    selection: Selection,
    do: Callable[[str], Awaitable[object]],
    *,
    dry_run: bool,
) -> BulkDone:
    """Do the same with each run that is meant, the newest first, whatever fails with another.

    Args:
        journal: Holds the runs.
        selection: Which ones.
        do: What is done with each.
        dry_run: Only say which.

    Raises:
        SelectionError: Nothing restricts them, or a status is that of a run that has ended.
    """
    found = await _selected(journal, selection)
    done, failed = [], []
    for run_id in found[:MOST_AT_ONCE]:
        try:
            if not dry_run:
                await do(run_id)
        except QtForgeError as error:  # such as that it has just ended
            failed.append(BulkFailure(run_id=run_id, code=error.code, message=str(error)))
        else:
            done.append(run_id)
    return BulkDone(runs=done, failed=failed, more=len(found) > MOST_AT_ONCE)


async def _selected(journal: Journal, selection: Selection) -> Sequence[str]:
    """Return the runs that are meant, the newest first; one more than are done at once.

    Raises:
        SelectionError: Nothing restricts them, or a status is that of a run that has ended.
    """
    if not selection.is_given:
        fix = "give a workflow, a status, a tag or a schedule"
        raise SelectionError("which runs are meant is not said", fix)
    ended = sorted(selection.statuses - UNFINISHED)
    if ended:
        raise SelectionError(f"a run that is {ended[0]} has ended", "give an unfinished status")
    query = RunQuery(
        statuses=selection.statuses or frozenset(UNFINISHED),
        workflow=selection.workflow,
        tags=selection.tags,
        schedule=selection.schedule,
        limit=MOST_AT_ONCE + 1,
    )
    return [each.run_id for each in await journal.runs(query)]
