"""Amendments that reach a run when nothing is to come any more: they are refused."""

from __future__ import annotations

import datetime

from qtforge_host.runs.state import RunState
from qtforge_sdk.journal import InboxMessage, Journal
from qtforge_sdk.records import AmendmentRefused

__all__ = ["late_amendments", "refused_at_the_end"]


def refused_at_the_end(
    run_id: str, message: InboxMessage, at: datetime.datetime
) -> AmendmentRefused:
    """Return the record of the refusal.

    Args:
        run_id: The run.
        message: The amendment.
        at: The run's end.
    """
    return AmendmentRefused(
        run_id=run_id,
        at=at,
        message_id=message.message_id,
        reason="the run was ending: nothing was to come any more",
        by=message.by,
    )


async def late_amendments(journal: Journal, state: RunState) -> tuple[AmendmentRefused, ...]:
    """Return the refusals of what reached a run's inbox when it was too late to read it.

    No record is written after that of a run's end, so these are not in the journal.

    Args:
        journal: The journal.
        state: The run, from all its records.
    """
    ended_at = state.finished_at
    if ended_at is None:
        return ()
    return tuple(
        refused_at_the_end(state.run_id, message, ended_at)
        for _, message in await journal.inbox(state.run_id, state.inbox)
        if message.kind == "amend" and message.message_id not in state.handled
    )
