"""Policies of topics on the real bus: breakers, limits, health."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qtforge_sdk import Health, Plugin, operation
from qtforge_sdk.errors import BreakerOpenError, HandlerFailedError, PolicyOverloadedError
from qtforge_sdk.policies import Breaker, Limits, TopicPolicy
from qtforge_sdk.testing import VirtualClock


class Failing(Plugin):
    def __init__(self) -> None:
        self.asked = 0
        self.sound = False

    @operation("work.do")
    async def do(self, message: object) -> str:
        self.asked += 1
        if self.sound:
            return "sound again"
        raise ValueError("a crash")


class Steady(Plugin):
    @operation("work.do", trylast=True)
    async def do(self, message: object) -> str:
        return "steady"


def with_breaker(**policy: Any) -> dict[str, Any]:
    return {"topics": {"work.do": TopicPolicy(breaker=Breaker(**policy))}}


def test_a_plugin_that_keeps_failing_is_asked_no_more_until_its_breaker_half_opens(
    bench: Any,
) -> None:
    async def main() -> tuple[int, str]:
        clock = VirtualClock()
        async with bench(clock, **with_breaker(failures=2, open_for="1m")) as it:
            failing = await it.add(Failing(), "failing")
            for _ in range(2):
                with pytest.raises(HandlerFailedError):
                    await it.bus.request("work.do", {})
            with pytest.raises(BreakerOpenError, match="the circuit breaker of failing"):
                await it.bus.request("work.do", {})
            asked, failing.sound = failing.asked, True
            await clock.advance("1m")
            return asked, await it.bus.request("work.do", {})

    assert asyncio.run(main()) == (2, "sound again")


def test_another_plugin_answers_while_a_breaker_is_open(bench: Any) -> None:
    async def main() -> str:
        async with bench(**with_breaker(failures=1, open_for="1m")) as it:
            await it.add(Failing(), "failing")
            await it.add(Steady(), "steady")
            with pytest.raises(HandlerFailedError):
                await it.bus.request("work.do", {})
            return str(await it.bus.request("work.do", {}))

    assert asyncio.run(main()) == "steady"


def test_a_breakers_transitions_are_published(bench: Any) -> None:
    heard: list[dict[str, Any]] = []

    async def main() -> None:
        async with bench(**with_breaker(failures=1)) as it:
            it.bus.subscribe("breaker.*", heard.append)
            await it.add(Failing(), "failing")
            with pytest.raises(HandlerFailedError):
                await it.bus.request("work.do", {})
            async with asyncio.timeout(60):
                while not heard:  # noqa: ASYNC110 - the bus ends it
                    await asyncio.sleep(0.01)
            await it.bus.drain(60)

    asyncio.run(main())
    assert [(each["plugin"], each["before"], each["after"]) for each in heard] == [
        ("failing", "closed", "open")
    ]


def test_a_transition_that_another_process_has_made_is_not_published_again(bench: Any) -> None:
    heard: list[dict[str, Any]] = []

    async def main() -> None:
        async with bench(**with_breaker(failures=1)) as it:
            it.bus.subscribe("breaker.*", heard.append)
            breaker = it.parts.policies.breakers.breaker("work.do", "another")
            breaker.adopt_open(60.0, "another process has opened it")
            breaker.adopt_closed("another process has closed it")
            await it.add(Failing(), "failing")
            with pytest.raises(HandlerFailedError):
                await it.bus.request("work.do", {})
            async with asyncio.timeout(60):
                while not heard:  # noqa: ASYNC110 - the bus ends it
                    await asyncio.sleep(0.01)
            await it.bus.drain(60)

    asyncio.run(main())
    assert [each["plugin"] for each in heard] == ["failing"]


def test_limits_let_no_more_through_at_once_than_they_say(bench: Any) -> None:
    at_once = [0, 0]

    class Counting(Plugin):
        @operation("work.do")
        async def do(self, message: object) -> None:
            at_once[0] += 1
            at_once[1] = max(at_once)
            await asyncio.sleep(0.01)
            at_once[0] -= 1

    async def main() -> None:
        limits = {"work.do": TopicPolicy(limits=Limits(concurrency=3))}
        async with bench(topics=limits) as it:
            await it.add(Counting(), "counting")
            await asyncio.gather(*(it.bus.request("work.do", {}) for _ in range(20)))

    asyncio.run(main())
    assert at_once[1] == 3


def test_a_full_queue_before_a_limit_is_refused_at_once(bench: Any) -> None:
    class Slow(Plugin):
        def __init__(self) -> None:
            self.begun = asyncio.Event()
            self.gate = asyncio.Event()

        @operation("work.do")
        async def do(self, message: object) -> None:
            self.begun.set()
            await self.gate.wait()

    async def main() -> None:
        limits = {"work.do": TopicPolicy(limits=Limits(concurrency=1, queue=0))}
        async with bench(topics=limits) as it:
            slow = await it.add(Slow(), "slow")
            first = asyncio.create_task(it.bus.request("work.do", {}))
            await slow.begun.wait()
            with pytest.raises(PolicyOverloadedError):
                await it.bus.request("work.do", {})
            slow.gate.set()
            await first

    asyncio.run(main())


def test_an_unhealthy_plugin_gets_no_work_while_another_can(bench: Any) -> None:
    class Ill(Plugin):
        @operation("work.do", tryfirst=True)
        async def do(self, message: object) -> str:
            return "ill"

    async def main() -> list[str]:
        async with bench() as it:
            await it.add(Ill(), "ill")
            await it.add(Steady(), "steady")
            health = it.parts.policies.health
            health.watch("ill", lambda: Health("unhealthy", "a cold"))
            answers = [await it.bus.request("work.do", {})]
            await health.check_all()
            answers.append(await it.bus.request("work.do", {}))
            return answers

    assert asyncio.run(main()) == ["ill", "steady"]


def test_identities_name_every_handler_and_wrapper_of_a_topic(bench: Any) -> None:
    async def main() -> Any:
        async with bench() as it:
            await it.add(Steady(), "steady", "2.3")
            await it.add(Failing(), "failing", "1.0")
            return it.bus.identities("work.do"), it.bus.identities("no.body")

    assert asyncio.run(main()) == ((("failing", "1.0"), ("steady", "2.3")), ())
