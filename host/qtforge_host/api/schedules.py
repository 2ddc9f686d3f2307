"""The use cases of schedules: list, show, pause, resume, trigger and backfill them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import itertools
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from qtforge_host.api.documents import (
    PlannedRow,
    PlannedTimes,
    ScheduleDocument,
    ScheduleRow,
    ScheduleRuns,
    Schedules,
)
from qtforge_host.api.errors import NotFoundError
from qtforge_host.api.parts import Parts
from qtforge_host.app import Host
from qtforge_host.config.settings import Settings
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.runs.run_keys import Start
from qtforge_host.schedules.schedule import (
    MOST_TIMES,
    Schedule,
    cron_in_words,
    cron_schedule,
    read_schedules,
)
from qtforge_host.schedules.state import Outcome, PlannedTime, ScheduleState, ScheduleStates
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import RunError, WorkflowUnmetError
from qtforge_sdk.journal_errors import RunDuplicateError, RunExistsError, RunNotFoundError
from qtforge_sdk.records import DEFAULT_POOL, QueueEntry, StartedBy
from qtforge_sdk.run_status import UNFINISHED
from qtforge_sdk.validation import did_you_mean

__all__ = [
    "ScheduleBusyError",
    "ScheduleClient",
    "ScheduledInput",
    "SpanReversedError",
    "TooManyTimesError",
    "cron_in_words",
    "input_of",
    "open_schedules",
    "times_of_cron",
    "workflow_of",
]

_SHOWN: Final = 10
_POLL_S: Final = 0.5  # before the ends of runs are looked at again
_FIRST: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class ScheduleBusyError(RunError):
    """A run of the schedule is unfinished, and the schedule allows no other beside it.

    Args:
        name: The schedule.
        run_id: The unfinished run.
    """

    code = "schedule.busy"
    exit_code = 4
    http_status = 409

    def __init__(self, name: str, run_id: str) -> None:
        super().__init__(
            f"the run {run_id} of the schedule '{name}' is not finished",
            "",
            "wait for its end, cancel it, or start another one all the same with --force",
        )


class TooManyTimesError(RunError):
    """More planned times are to be made up at once than are looked at.

    Args:
        name: The schedule.
    """

    code = "schedule.too_many_times"
    exit_code = 2
    http_status = 422

    def __init__(self, name: str) -> None:
        super().__init__(
            f"more than {MOST_TIMES:,} times of '{name}' are in that span", "", "give a shorter one"
        )


class SpanReversedError(RunError):
    """The end of a span is before its start.

    Args:
        since: The start.
        until: The end.
    """

    code = "schedule.span_reversed"
    exit_code = 2
    http_status = 422

    def __init__(self, since: str, until: str) -> None:
        super().__init__(
            "the span ends before it starts",
            f"it is from {since} to {until}",
            "give the earlier time first",
        )


def _ignore(_: PlannedRow) -> None:
    pass


@contextlib.asynccontextmanager
async def open_schedules(settings: Settings) -> AsyncIterator[ScheduleClient]:
    """Give the use cases of schedules; what a use case needs is opened then."""
    parts = Parts(settings)
    try:
        yield ScheduleClient(parts)
    finally:
        await parts.close()


class ScheduleClient:
    """Lists and changes the schedules of the configuration, for all processes of a journal.

    Args:
        parts: The journal and the host; the caller closes them.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self) -> Schedules:
        """List every schedule, with its next planned time and its last run.

        Raises:
            ConfigError: A schedule is not valid.
        """
        schedules = read_schedules(self._parts.settings)
        if not schedules:
            return Schedules(schedules=[])
        states, now = await self._states(), await self._now()
        known = await states.all()
        return Schedules(schedules=[_row(each, known.get(each.name), now) for each in schedules])

    async def show(self, name: str) -> ScheduleDocument:
        """Return a schedule, the outcomes of its last planned times, and the next ones.

        Raises:
            NotFoundError: There is no such schedule.
            ConfigError: A schedule is not valid.
        """
        schedule = self._schedule(name)
        state = await (await self._states()).get(name)
        return await self._document(schedule, state, await self._now())

    async def pause(self, name: str, *, reason: str = "") -> ScheduleDocument:
        """Let a schedule start nothing, until it is resumed.

        Args:
            name: The schedule.
            reason: Why, for its history; without one a schedule that is paused keeps its own.

        Raises:
            NotFoundError: There is no such schedule.
            ConfigError: A schedule is not valid.
        """
        schedule, now = self._schedule(name), await self._now()

        def paused(state: ScheduleState | None) -> ScheduleState:
            state = state or ScheduleState(planned=now)
            why = reason or (state.paused_why if state.paused_at is not None else "")
            return replace(state, paused_at=state.paused_at or now, paused_why=why)

        state = await (await self._states()).change(name, paused)
        return await self._document(schedule, state, now)

    async def resume(self, name: str, *, catch_up: bool = False) -> ScheduleDocument:
        """Let a paused schedule start runs again; one that is not paused stays as it is.

        Args:
            name: The schedule.
            catch_up: Whether planned times that passed meanwhile are made up as its ``catch_up``
                says; at least the last one. Else they are left out.

        Raises:
            NotFoundError: There is no such schedule.
            ConfigError: A schedule is not valid.
        """
        schedule, now = self._schedule(name), await self._now()

        def resumed(state: ScheduleState | None) -> ScheduleState | None:
            if state is None or state.paused_at is None:
                return None
            planned = state.planned if catch_up else max(state.planned, now)
            return replace(
                state, paused_at=None, paused_why="", planned=planned, resumed=catch_up, failures=0
            )

        state = await (await self._states()).change(name, resumed)
        return await self._document(schedule, state, now)

    async def trigger(self, name: str, *, force: bool = False) -> ScheduleRuns:
        """Queue a run of a schedule now, whether it is paused or not.

        Args:
            name: The schedule.
            force: Whether to do so while a run of the schedule is unfinished, whatever its
                ``overlap`` says.

        Raises:
            NotFoundError: There is no such schedule.
            ScheduleBusyError: A run is unfinished.
            QtForgeError: The run can't be started.
        """
        schedule = self._schedule(name)
        states, now = await self._states(), await self._now()
        if not force and schedule.overlap != "allow":
            unfinished = await self._unfinished(await states.get(name))
            if unfinished:
                raise ScheduleBusyError(name, unfinished[-1])
        at = now.replace(microsecond=0)
        again = uuid.uuid4().hex
        row = await self._enqueue(schedule, at, schedule.run_id(at, again=again), "triggered")
        await self._note(states, name, now, row)
        return ScheduleRuns(schedule=name, runs=[row])

    async def backfill(
        self,
        name: str,
        *,
        since: datetime.datetime,
        until: datetime.datetime,
        dry_run: bool = False,
        again: bool = False,
        jobs: int | None = None,
        timeout: Duration | None = None,
        on_row: Callable[[PlannedRow], None] = _ignore,
    ) -> ScheduleRuns:
        """Queue the runs of planned times of the past.

        The name of a run follows from its planned time, so that one that was started is not
        started twice.

        Args:
            name: The schedule.
            since: The first planned time is at that moment or later; one without an offset is
                in the schedule's time zone.
            until: The last one is at that moment or earlier.
            dry_run: Whether only to tell which there are.
            again: Whether to start also those that were started before, as new runs.
            jobs: At most so many of these runs are unfinished at once: the next one is queued
                when another has ended. None queues all at once. Where no process executes them,
                or the time is over, the answer has only those that were queued; the same call
                continues after them.
            timeout: With ``jobs``, how long to wait for the ends of runs; None for no limit.
            on_row: Called with each planned time as soon as it is dealt with.

        Raises:
            NotFoundError: There is no such schedule.
            SpanReversedError: ``until`` is before ``since``.
            TooManyTimesError: There are more times than are looked at at once.
            QtForgeError: A run can't be started.
        """
        schedule = self._schedule(name)
        states, now = await self._states(), await self._now()
        first, last = (_moment(each, schedule, now) for each in (since, until))
        if last < first:
            raise SpanReversedError(since.isoformat(), until.isoformat())
        before = first - datetime.timedelta(microseconds=1)
        times = schedule.between(before, min(now, last), MOST_TIMES + 1)
        if len(times) > MOST_TIMES:
            raise TooManyTimesError(name)
        state = await states.get(name)
        known = {each.at: each.run_id for each in (state.past if state else ()) if each.run_id}
        mark = uuid.uuid4().hex if again else ""
        rows: list[PlannedRow] = []
        running: Sequence[str] = ()
        end_s = math.inf if timeout is None else time.monotonic() + wait_seconds(timeout)
        for planned in times:
            run_id = schedule.run_id(planned, again=mark)
            if planned in known and not again:
                row = PlannedRow(at=planned, outcome="there", run_id=known[planned])
            elif dry_run:
                there = await self._is_there(run_id)
                row = PlannedRow(at=planned, outcome="there" if there else "planned", run_id=run_id)
            else:
                while jobs is not None and len(running) >= jobs:
                    running = await self._still_unfinished(running)
                    if len(running) < jobs:
                        break
                    is_over = time.monotonic() >= end_s
                    if is_over or not await self._is_executed(schedule.pool):
                        return ScheduleRuns(schedule=name, runs=rows, is_cut_short=True)
                    await asyncio.sleep(_POLL_S)
                row = await self._enqueue(schedule, planned, run_id, "backfilled")
                await self._note(states, name, now, row)
            if jobs is not None and row.run_id is not None and not dry_run:
                running = [*running, *await self._still_unfinished([row.run_id])]
            rows.append(row)
            on_row(row)
        return ScheduleRuns(schedule=name, runs=rows)

    async def _enqueue(
        self, schedule: Schedule, planned: datetime.datetime, run_id: str, outcome: str
    ) -> PlannedRow:
        durable, host = await self._parts.durable(), await self._parts.host()
        workflow = await workflow_of(host, schedule)
        given = await input_of(host.expressions, schedule, planned, None)
        try:
            await durable.engine.enqueue(
                workflow,
                given.input,
                QueueEntry(pool=schedule.pool),
                run_id=run_id,
                start=Start(by=StartedBy(kind="schedule", name=schedule.name), tags=given.tags),
            )
        except RunExistsError:
            return PlannedRow(at=planned, outcome="there", run_id=run_id)
        except RunDuplicateError as error:
            return PlannedRow(at=planned, outcome="there", run_id=error.run_id)
        return PlannedRow(at=planned, outcome=outcome, run_id=run_id)

    async def _note(
        self, states: ScheduleStates, name: str, now: datetime.datetime, row: PlannedRow
    ) -> None:
        if row.run_id is None or row.outcome == "there":
            return
        outcome: Outcome = "triggered" if row.outcome == "triggered" else "backfilled"
        time = PlannedTime(at=row.at, outcome=outcome, run_id=row.run_id)
        await states.change(
            name, lambda state: (state or ScheduleState(planned=now)).with_past(time)
        )

    async def _unfinished(self, state: ScheduleState | None) -> Sequence[str]:
        """Return the runs of a schedule that have not ended."""
        return await self._still_unfinished(() if state is None else state.unfinished)

    async def _still_unfinished(self, run_ids: Sequence[str]) -> Sequence[str]:
        journal = await self._parts.journal()
        found = []
        for run_id in run_ids:
            with contextlib.suppress(RunNotFoundError):
                if (await journal.summary(run_id)).status in UNFINISHED:
                    found.append(run_id)
        return found

    async def _is_executed(self, pool: str) -> bool:
        """Return whether a process is there that executes the runs of a pool."""
        owners = await (await self._parts.journal()).owners()
        said = (each.announcement for each in owners)
        return any(each is not None and pool in each.pools for each in said)

    async def _is_there(self, run_id: str) -> bool:
        try:
            await (await self._parts.journal()).summary(run_id)
        except RunNotFoundError:
            return False
        return True

    def _schedule(self, name: str) -> Schedule:
        schedules = {each.name: each for each in read_schedules(self._parts.settings)}
        if name not in schedules:
            fix = did_you_mean(name, schedules, "qtforge-host schedules list shows those there are")
            raise NotFoundError(f"there is no schedule '{name}'", "", fix)
        return schedules[name]

    async def _document(
        self, schedule: Schedule, state: ScheduleState | None, now: datetime.datetime
    ) -> ScheduleDocument:
        past = [] if state is None else [*reversed(state.past)][:_SHOWN]
        return ScheduleDocument(
            schedule=_row(schedule, state, now),
            unfinished=[*await self._unfinished(state)],
            past=[
                PlannedRow(
                    at=each.at, outcome=each.outcome, run_id=each.run_id or None, why=each.why
                )
                for each in past
            ],
            coming=[*itertools.islice(schedule.times(now), _SHOWN)] if schedule.enabled else [],
        )

    async def _states(self) -> ScheduleStates:
        return ScheduleStates.of(await self._parts.journal(), self._parts.settings.state_dir)

    async def _now(self) -> datetime.datetime:
        return await (await self._parts.journal()).now()


def times_of_cron(cron: str, timezone: str = "UTC", count: int = _SHOWN) -> PlannedTimes:
    """Return the next times of a cron expression.

    Args:
        cron: The expression, or a word such as ``@daily``.
        timezone: Whose clock counts.
        count: How many.

    Raises:
        ConfigError: The expression or the time zone is not one.
    """
    schedule = cron_schedule(cron, timezone)
    times = itertools.islice(schedule.times(datetime.datetime.now(datetime.UTC)), count)
    return PlannedTimes(cron=cron, timezone=timezone, times=[*times])


async def workflow_of(host: Host, schedule: Schedule) -> Workflow:
    """Return the workflow that a schedule starts.

    That of another pool, and one whose plugins are missing here, may be right where it is executed.

    Raises:
        WorkflowError: There is none, or its definition has problems.
    """
    if schedule.pool == DEFAULT_POOL:
        with contextlib.suppress(WorkflowUnmetError):
            return await host.started_workflow(schedule.workflow, queued=True)
    return host.catalog.get(schedule.workflow)


class ScheduledInput(NamedTuple):
    """What the run of a planned time is started with: its input, and tags."""

    input: Mapping[str, Any]
    tags: Mapping[str, str]


async def input_of(
    expressions: Expressions,
    schedule: Schedule,
    planned: datetime.datetime,
    previous: datetime.datetime | None,
) -> ScheduledInput:
    """Return the input and the tags of the run of a planned time.

    Args:
        expressions: Evaluates the expressions in them.
        schedule: The schedule.
        planned: The planned time.
        previous: The one before for which a run was started; None for none.

    Raises:
        ExpressionError: An expression failed.
    """
    if not schedule.input and not schedule.tags:
        return ScheduledInput({}, {})
    names = {
        "name": schedule.name,
        "planned": planned.astimezone(schedule.timezone).isoformat(),
        "previous": previous and previous.astimezone(schedule.timezone).isoformat(),
    }
    template = expressions.template([dict(schedule.input), dict(schedule.tags)])
    given, tags = await expressions.compute(lambda: template.render({"schedule": names}))
    return ScheduledInput(given, {name: str(value) for name, value in tags.items()})


def _moment(
    given: datetime.datetime, schedule: Schedule, now: datetime.datetime
) -> datetime.datetime:
    """Return a moment in UTC; before 1970 it is right before it, far in the future it is now."""
    if given.year < _FIRST.year:
        return _FIRST - datetime.timedelta(microseconds=1)
    if given.year > now.year + 1:
        return now
    if given.tzinfo is None:
        given = given.replace(tzinfo=schedule.timezone)
    return given.astimezone(datetime.UTC)


def _row(schedule: Schedule, state: ScheduleState | None, now: datetime.datetime) -> ScheduleRow:
    is_active = schedule.enabled and (state is None or state.paused_at is None)
    return ScheduleRow(
        name=schedule.name,
        workflow=schedule.workflow,
        cron="; ".join(schedule.crons),
        timezone=str(schedule.timezone),
        enabled=schedule.enabled,
        catch_up=schedule.catch_up,
        input=dict(schedule.input),
        next=schedule.after(now) if is_active else None,
        last_run=None if state is None else state.run_id,
        every_s=schedule.every_s,
        start=schedule.start,
        end=schedule.end,
        jitter_s=schedule.jitter_s,
        overlap=schedule.overlap,
        pause_after=schedule.pause_after,
        pool=schedule.pool,
        paused_at=None if state is None else state.paused_at,
        paused_why="" if state is None else state.paused_why,
    )
