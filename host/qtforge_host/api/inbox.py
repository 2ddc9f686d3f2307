"""Runs that wait for a person."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from qtforge_host.api.documents import InboxDocument, InboxRow, run_origin
from qtforge_host.api.snapshots import WorkflowOf, document_name, machine_document
from qtforge_host.runs.accepted_events import offers_of
from qtforge_host.runs.state import RunState
from qtforge_sdk.journal import Journal, RunQuery, RunSummary

__all__ = ["PERSON", "is_a_persons", "list_inbox"]

PERSON: Final = "user"
"""The first word of events that people send."""


async def list_inbox(
    journal: Journal,
    workflow_of: WorkflowOf,
    *,
    workflow: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> InboxDocument:
    """List the runs that accept an event named ``user`` or ``user.*``, oldest first.

    The order is that of their starts, so that a reminder does not move a run.

    Args:
        journal: The journal.
        workflow_of: Gives a run's workflow, for the events that it accepts.
        workflow: Only runs of this workflow.
        limit: At most so many.
        after: The run after which the page begins.

    Raises:
        RunNotFoundError: There is no run ``after``.
    """
    query = RunQuery(
        workflow=workflow,
        waiting_for=f"{PERSON}.*",
        after=after,
        oldest_first=True,
        limit=limit + 1,  # the last one tells that there is a next page
    )
    summaries = await journal.runs(query)
    rows = [await _row(journal, workflow_of, each) for each in summaries[:limit]]
    more = len(summaries) > limit
    return InboxDocument(inbox=rows, next=rows[-1].run_id if more else None)


async def _row(journal: Journal, workflow_of: WorkflowOf, summary: RunSummary) -> InboxRow:
    records = await journal.tail(summary.run_id)
    state = RunState.from_records(summary.run_id, records)
    if state.checkpoint is not None and not (
        state.checkpoint.label_since or state.checkpoint.trace.get("entered")
    ):  # an earlier version saved it
        # Only the rest of its history tells since when it is in its state.
        records = await journal.records(summary.run_id)
        state = RunState.from_records(summary.run_id, records)
    row = InboxRow(
        run_id=summary.run_id,
        workflow=summary.workflow,
        title=summary.title,
        tags=dict(summary.tags),
        started_by=run_origin(summary.started_by, summary.parent),
        document=document_name(state) or None,
        state=summary.label,
        since=summary.waiting_since or summary.started_at,
        due=None,
        machine=None,
    )
    if state.checkpoint is None:  # code in Python, which waits for events by their names
        accepts = [each for each in summary.accepts if is_a_persons(each)]
        return replace(row, accepts=accepts)
    read = workflow_of(state)
    offers = offers_of(read, state.checkpoint) if read is not None else ()
    return replace(
        row,
        since=state.label_since or summary.started_at,
        due=min(state.timers.values(), default=None),
        machine=machine_document(
            state, [each for each in offers if is_a_persons(each.accepted.event)]
        ),
    )


def is_a_persons(event: str) -> bool:
    """Return whether an event is one that a person sends."""
    return event == PERSON or event.startswith(f"{PERSON}.")
