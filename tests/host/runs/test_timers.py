"""Timers of live runs: in order, each once, in a structure that does not grow."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable

import pytest

from qtforge_host.runs.timers import LiveTimers
from qtforge_host.runs.waiting import Until
from qtforge_sdk.testing import VirtualClock

Case = Callable[[LiveTimers, VirtualClock, list[tuple[str, float]]], Awaitable[None]]


def play(case: Case) -> None:
    async def main() -> None:
        clock = VirtualClock()
        poked: list[tuple[str, float]] = []
        timers = LiveTimers(clock, lambda run_id: poked.append((run_id, clock.monotonic())))
        await case(timers, clock, poked)
        await timers.close()

    asyncio.run(main())


def later(clock: VirtualClock, seconds: float) -> Until:
    return Until(clock.now() + datetime.timedelta(seconds=seconds), seconds, clock)


def test_runs_are_poked_when_they_are_due_also_where_an_earlier_timer_is_set_after() -> None:
    async def case(timers: LiveTimers, clock: VirtualClock, poked: list[tuple[str, float]]) -> None:
        timers.set("c", later(clock, 30))
        await clock.advance(1)
        timers.set("a", later(clock, 4))
        timers.set("b", later(clock, 9))
        await clock.advance(60)
        assert poked == [("a", 5), ("b", 10), ("c", 30)]

    play(case)


def test_what_is_due_already_pokes_at_once() -> None:
    async def case(timers: LiveTimers, clock: VirtualClock, poked: list[tuple[str, float]]) -> None:
        timers.set("a", later(clock, -3))
        await clock.advance(0)
        assert poked == [("a", 0)]

    play(case)


def test_a_run_is_poked_for_its_last_word_alone() -> None:
    async def case(timers: LiveTimers, clock: VirtualClock, poked: list[tuple[str, float]]) -> None:
        timers.set("later", later(clock, 5))
        timers.set("later", later(clock, 8))
        timers.set("never", later(clock, 5))
        timers.set("never", None)
        timers.set("sooner", later(clock, 7))
        timers.set("sooner", later(clock, 6))
        await clock.advance(60)
        assert poked == [("sooner", 6), ("later", 8)]

    play(case)


def test_a_busy_run_with_a_far_timer_takes_one_place() -> None:
    async def case(timers: LiveTimers, clock: VirtualClock, poked: list[tuple[str, float]]) -> None:
        due = later(clock, 24 * 3600)
        for _ in range(10_000):
            timers.set("busy", due)
        assert len(timers) == 1
        for number in range(10_000):  # each an hour earlier than the one before
            timers.set("busy", later(clock, 24 * 3600 - number))
        assert len(timers) < 200
        await clock.advance(24 * 3600)
        assert poked == [("busy", 24 * 3600 - 9_999)]

    play(case)


def test_a_clock_that_is_set_forward_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtforge_host.runs.timers._POLL_S", 0.02)

    class Wall(VirtualClock):
        """Sleeps as long as it was told, however the wall's clock is set."""

        ahead = datetime.timedelta()

        def now(self) -> datetime.datetime:
            return super().now() + self.ahead

    async def main() -> None:
        clock, poked = Wall(), asyncio.Event()
        timers = LiveTimers(clock, lambda run_id: poked.set())
        timers.set("a", later(clock, 3600))
        await asyncio.sleep(0)
        clock.ahead = datetime.timedelta(hours=2)
        await asyncio.wait_for(poked.wait(), 60)
        await timers.close()

    asyncio.run(main())


def test_a_year_of_timers_takes_no_time() -> None:
    async def case(timers: LiveTimers, clock: VirtualClock, poked: list[tuple[str, float]]) -> None:
        began = time.monotonic()
        day_s = 24 * 3600
        for day in range(1, 366):
            timers.set(f"day {day}", later(clock, day * day_s))
        await clock.advance(366 * day_s)
        assert poked == [(f"day {day}", day * day_s) for day in range(1, 366)]
        assert time.monotonic() - began < 60  # and not a year

    play(case)
