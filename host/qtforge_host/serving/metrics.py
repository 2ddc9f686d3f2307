"""Counts what this process recorded of runs."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from qtforge_host.api.documents import NodeRow, PoolRow
from qtforge_host.api.nodes import node_rows, pool_rows
from qtforge_sdk import Record
from qtforge_sdk.journal import Journal, JournalStatistics
from qtforge_sdk.records import RunFinished, RunStarted, StepFailed, StepSkipped, StepSucceeded

__all__ = ["COUNTED_AGAIN_S", "JournalFigures", "RecentFigures", "RunCounts"]

COUNTED_AGAIN_S: Final = 10.0


_REST: Final = 20  # times as long as it took: a twentieth of one processor at most


class JournalFigures(NamedTuple):
    """How much a journal holds, and which processes use it."""

    statistics: JournalStatistics
    nodes: Sequence[NodeRow]
    pools: Sequence[PoolRow]


class RecentFigures:
    """Counts when it is asked, but not when it has done so lately.

    Args:
        journal: What is counted.
        clock: Gives seconds; their differences count.
        again_s: How long at least what was counted is not counted again, in seconds.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Callable[[], float] = time.monotonic,
        again_s: float = COUNTED_AGAIN_S,
    ) -> None:
        self._journal = journal
        self._again_s = again_s
        self._clock = clock
        self._lock = asyncio.Lock()  # concurrent requests get the same result
        self._found: JournalFigures | None = None
        self._next_at = 0.0

    async def get(self) -> JournalFigures:
        """Return how much there is, or was a moment ago.

        Raises:
            StateDirectoryError: The journal can't be read.
        """
        async with self._lock:
            begun = self._clock()
            if self._found is None or begun >= self._next_at:
                statistics = await self._journal.statistics()
                owners, pools = await self._journal.owners(), await self._journal.pools()
                now = datetime.datetime.now(datetime.UTC)
                self._found = JournalFigures(
                    statistics, node_rows(owners), pool_rows(pools, owners, now)
                )
                ended = self._clock()
                self._next_at = ended + max(self._again_s, _REST * (ended - begun))
            return self._found


_MANY = 10_000  # unfinished runs whose workflows are known


class RunCounts:
    """Counts since the process started.

    Attributes:
        started: By workflow.
        ended: By workflow and status; "" for a workflow that another process started.
        steps: By outcome: ``succeeded``, ``failed``, ``retried``, ``warning``, ``skipped``.
    """

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        self.steps: Counter[str] = Counter()
        self._workflows: dict[str, str] = {}

    def take(self, record: Record) -> None:
        """Count a record."""
        match record:
            case StepSucceeded():
                self.steps["succeeded"] += 1
            case StepFailed():
                retried = "retried" if record.will_retry else None
                self.steps[retried or ("failed" if record.required else "warning")] += 1
            case StepSkipped():
                self.steps["skipped"] += 1
            case RunStarted():
                self.started[record.workflow] += 1
                if len(self._workflows) < _MANY:
                    self._workflows[record.run_id] = record.workflow
            case RunFinished():
                workflow = self._workflows.pop(record.run_id, "")
                self.ended[workflow, record.status] += 1
            case _:
                pass
