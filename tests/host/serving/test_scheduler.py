"""What schedules start: each planned time once, on a virtual clock."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import pickle
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

pytest.importorskip("cronsim", reason="the extra 'serve' is not installed")

from qtforge_host.api.schedules import ScheduledInput
from qtforge_host.config.settings import ScheduleSettings, Settings
from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.runs.store_clock import StoreClock
from qtforge_host.schedules.schedule import Schedule, read_schedules
from qtforge_host.schedules.state import (
    ScheduleContendedError,
    ScheduleState,
    ScheduleStates,
)
from qtforge_host.serving.scheduler import RunEnd, Scheduler
from qtforge_sdk.clock import Alarm
from qtforge_sdk.errors import StateDirectoryError, WorkflowNotFoundError
from qtforge_sdk.journal import KeptValue
from qtforge_sdk.journal_errors import RunExistsError
from qtforge_sdk.testing.clock import VirtualClock

START = datetime.datetime(2026, 1, 1, 0, 0, 30, tzinfo=datetime.UTC)
DAY_S = 86_400.0


class Started:
    """What was started; a name is taken once."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.inputs: list[Mapping[str, Any]] = []
        self.cancelled: list[str] = []
        self.unfinished: set[str] = set()
        self.failed: set[str] = set()
        self.lasts = False  # whether runs do not end at once
        self.fails = False
        self.broken = False
        self.known = True
        self.when: Callable[[], datetime.datetime] | None = None
        self.times_of: dict[str, datetime.datetime] = {}

    async def start(self, schedule: Schedule, run_id: str, given: ScheduledInput) -> None:
        if not self.known:
            raise WorkflowNotFoundError(schedule.workflow)
        if run_id in self.runs:
            raise RunExistsError(run_id)
        self.runs.append(run_id)
        self.inputs.append(given.input)
        if self.when is not None:
            self.times_of[run_id] = self.when()
        if self.lasts:
            self.unfinished.add(run_id)
        if self.fails:
            self.failed.add(run_id)
        if self.broken:
            raise KeyboardInterrupt  # killed right after the journal has it

    async def cancel(self, run_id: str, reason: str) -> None:
        self.cancelled.append(run_id)
        self.unfinished.discard(run_id)

    async def end(self, run_id: str) -> RunEnd:
        if run_id in self.unfinished:
            return "unfinished"
        return "failed" if run_id in self.failed else "succeeded"

    async def given(
        self, schedule: Schedule, planned: datetime.datetime, previous: datetime.datetime | None
    ) -> ScheduledInput:
        return ScheduledInput({"planned": planned, "previous": previous}, {})

    @property
    def times(self) -> list[str]:
        return [run_id[:15] for run_id in self.runs]


def schedules(
    cron: str = "0 * * * *", catch_up: str = "none", count: int = 1, **more: Any
) -> Sequence[Schedule]:
    said = ScheduleSettings(workflow="w", cron=cron, catch_up=catch_up, **more)  # type: ignore[arg-type]
    found = {f"s{number}": said for number in range(count)}
    return read_schedules(
        Settings(config_path=Path("c.toml"), state_dir=Path("s"), schedules=found)
    )


class Memory:
    """The journal of a state directory, which outlives the processes."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.earlier = folder / "schedules.json"

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[ScheduleStates]:
        journal = MemoryJournal(store=self.store)
        await journal.open()
        try:
            yield ScheduleStates(journal, self.earlier)
        finally:
            await journal.close()

    @property
    def state(self) -> ScheduleState:
        """What the first schedule did."""

        async def read() -> ScheduleState | None:
            async with self.open() as states:
                return await states.get("s0")

        found = asyncio.run(read())
        assert found is not None
        return found

    def change(self, change: Callable[[ScheduleState | None], ScheduleState | None]) -> None:
        """Change it, as another process does."""

        async def changed() -> None:
            async with self.open() as states:
                await states.change("s0", change)

        asyncio.run(changed())


async def run_for(
    wanted: Sequence[Schedule], started: Started, memory: Memory, *,
    start: datetime.datetime, seconds: float,
) -> None:  # fmt: skip
    clock = VirtualClock(start)
    started.when = clock.now
    async with memory.open() as states, scheduling(wanted, started, states, clock):
        await clock.advance(seconds)


@contextlib.asynccontextmanager
async def scheduling(
    wanted: Sequence[Schedule], started: Started, states: ScheduleStates, clock: VirtualClock
) -> AsyncIterator[None]:
    task = asyncio.ensure_future(Scheduler(wanted, started, states, clock).run())
    try:
        await clock.advance(0)
        yield
        await clock.advance(0)
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path)


def test_each_planned_time_starts_one_run(memory: Memory) -> None:
    started = Started()
    asyncio.run(run_for(schedules("0 */6 * * *"), started, memory, start=START, seconds=DAY_S + 60))
    assert started.times == [
        "20260101-060000", "20260101-120000", "20260101-180000", "20260102-000000",
    ]  # fmt: skip
    last = memory.state
    assert last.planned == datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    assert last.run_id == started.runs[-1]
    assert [(each.outcome, each.run_id) for each in last.past] == [
        ("started", run_id) for run_id in started.runs
    ]
    previous = [None, *(each.at for each in last.past[:-1])]
    assert [each["previous"] for each in started.inputs] == previous


@pytest.mark.parametrize(("catch_up", "more"), [("none", 0), ("one", 1), ("last", 1)])
def test_times_that_passed_while_nothing_ran_are_caught_up_once_or_not_at_all(
    memory: Memory, catch_up: str, more: int
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


@pytest.mark.parametrize(
    ("catch_up", "hours", "said"),
    [
        ("none", 10, "has missed 9 times until"),
        ("none", 5_000, "has missed at least 1000 times until"),
        ("last", 5_000, "has missed at least 999 times until"),
    ],
)
def test_how_many_times_were_missed_is_said_and_that_it_is_a_bound(
    memory: Memory, catch_up: str, hours: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    started, wanted = Started(), schedules("0 * * * *", catch_up)
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3600))
    later = START + datetime.timedelta(hours=hours, minutes=30)
    asyncio.run(run_for(wanted, started, memory, start=later, seconds=60))
    assert said in caplog.text


def test_a_short_restart_misses_nothing(memory: Memory) -> None:
    started, wanted = Started(), schedules("0 * * * *")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3500))
    just_after = START + datetime.timedelta(seconds=3600)  # half a minute late
    asyncio.run(run_for(wanted, started, memory, start=just_after, seconds=1))
    assert started.times == ["20260101-010000"]


def test_a_process_killed_right_after_the_start_does_not_start_it_again(
    memory: Memory,
) -> None:
    started, wanted = Started(), schedules("0 * * * *", "one")
    started.broken = True
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(run_for(wanted, started, memory, start=START, seconds=3600))
    assert len(started.runs) == 1
    assert memory.state.run_id is None  # it was not written down
    started.broken = False
    again = START + datetime.timedelta(hours=1, minutes=10)
    asyncio.run(run_for(wanted, started, memory, start=again, seconds=60))
    assert started.times == ["20260101-010000"]
    assert memory.state.run_id == started.runs[0]


def test_a_clock_that_goes_back_starts_nothing_twice(memory: Memory) -> None:
    started, wanted = Started(), schedules("0 * * * *", "one")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3 * 3600))
    back = START + datetime.timedelta(minutes=30)
    asyncio.run(run_for(wanted, started, memory, start=back, seconds=4 * 3600))
    assert started.times == [f"20260101-0{hour}0000" for hour in (1, 2, 3, 4)]


def test_a_workflow_that_is_not_there_is_told_and_the_others_go_on(
    memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    started = Started()
    started.known = False
    asyncio.run(run_for(schedules("0 * * * *"), started, memory, start=START, seconds=7200))
    assert caplog.text.count("can't start w") == 2
    assert memory.state.run_id is None
    (missed,) = memory.state.past
    assert (missed.outcome, "it could not be started: " in missed.why) == ("missed", True)


class FailingJournal(MemoryJournal):
    """A journal that can't keep values of one key for a while."""

    def __init__(self, store: MemoryStore, key: str, count: int, error: Exception | None) -> None:
        super().__init__(store=store)
        self.failing, self.left, self.error = key, count, error

    async def keep_value(self, key: str, data: bytes | None, revision: int) -> bool:
        if key == self.failing and self.left:
            self.left -= 1
            if self.error is not None:
                raise self.error
            return False  # another process was faster
        return await super().keep_value(key, data, revision)


class FailingRuns(Started):
    """Runs one of whose methods fails for a while, for one schedule."""

    def __init__(self, method: str, error: Exception) -> None:
        super().__init__()
        self.method, self.error, self.left = method, error, 3
        self.lasts = True

    def fail(self, method: str) -> None:
        if method == self.method and self.left:
            self.left -= 1
            raise self.error

    async def start(self, schedule: Schedule, run_id: str, given: ScheduledInput) -> None:
        if schedule.name == "s0":
            self.fail("start")
        await super().start(schedule, run_id, given)

    async def cancel(self, run_id: str, reason: str) -> None:
        self.fail("cancel")
        await super().cancel(run_id, reason)

    async def end(self, run_id: str) -> RunEnd:
        self.fail("end")
        return await super().end(run_id)

    async def given(
        self, schedule: Schedule, planned: datetime.datetime, previous: datetime.datetime | None
    ) -> ScheduledInput:
        if schedule.name == "s0":
            self.fail("given")
        return await super().given(schedule, planned, previous)


FAILURES = [StateDirectoryError("s", "the disk is full"), ValueError("unforeseen")]


@pytest.mark.parametrize("error", [*FAILURES, None], ids=["store", "other", "lost races"])
def test_a_state_that_can_not_be_written_for_a_while_costs_no_planned_time(
    memory: Memory, error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.schedules.state._LONGEST_WAIT_S", 0)

    async def play(started: Started) -> None:
        clock = VirtualClock(START)
        journal = FailingJournal(memory.store, "schedule/s0", 250, error)
        await journal.open()
        states = ScheduleStates(journal, memory.earlier)
        wanted = schedules("0 * * * *", "all", count=2)
        async with scheduling(wanted, started, states, clock):
            while journal.left:
                await clock.advance(1)
            await clock.advance(3 * 3600)
        await journal.close()

    started = Started()
    asyncio.run(play(started))
    hours = {each[:11] for each in started.times}
    assert {f"20260101-0{hour}" for hour in (1, 2, 3)} <= hours
    assert len(started.times) == 2 * len(hours), "both schedules start at each hour"


@pytest.mark.parametrize("error", FAILURES, ids=["store", "other"])
@pytest.mark.parametrize("method", ["start", "cancel", "end", "given"])
def test_what_fails_for_a_while_is_tried_again_and_costs_no_other_schedule(
    memory: Memory, method: str, error: Exception
) -> None:
    started = FailingRuns(method, error)
    wanted = schedules("0 * * * *", count=2, overlap="cancel")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3 * 3600))
    assert started.left == 0, "it was reached"
    assert started.times == sorted(2 * [f"20260101-0{hour}0000" for hour in (1, 2, 3)])


def test_a_state_that_others_change_all_the_time_is_an_error_that_may_be_tried_again(
    memory: Memory,
) -> None:
    async def change() -> None:
        journal = FailingJournal(memory.store, "schedule/s0", 1000, None)
        await journal.open()
        try:
            await ScheduleStates(journal, memory.earlier).change(
                "s0", lambda known: ScheduleState(planned=START)
            )
        finally:
            await journal.close()

    with pytest.raises(ScheduleContendedError) as caught:
        asyncio.run(change())
    assert (caught.value.retryable, caught.value.http_status) == (True, 503)
    assert pickle.loads(pickle.dumps(caught.value)).name == "s0"


def test_a_state_that_is_damaged_starts_nothing_twice(
    memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    started, wanted = Started(), schedules("0 * * * *", "one")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3600))
    (key,) = memory.store.kept
    memory.store.kept[key] = KeptValue(key=key, revision=99, data=b"{")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3600))
    assert started.times == ["20260101-010000"]
    assert "is not used" in caplog.text
    assert memory.state.run_id == started.runs[0]


def test_what_version_1_0_has_kept_in_a_file_counts(memory: Memory) -> None:
    memory.earlier.write_text(
        '{"s0": {"planned": "2025-12-31T20:00:00Z", "run_id": "before", "turn": 1}}'
    )
    started, wanted = Started(), schedules("0 * * * *", "one")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3600))
    assert started.times == ["20260101-000000", "20260101-010000"]
    assert memory.state.turn == 1


class JumpingClock(VirtualClock):
    """A virtual clock that can be set, forwards and back, while somebody sleeps on it."""

    def __init__(self, start: datetime.datetime) -> None:
        super().__init__(start)
        self.offset = datetime.timedelta()

    def now(self) -> datetime.datetime:
        return super().now() + self.offset


async def jumping(
    wanted: Sequence[Schedule], started: Started, memory: Memory, *jumps: float
) -> None:
    """Let ten minutes pass before, between and after jumps of so many seconds."""
    clock = JumpingClock(START)
    async with memory.open() as states, scheduling(wanted, started, states, clock):
        for jump in (0.0, *jumps):
            clock.offset += datetime.timedelta(seconds=jump)
            for _ in range(20):
                await clock.advance(30)


@pytest.mark.parametrize("jump", [-10 * DAY_S, -DAY_S, -3600.0, DAY_S, 10 * DAY_S])
def test_a_minutely_schedule_continues_when_the_clock_jumps(memory: Memory, jump: float) -> None:
    started = Started()
    asyncio.run(jumping(schedules("* * * * *"), started, memory, jump, -jump))
    assert 28 <= len(started.runs) <= 33  # one for each of 30 minutes, and one at a jump
    assert len(set(started.runs)) == len(started.runs)


def test_a_small_step_back_does_not_start_a_planned_time_again(memory: Memory) -> None:
    started = Started()
    asyncio.run(jumping(schedules("*/5 * * * *"), started, memory, -20.0, -20.0))
    assert len(set(started.times)) == len(started.times)


@pytest.mark.parametrize(("catch_up", "expected"), [("one", 1), ("none", 0)])
def test_a_start_that_is_refused_is_made_up_as_its_policy_says(
    memory: Memory, catch_up: str, expected: int
) -> None:
    async def case() -> Started:
        started = Started()
        started.known = False
        clock = VirtualClock(START)
        wanted = schedules("1 0 * * *", catch_up)
        async with memory.open() as states, scheduling(wanted, started, states, clock):
            for known in (False, True):
                started.known = known
                for _ in range(20):
                    await clock.advance(30)
        return started

    assert asyncio.run(case()).times == ["20260101-000100"][:expected]


def test_processes_whose_clocks_differ_start_each_planned_time_once_by_the_store(
    memory: Memory,
) -> None:
    started = Started()
    store = VirtualClock(START)
    started.when = store.now

    async def store_time() -> datetime.datetime:
        return store.now()

    async def case() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for ahead_s in (-420.0, 0.0, 660.0):
                clock = StoreClock(store_time, Ahead(store, datetime.timedelta(seconds=ahead_s)))
                await clock.open()
                stack.push_async_callback(clock.close)
                states = await stack.enter_async_context(memory.open())
                work = Scheduler(schedules("*/5 * * * *"), started, states, clock).run()
                stack.callback(asyncio.ensure_future(work).cancel)
            for _ in range(120):
                await store.advance(30)

    asyncio.run(case())
    planned = [START.replace(second=0) + datetime.timedelta(minutes=5 * n) for n in range(1, 13)]
    assert started.times == [f"{each:%Y%m%d-%H%M%S}" for each in planned]
    times = started.times_of
    late = [times[run_id] - at for run_id, at in zip(started.runs, planned, strict=True)]
    assert all(datetime.timedelta() <= each <= datetime.timedelta(minutes=1) for each in late)
    past = memory.state.past
    assert [(each.at, each.outcome) for each in past] == [(each, "started") for each in planned]


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


HOUR_S = 3600.0


def test_a_planned_time_is_left_out_while_the_run_before_is_unfinished(memory: Memory) -> None:
    async def case(started: Started) -> None:
        clock = VirtualClock(START)
        async with memory.open() as states, scheduling(schedules(), started, states, clock):
            started.lasts = True
            await clock.advance(3 * HOUR_S)
            started.unfinished.clear()
            await clock.advance(HOUR_S)

    started = Started()
    asyncio.run(case(started))
    assert started.times == ["20260101-010000", "20260101-040000"]
    past = memory.state.past
    assert [each.outcome for each in past] == ["started", "skipped", "skipped", "started"]
    assert past[1].why == f"the run {started.runs[0]} is not finished"


def test_one_planned_time_waits_for_the_end_of_the_run_before(memory: Memory) -> None:
    async def case(started: Started) -> None:
        clock = VirtualClock(START)
        wanted = schedules(overlap="queue")
        started.lasts = True
        async with memory.open() as states, scheduling(wanted, started, states, clock):
            await clock.advance(3 * HOUR_S)
            assert started.times == ["20260101-010000"]
            started.unfinished.clear()
            await clock.advance(60)

    started = Started()
    asyncio.run(case(started))
    assert started.times == ["20260101-010000", "20260101-030000"]
    past = memory.state.past
    assert [each.outcome for each in past] == ["started", "skipped", "queued"]
    assert past[1].why == "the run for 2026-01-01 03:00:00 UTC waits in its place"
    assert memory.state.queued is None


def test_no_planned_time_is_missed_while_a_process_waits_for_a_run_or_a_start(
    memory: Memory,
) -> None:
    async def case(started: Started) -> None:
        clock = VirtualClock(START)
        wanted = [replace(each, crons=(), every_s=2.0) for each in schedules(overlap="queue")]
        started.lasts = True
        async with memory.open() as states, scheduling(wanted, started, states, clock):
            await clock.advance(10)
            started.unfinished.clear()
            started.known = False  # nothing can be started
            await clock.advance(10)

    asyncio.run(case(Started()))
    outcomes = [(each.outcome, each.why) for each in memory.state.past]
    assert [outcome for outcome, _ in outcomes[:4]] == ["started", "skipped", "skipped", "skipped"]
    assert "no process could start its runs" not in [why for _, why in outcomes]


def test_the_planned_time_that_waits_goes_before_one_that_has_come_meanwhile(
    memory: Memory,
) -> None:
    async def case(started: Started) -> None:
        clock = VirtualClock(START)
        started.lasts = True
        wanted = schedules(overlap="queue")
        async with memory.open() as states, scheduling(wanted, started, states, clock):
            await clock.advance(3 * HOUR_S - 31)  # a second before 03:00
            started.unfinished.clear()
            await clock.advance(1)

    started = Started()
    asyncio.run(case(started))
    assert started.times == ["20260101-010000", "20260101-020000"]
    assert memory.state.queued is not None
    assert f"{memory.state.queued:%H:%M}" == "03:00"


def test_the_run_before_is_cancelled_or_allowed(memory: Memory, tmp_path: Path) -> None:
    started = Started()
    started.lasts = True
    wanted = schedules(overlap="cancel")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3 * HOUR_S))
    assert (len(started.runs), started.cancelled) == (3, started.runs[:2])
    started = Started()
    started.lasts = True
    wanted, other = schedules(overlap="allow"), Memory(tmp_path / "other")
    asyncio.run(run_for(wanted, started, other, start=START, seconds=3 * HOUR_S))
    assert (len(started.runs), started.cancelled) == (3, [])
    assert other.state.unfinished == tuple(started.runs)


def test_all_times_are_caught_up_that_did_not_pass_too_long_ago(memory: Memory) -> None:
    started, wanted = Started(), schedules(catch_up="all", catch_up_within="5h")
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=60))
    later = START + datetime.timedelta(hours=10)
    asyncio.run(run_for(wanted, started, memory, start=later, seconds=1))
    assert started.times == [f"20260101-{hour:02}0000" for hour in (6, 7, 8, 9, 10)]
    outcomes = [each.outcome for each in memory.state.past]
    assert outcomes == ["missed"] * 5 + ["started"] * 5


def test_a_paused_schedule_starts_nothing_and_leaves_out_what_passed(memory: Memory) -> None:
    def paused(state: ScheduleState | None) -> ScheduleState:
        return replace(state or ScheduleState(planned=START), paused_at=START)

    def resumed(planned: datetime.datetime | None) -> Callable[[Any], ScheduleState]:
        def change(state: ScheduleState) -> ScheduleState:
            return replace(
                state,
                paused_at=None,
                planned=planned or state.planned,
                resumed=planned is None,
            )

        return change

    started, wanted = Started(), schedules()
    memory.change(paused)
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=3 * HOUR_S))
    assert not started.runs
    later = START + datetime.timedelta(hours=3.5)
    memory.change(resumed(later))
    asyncio.run(run_for(wanted, started, memory, start=later, seconds=HOUR_S))
    assert started.times == ["20260101-040000"]
    memory.change(paused)
    memory.change(resumed(None))
    later = START + datetime.timedelta(hours=9.5)
    asyncio.run(run_for(wanted, started, memory, start=later, seconds=60))
    assert started.times == ["20260101-040000", "20260101-090000"]
    assert not memory.state.resumed


def test_failures_in_a_row_pause_a_schedule(memory: Memory) -> None:
    started, wanted = Started(), schedules(pause_after=2)
    started.fails = True
    asyncio.run(run_for(wanted, started, memory, start=START, seconds=6 * HOUR_S))
    assert len(started.runs) == 2
    state = memory.state
    assert state.paused_at is not None
    assert state.paused_why == "2 runs in a row have failed"


def test_a_run_starts_late_by_its_jitter(memory: Memory) -> None:
    (wanted,) = schedules(jitter="30m")
    started = Started()
    asyncio.run(run_for([wanted], started, memory, start=START, seconds=6 * HOUR_S))
    due = [wanted.due(each.at) for each in memory.state.past]
    assert len(due) in (5, 6)
    late = [started.times_of[run] - at for run, at in zip(started.runs, due, strict=True)]
    assert all(datetime.timedelta() <= each <= datetime.timedelta(seconds=31) for each in late)
