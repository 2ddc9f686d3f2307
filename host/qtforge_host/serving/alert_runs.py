"""`JournalAlertRuns`: the runs that deliver alerts, in a journal."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Final

from qtforge_host.alerts.messages import DELIVERY_WORKFLOW
from qtforge_host.app import Host
from qtforge_host.runs.run_keys import Start
from qtforge_host.runs.supervisor import Durable
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.errors import WorkflowUnmetError
from qtforge_sdk.journal_errors import RunExistsError
from qtforge_sdk.records import QueueEntry, StartedBy

__all__ = ["JournalAlertRuns"]

_PRIORITY: Final = 50  # before most other work, which may be why people have to be told


class JournalAlertRuns:
    """Queues the runs that deliver alerts; implements `AlertRuns`.

    Args:
        durable: The journal, with what executes runs on it.
        host: Finds the workflow.
    """

    def __init__(self, durable: Durable, host: Host) -> None:
        self._durable = durable
        self._host = host

    async def start(self, run_id: str, given: Mapping[str, Any]) -> None:
        """Queue a delivery, unless it is there; see `AlertRuns`."""
        workflow = await self._workflow()
        start = Start(
            by=StartedBy(kind="request", name="alerts"), tags={"alert": str(given["alert"])}
        )
        with contextlib.suppress(RunExistsError):
            await self._durable.engine.enqueue(
                workflow, given, QueueEntry(priority=_PRIORITY), run_id=run_id, start=start
            )

    async def _workflow(self) -> Workflow:
        with contextlib.suppress(WorkflowUnmetError):
            return await self._host.started_workflow(DELIVERY_WORKFLOW, queued=True)
        return self._host.catalog.get(DELIVERY_WORKFLOW)  # others may have what is missing here
