from __future__ import annotations

import asyncio

import pytest

from qtforge_host.policies.cache import SingleFlight
from qtforge_sdk.testing import VirtualClock


class Work:
    """Takes ten seconds, and counts."""

    def __init__(self, clock: VirtualClock, error: Exception | None = None) -> None:
        self.begun = 0
        self._clock = clock
        self._error = error

    async def __call__(self) -> str:
        self.begun += 1
        number = self.begun
        await self._clock.sleep(10)
        if self._error is not None:
            raise self._error
        return f"answer {number}"


def test_those_that_ask_at_once_share_one_answer() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        work, flights = Work(clock), SingleFlight[str]()
        async with clock.auto():
            answers = await asyncio.gather(*(flights.run("key", work) for _ in range(5)))
        assert answers == [("answer 1", True), *[("answer 1", False)] * 4]
        async with clock.auto():
            assert await flights.run("key", work) == ("answer 2", True)

    asyncio.run(scenario())


def test_other_keys_do_not_wait_for_each_other() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        flights = SingleFlight[str]()
        async with clock.auto():
            work = Work(clock)
            await asyncio.gather(*(flights.run(name, work) for name in "abc"))
        assert (work.begun, clock.monotonic()) == (3, 10.0)

    asyncio.run(scenario())


def test_those_that_ask_at_once_share_one_error() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        work, flights = Work(clock, ZeroDivisionError("no")), SingleFlight[str]()
        async with clock.auto():
            answers = await asyncio.gather(
                *(flights.run("key", work) for _ in range(3)), return_exceptions=True
            )
        assert [type(each) for each in answers] == [ZeroDivisionError] * 3
        assert work.begun == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("cancelled", [1, 2, 3])
def test_a_cancelled_leader_hands_over_to_the_next_in_the_queue(cancelled: int) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        work, flights = Work(clock), SingleFlight[str]()
        tasks = [asyncio.create_task(flights.run("key", work)) for _ in range(5)]
        for task in tasks[:cancelled]:
            await clock.advance(5)
            task.cancel()
        await clock.advance(10)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        answer = f"answer {cancelled + 1}"
        assert [type(each) for each in ended[:cancelled]] == [asyncio.CancelledError] * cancelled
        assert ended[cancelled:] == [(answer, True), *[(answer, False)] * (4 - cancelled)]
        assert work.begun == cancelled + 1

    asyncio.run(scenario())


def test_a_cancelled_follower_leaves_the_leader_alone() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        work, flights = Work(clock), SingleFlight[str]()
        leader, follower = (asyncio.create_task(flights.run("key", work)) for _ in range(2))
        await clock.advance(5)
        follower.cancel()
        await clock.advance(5)
        assert await leader == ("answer 1", True)
        assert follower.cancelled()

    asyncio.run(scenario())
