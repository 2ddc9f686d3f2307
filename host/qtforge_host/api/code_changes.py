"""What a change of workflows' code means for their runs: patches that are asked for, replays."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Collection

import msgspec

from qtforge_host.api.documents import Patches, PatchRow
from qtforge_host.runs.replay import PATCH
from qtforge_host.runs.state import RunState
from qtforge_sdk.journal import Journal, RunQuery, RunSummary
from qtforge_sdk.records import StepSucceeded
from qtforge_sdk.run_status import FINISHED, UNFINISHED, RunStatus

__all__ = ["patches_of", "runs_of", "runs_to_replay"]

_PAGE = 200  # runs that are listed at once
_FINISHED_READ = 100  # runs that have ended, for patches that no unfinished run has asked for yet


async def runs_of(
    journal: Journal,
    workflow: str | None,
    statuses: Collection[RunStatus],
    most: int | None,
    *,
    after: str | None = None,
) -> AsyncIterator[RunSummary]:
    """Give runs, newest first.

    Args:
        journal: Holds them.
        workflow: The workflow's name; None for any.
        statuses: Any of these; none for any.
        most: At most so many; None for all.
        after: Begin after this run; None for the newest.
    """
    query = RunQuery(workflow=workflow, statuses=frozenset(statuses), after=after, limit=_PAGE)
    count = 0
    while most is None or count < most:
        limit = _PAGE if most is None else min(_PAGE, most - count)
        page = await journal.runs(msgspec.structs.replace(query, limit=limit))
        for each in page:
            yield each
        count += len(page)
        if len(page) < limit:
            return
        query = msgspec.structs.replace(query, after=page[-1].run_id)


async def runs_to_replay(
    journal: Journal,
    workflow: str | None = None,
    *,
    last: int | None = None,
    after: str | None = None,
) -> AsyncGenerator[RunSummary, None]:
    """Give the runs that changed code is tried with, newest first.

    Args:
        journal: Holds them.
        workflow: The workflow's name; None for any.
        last: The newest runs, at most so many; None for all that have not ended.
        after: Begin after this run; None for the newest.
    """
    statuses = UNFINISHED if last is None else ()
    async for each in runs_of(journal, workflow, statuses, last, after=after):
        yield each


async def patches_of(journal: Journal, workflow: str) -> Patches:
    """Count the answers of `Run.patched` in the runs of a workflow.

    Args:
        journal: Holds the runs.
        workflow: The workflow's name.
    """
    answers: dict[str, Counter[bool]] = {}
    unfinished = 0
    async for each in runs_of(journal, workflow, UNFINISHED, None):
        unfinished += 1
        for name, answer in (await _answers_of(journal, each.run_id)).items():
            answers.setdefault(name, Counter())[answer] += 1
    async for each in runs_of(journal, workflow, FINISHED, _FINISHED_READ):
        for name in await _answers_of(journal, each.run_id):
            answers.setdefault(name, Counter())
    rows = [
        PatchRow(
            patch=name,
            new=found[True],
            old=found[False],
            not_asked=unfinished - found.total(),
            old_can_go=not found[False] and found.total() == unfinished,
        )
        for name, found in sorted(answers.items())
    ]
    return Patches(workflow=workflow, unfinished=unfinished, patches=rows)


async def _answers_of(journal: Journal, run_id: str) -> dict[str, bool]:
    """Return the answers of a run, by the patch."""
    state = RunState.from_records(run_id, await journal.records(run_id))
    return {
        step.removeprefix(PATCH): outcome.data is True
        for step, outcome in state.outcomes.items()
        if step.startswith(PATCH) and isinstance(outcome, StepSucceeded) and not outcome.plugin
    }
