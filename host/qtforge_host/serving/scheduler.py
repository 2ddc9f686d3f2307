"""Start the runs of schedules: one for each planned time, also after a crash."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Collection, Sequence
from typing import Any, Final, Literal, Protocol

from msgspec.structs import replace

from qtforge_host.api.schedules import ScheduledInput
from qtforge_host.schedules.schedule import MOST_TIMES, Schedule
from qtforge_host.schedules.state import PlannedTime, ScheduleState, ScheduleStates
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal_errors import RunExistsError

__all__ = ["RunEnd", "ScheduledRuns", "Scheduler"]

_LOG: Final = logging.getLogger("qtforge.schedules")
_PUNCTUAL: Final = datetime.timedelta(minutes=1)
_LARGE: Final = datetime.timedelta(hours=3)
_OFTEN: Final = datetime.timedelta(hours=1)
_NOBODY: Final = "no process could start its runs"
_MOST_WHY: Final = 500  # characters: a hundred reasons are kept in one small value
_FEW: Final = 20  # runs whose ends are looked for where nothing depends on them
_AGAIN_S: Final = 5.0  # before a start that was refused, or has to wait, is tried again
_LONGEST_S: Final = 30.0  # one sleep: then the clock is looked at again, which may have jumped
_NEVER: Final = datetime.datetime.max.replace(tzinfo=datetime.UTC)

RunEnd = Literal["unfinished", "succeeded", "failed"]


class ScheduledRuns(Protocol):
    """Starts and ends the runs of schedules."""

    async def start(self, schedule: Schedule, run_id: str, given: ScheduledInput) -> None:
        """Start a schedule's workflow as the run of that name.

        Raises:
            RunExistsError: It was started before.
            QtForgeError: It can't be started now.
        """

    async def cancel(self, run_id: str, reason: str) -> None:
        """Cancel a run, unless it has ended."""

    async def end(self, run_id: str) -> RunEnd:
        """Return how a run has ended, if it has; one that is gone has succeeded."""

    async def given(
        self, schedule: Schedule, planned: datetime.datetime, previous: datetime.datetime | None
    ) -> ScheduledInput:
        """Return the input and tags of the run of a planned time.

        Raises:
            ExpressionError: An expression of it failed.
        """


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


class _Refused(Exception):
    """A run can't be started yet; the reason is its text."""


class Scheduler:
    """Waits for the planned times of schedules.

    What it decides is written after it was done, and every process that has the schedules does
    the same: the name of a run follows from its planned time, so that it is started once.

    Args:
        schedules: Those that count.
        runs: Starts and ends their runs.
        states: The outcomes of earlier planned times.
        clock: The time; that of the journal where several processes have the schedules.
    """

    def __init__(
        self,
        schedules: Sequence[Schedule],
        runs: ScheduledRuns,
        states: ScheduleStates,
        clock: Clock,
    ) -> None:
        self._schedules = schedules
        self._runs = runs
        self._states = states
        self._clock = clock
        self._next: dict[str, datetime.datetime] = {}  # when there is something to do again
        self._looked: dict[str, datetime.datetime] = {}
        self._refused: dict[str, str] = {}  # why a schedule's last planned time did not start yet

    async def run(self) -> None:
        """Start what is planned, until cancelled."""
        if not self._schedules:
            return
        while True:
            for schedule in self._schedules:
                await self._look(schedule)
            await self._clock.sleep(self._wait_s())

    async def _look(self, schedule: Schedule) -> None:
        """Do what is due of a schedule; a failure costs the others nothing, and is tried again."""
        name, now = schedule.name, self._clock.now()
        due = self._next.get(name)
        is_set_back = name in self._looked and now < self._looked[name]
        if due is not None and now < due and not is_set_back:
            return
        self._looked[name] = now
        try:
            await self._catch_up(schedule)
        except QtForgeError as error:  # such as a full disk
            _LOG.error("the schedule %s waits: %s", name, error)
            self._next[name] = now + datetime.timedelta(seconds=_AGAIN_S)
        except Exception:  # noqa: BLE001 - whatever it is, it must not end the scheduler
            _LOG.exception("the schedule %s has failed, and is tried again", name)
            self._next[name] = now + datetime.timedelta(seconds=_AGAIN_S)

    async def _catch_up(self, schedule: Schedule) -> None:
        now, name = self._clock.now(), schedule.name
        state = await self._states.change(name, lambda known: known or ScheduleState(planned=now))
        assert state is not None  # noqa: S101 - it was made if it was not there
        if state.paused_at is not None:
            self._next[name] = now + datetime.timedelta(seconds=_LONGEST_S)
            return
        if state.planned > now and _counts_anew(schedule, state.planned, state.planned - now):
            _LOG.warning("the clock was set back: the schedule %s continues from %s", name, now)
            self._refused.pop(name, None)
            state = await self._finish(name, state, planned=now, turn=state.turn + 1)
        waiting = schedule.between(state.planned, now) if now > state.planned else ()
        passed = [each for each in waiting if schedule.due(each) <= now]
        if state.unfinished and (passed or state.queued is not None or schedule.pause_after):
            state = await self._seen(schedule, state)
        if state.queued is not None and state.paused_at is None:  # before those that came later
            state = await self._start_queued(schedule, state)
        if passed and state.paused_at is None:
            state = await self._do(schedule, state, passed, now)
        elif not passed:
            self._refused.pop(name, None)
        if state.queued is not None and state.paused_at is None:
            state = await self._start_queued(schedule, state)
        self._next[name] = self._next_look(schedule, state, now)

    async def _seen(self, schedule: Schedule, state: ScheduleState) -> ScheduleState:
        """Note which runs have ended, and pause the schedule after too many failures."""
        most = schedule.pause_after
        looks = schedule.overlap != "allow" or most is not None
        runs = state.unfinished if looks else state.unfinished[:_FEW]
        ends = {run_id: await self._runs.end(run_id) for run_id in runs}
        ended = [run_id for run_id, end in ends.items() if end != "unfinished"]
        if not ended:
            return state
        failures = state.failures
        for run_id in ended:
            failures = failures + 1 if ends[run_id] == "failed" else 0
        changes: dict[str, Any] = {"failures": failures}
        if most is not None and failures >= most and state.paused_at is None:
            why = f"{failures} runs in a row have failed"
            _LOG.error("the schedule %s is paused: %s", schedule.name, why)
            changes = {"failures": 0, "paused_at": self._clock.now(), "paused_why": why}
        return await self._finish(schedule.name, state, ended=ended, **changes)

    async def _do(
        self,
        schedule: Schedule,
        state: ScheduleState,
        passed: Sequence[datetime.datetime],
        now: datetime.datetime,
    ) -> ScheduleState:
        """Deal with planned times that have passed, in their order."""
        name = schedule.name
        policy = "last" if state.resumed and schedule.catch_up == "none" else schedule.catch_up
        oldest = now - datetime.timedelta(seconds=schedule.catch_up_within_s)
        missed: list[PlannedTime] = []
        has_fired = False
        for place, planned in enumerate(passed):
            is_last = place == len(passed) - 1
            is_punctual = is_last and now - schedule.due(planned) <= _PUNCTUAL
            counts = policy == "all" or (policy == "last" and is_last)
            if is_punctual or (counts and planned >= oldest):
                state = await self._miss(schedule, state, missed)
                missed = []
                if has_fired and schedule.overlap != "allow":  # the run before may have ended
                    state = await self._seen(schedule, state)
                has_fired = True
                try:
                    state = await self._fire(schedule, state, planned)
                except _Refused as error:  # it is tried again, as long as its policy allows
                    self._refused[name] = str(error)
                    return state
            else:
                why = self._refused.get(name, _NOBODY)
                missed.append(PlannedTime(at=planned, outcome="missed", why=why))
        state = await self._miss(schedule, state, missed)
        self._refused.pop(name, None)
        if state.resumed:
            state = await self._finish(name, state, resumed=False)
        return state

    async def _miss(
        self, schedule: Schedule, state: ScheduleState, missed: Sequence[PlannedTime]
    ) -> ScheduleState:
        if not missed:
            return state
        name, last = schedule.name, missed[-1].at
        # So many at most are looked at; what was before them has passed as well.
        least = "at least " if len(missed) >= MOST_TIMES - 1 else ""
        _LOG.warning(
            "the schedule %s has missed %s%d times until %s", name, least, len(missed), last
        )
        return await self._finish(name, state, *missed, planned=last)

    async def _fire(
        self, schedule: Schedule, state: ScheduleState, planned: datetime.datetime
    ) -> ScheduleState:
        """Start the run of a planned time, or do what the policy says while others run.

        Raises:
            _Refused: It can't be started yet.
        """
        name = schedule.name
        run_id = schedule.run_id(planned, state.turn)
        others = [each for each in state.unfinished if each != run_id]
        if others and schedule.overlap == "skip":
            why = f"the run {others[-1]} is not finished"
            _LOG.warning("the schedule %s leaves out %s: %s", name, planned, why)
            skipped = PlannedTime(at=planned, outcome="skipped", why=why)
            return await self._finish(name, state, skipped, planned=planned)
        if others and schedule.overlap == "queue":
            _LOG.info("the run of the schedule %s for %s waits for %s", name, planned, others[-1])
            why = f"the run for {planned:%Y-%m-%d %H:%M:%S} UTC waits in its place"
            left = () if state.queued in (None, planned) else (state.queued,)
            skipped_times = [PlannedTime(at=each, outcome="skipped", why=why) for each in left]
            return await self._finish(name, state, *skipped_times, planned=planned, queued=planned)
        if schedule.overlap == "cancel":
            for each in others:
                await self._runs.cancel(each, f"the schedule {name} starts {run_id}")
        await self._start(schedule, run_id, planned, _previous(state, planned))
        started = PlannedTime(at=planned, outcome="started", run_id=run_id)
        return await self._finish(name, state, started, planned=planned, run_id=run_id)

    async def _start_queued(self, schedule: Schedule, state: ScheduleState) -> ScheduleState:
        planned = state.queued
        if planned is None:
            return state
        run_id = schedule.run_id(planned, state.turn)
        if any(each != run_id for each in state.unfinished):
            return state
        try:
            await self._start(schedule, run_id, planned, _previous(state, planned))
        except _Refused:
            return state
        started = PlannedTime(at=planned, outcome="queued", run_id=run_id)
        return await self._finish(schedule.name, state, started, queued=None, run_id=run_id)

    async def _start(
        self,
        schedule: Schedule,
        run_id: str,
        planned: datetime.datetime,
        previous: datetime.datetime | None,
    ) -> None:
        name = schedule.name
        try:
            given = await self._runs.given(schedule, planned, previous)
            await self._runs.start(schedule, run_id, given)
        except RunExistsError:  # started here and killed then, or by another process
            return
        except QtForgeError as error:
            why = f"it could not be started: {error}"[:_MOST_WHY]
            if self._refused.get(name) != why:
                _LOG.error("the schedule %s can't start %s yet: %s", name, schedule.workflow, error)
            raise _Refused(why) from None
        _LOG.info("the schedule %s starts the run %s", name, run_id)

    async def _finish(
        self,
        name: str,
        before: ScheduleState,
        *times: PlannedTime,
        ended: Collection[str] = (),
        **changes: Any,
    ) -> ScheduleState:
        """Write down what was done, beside what other processes have written meanwhile."""

        def changed(known: ScheduleState | None) -> ScheduleState:
            state = before if known is None else known
            found = dict(changes)
            if "planned" in found and "turn" not in found:
                found["planned"] = max(state.planned, found["planned"])
            state = state.with_past(*(each for each in times if each not in state.past))
            unfinished = tuple(each for each in state.unfinished if each not in ended)
            return replace(state, unfinished=unfinished, **found)

        after = await self._states.change(name, changed)
        return before if after is None else after

    def _next_look(
        self, schedule: Schedule, state: ScheduleState, now: datetime.datetime
    ) -> datetime.datetime:
        times = [*schedule.between(state.planned, now)] if now > state.planned else []
        following = schedule.after(max(now, state.planned))
        if following is not None:
            times.append(following)
        due = [schedule.due(each) for each in times]
        if schedule.name in self._refused or state.queued is not None:
            again = now + datetime.timedelta(seconds=_AGAIN_S)
            due = [again, *(each for each in due if each > now)]
        return min(due, default=_NEVER)

    def _wait_s(self) -> float:
        now = self._clock.now()
        waits = [(each - now).total_seconds() for each in self._next.values()]
        return min([_LONGEST_S, *(max(0.0, wait) for wait in waits)])


def _previous(state: ScheduleState, planned: datetime.datetime) -> datetime.datetime | None:
    """Return the last planned time before another for which a run was started."""
    started = (each.at for each in state.past if each.outcome in ("started", "queued"))
    return max((each for each in started if each < planned), default=None)
