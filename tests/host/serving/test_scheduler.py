"""What schedules start: each planned time once, on a virtual clock."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

pytest.importorskip("cronsim", reason="the extra 'serve' is not installed")

from qtforge_host.api.schedules import Done, Schedule, ScheduleMemory, read_schedules
from qtforge_host.config.settings import ScheduleSettings, Settings
from qtforge_host.runs.store_clock import StoreClock
from qtforge_host.serving.scheduler import Scheduler
from qtforge_sdk.clock import Alarm
from qtforge_sdk.errors import WorkflowNotFoundError
from qtforge_sdk.journal_errors import RunExistsError
from qtforge_sdk.testing.clock import VirtualClock

START = datetime.datetime(2026, 1, 1, 0, 0, 30, tzinfo=datetime.UTC)
DAY_S = 86_400.0


class Started:
    """What was started; a name is taken once."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.broken = False
        self.known = True

    async def __call__(self, schedule: Schedule, run_id: str) -> None:
        if not self.known:
            raise WorkflowNotFoundError(schedule.workflow)
        if run_id in self.runs:
            raise RunExistsError(run_id)
        self.runs.append(run_id)
        if self.broken:
            raise KeyboardInterrupt  # killed right after the journal has it

    @property
    def times(self) -> list[str]:
        return [run_id[:15] for run_id in self.runs]


def schedules(cron: str, catch_up: str = "none", count: int = 1) -> Sequence[Schedule]:
    said = ScheduleSettings(workflow="w", cron=cron, catch_up=catch_up)  # type: ignore[arg-type]
    found = {f"s{number}": said for number in range(count)}
    return read_schedules(
        Settings(config_path=Path("c.toml"), state_dir=Path("s"), schedules=found)
    )


async def run_for(
    wanted: Sequence[Schedule], started: Started, memory: ScheduleMemory, *,
    start: datetime.datetime, seconds: float,
) -> None:  # fmt: skip
    clock = VirtualClock(start)
    task = asyncio.ensure_future(Scheduler(wanted, started, memory, clock).run())
    try:
        await asyncio.sleep(0)
        await clock.advance(seconds)
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


@pytest.fixture
def memory(tmp_path: Path) -> ScheduleMemory:
    return ScheduleMemory(tmp_path / "serve" / "schedules.json")


def test_each_planned_time_starts_one_run(memory: ScheduleMemory) -> None:
    started = Started()
    asyncio.run(run_for(schedules("0 */6 * * *"), started, memory, start=START, seconds=DAY_S + 60))
    assert started.times == [
        "20260101-060000", "20260101-120000", "20260101-180000", "20260102-000000",
    ]  # fmt: skip
    last = memory.all()["s0"]
    assert last == Done(
        planned=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), run_id=started.runs[-1]
    )


@pytest.mark.parametrize(("catch_up", "more"), [("none", 0), ("one", 1)])
def test_times_that_passed_while_nothing_ran_are_caught_up_once_or_not_at_all(
    memory: ScheduleMemory, catch_up: str, more: int
) -> None:
    started, wanted = Started(), schedules("0 * * * *", catch_up)
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3600))
    assert started.times == ["20260101-010000"]
    later = START + datetime.timedelta(hours=10, minutes=30)
    asyncio.run(run_for(wanted, started, memory, start=later, seconds=60))
    assert started.times == ["20260101-010000", "20260101-100000"][: 1 + more]
    asyncio.run(run_for(wanted, started, memory, start=later, seconds=60))
    assert len(started.runs) == 1 + more
    asyncio.run(run_for(wanted, started, memory, start=later, seconds=1800))
    assert started.times[-1] == "20260101-110000"


def test_a_short_restart_misses_nothing(memory: ScheduleMemory) -> None:
    started, wanted = Started(), schedules("0 * * * *")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3500))
    just_after = START + datetime.timedelta(seconds=3600)  # half a minute late
    asyncio.run(run_for(wanted, started, memory, start=just_after, seconds=1))
    assert started.times == ["20260101-010000"]


def test_a_process_killed_right_after_the_start_does_not_start_it_again(
    memory: ScheduleMemory,
) -> None:
    started, wanted = Started(), schedules("0 * * * *", "one")
    started.broken = True
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(run_for(wanted, started, memory, start=START, seconds=3600))
    assert len(started.runs) == 1
    assert memory.all()["s0"].run_id is None  # it was not written down
    started.broken = False
    again = START + datetime.timedelta(hours=1, minutes=10)
    asyncio.run(run_for(wanted, started, memory, start=again, seconds=60))
    assert started.times == ["20260101-010000"]
    assert memory.all()["s0"].run_id == started.runs[0]


def test_a_clock_that_goes_back_starts_nothing_twice(memory: ScheduleMemory) -> None:
    started, wanted = Started(), schedules("0 * * * *", "one")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3 * 3600))
    back = START + datetime.timedelta(minutes=30)
    asyncio.run(run_for(wanted, started, memory, start=back, seconds=4 * 3600))
    assert started.times == [f"20260101-0{hour}0000" for hour in (1, 2, 3, 4)]


def test_a_workflow_that_is_not_there_is_told_and_the_others_go_on(
    memory: ScheduleMemory, caplog: pytest.LogCaptureFixture
) -> None:
    started = Started()
    started.known = False
    asyncio.run(run_for(schedules("0 * * * *"), started, memory, start=START, seconds=7200))
    assert caplog.text.count("can't start w") == 2
    assert memory.all()["s0"].run_id is None


def test_a_memory_that_is_damaged_starts_nothing_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "schedules.json"
    memory = ScheduleMemory(file)
    started, wanted = Started(), schedules("0 * * * *", "one")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3600))
    file.write_text("{")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3600))
    assert started.times == ["20260101-010000"]
    assert "is not used" in caplog.text


class JumpingClock(VirtualClock):
    """A virtual clock that can be set, forwards and back, while somebody sleeps on it."""

    def __init__(self, start: datetime.datetime) -> None:
        super().__init__(start)
        self.offset = datetime.timedelta()

    def now(self) -> datetime.datetime:
        return super().now() + self.offset


async def jumping(
    wanted: Sequence[Schedule], started: Started, memory: ScheduleMemory, *jumps: float
) -> None:
    """Let ten minutes pass before, between and after jumps of so many seconds."""
    clock = JumpingClock(START)
    task = asyncio.ensure_future(Scheduler(wanted, started, memory, clock).run())
    try:
        for jump in (0.0, *jumps):
            clock.offset += datetime.timedelta(seconds=jump)
            for _ in range(20):
                await asyncio.sleep(0)
                await clock.advance(30)
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


@pytest.mark.parametrize("jump", [-10 * DAY_S, -DAY_S, -3600.0, DAY_S, 10 * DAY_S])
def test_a_minutely_schedule_continues_when_the_clock_jumps(
    memory: ScheduleMemory, jump: float
) -> None:
    started = Started()
    asyncio.run(jumping(schedules("* * * * *"), started, memory, jump, -jump))
    assert 28 <= len(started.runs) <= 33  # one for each of 30 minutes, and one at a jump
    assert len(set(started.runs)) == len(started.runs)


def test_a_small_step_back_does_not_start_a_planned_time_again(memory: ScheduleMemory) -> None:
    started = Started()
    asyncio.run(jumping(schedules("*/5 * * * *"), started, memory, -20.0, -20.0))
    assert len(set(started.times)) == len(started.times)


@pytest.mark.parametrize(("catch_up", "expected"), [("one", 1), ("none", 0)])
def test_a_start_that_is_refused_is_made_up_as_its_policy_says(
    memory: ScheduleMemory, catch_up: str, expected: int
) -> None:
    async def case() -> Started:
        started = Started()
        started.known = False
        clock = VirtualClock(START)
        wanted = schedules("1 0 * * *", catch_up)
        task = asyncio.ensure_future(Scheduler(wanted, started, memory, clock).run())
        for known in (False, True):
            started.known = known
            for _ in range(20):
                await asyncio.sleep(0)
                await clock.advance(30)
        task.cancel()
        await asyncio.wait([task])
        return started

    assert asyncio.run(case()).times == ["20260101-000100"][:expected]


def test_processes_whose_clocks_differ_start_each_planned_time_once_by_the_store(
    tmp_path: Path,
) -> None:
    started = Started()
    times: dict[str, datetime.datetime] = {}

    async def case() -> None:
        store = VirtualClock(START)

        async def store_time() -> datetime.datetime:
            return store.now()

        async def start(schedule: Schedule, run_id: str) -> None:
            await started(schedule, run_id)
            times[run_id] = store.now()

        tasks, clocks = [], []
        for ahead_s in (-420.0, 0.0, 660.0):
            clock = StoreClock(store_time, Ahead(store, datetime.timedelta(seconds=ahead_s)))
            await clock.open()
            clocks.append(clock)
            memory = ScheduleMemory(tmp_path / f"{ahead_s}.json")
            scheduler = Scheduler(schedules("*/5 * * * *"), start, memory, clock)
            tasks.append(asyncio.ensure_future(scheduler.run()))
        for _ in range(120):
            await asyncio.sleep(0)
            await store.advance(30)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for clock in clocks:
            await clock.close()

    asyncio.run(case())
    planned = [START.replace(second=0) + datetime.timedelta(minutes=5 * n) for n in range(1, 13)]
    assert started.times == [f"{each:%Y%m%d-%H%M%S}" for each in planned]
    late = [times[run_id] - at for run_id, at in zip(started.runs, planned, strict=True)]
    assert all(datetime.timedelta() <= each <= datetime.timedelta(minutes=1) for each in late)


class Ahead:
    """The clock of another machine, which is not set right."""

    def __init__(self, clock: VirtualClock, ahead: datetime.timedelta) -> None:
        self._clock = clock
        self._ahead = ahead

    def now(self) -> datetime.datetime:
        return self._clock.now() + self._ahead

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        return self._clock.call_later(seconds, callback)
