"""A node in a process of its own: it answers ``text.echo``, or never answers ``slow``."""

from __future__ import annotations

import asyncio
import sys

from qtforge_nats import make_nats_transport
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.transport import Broadcast, Envelope, NodeHandler, Reply, TransportSettings


class Echo:
    async def handle(self, envelope: Envelope, listener: ProgressListener | None) -> Reply:
        if listener is not None:
            listener(0, None, "accepted")
        if envelope.payload == "slow":
            await asyncio.Event().wait()
        return Reply(answer=envelope.payload, served_by=("echo", "1.2.0"))

    async def deliver(self, publication: Broadcast) -> None: ...

    def changed(self) -> None: ...


async def main(url: str, name: str) -> None:
    transport = make_nats_transport(TransportSettings(url=url, name=name, instance="1"))
    await transport.open(Echo())
    await transport.announce([NodeHandler(topic="text.echo", plugin="echo", version="1.2.0")])
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
