"""`JournalScheduledRuns`: the runs of schedules in a journal."""

from __future__ import annotations

import contextlib
import datetime

from qtforge_host.api.client import RunClient
from qtforge_host.api.schedules import ScheduledInput, input_of, workflow_of
from qtforge_host.app import Host
from qtforge_host.runs.errors import RunEndedError
from qtforge_host.runs.run_keys import Start
from qtforge_host.runs.supervisor import Durable
from qtforge_host.schedules.schedule import Schedule
from qtforge_host.serving.scheduler import RunEnd
from qtforge_sdk.journal_errors import RunDuplicateError, RunExistsError, RunNotFoundError
from qtforge_sdk.records import QueueEntry, StartedBy
from qtforge_sdk.run_status import UNFINISHED

__all__ = ["JournalScheduledRuns"]


class JournalScheduledRuns:
    """Queues the runs of schedules; implements `ScheduledRuns`.

    Args:
        durable: The journal, with what executes runs on it.
        client: Cancels runs.
        host: Finds workflows, and evaluates expressions in the inputs of schedules.
    """

    def __init__(self, durable: Durable, client: RunClient, host: Host) -> None:
        self._durable = durable
        self._client = client
        self._host = host

    async def start(self, schedule: Schedule, run_id: str, given: ScheduledInput) -> None:
        """Queue a schedule's workflow as the run of that name; see `ScheduledRuns`."""
        workflow = await workflow_of(self._host, schedule)
        start = Start(by=StartedBy(kind="schedule", name=schedule.name), tags=given.tags)
        try:
            await self._durable.engine.enqueue(
                workflow,
                given.input,
                QueueEntry(pool=schedule.pool),
                run_id=run_id,
                start=start,
            )
        except RunDuplicateError as error:  # another run does the same already
            raise RunExistsError(error.run_id) from error

    async def cancel(self, run_id: str, reason: str) -> None:
        """Cancel a run, unless it has ended; see `ScheduledRuns`."""
        with contextlib.suppress(RunEndedError, RunNotFoundError):
            await self._client.cancel(run_id, reason=reason, timeout=0)

    async def end(self, run_id: str) -> RunEnd:
        """Return how a run has ended, if it has; see `ScheduledRuns`."""
        try:
            status = (await self._durable.journal.summary(run_id)).status
        except RunNotFoundError:  # it was pruned
            return "succeeded"
        if status in UNFINISHED:
            return "unfinished"
        return "failed" if status in ("failed", "compensated") else "succeeded"

    async def given(
        self, schedule: Schedule, planned: datetime.datetime, previous: datetime.datetime | None
    ) -> ScheduledInput:
        """Return the input of the run of a planned time; see `ScheduledRuns`."""
        return await input_of(self._host.expressions, schedule, planned, previous)
