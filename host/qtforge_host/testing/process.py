"""`KitProcess`: one process of a host, as far as its runs are concerned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from qtforge_host.policies.cache import ResultCache
from qtforge_host.policies.memory_cache import MemoryCache
from qtforge_host.runs.engine import Engine, RunIds
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.state import RunState
from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.runs.triggers import EventTriggers
from qtforge_host.testing.bench import Bench
from qtforge_host.testing.mortal_journal import MortalJournal
from qtforge_host.testing.settling import Settling
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Record
from qtforge_sdk.journal import InboxMessage, Journal, RunQuery
from qtforge_sdk.testing import VirtualClock

__all__ = ["KitProcess"]

_ALL: Final = RunQuery(limit=100_000, oldest_first=True)


class KitProcess:
    """Executes runs on a bench; what it leaves in its journal, another process continues.

    Args:
        bench: Has the bus, the plugins and the clock.
        journal: Holds the runs; open.
        workflows: Finds workflows.
        plugins: Gives the plugins' versions by name.
        ids: Makes the ids of runs.
        clock: The time of the runs.

    Attributes:
        began_at: From when `passed_s` counts.
    """

    def __init__(
        self,
        bench: Bench,
        journal: MortalJournal,
        workflows: RecordedWorkflows,
        plugins: Callable[[], dict[str, str]],
        ids: RunIds,
        clock: VirtualClock,
    ) -> None:
        self._bench = bench
        self._clock = clock
        self.began_at = clock.now()
        self._mortal = journal
        self.journal = cast(Journal, journal)
        self._cache = ResultCache(MemoryCache(), self._clock)
        parts = bench.parts
        self._engine = Engine(
            parts.bus,
            parts.expressions,
            self.journal,
            workflows,
            observe=parts.observe_run,
            plugins=plugins,
            cache=self._cache,
            clock=self._clock,
            secrets=parts.secrets,
            ids=ids,
        )
        self._supervisor = Supervisor(self._engine)
        self._triggers: EventTriggers | None = None
        self._settling = Settling(clock, parts.bus, bench.traffic, self._supervisor, journal)

    def bind(self, workflows: Iterable[Workflow]) -> None:
        """Let published messages start runs and reach them, as these definitions say."""
        self.unbind()
        parts = self._bench.parts
        self._triggers = EventTriggers(
            parts.bus, self._supervisor, self.journal, parts.expressions, self._clock
        )
        self._triggers.bind([*workflows])

    async def start(
        self, workflow: Workflow, given: Mapping[str, Any], run_id: str | None = None
    ) -> str:
        """Start a run, let it go as far as it can, and return its id."""
        run_id = await self._supervisor.start(workflow, given, run_id=run_id)
        await self._settling.settle()
        return run_id

    async def resume_all(self) -> None:
        """Resume what an earlier process left, and let it go as far as it can."""
        for run_id in await self.journal.unfinished():
            self._supervisor.wake(run_id)
        await self._settling.settle()

    async def send(self, run_id: str, event: str, data: Mapping[str, Any], number: int) -> None:
        """Send a run an event; the same number again is the same message.

        The test sends it, not the process: that is no write at which the process may die.
        """
        message = InboxMessage(
            message_id=f"test-{number}",
            kind="event",
            at=self._clock.now(),
            name=event,
            data=dict(data),
            by="the test",
        )
        await self._mortal.inner.post(run_id, message)
        await self._settling.settle()

    async def publish(self, topic: str, message: object, number: int) -> None:
        """Publish a message; the same number again is the same message."""
        message_id = f"test-{number}"
        await self._bench.parts.bus.publish(topic, message, message_id=message_id)
        await self._settling.settle()

    async def advance(self, seconds: float) -> None:
        """Let time pass, also where runs wait for events."""
        await self._settling.advance(seconds)

    def passed_s(self) -> float:
        """Return the seconds that have passed for the runs."""
        return (self._clock.now() - self.began_at).total_seconds()

    async def records(self, run_id: str) -> Sequence[Record]:
        """Return the records of a run."""
        return await self.journal.records(run_id)

    async def state(self, run_id: str) -> RunState:
        """Return what the records of a run add up to."""
        return RunState.from_records(run_id, await self.records(run_id))

    async def workflows(self) -> dict[str, str]:
        """Return the workflow's name of every run, by the run's id, oldest first."""
        return {each.run_id: each.workflow for each in await self.journal.runs(_ALL)}

    def awaited_events(self, run_id: str) -> list[str]:
        """Return the events that the code of a run waits for now."""
        return list(self._engine.active_runs.awaited_events(run_id))

    def describe(self) -> str:
        """Return what is being worked on, for an error's text."""
        return self._settling.describe()

    async def close(self) -> None:
        """Leave every run as it is, and close the journal."""
        self.unbind()
        await self._engine.abandon()
        await self._mortal.inner.close()
        await self._cache.close()

    def unbind(self) -> None:
        """Leave published messages to others."""
        if self._triggers is not None:
            self._triggers.close()
            self._triggers = None
