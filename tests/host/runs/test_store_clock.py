"""Machines whose clocks differ tell one time: that of the journal which they share."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

import pytest
from tests.host.runs.machines import TIMER, begun, labelled

from qtforge_host.runs.store_clock import StoreClock
from qtforge_sdk.clock import Alarm
from qtforge_sdk.errors import StorageError
from qtforge_sdk.records import CheckpointSaved
from qtforge_sdk.testing import VirtualClock

MINUTE = datetime.timedelta(minutes=1)


class Machine:
    """The clock of a machine, which is not set right."""

    def __init__(self, true: VirtualClock, ahead: datetime.timedelta) -> None:
        self.true = true
        self.ahead = ahead
        self.monotonic = true.monotonic

    def now(self) -> datetime.datetime:
        return self.true.now() + self.ahead

    async def sleep(self, seconds: float) -> None:
        await self.true.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        return self.true.call_later(seconds, callback)


class Store:
    """The time of a store, which may be away."""

    def __init__(self, true: VirtualClock) -> None:
        self.true = true
        self.ahead = datetime.timedelta()
        self.is_away = False
        self.reads = 0

    async def now(self) -> datetime.datetime:
        self.reads += 1
        if self.is_away:
            raise StorageError("away")
        return self.true.now() + self.ahead


@pytest.mark.parametrize("ahead", [-7 * MINUTE, 0 * MINUTE, 11 * MINUTE])
def test_the_time_is_that_of_the_store_however_this_machine_is_set(
    ahead: datetime.timedelta,
) -> None:
    async def case() -> None:
        true = VirtualClock()
        store, machine = Store(true), Machine(true, ahead)
        clock = StoreClock(store.now, machine)
        await clock.open()
        assert clock.now() == true.now()
        machine.ahead += 60 * MINUTE  # it is set while the process runs
        assert clock.now() == true.now()
        await true.advance(3600)
        assert clock.now() == true.now()
        await clock.close()

    asyncio.run(case())


def test_a_store_that_is_away_leaves_the_time_as_it_was_until_it_is_back() -> None:
    async def case() -> None:
        true = VirtualClock()
        store, machine = Store(true), Machine(true, 5 * MINUTE)
        store.is_away = True
        clock = StoreClock(store.now, machine)
        await clock.open()
        assert clock.now() == machine.now()
        store.is_away = False
        await true.advance(600)
        assert clock.now() == true.now()
        store.is_away = True
        await true.advance(600)
        assert clock.now() == true.now()
        await clock.close()

    asyncio.run(case())


def test_the_store_is_asked_seldom_and_at_once_where_this_machine_has_slept() -> None:
    async def case() -> None:
        true = VirtualClock()
        store, machine = Store(true), Machine(true, 0 * MINUTE)
        clock = StoreClock(store.now, machine)
        await clock.open()
        await true.advance(3000)
        assert store.reads <= 11
        # Seconds have passed for the others that this machine has not counted.
        store.ahead = machine.ahead = 90 * MINUTE
        await true.advance(5)
        assert clock.now() == true.now() + store.ahead
        await clock.close()

    asyncio.run(case())


def test_a_timer_of_a_machine_fires_on_another_when_it_is_due_by_the_store(play: Any) -> None:
    async def case(lab: Any) -> None:
        true = lab.clock
        clocks = [
            StoreClock(Store(true).now, Machine(true, ahead))
            for ahead in (5 * MINUTE, -5 * MINUTE, 30 * MINUTE)
        ]
        for clock in clocks:
            await clock.open()
        await lab.end()
        lab.clock = clocks[0]
        await lab.start()
        run_id = await begun(lab, TIMER % "60s")
        for number, clock in enumerate(clocks):
            await lab.end()
            lab.clock = clock
            await lab.start()
            async with lab.dispatching():
                await true.advance(19.9)
                await asyncio.sleep(0.05)
                assert (await lab.kept(run_id)).label == "on", number
        async with lab.dispatching():
            await true.advance(0.5)
            await lab.until(lambda: labelled(lab, run_id, "off"))
        (fired,) = [each for each in await lab.records(run_id, CheckpointSaved) if each.event]
        assert 0 <= fired.late_s < 0.3  # of a clock that is advanced 0.2 s beyond
        for clock in clocks:
            await clock.close()
        lab.clock = true

    play(case)
