"""Start the runs of schedules: one for each planned time, also after a crash."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from qtforge_host.api.schedules import Done, Schedule, ScheduleMemory
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal_errors import RunExistsError

__all__ = ["Scheduler", "Start"]

_LOG: Final = logging.getLogger("qtforge.schedules")


_PUNCTUAL: Final = datetime.timedelta(minutes=1)


_LONGEST_S: Final = 30.0  # one sleep: then the clock is looked at again, which may have jumped


Start = Callable[[Schedule, str], Awaitable[None]]


"""Starts a schedule's workflow as the run of that name."""


class Scheduler:
    """Waits for the planned times of schedules.

    Args:
        schedules: Those that count.
        start: Starts a run.
        memory: What was done before.
        clock: The time.
    """

    def __init__(
        self, schedules: Sequence[Schedule], start: Start, memory: ScheduleMemory, clock: Clock
    ) -> None:
        self._schedules = schedules
        self._start = start
        self._memory = memory
        self._clock = clock
        self._done: dict[str, datetime.datetime] = {}

    async def run(self) -> None:
        """Start what is planned, until cancelled."""
        if not self._schedules:
            return
        known = self._memory.all()
        now = self._clock.now()
        for schedule in self._schedules:
            if schedule.name not in known:
                self._keep(schedule, Done(planned=now))
            # A clock that went back must not make a schedule wait until it has caught up.
            done = known.get(schedule.name, Done(planned=now))
            self._done[schedule.name] = min(now, done.planned)
        while True:
            for schedule in self._schedules:
                await self._catch_up(schedule)
            await self._clock.sleep(self._wait_s())

    async def _catch_up(self, schedule: Schedule) -> None:
        now = self._clock.now()
        planned = schedule.last(self._done[schedule.name], now)
        if planned is None:
            return
        run_id = None
        if schedule.catch_up == "one" or now - planned <= _PUNCTUAL:
            run_id = await self._fire(schedule, planned)
        else:
            _LOG.warning("the schedule %s has missed %s", schedule.name, planned)
        self._done[schedule.name] = planned
        before = self._memory.all().get(schedule.name)
        last_run = run_id or (before.run_id if before is not None else None)
        self._keep(schedule, Done(planned=planned, run_id=last_run))

    async def _fire(self, schedule: Schedule, planned: datetime.datetime) -> str | None:
        run_id = schedule.run_id(planned)
        try:
            await self._start(schedule, run_id)
        except RunExistsError:  # started, and killed before that was written down
            return run_id
        except QtForgeError as error:
            name, workflow = schedule.name, schedule.workflow
            _LOG.error("the schedule %s can't start %s: %s", name, workflow, error)
            return None
        _LOG.info("the schedule %s starts the run %s", schedule.name, run_id)
        return run_id

    def _keep(self, schedule: Schedule, done: Done) -> None:
        try:
            self._memory.keep(schedule.name, done)
        except OSError as error:
            _LOG.error("what %s did can't be written down: %s", schedule.name, error)

    def _wait_s(self) -> float:
        now = self._clock.now()
        nexts = [schedule.after(self._done[schedule.name]) for schedule in self._schedules]
        waits = [(each - now).total_seconds() for each in nexts if each is not None]
        return min([_LONGEST_S, *(max(0.0, wait) for wait in waits)])
