"""Nodes that are killed or frozen, as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.extensions.nats.nodes import Node, until
from tests.servers.nats import Nats

from qtforge_host.nodes.node_bus import NodeBus
from qtforge_nats import make_nats_transport
from qtforge_sdk.errors import NodeGoneError, NodeLostError
from qtforge_sdk.transport import TransportSettings

_PROGRAM = Path(__file__).with_name("another_process.py")
_ROOT = Path(__file__).parents[3]
_PLACES = [_ROOT / "sdk/src", _ROOT / "extensions/qtforge-nats/src"]
Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def url(nats_server: Nats) -> str:
    return f"{nats_server.url}?prefix=t{uuid.uuid4().hex}"


@pytest.fixture
def start(url: str) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def begin(name: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), url, name],
                stdout=subprocess.PIPE,
                env={"PYTHONPATH": ":".join(map(str, _PLACES))},
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            stack.callback(process.stdout.close)  # type: ignore[union-attr]
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            return process

        yield begin


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_node_that_is_killed_or_frozen_during_a_call_is_lost(
    url: str, start: Start, how: signal.Signals
) -> None:
    process = start("far")

    async def main() -> None:
        one = await Node(url, "here").start()
        await until(lambda: one.sees("far.1"))
        accepted = asyncio.Event()
        call = asyncio.ensure_future(one.ask("far.1", "slow", 60, lambda *said: accepted.set()))
        await asyncio.wait_for(accepted.wait(), 30)
        process.send_signal(how)
        began_s = time.monotonic()
        with pytest.raises(NodeLostError):
            await call
        took_s = time.monotonic() - began_s
        assert took_s < 3 + 7  # 3 s, and as much again for a machine that is busy
        with pytest.raises(NodeGoneError):
            await one.ask("far.1")
        if how == signal.SIGSTOP:
            process.send_signal(signal.SIGCONT)
            await until(lambda: one.sees("far.1"))
            assert await one.ask("far.1") == "hello"
        await one.transport.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_the_host_asks_the_next_node_at_once(url: str, start: Start, bench: Any) -> None:
    processes = [start("a"), start("b")]

    async def main() -> None:
        async with bench() as it:
            transport = make_nats_transport(TransportSettings(url=url, name="here", instance="1"))
            parts = it.parts
            nodes = NodeBus(
                it.bus,
                transport,
                "nats",
                parts.expressions.compile,
                parts.policies.for_topic,
                parts.policies.health.is_usable,
            )
            await nodes.open(None)
            try:
                await until(lambda: len(it.bus.topics().get("text.echo", ())) == 2)
                assert await it.bus.request("text.echo", "before") == "before"
                processes[0].kill()
                await asyncio.to_thread(processes[0].wait)
                await asyncio.sleep(0.1)  # in which the server notices that a connection has ended
                began_s = time.monotonic()
                asked = [it.bus.request("text.echo", number) for number in range(20)]
                assert await asyncio.gather(*asked) == list(range(20))
                assert time.monotonic() - began_s < 2  # less than it takes to miss signs of life
            finally:
                await nodes.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_node_that_was_killed_is_gone_at_once(url: str, start: Start) -> None:
    process = start("far")

    async def main() -> None:
        one = await Node(url, "here").start()
        await until(lambda: one.sees("far.1"))
        process.kill()
        await asyncio.to_thread(process.wait)
        began_s = time.monotonic()
        with pytest.raises((NodeGoneError, NodeLostError)):
            await one.ask("far.1", "slow", 60)  # lost where the server has not noticed it yet
        assert time.monotonic() - began_s < 3 + 7
        await one.transport.close()

    asyncio.run(asyncio.wait_for(main(), 60))
