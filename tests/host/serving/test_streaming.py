"""What clients hear, and those that are too slow."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.expressions import Expressions
from qtforge_host.serving.streaming import Stream, Streams
from qtforge_sdk.records import RunPaused


def paused(run_id: str) -> RunPaused:
    return RunPaused(run_id=run_id, at=datetime.datetime.now(datetime.UTC))


def with_streams(check: Callable[[Streams, MessageBus], Awaitable[None]]) -> None:
    async def main() -> None:
        threads = WorkerThreads(1)
        bus = MessageBus(Expressions().compile, threads)
        try:
            await check(Streams(bus, 4), bus)
        finally:
            await bus.close()
            threads.close()

    asyncio.run(main())


async def heard(stream: Stream) -> list[str]:
    names = []
    while (live := await stream.next(1.0)) is not None:
        names.append(live.name)
    return names


def test_a_slow_client_is_dropped_and_told_so_and_the_others_are_not() -> None:
    async def check(streams: Streams, bus: MessageBus) -> None:
        with streams.open(None, None) as slow, streams.open("other", None) as other:
            for _ in range(5000):
                streams.tell(paused("one"))
            streams.tell(paused("other"))
            assert await heard(slow) == ["dropped"]
            live = await other.next(1.0)
            assert live is not None
            assert live.data["run_id"] == "other"
            assert len(streams) == 2
        assert len(streams) == 0

    with_streams(check)


def test_what_waits_is_still_heard_when_all_streams_end() -> None:
    async def check(streams: Streams, bus: MessageBus) -> None:
        with streams.open(None, None) as stream:
            streams.tell(paused("one"))
            streams.close()
            streams.tell(paused("two"))
            assert await heard(stream) == ["record"]

    with_streams(check)


def test_a_stream_that_is_closed_leaves_no_subscription_behind() -> None:
    async def check(streams: Streams, bus: MessageBus) -> None:
        with streams.open(None, "news.>"):
            assert (await bus.publish("news.local", {"x": 1})).delivered == 1
        assert (await bus.publish("news.local", {"x": 1})).delivered == 0

    with_streams(check)
