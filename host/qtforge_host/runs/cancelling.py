"""Ending runs that nobody executes, from their journal alone."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final

from qtforge_host.runs.history import History
from qtforge_host.runs.outcome import fold
from qtforge_sdk import ErrorInfo
from qtforge_sdk.journal import InboxMessage, Journal, Ownership, RunQuery, RunSummary
from qtforge_sdk.journal_errors import RunOwnedError
from qtforge_sdk.records import RunCancelRequested, RunFinished

__all__ = ["cancel_family", "cancel_message", "undoes", "unfinished_children"]

_UNFINISHED: Final = frozenset({"running", "waiting", "paused", "blocked"})
_MANY: Final = 1_000_000


def undoes(history: History) -> bool:
    """Tell whether a cancellation of a run undoes something; a workflow in Python is asked."""
    started = history.started
    definition = history.definition or (started.definition if started is not None else None)
    return history.undoing or definition is None or definition.get("on_cancel") == "compensate"


async def unfinished_children(journal: Journal, parent: str) -> Sequence[RunSummary]:
    """Return the runs that a run has started and that have not ended."""
    return await journal.runs(RunQuery(parent=parent, statuses=_UNFINISHED, limit=_MANY))


def cancel_message(parent: str, at: datetime.datetime) -> InboxMessage:
    """Return what asks a child to end with its parent."""
    return InboxMessage(
        message_id=f"{parent}/cancelled", kind="cancel", at=at, by=f"its parent run {parent}"
    )


async def cancel_family(
    journal: Journal, run_id: str, *, by: str, reason: str, at: datetime.datetime
) -> bool:
    """End a run and the unfinished runs that it started, and theirs, if nothing is to be undone.

    A child that a live process executes is asked to end. The children end first, so that
    whoever is killed in the middle of this can do it again.

    Args:
        journal: Holds them.
        run_id: The run; one that has ended stays as it is.
        by: Who asked.
        reason: Why, or "".
        at: Now, in UTC.

    Returns:
        False when a run has to be taken up because something in it is to be undone; nothing
        was changed then.

    Raises:
        RunOwnedError: A live process executes the run.
    """
    ownership = await journal.claim(run_id)
    family = await _family(journal, run_id)
    if any([undoes(History.of(await journal.records(each))) for each, _ in family]):
        await journal.release(ownership)
        return False
    for child, parent in family[:0:-1]:
        try:
            owned = await journal.claim(child)
        except RunOwnedError:
            await journal.post(child, cancel_message(parent, at))
        else:
            await _end(journal, owned, f"its parent run {parent}", reason, at)
    await _end(journal, ownership, by, reason, at)
    return True


async def _family(journal: Journal, run_id: str) -> list[tuple[str, str]]:
    """Return the run and its unfinished descendants with their parents, parents first."""
    family = [(run_id, "")]
    for each, _ in family:  # grows meanwhile
        family += [(child.run_id, each) for child in await unfinished_children(journal, each)]
    return family


async def _end(
    journal: Journal, ownership: Ownership, by: str, reason: str, at: datetime.datetime
) -> None:
    run_id = ownership.run_id
    records = await journal.records(run_id)
    if History.of(records).finished is not None:
        await journal.release(ownership)
        return
    asked = RunCancelRequested(run_id=run_id, at=at, by=by, reason=reason)
    finished = RunFinished(
        run_id=run_id,
        at=at,
        status="cancelled",
        degraded=fold(run_id, records).degraded,
        result=None,
        summary="",
        error=ErrorInfo(code="run.cancelled", message=f"cancelled by {by}"),
    )
    await journal.append(ownership, [asked, finished])
