"""A running host that resumes interrupted runs, starts scheduled ones, and streams events."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Self

from qtforge_host.api.client import RunClient
from qtforge_host.api.parts import Parts
from qtforge_host.app import Host, bind
from qtforge_host.code_marks import CodeMarks
from qtforge_host.config.settings import Settings
from qtforge_host.nodes.node_bus import Answering
from qtforge_host.run_files import RunFiles
from qtforge_host.runs.publications import PublicationReceiver
from qtforge_host.runs.recovery import RecoveryLoop
from qtforge_host.runs.supervisor import Durable
from qtforge_host.schedules.schedule import Schedule
from qtforge_host.schedules.state import ScheduleStates
from qtforge_host.serving.alert_loop import AlertLoop
from qtforge_host.serving.alert_runs import JournalAlertRuns
from qtforge_host.serving.metrics import RecentFigures, RunCounts
from qtforge_host.serving.options import ServeOptions
from qtforge_host.serving.retention_loop import RetentionLoop
from qtforge_host.serving.scheduled_runs import JournalScheduledRuns
from qtforge_host.serving.scheduler import Scheduler
from qtforge_host.serving.streaming import Streams
from qtforge_sdk.errors import QtForgeError

__all__ = ["Service"]

_LOG: Final = logging.getLogger("qtforge.serve")
_PAGE_FIGURES_S: Final = 0.5
_REPLAYED: Final = 1000  # waiting runs that are compared with the installed code at the start


class Service:
    """Everything that is rebuilt when the configuration changes; an async context manager.

    Args:
        settings: The configuration.
        options: How to serve.
        schedules: Those of the configuration.
        counts: Counts what happens, over all services of the process.
        marks: Notes whose code is in progress.

    Attributes:
        settings: The configuration.
        options: How to serve.
        host: The host.
        client: Every use case of its runs.
        durable: Its journal and engine.
        streams: The clients of live events.
        figures: What the journal holds, and who uses it.
        page_figures: The same for people, who want it newer.
        counts: Counts what happens.
        is_last: Whether no other service follows in this process or in one that replaces it:
            then nothing that is published is stored for it any more.
    """

    def __init__(
        self,
        settings: Settings,
        options: ServeOptions,
        schedules: Sequence[Schedule],
        counts: RunCounts,
        marks: CodeMarks | None = None,
    ) -> None:
        self.settings = settings
        self.options = options
        self.counts = counts
        answering = Answering(name=options.node, grace_s=options.grace_s)
        self.host = Host(settings, marks, answering, scope="watching")
        self.host.flush_s = min(self.host.flush_s, options.grace_s)
        self.client: RunClient
        self.durable: Durable
        self.streams: Streams
        self.figures: RecentFigures
        self.page_figures: RecentFigures
        self._schedules = [each for each in schedules if each.enabled]
        self._stack = contextlib.AsyncExitStack()
        self._hurried = asyncio.Event()
        self.is_last = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.host)
            self._parts = Parts(self.settings, self.host)
            self.durable = await self._parts.durable()
            self.client = RunClient(
                self._parts, by="the HTTP interface", max_runs=self.options.max_runs
            )
            self.figures = RecentFigures(self.durable.journal)
            self.page_figures = RecentFigures(self.durable.journal, again_s=_PAGE_FIGURES_S)
            supervisor = self.durable.supervisor
            supervisor.active_runs.linger_s = self.settings.rest_after_s
            supervisor.active_runs.rests_all = True
            supervisor.active_runs.capacity = self.options.max_runs
            self.streams = Streams(self.host.bus, self.durable.journal, self.options.max_streams)
            stack.callback(self.host.on_record(self.streams.notify))
            stack.callback(self.host.on_record(self.counts.take))
            stack.callback(self.streams.close)
            stack.push_async_callback(self._leave_runs)
            scheduler = Scheduler(
                self._schedules,
                JournalScheduledRuns(self.durable, self.client, self.host),
                ScheduleStates.of(self.durable.journal, self.settings.state_dir),
                self.durable.clock,
            )
            retention = RetentionLoop(
                self.settings.retention,
                self.durable.journal,
                RunFiles(self.settings.run_files_dir, self.durable.logs.keeper),
                self.durable.clock,
            )
            alerts = AlertLoop(
                self.settings.alerts,
                self.durable.journal,
                JournalAlertRuns(self.durable, self.host),
                self.durable.clock,
            )
            await alerts.begin()
            self._recovery = RecoveryLoop(
                supervisor,
                self.durable.journal,
                self.durable.clock,
                pools=self.options.pools,
                max_runs=self.options.max_runs,
                node=self.options.node,
                role=self.options.role,
                grace_s=self.options.grace_s,
                on_draining=self._answer_less,
                placements=self.host.placements,
            )
            bindings = await bind(self.host, self.options.max_runs, self.options.pools)
            stack.callback(bindings.close)
            stack.push_async_callback(self._stop_listening, bindings.receiver)
            self._check_schedules()
            for name, work in (
                ("the scheduler", scheduler.run()),
                ("the recovery of runs", self._recovery.run()),
                ("what other processes publish", bindings.receiver.run()),
                ("the retention", retention.run()),
                ("the alerts", alerts.run()),
            ):
                task = asyncio.create_task(_told(name, work))
                self._tasks.append(task)
                stack.push_async_callback(_ended, task)
            if self.options.role == "serve":
                stack.push_async_callback(_ended, asyncio.create_task(self._check_code()))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def client_of(self, name: str) -> RunClient:
        """Return every use case, done in somebody's name."""
        return RunClient(self._parts, by=name, max_runs=self.options.max_runs)

    def failure(self) -> BaseException | None:
        """Return why runs are no longer resumed or started by schedules; None when all is well."""
        ended = (task for task in self._tasks if task.done() and not task.cancelled())
        return next((error for task in ended if (error := task.exception()) is not None), None)

    @property
    def trouble(self) -> Exception | None:
        """Why runs do not continue, such as a full disk; None when all is well."""
        return self._recovery.trouble

    def hurry(self) -> None:
        """Do not wait for runs when the service ends."""
        self._hurried.set()

    def leave(self) -> None:
        """Take nothing more, and leave runs to other processes before their next step.

        A worker leaves all of its runs; ``serve`` those that a process which is there can continue.
        """
        for task in self._tasks:
            task.cancel()
        self._recovery.hand_over(everything=self.options.role == "worker")

    def _answer_less(self, draining: bool) -> None:
        if self.host.nodes is not None:
            self.host.nodes.set_draining(draining)

    def _check_schedules(self) -> None:
        names = self.host.catalog.names()
        for schedule in self._schedules:
            if schedule.workflow not in names:
                name, workflow = schedule.name, schedule.workflow
                _LOG.warning(
                    "the schedule %s names a workflow that is not here: %s", name, workflow
                )

    async def _check_code(self) -> None:
        """Warn of runs that wait and that the installed code would not continue."""
        try:
            async for row in self.client.host.diverged(_REPLAYED):
                _LOG.warning(
                    "%s of %s will be blocked: its code %s", row.run_id, row.workflow, row.text
                )
        except QtForgeError as error:
            _LOG.warning("the waiting runs were not compared with the code: %s", error)

    async def _stop_listening(self, receiver: PublicationReceiver) -> None:
        if self.is_last:
            try:
                if await self._has_peers():  # for which what is published is stored, too
                    return
                await receiver.stop()
            except QtForgeError as error:
                _LOG.warning("what others publish is still stored: %s", error)

    async def _has_peers(self) -> bool:
        owners = await self.durable.journal.owners()
        return sum(each.announcement is not None for each in owners) > 1

    async def _leave_runs(self) -> None:
        supervisor = self.durable.supervisor
        self.leave()
        if supervisor.count():
            _LOG.info("%d runs may execute for %g s more", supervisor.count(), self.options.grace_s)
        closing = asyncio.create_task(supervisor.close(self.options.grace_s))
        hurried = asyncio.create_task(self._hurried.wait())
        either: set[asyncio.Task[Any]] = {closing, hurried}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if closing.done():
            closing.result()
            return
        closing.cancel()
        await asyncio.wait([closing])
        await supervisor.close()


async def _told(name: str, work: Coroutine[Any, Any, None]) -> None:
    """Do work that never ends; when it ends, that is reported."""
    try:
        await work
    except Exception as error:
        _LOG.error("%s has ended: %s", name, error, exc_info=_LOG.isEnabledFor(logging.DEBUG))
        raise


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # it was logged when it was raised
