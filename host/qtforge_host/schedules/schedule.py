"""`Schedule`: the planned times of a workflow, as the configuration says."""

from __future__ import annotations

import collections
import datetime
import hashlib
import heapq
import itertools
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
from cronsim import CronSim, CronSimError

from qtforge_host.config.settings import CatchUp, Overlap, ScheduleSettings, Settings
from qtforge_host.validation import seconds_at
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.records import DEFAULT_POOL

__all__ = ["MOST_TIMES", "Schedule", "cron_in_words", "cron_schedule", "read_schedules"]

MOST_TIMES: Final = 1000
"""So many planned times are looked at together."""

_FIELDS: Final = 5
_DAY: Final = datetime.timedelta(days=1, hours=2)
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# Nothing is planned from then on, so that an interval, a jitter (both are 100 years at most) and
# the offset of a time zone can be added to each planned time: dates end with the year 9999.
_LAST: Final = datetime.datetime(9700, 1, 1, tzinfo=datetime.UTC)
_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
    }
)
_HOW: Final = "write minute, hour, day of the month, month, day of the week: '30 6 * * mon-fri'"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When a workflow is started, and with what.

    Around the change to daylight saving time the rules are those of Debian's cron: a fixed time
    that is left out happens right after the gap, and one that comes twice happens once.

    Attributes:
        name: Unique in the configuration.
        workflow: The workflow's name.
        crons: The expressions, each of whose times counts.
        every_s: The seconds between two times, in place of expressions; None for those.
        timezone: Whose clock counts for expressions.
        start: The first time is at that moment or later, in UTC; None for any.
        end: The last time is before that moment.
        jitter_s: A run starts up to so many seconds after its planned time.
        overlap: What to do while a run of the schedule is unfinished.
        catch_up: What to do about times that passed while no process ran.
        catch_up_within_s: Times that passed longer ago are missed, in seconds.
        pause_after: So many failures in a row pause the schedule; None for never.
        input: What each run is started with; ``${schedule...}`` stands for its planned time.
        tags: Tags of each run, with the same expressions.
        enabled: Whether it counts.
        pool: The pool whose processes execute its runs.
    """

    name: str
    workflow: str
    crons: tuple[str, ...] = ()
    every_s: float | None = None
    timezone: datetime.tzinfo = datetime.UTC
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    jitter_s: float = 0.0
    overlap: Overlap = "skip"
    catch_up: CatchUp = "none"
    catch_up_within_s: float = 86_400.0
    pause_after: int | None = None
    input: Mapping[str, Any]
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    enabled: bool = True
    pool: str = DEFAULT_POOL

    def times(self, since: datetime.datetime) -> Iterator[datetime.datetime]:
        """Give the planned times after a moment, in UTC, the earliest first."""
        if self.start is not None and since < self.start:
            since = self.start - datetime.timedelta(microseconds=1)
        end = _LAST if self.end is None else min(self.end, _LAST)
        if since >= end:
            return
        last = None
        for moment in self._all_times(since):
            if moment >= end:
                return
            if moment != last:  # of two expressions
                yield moment
            last = moment

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the first planned time after a moment, in UTC; None when there is none."""
        return next(self.times(moment), None)

    def between(
        self, since: datetime.datetime, until: datetime.datetime, most: int = MOST_TIMES
    ) -> Sequence[datetime.datetime]:
        """Return the planned times after ``since`` and not after ``until``, in UTC.

        Args:
            since: The moment before the first one.
            until: The moment of the last one at the latest.
            most: Of more than so many, the last.
        """
        # Looked for backwards, then counted forwards from a day before it: around a change to
        # daylight saving time the two directions need not agree, and `times` counts forwards.
        found: collections.deque[datetime.datetime] = collections.deque(maxlen=most)
        for moment in self.times(self._start_of(since, until, most)):
            if moment > until:
                break
            if moment > since:
                found.append(moment)
        return tuple(found)

    def interval(self, moment: datetime.datetime) -> datetime.timedelta:
        """Return the time between the two planned times that follow a moment."""
        first, second = [*itertools.islice(self.times(moment), 2), None, None][:2]
        if first is None or second is None:
            return datetime.timedelta.max
        return second - first

    def due(self, planned: datetime.datetime) -> datetime.datetime:
        """Return when the run of a planned time starts: always the same, within the jitter."""
        if not self.jitter_s:
            return planned
        digest = hashlib.sha256(f"{self.name}\n{planned.isoformat()}\njitter".encode()).digest()
        share = int.from_bytes(digest[:4]) / 2**32
        return planned + datetime.timedelta(seconds=round(share * self.jitter_s, 3))

    def run_id(self, planned: datetime.datetime, turn: int = 0, again: str = "") -> str:
        """Return the name of the run of a planned time: always the same, so it starts once.

        Args:
            planned: The planned time.
            turn: How often the clock was set back so far that planned times came again.
            again: Another one for each time that the run is started once more on purpose.
        """
        more = "".join(f"\n{each}" for each in (turn, again) if each)
        digest = hashlib.sha256(f"{self.name}\n{planned.isoformat()}{more}".encode()).hexdigest()
        return f"{planned:%Y%m%d-%H%M%S}-{digest[:10]}"

    def _all_times(self, since: datetime.datetime) -> Iterator[datetime.datetime]:
        if self.every_s is None:
            yield from heapq.merge(*(self._cron_times(cron, since) for cron in self.crons))
            return
        first = self.start or _EPOCH
        every = datetime.timedelta(seconds=self.every_s)
        number = max(0, (since - first) // every)
        while True:
            moment = first + number * every
            if moment > since:
                yield moment
            number += 1

    def _cron_times(self, cron: str, since: datetime.datetime) -> Iterator[datetime.datetime]:
        for each in CronSim(cron, since.astimezone(self.timezone)):
            yield each.astimezone(datetime.UTC)

    def _start_of(
        self, since: datetime.datetime, until: datetime.datetime, most: int
    ) -> datetime.datetime:
        """Return a moment after which there are the last so many times of a span."""
        if self.every_s is not None:
            back = datetime.timedelta(seconds=self.every_s) * (most + 1)
            return until - back if until - since > back else since
        return min(self._cron_start_of(cron, since, until, most) for cron in self.crons)

    def _cron_start_of(
        self, cron: str, since: datetime.datetime, until: datetime.datetime, most: int
    ) -> datetime.datetime:
        past = CronSim(cron, until.astimezone(self.timezone), reverse=True)
        for number, each in enumerate(past, 1):
            moment = each.astimezone(datetime.UTC) - _DAY
            if moment <= since:
                break
            if number == most:
                return moment
        return since


def read_schedules(settings: Settings) -> list[Schedule]:
    """Return the configured schedules, by name.

    Raises:
        ConfigError: A cron expression, a time zone, a time or a duration is not one.
    """
    return [
        _read(name, said, f"{settings.config_path}: schedules.{name}")
        for name, said in sorted(settings.schedules.items())
    ]


def cron_schedule(cron: str, timezone: str) -> Schedule:
    """Return a schedule of a cron expression alone, to show its times.

    Raises:
        ConfigError: The expression or the time zone is not one.
    """
    said = ScheduleSettings(workflow="", cron=cron, timezone=timezone)
    return _read("", said, "CRON")


def cron_in_words(cron: str) -> str:
    """Return what a valid cron expression says, in English.

    >>> cron_in_words("30 6 * * mon-fri")
    'At 06:30 on Monday through Friday'
    """
    return CronSim(cron, _EPOCH).explain()


def _read(name: str, said: ScheduleSettings, where: str) -> Schedule:
    timezone = _timezone(said.timezone, f"{where}.timezone")
    crons = (said.cron,) if isinstance(said.cron, str) else said.cron
    if bool(crons) == (said.every is not None):
        what = "'cron' and 'every' are both there" if crons else "'cron' or 'every' is missing"
        raise ConfigError(where, what, "give one of them, such as cron = '30 6 * * mon-fri'")
    return Schedule(
        name=name,
        workflow=said.workflow,
        crons=tuple(_cron(each, timezone, f"{where}.cron") for each in crons),
        every_s=None if said.every is None else seconds_at(f"{where}.every", said.every, least_s=1),
        timezone=timezone,
        start=_moment(said.start, timezone, f"{where}.start"),
        end=_moment(said.end, timezone, f"{where}.end"),
        jitter_s=0.0 if said.jitter is None else seconds_at(f"{where}.jitter", said.jitter),
        overlap=said.overlap,
        catch_up="last" if said.catch_up == "one" else said.catch_up,
        catch_up_within_s=seconds_at(f"{where}.catch_up_within", said.catch_up_within),
        pause_after=said.pause_after,
        input=said.input,
        tags=said.tags,
        enabled=said.enabled,
        pool=said.pool,
    )


def _timezone(name: str, where: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            where, f"there is no time zone '{name}'", "such as Europe/Berlin"
        ) from error


def _cron(text: str, timezone: datetime.tzinfo, where: str) -> str:
    cron = _ALIASES.get(text, text)
    try:
        if cron.startswith("@"):
            raise CronSimError("there is no such word")
        if len(cron.split()) != _FIELDS:
            raise CronSimError(f"it has {len(cron.split())} fields")
        if next(CronSim(cron, datetime.datetime.now(timezone)), None) is None:
            raise CronSimError("no day is like that")
    except CronSimError as error:
        fix = f"use one of {', '.join(_ALIASES)}" if text.startswith("@") else _HOW
        raise ConfigError(where, f"'{text}' can't be used: {error}", fix) from error
    return cron


def _moment(said: object, timezone: datetime.tzinfo, where: str) -> datetime.datetime | None:
    if said is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(said) if isinstance(said, str) else said
    except ValueError:
        found = None
    if isinstance(found, datetime.date) and not isinstance(found, datetime.datetime):
        found = datetime.datetime.combine(found, datetime.time())
    if not isinstance(found, datetime.datetime):
        fix = "write a date or a time: 2026-12-01, or 2026-12-01T09:00:00"
        raise ConfigError(where, f"'{said}' is not a time", fix)
    moment = found if found.tzinfo is not None else found.replace(tzinfo=timezone)
    try:
        return moment.astimezone(datetime.UTC)
    except OverflowError as error:
        what = f"'{said}' is before the year 1 or after the year 9999 in UTC"
        raise ConfigError(where, what, "write a year between them, or leave it out") from error
