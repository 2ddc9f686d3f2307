"""A server that goes away, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg
from tests.extensions.nats.nodes import ECHO, Node, until
from tests.servers.nats import Nats, NatsUnavailable, running_nats

from qtforge_nats.peers import Announcement, Beat
from qtforge_sdk.errors import BusUnavailableError, NodeGoneError, NodeLostError
from qtforge_sdk.transport_kit import CallFrame, GoneFrame, decode_request, encode


@pytest.fixture
def server() -> Iterator[Nats]:
    try:
        with running_nats() as server:
            yield server
    except NatsUnavailable as error:
        pytest.skip(str(error))


async def in_the_middle_of_a_call(server: Nats) -> tuple[Node, Node, asyncio.Future[Any]]:
    """Give two nodes, and what the first asked the second, which has begun to answer."""
    one = await Node(server.url, "one").start()
    two = await Node(server.url, "two").start(ECHO)
    await until(lambda: one.sees("two.1"))
    slow = asyncio.ensure_future(one.ask("two.1", "slow", 60))
    await until(lambda: two.asked == ["slow"])
    return one, two, slow


def test_nodes_find_each_other_again_after_the_server_was_away(server: Nats) -> None:
    async def main() -> None:
        one, two, slow = await in_the_middle_of_a_call(server)
        server.stop()
        await until(lambda: bool(one.transport.trouble))
        with pytest.raises(BusUnavailableError):
            await one.ask("two.1")
        with pytest.raises(NodeLostError):
            await slow
        assert not one.transport.directory()
        server.start()
        await until(lambda: one.sees("two.1") and not two.transport.trouble)
        assert await one.ask("two.1", "again") == "again"
        await one.transport.close()
        await two.transport.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_call_outlives_a_short_absence_of_the_server(server: Nats) -> None:
    async def main() -> None:
        one, two, slow = await in_the_middle_of_a_call(server)
        server.stop()
        await until(lambda: bool(one.transport.trouble) and bool(two.transport.trouble))
        server.start()
        await until(lambda: not one.transport.trouble and not two.transport.trouble)
        if not slow.done():  # else this machine was too slow
            two.gate.set()
            assert await slow == "slow"
        await one.transport.close()
        await two.transport.close()
        slow.cancel()
        await asyncio.wait([slow])

    asyncio.run(asyncio.wait_for(main(), 60))


def test_an_answer_that_was_missed_ends_the_call(server: Nats) -> None:
    async def main() -> None:
        one, two, slow = await in_the_middle_of_a_call(server)
        server.stop()
        await until(lambda: bool(one.transport.trouble) and bool(two.transport.trouble))
        two.gate.set()
        await until(lambda: not two.transport._work)  # answered, and nobody can hear it
        server.start()
        with pytest.raises(NodeLostError):
            await slow
        await one.transport.close()
        await two.transport.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_what_a_node_that_ends_did_not_accept_was_not_done(server: Nats) -> None:
    async def main() -> None:
        one, two, slow = await in_the_middle_of_a_call(server)
        async with asyncio.timeout(30):
            client = await nats.connect(server.url)
        gone = encode(Beat(1, 0, draining=True, gone=True))

        async def take(message: Msg) -> None:  # as a node does that says both while it ends
            frame = decode_request(message.data)
            if isinstance(frame, CallFrame):
                await client.publish("qtforge.node.beat.three.1", gone)
                await client.publish(message.reply, encode(GoneFrame("it stops")))

        async def come_back() -> None:
            handlers = encode(Announcement(1, (ECHO,)))
            while True:
                await client.publish("qtforge.node.plugin.echo.three.1", handlers)
                await client.publish("qtforge.node.beat.three.1", encode(Beat(1, 1)))
                await asyncio.sleep(0.02)

        await client.subscribe("qtforge.call.echo.three.1", cb=take)
        coming = asyncio.ensure_future(come_back())
        for _ in range(20):
            await until(lambda: one.sees("three.1"))
            with pytest.raises(NodeGoneError):
                await one.ask("three.1")
        coming.cancel()
        await asyncio.wait([coming])
        await client.close()
        await two.transport.close()  # in the middle of what it had accepted
        with pytest.raises(NodeLostError):
            await slow
        await one.transport.close()

    asyncio.run(asyncio.wait_for(main(), 120))


def test_a_call_to_a_node_that_has_gone_ends_though_a_query_was_lost(server: Nats) -> None:
    async def main() -> None:
        one = await Node(server.url, "one").start()
        async with asyncio.timeout(30):
            client = await nats.connect(server.url)
        asked = 0

        async def take(message: Msg) -> None:  # as a connection does whose node has ended
            nonlocal asked
            frame = decode_request(message.data)
            if isinstance(frame, CallFrame):
                gone = encode(Beat(1, 0, draining=True, gone=True))
                await client.publish("qtforge.node.beat.two.1", gone)
                return
            asked += 1
            if asked == 2:
                await subscription.unsubscribe()  # from here on the server answers for it

        subscription = await client.subscribe("qtforge.call.echo.two.1", cb=take)
        await client.publish("qtforge.node.plugin.echo.two.1", encode(Announcement(1, (ECHO,))))
        await client.publish("qtforge.node.beat.two.1", encode(Beat(1, 1)))
        await until(lambda: one.sees("two.1"))
        with pytest.raises(NodeLostError):
            await one.ask("two.1", timeout_s=1000)
        assert asked == 2
        await client.close()
        await one.transport.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_server_that_is_not_there_is_said_without_secrets() -> None:
    async def main() -> None:
        node = Node("nats://me:s3cr3t@127.0.0.1:1", "one")
        with pytest.raises(BusUnavailableError) as caught:
            await node.start()
        assert "nats://127.0.0.1:1" in str(caught.value)
        assert "s3cr3t" not in str(caught.value)
        assert node.transport.trouble
        await node.transport.close()

    asyncio.run(asyncio.wait_for(main(), 60))
