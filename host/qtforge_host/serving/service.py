"""A running host with what keeps it busy: interrupted runs, schedules, live events."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Self

from qtforge_host.app import Host
from qtforge_host.config import Settings
from qtforge_host.journals import Durable
from qtforge_host.runs.clock import SystemClock
from qtforge_host.serving.counting import RunCounts
from qtforge_host.serving.executing import Executing
from qtforge_host.serving.folder import ServeFolder
from qtforge_host.serving.options import ServeOptions
from qtforge_host.serving.schedules import Schedule
from qtforge_host.serving.scheduling import ScheduleMemory, Scheduler
from qtforge_host.serving.streaming import Streams

__all__ = ["Service"]

_LOG: Final = logging.getLogger("qtforge.serve")


class Service:
    """Everything that is made anew when the configuration changes; an async context manager.

    Args:
        settings: The configuration.
        options: How to serve.
        schedules: Those of the configuration.
        counts: Counts what happens, over all services of the process.

    Attributes:
        settings: The configuration.
        options: How to serve.
        host: The host.
        durable: Its journal and engine.
        executing: The runs that this process executes.
        streams: Who hears live events.
        counts: Counts what happens.
    """

    def __init__(
        self,
        settings: Settings,
        options: ServeOptions,
        schedules: Sequence[Schedule],
        counts: RunCounts,
    ) -> None:
        self.settings = settings
        self.options = options
        self.counts = counts
        self.host = Host(settings)
        self.durable: Durable
        self.executing: Executing
        self.streams: Streams
        self._schedules = [each for each in schedules if each.enabled]
        self._stack = contextlib.AsyncExitStack()
        self._grace_s = options.grace_s

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.host)
            self.durable = await self.host.durable()
            self.executing = Executing(
                self.durable.engine, self.durable.journal, self.options.max_runs
            )
            self.streams = Streams(self.host.bus, self.options.max_streams)
            stack.callback(self.host.on_record(self.streams.tell))
            stack.callback(self.host.on_record(self.counts.take))
            stack.callback(self.streams.close)
            stack.push_async_callback(self._leave_runs)
            memory = ScheduleMemory(ServeFolder(self.settings.state_dir).schedules_path)
            scheduler = Scheduler(self._schedules, self._start, memory, SystemClock())
            for name, work in (
                ("schedules", scheduler.run()),
                ("taking up", self.executing.take_up()),
            ):
                stack.push_async_callback(_ended, asyncio.create_task(_told(name, work)))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def hurry(self) -> None:
        """Leave the runs as they are at once when it ends."""
        self._grace_s = 0.0

    async def _start(self, schedule: Schedule, run_id: str) -> None:
        workflow = self.host.workflow(schedule.workflow)
        await self.executing.start(workflow, schedule.input, run_id=run_id)

    async def _leave_runs(self) -> None:
        busy = len(self.executing)
        if busy:
            _LOG.info("%d runs may go on for %g s", busy, self._grace_s)
        left = await self.executing.close(self._grace_s)
        if left:
            _LOG.warning("%d runs are left as they are; the next process goes on", left)


async def _told(name: str, work: Coroutine[Any, Any, None]) -> None:
    """Do work that never ends; when it does, somebody has to know."""
    try:
        await work
    except Exception:
        _LOG.exception("%s have ended because of a mistake in the host", name)
        raise


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # it was told when it happened
