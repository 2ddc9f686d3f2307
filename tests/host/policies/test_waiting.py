from __future__ import annotations

import asyncio

from qtforge_host.policies.limits import wait_until
from qtforge_sdk.testing import VirtualClock


def test_a_future_is_waited_for_until_the_moment_and_left_as_it_is() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with clock.auto():
            assert not await wait_until(clock, future, 10.0)
            assert clock.monotonic() == 10.0
            assert not await wait_until(clock, future, 10.0)
            assert not future.done()
            future.set_result(1)
            assert await wait_until(clock, future, None)
        assert clock.waiting == 0

    asyncio.run(scenario())


def test_when_it_is_done_first_the_alarm_is_taken_back() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(wait_until(clock, future, 10.0))
        await clock.advance(5)
        future.set_exception(ZeroDivisionError())
        assert await waiting
        assert isinstance(future.exception(), ZeroDivisionError)
        assert (clock.waiting, len(asyncio.all_tasks())) == (0, 1)

    asyncio.run(scenario())


def test_being_cancelled_takes_the_alarm_back_and_leaves_the_future_alone() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(wait_until(clock, future, 10.0))
        await clock.advance(5)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert not future.done()
        assert (clock.waiting, len(asyncio.all_tasks())) == (0, 1)

    asyncio.run(scenario())
