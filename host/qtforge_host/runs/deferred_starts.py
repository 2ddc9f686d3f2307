"""Starts of runs that wait, in the journal, until a process has room for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import OperationError, QtForgeError, StorageError
from qtforge_sdk.journal import Journal, Publication, StoredPublication
from qtforge_sdk.journal_errors import RunExistsError

__all__ = ["DeferredStarts"]

_LOG = logging.getLogger("qtforge.runs")
_LISTENER: Final = "starts"
_TOPIC: Final = "qtforge.start"
_AT_ONCE: Final = 100  # starts that are read together
_POLL_S: Final = 0.5  # after which it is looked whether there is room
_LOOK_S: Final = 60.0  # between two looks where nothing is known to wait


class _Start(msgspec.Struct, frozen=True, kw_only=True):
    workflow: str
    input: dict[str, Any]


class DeferredStarts:
    """Limits how many runs publications start at once; the others start when runs have ended.

    Args:
        supervisor: Starts runs.
        journal: Holds the starts that wait.
        clock: The time.
        find: Returns the workflow of a name.
        max_runs: So many runs execute in this process at once; None for any number.
        capacity: So many starts wait.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        journal: Journal,
        clock: Clock,
        find: Callable[[str], Workflow],
        max_runs: int | None,
        capacity: int,
    ) -> None:
        self._supervisor = supervisor
        self._journal = journal
        self._clock = clock
        self._find = find
        self._max_runs = sys.maxsize if max_runs is None else max_runs
        self._capacity = capacity
        self._count = 0  # of those that wait, from the first look
        self._added = asyncio.Event()
        self._listens = False

    @property
    def has_room(self) -> bool:
        """Whether a run may start at once."""
        return self._supervisor.count() < self._max_runs and not self._count

    async def add(self, workflow: str, given: Mapping[str, Any], run_id: str) -> None:
        """Let a start wait.

        Args:
            workflow: The workflow's name.
            given: The run's input.
            run_id: The run's id; with the same id it starts once.

        Raises:
            OperationError: Too many wait already: ``runs.overloaded``.
            StorageError: The journal can't be written.
        """
        if self._count >= self._capacity:
            raise OperationError(
                "runs.overloaded",
                f"no run of '{workflow}' is started",
                f"{self._count:,} starts wait already, for {self._max_runs:,} runs at once",
                "raise --max-runs, or publication_capacity in [host]",
            )
        if not self._count:
            _LOG.warning(
                "%d runs execute here (--max-runs): starts by publications wait", self._max_runs
            )
        if not self._listens:
            await self._journal.listen(_LISTENER, [_TOPIC], self._capacity)
            self._listens = True
        self._count += 1
        message = {"workflow": workflow, "input": given}
        await self._journal.publish(
            Publication(message_id=run_id, topic=_TOPIC, message=message, at=self._clock.now())
        )
        self._added.set()

    async def run(self) -> None:
        """Start what waits, as there is room, until cancelled."""
        failure = ""
        while True:
            self._added.clear()
            try:
                while await self._start_some():
                    pass
                failure = ""
            except QtForgeError as error:  # such as a store that fails for a while
                if str(error) != failure:  # it may last for days
                    _LOG.warning("starts that wait can't be read: %s", error)
                failure = str(error)
            if self._count or failure:
                await asyncio.sleep(_POLL_S)
            else:  # an idle process asks the journal for nothing
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._added.wait(), _LOOK_S)

    async def _start_some(self) -> bool:
        """Start some of what waits; return whether there may be more, and room for it."""
        found = await self._journal.publications(_LISTENER, _AT_ONCE)
        self._count = max(self._count, len(found)) if found else 0
        for each in found:
            if self._supervisor.count() >= self._max_runs:
                return False
            await self._start(each)
            await self._journal.remove_publications(_LISTENER, each.position)
            self._count = max(0, self._count - 1)
        return bool(found)

    async def _start(self, stored: StoredPublication) -> None:
        publication = stored.publication
        if publication is None:  # it is damaged, as `doctor` says
            return
        try:
            start = msgspec.convert(publication.message, _Start)
            workflow = self._find(start.workflow)
            await self._supervisor.start(workflow, start.input, run_id=publication.message_id)
        except RunExistsError:  # the process before ended between the start and the removal
            return
        except StorageError:
            raise
        except (QtForgeError, msgspec.ValidationError) as error:
            _LOG.warning("the run %s was not started: %s", publication.message_id, error)
