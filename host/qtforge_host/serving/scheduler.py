"""Starts what schedules plan: each planned time once, also over a crash."""

from __future__ import annotations

import datetime
import hashlib
import logging
import zoneinfo
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from cronsim import CronSim, CronSimError

from qtforge_host.config.settings import ScheduleSettings, Settings
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import ConfigError, QtForgeError
from qtforge_sdk.files import write_atomically
from qtforge_sdk.journal_errors import RunExistsError

__all__ = ["Done", "Schedule", "ScheduleMemory", "Scheduler", "Start", "read_schedules"]

_FIELDS: Final = 5


_DAY: Final = datetime.timedelta(days=1, hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a workflow is started, and with what.

    Around the change to daylight saving time the rules are those of Debian's cron: a fixed time
    that is left out happens right after the gap, and one that comes twice happens once.

    Attributes:
        name: Unique in the configuration.
        workflow: The workflow's name.
        cron: The expression.
        timezone: Whose clock counts.
        input: What each run is started with.
        enabled: Whether it counts.
        catch_up: What to do about times that passed while no process ran.
    """

    name: str
    workflow: str
    cron: str
    timezone: zoneinfo.ZoneInfo
    input: Mapping[str, Any]
    enabled: bool
    catch_up: str

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the first planned time behind a moment, in UTC; None when there is none."""
        found = next(CronSim(self.cron, moment.astimezone(self.timezone)), None)
        return None if found is None else found.astimezone(datetime.UTC)

    def last(self, since: datetime.datetime, until: datetime.datetime) -> datetime.datetime | None:
        """Return the last planned time behind ``since`` and not behind ``until``, in UTC."""
        # Looked for backwards, then counted forwards from a day before it: around a change to
        # daylight saving time the two directions need not agree, and `after` counts forwards.
        back = next(CronSim(self.cron, until.astimezone(self.timezone), reverse=True), None)
        start = since if back is None else max(since, back.astimezone(datetime.UTC) - _DAY)
        found = None
        for each in CronSim(self.cron, start.astimezone(self.timezone)):
            moment = each.astimezone(datetime.UTC)
            if moment > until:
                break
            found = moment
        return found

    def run_id(self, planned: datetime.datetime) -> str:
        """Return the name of the run of a planned time: always the same, so it starts once."""
        digest = hashlib.sha256(f"{self.name}\n{planned.isoformat()}".encode()).hexdigest()
        return f"{planned:%Y%m%d-%H%M%S}-{digest[:10]}"


def read_schedules(settings: Settings) -> list[Schedule]:
    """Return the configured schedules, by name.

    Raises:
        ConfigError: A cron expression or a time zone is not one.
    """
    return [
        _read(name, said, f"{settings.config_path}: schedules.{name}")
        for name, said in sorted(settings.schedules.items())
    ]


def _read(name: str, said: ScheduleSettings, where: str) -> Schedule:
    try:
        timezone = zoneinfo.ZoneInfo(said.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"{where}.timezone", f"there is no time zone '{said.timezone}'", "such as Europe/Berlin"
        ) from error
    try:
        if len(said.cron.split()) != _FIELDS:
            raise CronSimError(f"it has {len(said.cron.split())} fields")
        if next(CronSim(said.cron, datetime.datetime.now(timezone)), None) is None:
            raise CronSimError("no day is like that")
    except CronSimError as error:
        raise ConfigError(
            f"{where}.cron",
            f"'{said.cron}' can't be used: {error}",
            "write minute, hour, day of the month, month, day of the week: '30 6 * * mon-fri'",
        ) from error
    return Schedule(
        name=name,
        workflow=said.workflow,
        cron=said.cron,
        timezone=timezone,
        input=said.input,
        enabled=said.enabled,
        catch_up=said.catch_up,
    )


_LOG: Final = logging.getLogger("qtforge.schedules")


_PUNCTUAL: Final = datetime.timedelta(minutes=1)


_LONGEST_S: Final = 30.0  # one sleep: then the clock is looked at again, which may have jumped


Start = Callable[[Schedule, str], Awaitable[None]]


"""Starts a schedule's workflow as the run of that name."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule did last.

    Attributes:
        planned: The last planned time that is dealt with, in UTC; before the first, when the
            schedule was first seen.
        run_id: The last run that it started; None before the first.
    """

    planned: datetime.datetime
    run_id: str | None = None


class ScheduleMemory:
    """Keeps what each schedule did last in a file.

    Args:
        path: The file; it may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, Done]:
        """Return it by the schedules' names; empty when the file can't be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Done])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            # The runs' names are derived from the planned times, so nothing starts twice.
            _LOG.warning("%s is not used: %s", self._path, error)
            return {}

    def keep(self, name: str, done: Done) -> None:
        """Keep what a schedule did.

        Raises:
            OSError: The file can't be written.
        """
        write_atomically(self._path, msgspec.json.encode({**self.all(), name: done}))


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
