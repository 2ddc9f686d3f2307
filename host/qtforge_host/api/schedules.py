"""Schedules: when ``serve`` starts workflows by itself, and what it started last."""

from __future__ import annotations

import datetime
import hashlib
import logging
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from cronsim import CronSim, CronSimError

from qtforge_host.api.documents import ScheduleRow, Schedules
from qtforge_host.config.settings import ScheduleSettings, Settings
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.files import write_atomically
from qtforge_sdk.records import DEFAULT_POOL

__all__ = ["Done", "Schedule", "ScheduleMemory", "list_schedules", "read_schedules"]

_LOG: Final = logging.getLogger("qtforge.schedules")
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
        pool: The pool whose processes execute its runs.
    """

    name: str
    workflow: str
    cron: str
    timezone: zoneinfo.ZoneInfo
    input: Mapping[str, Any]
    enabled: bool
    catch_up: str
    pool: str = DEFAULT_POOL

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the first planned time after a moment, in UTC; None when there is none."""
        found = next(CronSim(self.cron, moment.astimezone(self.timezone)), None)
        return None if found is None else found.astimezone(datetime.UTC)

    def last(self, since: datetime.datetime, until: datetime.datetime) -> datetime.datetime | None:
        """Return the last planned time after ``since`` and not after ``until``, in UTC."""
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

    def interval(self, moment: datetime.datetime) -> datetime.timedelta:
        """Return the time between the two planned times that follow a moment."""
        first = self.after(moment)
        second = None if first is None else self.after(first)
        if first is None or second is None:
            return datetime.timedelta.max
        return second - first

    def run_id(self, planned: datetime.datetime, turn: int = 0) -> str:
        """Return the name of the run of a planned time: always the same, so it starts once.

        Args:
            planned: The planned time.
            turn: How often the clock was set back so far that planned times came again.
        """
        again = f"\n{turn}" if turn else ""
        digest = hashlib.sha256(f"{self.name}\n{planned.isoformat()}{again}".encode()).hexdigest()
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
        pool=said.pool,
    )


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule did last.

    Attributes:
        planned: The last planned time that is dealt with, in UTC; before the first, when the
            schedule was first seen.
        run_id: The last run that it started; None before the first.
        turn: How often the clock was set back so far that planned times came again.
    """

    planned: datetime.datetime
    run_id: str | None = None
    turn: int = 0


class ScheduleMemory:
    """Remembers what each schedule did last, in a file of the state directory.

    Args:
        path: The file; it may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, state_dir: Path) -> ScheduleMemory:
        """Return that of a state directory."""
        return cls(state_dir / "serve" / "schedules.json")

    def all(self) -> dict[str, Done]:
        """Return what every schedule did, by its name; empty when the file can't be read."""
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


def list_schedules(settings: Settings, now: datetime.datetime) -> Schedules:
    """List every schedule of the configuration with its next planned time and its last run.

    Args:
        settings: The configuration.
        now: The time in UTC.

    Raises:
        ConfigError: A cron expression or a time zone is not one.
    """
    done = ScheduleMemory.of(settings.state_dir).all()
    return Schedules(
        schedules=[_row(each, done.get(each.name), now) for each in read_schedules(settings)]
    )


def _row(schedule: Schedule, done: Done | None, now: datetime.datetime) -> ScheduleRow:
    return ScheduleRow(
        name=schedule.name,
        workflow=schedule.workflow,
        cron=schedule.cron,
        timezone=schedule.timezone.key,
        enabled=schedule.enabled,
        catch_up=schedule.catch_up,
        input=dict(schedule.input),
        next=schedule.after(now) if schedule.enabled else None,
        last_run=None if done is None else done.run_id,
    )
