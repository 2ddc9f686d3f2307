"""The message bus: load balance, observers, statistics, closing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest

from qtforge_sdk import OperationContext, Plugin, hookimpl, operation, subscriber
from qtforge_sdk.bus import message_id
from qtforge_sdk.errors import (
    BusClosedError,
    HandlerFailedError,
    InvalidTopicError,
    NoHandlerError,
    OverloadedError,
    PluginError,
    RequestTimeoutError,
)
from qtforge_sdk.transport import Envelope


class Ask(msgspec.Struct, frozen=True):
    number: int = 0


class Slow(Plugin):
    def __init__(self) -> None:
        self.asked = 0

    @operation("work.do")
    async def do(self, message: Ask) -> str:
        self.asked += 1
        await asyncio.sleep(0.05)
        return "done"


def test_equal_handlers_share_the_load_by_least_outstanding(bench: Any) -> None:
    async def main() -> tuple[int, int]:
        async with bench() as it:
            one, two = Slow(), Slow()
            await it.add(one, "one")
            await it.add(two, "two")
            await asyncio.gather(*(it.bus.request("work.do", Ask()) for _ in range(10)))
            return one.asked, two.asked

    assert asyncio.run(main()) == (5, 5)


def test_the_envelope_names_the_plugin_that_handled_it(bench: Any) -> None:
    async def main() -> Any:
        async with bench() as it:
            await it.add(Slow(), "slow", "3.1")
            envelope = Envelope("work.do", Ask(), 60.0, asyncio.get_running_loop().time() + 60)
            await it.bus.send(envelope)
            return envelope.served_by

    assert asyncio.run(main()) == ("slow", "3.1")


def test_an_envelope_can_leave_the_machine() -> None:
    envelope = Envelope("work.do", Ask(1), 5.0, 12.5, run_id="r", step="s", idempotency_key="r/s")
    decoded = msgspec.msgpack.decode(msgspec.msgpack.encode(envelope), type=Envelope)
    assert decoded.payload == {"number": 1}
    assert (decoded.topic, decoded.run_id, decoded.idempotency_key) == ("work.do", "r", "r/s")


def test_a_handler_sees_run_step_attempt_deadline_and_key(bench: Any) -> None:
    seen: list[OperationContext] = []

    class Looking(Plugin):
        @operation("look.at")
        async def at(self, message: Ask, context: OperationContext) -> None:
            seen.append(context)

    async def main() -> None:
        async with bench() as it:
            await it.add(Looking(), "looking")
            deadline = asyncio.get_running_loop().time() + 5
            await it.bus.send(
                Envelope(
                    "look.at", Ask(), 5.0, deadline, run_id="r1", step="s1", attempt=2,
                    idempotency_key="r1/s1",
                )
            )  # fmt: skip

    asyncio.run(main())
    context = seen[0]
    assert (context.run_id, context.step, context.attempt) == ("r1", "s1", 2)
    assert (context.idempotency_key, context.plugin) == ("r1/s1", "looking")
    remaining = context.remaining_s()
    assert remaining is not None
    assert remaining <= 5
    assert context.logger.name == "qtforge.plugin.looking"


def test_the_slow_handler_is_named_and_not_the_wrapper_around_it(bench: Any) -> None:
    class Around(Plugin):
        @operation("work.do", wrapper=True)
        async def around(self, message: Ask, context: OperationContext, proceed: Any) -> Any:
            return await proceed(message)

    class Stuck(Plugin):
        @operation("work.do")
        async def do(self, message: Ask) -> None:
            await asyncio.sleep(3600)

    async def main() -> None:
        async with bench() as it:
            await it.add(Stuck(), "stuck")
            await it.add(Around(), "around")
            with pytest.raises(RequestTimeoutError, match="stuck"):
                await it.bus.request("work.do", Ask(), timeout=2)

    asyncio.run(main())


def test_the_signatures_of_a_topic_are_those_that_a_request_reaches_first(bench: Any) -> None:
    class One(Plugin):
        @operation("work.do")
        async def do(self, message: Ask) -> int:
            return 1

    class Two(Plugin):
        @operation("work.do")
        async def do(self, message: dict[str, int]) -> str:
            return "2"

    class Around(Plugin):
        @operation("work.do", wrapper=True)
        async def around(self, message: Ask, context: OperationContext, proceed: Any) -> Any:
            return await proceed(message)

    async def main() -> None:
        async with bench() as it:
            await it.add(One(), "one")
            await it.add(Two(), "two")

            def answers(plugin: str | None = None) -> set[Any]:
                return {each.response_type for each in it.bus.signatures("work.do", plugin)}

            assert answers() == {int, str}
            assert answers("two") == {str}
            assert answers("nobody") == set()
            assert it.bus.signatures("work.undo") == []
            await it.add(Around(), "around")
            assert answers() == answers("two") == {Any}

    asyncio.run(main())


def test_a_wrapper_that_never_returns_is_named(bench: Any) -> None:
    class Around(Plugin):
        @operation("work.do", wrapper=True)
        async def around(self, message: Ask, context: OperationContext, proceed: Any) -> Any:
            await asyncio.sleep(3600)

    async def main() -> None:
        async with bench() as it:
            await it.add(Slow(), "slow")
            await it.add(Around(), "around")
            with pytest.raises(RequestTimeoutError, match="around"):
                await it.bus.request("work.do", Ask(), timeout=2)

    asyncio.run(main())


def test_observers_see_requests_responses_and_errors_and_their_failures_are_logged(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[Any, ...]] = []

    class Observer(Plugin):
        @hookimpl
        def qtforge_before_request(self, topic: str) -> None:
            heard.append(("before", topic))
            raise ZeroDivisionError("an observer's own")

        @hookimpl
        def qtforge_after_request(self, topic: str, response: object, plugin: str) -> None:
            heard.append(("after", topic, response, plugin))

        @hookimpl
        def qtforge_on_request_error(self, error: BaseException, plugin: str) -> None:
            heard.append(("error", type(error), plugin))

    class Worker(Plugin):
        @operation("work.ok")
        async def ok(self, message: Ask) -> str:
            return "fine"

        @operation("work.bad")
        async def bad(self, message: Ask) -> str:
            raise ValueError("bad")

    async def main() -> None:
        async with bench() as it:
            await it.add(Observer(), "observer")
            await it.add(Worker(), "worker")
            assert await it.bus.request("work.ok", Ask()) == "fine"
            with pytest.raises(HandlerFailedError):
                await it.bus.request("work.bad", Ask())

    with caplog.at_level(logging.CRITICAL, "qtforge.hooks"):
        asyncio.run(main())
    assert heard == [
        ("before", "work.ok"),
        ("after", "work.ok", "fine", "worker"),
        ("before", "work.bad"),
        ("error", HandlerFailedError, "worker"),
    ]


def test_a_full_thread_queue_is_an_overload_that_names_the_plugin(bench: Any) -> None:
    import threading

    release = threading.Event()

    class Threaded(Plugin):
        @operation("work.wait")
        def wait(self, message: Ask) -> None:
            release.wait(60)

    async def main() -> None:
        async with bench(worker_threads=1) as it:
            it.parts.threads.capacity = 1
            await it.add(Threaded(), "threaded")
            first = asyncio.create_task(it.bus.request("work.wait", Ask()))
            await asyncio.sleep(0.05)
            second = asyncio.create_task(it.bus.request("work.wait", Ask()))
            await asyncio.sleep(0.05)
            with pytest.raises(OverloadedError, match=r"threaded 1\.0\.0"):
                await it.bus.request("work.wait", Ask())
            release.set()
            await asyncio.gather(first, second)

    asyncio.run(main())


def test_statistics_count_requests_errors_timeouts_and_latency(bench: Any) -> None:
    class Mixed(Plugin):
        @operation("mixed.do")
        async def do(self, message: Ask) -> None:
            if message.number == 1:
                raise ValueError("one")
            if message.number == 2:
                await asyncio.sleep(3600)
            await asyncio.sleep(0.01)

    async def main() -> Any:
        async with bench() as it:
            await it.add(Mixed(), "mixed")
            for number in (0, 0, 0, 1, 2):
                try:
                    await it.bus.request("mixed.do", Ask(number), timeout=1 if number == 2 else 60)
                except (HandlerFailedError, RequestTimeoutError):
                    continue
            return it.bus.statistics()

    (found,) = asyncio.run(main())
    assert (found.topic, found.plugin, found.requests) == ("mixed.do", "mixed", 5)
    assert (found.errors, found.timeouts, found.outstanding) == (2, 1, 0)
    assert 0.009 < found.p50_s < found.p99_s
    assert found.p99_s > 0.9  # buckets of latencies are not exact


def test_topics_list_the_handlers_in_order_with_their_execution(bench: Any) -> None:
    class Several(Plugin):
        @operation("a.b", accepts="message.number > 3", tryfirst=True)
        async def first(self, message: Ask) -> str:
            return "first"

        @operation("a.b", trylast=True)
        def last(self, message: Ask) -> str:
            return "last"

        @operation("a.b", wrapper=True)
        async def around(self, message: Ask, context: OperationContext, proceed: Any) -> str:
            return str(await proceed(message))

    async def main() -> Any:
        async with bench() as it:
            await it.add(Several(), "several", "0.1")
            return it.bus.topics()["a.b"]

    found = asyncio.run(main())
    assert [(each.wrapper, each.execution, each.accepts) for each in found] == [
        (True, "async", None),
        (False, "async", "message.number > 3"),
        (False, "thread", None),
    ]
    assert (found[0].message_type, found[0].response_type) == ("Ask", "str")


def test_an_unknown_topic_names_the_nearest_one(bench: Any) -> None:
    async def main() -> None:
        async with bench() as it:
            await it.add(Slow(), "slow")
            with pytest.raises(NoHandlerError) as error:
                await it.bus.request("work.does", Ask())
            assert error.value.fix == "did you mean 'work.do'?"
            with pytest.raises(InvalidTopicError):
                await it.bus.request("work..do", Ask())

    asyncio.run(main())


def test_nothing_is_sent_once_the_bus_is_closed(bench: Any) -> None:
    async def main() -> None:
        async with bench() as it:
            await it.add(Slow(), "slow")
            await it.bus.close()
            with pytest.raises(BusClosedError):
                await it.bus.request("work.do", Ask())
            with pytest.raises(BusClosedError):
                await it.bus.publish("work.done", Ask())

    asyncio.run(main())


def test_a_burst_larger_than_a_mailbox_reaches_a_quick_subscriber_whole(bench: Any) -> None:
    class Listener(Plugin):
        def __init__(self) -> None:
            self.heard: list[int] = []

        @subscriber("burst.*", capacity=16)
        async def on_burst(self, message: Ask) -> None:
            self.heard.append(message.number)

    async def main() -> tuple[list[int], int]:
        async with bench() as it:
            listener = await it.add(Listener(), "listener")
            dropped = 0
            for number in range(500):
                dropped += (await it.bus.publish("burst.now", Ask(number))).dropped
            await it.bus.drain(60)
            return listener.heard, dropped

    heard, dropped = asyncio.run(main())
    assert (heard, dropped) == (list(range(500)), 0)


def test_a_slow_subscriber_loses_messages_and_affects_no_other(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    quick: list[int] = []

    class Lazy(Plugin):
        def __init__(self) -> None:
            self.gate = asyncio.Event()

        @subscriber("news.*", capacity=2)
        async def on_news(self, message: Ask) -> None:
            await self.gate.wait()

    class Quick(Plugin):
        @subscriber("news.*")
        async def on_news(self, message: Ask) -> None:
            quick.append(message.number)

    async def main() -> Any:
        async with bench() as it:
            lazy = await it.add(Lazy(), "lazy")
            await it.add(Quick(), "quick")
            results = [await it.bus.publish("news.today", Ask(n)) for n in range(10)]
            async with asyncio.timeout(60):
                while len(quick) < 10:  # noqa: ASYNC110 - the lazy one never sees them all
                    await asyncio.sleep(0.001)
            statistics = it.bus.statistics()
            lazy.gate.set()
            return results, {each.plugin: each.dropped for each in statistics}

    results, dropped = asyncio.run(main())
    assert quick == list(range(10))
    assert dropped == {"lazy": sum(each.dropped for each in results), "quick": 0}
    assert dropped["lazy"] > 0
    assert "lazy 1.0.0 is too slow for 'news.today'" in caplog.text


@pytest.mark.parametrize(
    ("plugin", "why"),
    [
        ("TooMany", "takes 3 arguments"),
        ("BadCondition", "there is no function 'nosuch'"),
        ("UnknownName", "'massage' is not known"),
    ],
)
def test_a_handler_that_cannot_be_used_is_refused_when_its_plugin_starts(
    bench: Any, plugin: str, why: str
) -> None:
    class TooMany(Plugin):
        @operation("x.y")
        async def do(self, message: Ask, context: OperationContext, more: int) -> None: ...

    class BadCondition(Plugin):
        @operation("x.y", accepts="nosuch(message)")
        async def do(self, message: Ask) -> None: ...

    class UnknownName(Plugin):
        @operation("x.y", accepts="massage.number == 1")
        async def do(self, message: Ask) -> None: ...

    kinds = {"TooMany": TooMany, "BadCondition": BadCondition, "UnknownName": UnknownName}

    async def main() -> None:
        async with bench() as it:
            with pytest.raises(PluginError, match=why):
                await it.add(kinds[plugin](), "bad")

    asyncio.run(main())


def test_what_a_subscriber_publishes_has_not_the_id_of_the_message_that_it_handles(
    bench: Any,
) -> None:
    async def main() -> list[tuple[str, str]]:
        received: list[tuple[str, str]] = []
        async with bench() as it:

            async def pass_on(number: int) -> None:
                received.append(("first", message_id()))
                await it.bus.publish("second", number)

            async def receive(number: int) -> None:
                received.append(("second", message_id()))

            it.bus.subscribe("first", pass_on)
            it.bus.subscribe("second", receive)
            await it.bus.publish("first", 1, message_id="run/step")
            assert await it.bus.drain(60)
            assert await it.bus.drain(60)
        return received

    assert asyncio.run(main()) == [("first", "run/step"), ("second", "")]
