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
_LARGE: Final = datetime.timedelta(hours=3)
_OFTEN: Final = datetime.timedelta(hours=1)


_AGAIN_S: Final = 5.0  # before a start that was refused is tried again


_LONGEST_S: Final = 30.0  # one sleep: then the clock is looked at again, which may have jumped


Start = Callable[[Schedule, str], Awaitable[None]]


"""Starts a schedule's workflow as the run of that name."""


def _counts_anew(schedule: Schedule, planned: datetime.datetime, back: datetime.timedelta) -> bool:
    """Return whether a schedule continues from the new time after the clock was set back.

    Otherwise it waits until the clock has caught up, so that nothing starts twice. The rule is
    that of Debian's cron: after a large step the new time counts, after a small one it counts
    only for what happens often.

    Args:
        schedule: The schedule.
        planned: The last planned time that is dealt with.
        back: How long it would wait.
    """
    interval = schedule.interval(planned)
    return back > interval and (back > _LARGE or interval < _OFTEN)


class Scheduler:
    """Waits for the planned times of schedules.

    Args:
        schedules: Those that count.
        start: Starts a run.
        memory: What was done before.
        clock: The time; that of the journal where several processes have the schedules.
    """

    def __init__(
        self,
        schedules: Sequence[Schedule],
        start: Start,
        memory: ScheduleMemory,
        clock: Clock,
    ) -> None:
        self._schedules = schedules
        self._start = start
        self._memory = memory
        self._clock = clock
        self._done: dict[str, Done] = {}
        self._refused: dict[str, datetime.datetime] = {}  # planned times that did not start yet

    async def run(self) -> None:
        """Start what is planned, until cancelled."""
        if not self._schedules:
            return
        known = self._memory.all()
        now = self._clock.now()
        for schedule in self._schedules:
            if schedule.name not in known:
                self._keep(schedule, Done(planned=now))
            self._done[schedule.name] = known.get(schedule.name, Done(planned=now))
        while True:
            for schedule in self._schedules:
                await self._catch_up(schedule)
            await self._clock.sleep(self._wait_s())

    async def _catch_up(self, schedule: Schedule) -> None:
        now, name = self._clock.now(), schedule.name
        done = self._done[name]
        if done.planned > now and _counts_anew(schedule, done.planned, done.planned - now):
            _LOG.warning("the clock was set back: the schedule %s continues from %s", name, now)
            done = Done(planned=now, run_id=done.run_id, turn=done.turn + 1)
            self._refused.pop(name, None)
            self._finish(schedule, done)
        planned = schedule.last(done.planned, now) if now > done.planned else None
        if planned is None:
            self._refused.pop(name, None)
            return
        run_id = None
        if schedule.catch_up == "one" or now - planned <= _PUNCTUAL:
            run_id = await self._fire(schedule, planned, done.turn)
            if run_id is None:  # it is tried again, as long as its policy allows
                self._refused[name] = planned
                return
        else:
            _LOG.warning("the schedule %s has missed %s", name, planned)
        self._refused.pop(name, None)
        self._finish(schedule, Done(planned=planned, run_id=run_id or done.run_id, turn=done.turn))

    def _finish(self, schedule: Schedule, done: Done) -> None:
        self._done[schedule.name] = done
        self._keep(schedule, done)

    async def _fire(self, schedule: Schedule, planned: datetime.datetime, turn: int) -> str | None:
        run_id = schedule.run_id(planned, turn)
        try:
            await self._start(schedule, run_id)
        except RunExistsError:  # started, and killed before that was written down
            return run_id
        except QtForgeError as error:
            name, workflow = schedule.name, schedule.workflow
            if self._refused.get(name) != planned:
                _LOG.error("the schedule %s can't start %s yet: %s", name, workflow, error)
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
        nexts = [
            schedule.after(max(now, self._done[schedule.name].planned))
            for schedule in self._schedules
        ]
        waits = [(each - now).total_seconds() for each in nexts if each is not None]
        waits += [_AGAIN_S for _ in self._refused]
        return min([_LONGEST_S, *(max(0.0, wait) for wait in waits)])
