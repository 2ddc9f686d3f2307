"""A node in the process of a test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from qtforge_nats import NatsTransport, make_nats_transport
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.transport import Broadcast, Envelope, NodeHandler, Reply, TransportSettings

ECHO = NodeHandler(topic="text.echo", plugin="echo", version="1.2.0")


class Node:
    """A node; it answers with what it is sent, or never where that is ``slow``."""

    def __init__(self, url: str, name: str, instance: str = "1") -> None:
        self.transport: NatsTransport = make_nats_transport(
            TransportSettings(url=url, name=name, instance=instance)
        )
        self.heard: list[Broadcast] = []
        self.asked: list[Any] = []
        self.gate = asyncio.Event()

    async def start(self, *handlers: NodeHandler) -> Node:
        await self.transport.open(self)
        if handlers:
            await self.transport.announce(handlers)
        return self

    async def handle(self, envelope: Envelope, listener: ProgressListener | None) -> Reply:
        self.asked.append(envelope.payload)
        if envelope.payload == "slow":
            await self.gate.wait()
        return Reply(answer=envelope.payload)

    async def deliver(self, publication: Broadcast) -> None:
        self.heard.append(publication)

    def changed(self) -> None: ...

    async def ask(
        self,
        node: str,
        payload: Any = "hello",
        timeout_s: float = 20.0,
        listener: ProgressListener | None = None,
        plugin: str = "echo",
    ) -> Any:
        envelope = Envelope("text.echo", payload, timeout_s, time.monotonic() + timeout_s, plugin)
        return (await self.transport.call(node, envelope, listener)).answer

    def sees(self, node: str) -> bool:
        entry = self.transport.directory().get(node)
        return entry is not None and bool(entry.handlers)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - of several nodes
            await asyncio.sleep(0.02)
