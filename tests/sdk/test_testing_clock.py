from __future__ import annotations

import asyncio
import datetime
import math
import time

import pytest

from qtforge_sdk.clock import Clock
from qtforge_sdk.testing import VirtualClock


def test_it_stands_still_until_it_is_moved() -> None:
    async def scenario() -> None:
        clock = VirtualClock(datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC))
        as_protocol: Clock = clock
        before = as_protocol.now()
        await asyncio.sleep(0.002)
        assert (clock.now(), clock.monotonic()) == (before, 0.0)
        await clock.advance(90)
        assert clock.now() - before == datetime.timedelta(seconds=90)
        assert clock.monotonic() == 90.0

    asyncio.run(scenario())


def test_a_sleeper_wakes_at_its_moment_and_may_sleep_again_within_the_same_advance() -> None:
    async def scenario() -> list[float]:
        clock = VirtualClock()
        woken = []

        async def tick() -> None:
            while True:
                await clock.sleep(10)
                woken.append(clock.monotonic())

        ticking = asyncio.create_task(tick())
        await clock.advance(35)
        ticking.cancel()
        await asyncio.wait([ticking])
        assert clock.waiting == 0
        return woken

    assert asyncio.run(scenario()) == [10.0, 20.0, 30.0]


def test_those_due_at_once_wake_in_the_order_in_which_they_went_to_sleep() -> None:
    async def scenario() -> list[str]:
        clock = VirtualClock()
        woken = []

        async def nap(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append(name)

        names = [("late", 6.0), *((f"{number:02}", 5.0) for number in range(20)), ("early", 1.0)]
        async with clock.auto():
            await asyncio.gather(*(nap(*each) for each in names))
        return woken

    assert asyncio.run(scenario()) == ["early", *(f"{number:02}" for number in range(20)), "late"]


def test_a_day_of_retries_takes_milliseconds() -> None:
    async def scenario() -> float:
        clock = VirtualClock()
        async with clock.auto():
            for _ in range(288):
                await clock.sleep(300)
        return clock.monotonic()

    # Real waiting would run into the test's own limit.
    assert asyncio.run(scenario()) == 86_400.0


def test_time_does_not_pass_while_a_task_has_something_to_do() -> None:
    async def scenario() -> float:
        clock = VirtualClock()

        async def work() -> float:
            for _ in range(500):
                await asyncio.sleep(0)
            return clock.monotonic()

        async with clock.auto():
            working = asyncio.create_task(work())
            await clock.sleep(1)
            return await working

    assert asyncio.run(scenario()) == 0.0


def test_a_thread_has_its_grace_before_time_passes() -> None:
    async def scenario() -> tuple[float, float]:
        clock = VirtualClock()
        async with clock.auto(grace_s=2.0):
            deadline = asyncio.create_task(clock.sleep(30))
            await asyncio.to_thread(time.sleep, 0.01)
            before = clock.monotonic()
            await deadline
        return before, clock.monotonic()

    assert asyncio.run(scenario()) == (0.0, 30.0)


def test_a_task_that_waits_for_another_sleeper_does_not_hold_time_up() -> None:
    async def scenario() -> float:
        clock = VirtualClock()
        event = asyncio.Event()

        async def ring() -> None:
            await clock.sleep(60)
            event.set()

        async with clock.auto():
            ringing = asyncio.create_task(ring())
            await event.wait()
            await ringing
        return clock.monotonic()

    assert asyncio.run(scenario()) == 60.0


def test_a_cancelled_sleeper_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        tasks = [asyncio.create_task(clock.sleep(5)) for _ in range(3)]
        await clock.advance(0)
        assert (clock.waiting, clock.next_due_s) == (3, 5.0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert (clock.waiting, clock.next_due_s) == (0, None)

    asyncio.run(scenario())


def test_moving_by_hand_works_while_it_moves_by_itself() -> None:
    async def scenario() -> float:
        clock = VirtualClock()
        async with clock.auto():
            sleeping = asyncio.create_task(clock.sleep(10))
            await clock.advance(20)
            await sleeping
        return clock.monotonic()

    assert asyncio.run(scenario()) == 20.0


def test_who_sleeps_for_ever_does_not_move_the_clock() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        async with clock.auto():
            forever = asyncio.create_task(clock.sleep(math.inf))
            await asyncio.sleep(0.01)
            assert clock.monotonic() == 0.0
            forever.cancel()
            await asyncio.wait([forever])

    asyncio.run(scenario())


def test_it_stops_moving_by_itself_at_the_end_of_the_block_and_no_task_is_left() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        async with clock.auto():
            await clock.sleep(1)
        sleeping = asyncio.create_task(clock.sleep(1))
        await asyncio.sleep(0.01)
        assert not sleeping.done()
        assert asyncio.all_tasks() == {asyncio.current_task(), sleeping}
        sleeping.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize("seconds", [0, -1, -math.inf])
def test_no_time_at_all_is_slept_at_once(seconds: float) -> None:
    clock = VirtualClock()
    asyncio.run(asyncio.wait_for(clock.sleep(seconds), 60))
    assert clock.monotonic() == 0.0


def test_what_is_no_time_is_refused() -> None:
    clock = VirtualClock()
    with pytest.raises(ValueError, match="nan"):
        asyncio.run(clock.sleep(math.nan))
    with pytest.raises(ValueError, match="can't move the clock by -1 seconds"):
        asyncio.run(clock.advance(-1.0))
    for wrong in (math.inf, math.nan, "soon"):
        with pytest.raises(ValueError, match=r"is not a duration|longer than 100 years"):
            asyncio.run(clock.advance(wrong))
    with pytest.raises(ValueError, match="time zone"):
        VirtualClock(datetime.datetime(2026, 1, 1))


def test_a_call_is_made_at_its_time_unless_it_is_cancelled() -> None:
    async def main() -> list[tuple[str, float]]:
        clock, called = VirtualClock(), list[tuple[str, float]]()
        clock.call_later(60, lambda: called.append(("late", clock.monotonic())))
        cancelled = clock.call_later(30, lambda: called.append(("cancelled", 30.0)))
        clock.call_later(-1, lambda: called.append(("at once", clock.monotonic())))
        assert (clock.waiting, clock.next_due_s) == (3, 0.0)
        await clock.advance(0)
        cancelled.cancel()
        await clock.advance(59)
        assert called == [("at once", 0.0)]
        await clock.advance(100)
        assert clock.waiting == 0
        cancelled.cancel()
        return called

    assert asyncio.run(main()) == [("at once", 0.0), ("late", 60.0)]
