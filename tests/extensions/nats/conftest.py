"""A NATS server for the session, and transports on it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator

import pytest
from tests.servers.nats import Nats, NatsUnavailable, running_nats

from qtforge_nats import NatsTransport, make_nats_transport
from qtforge_sdk.transport import Transport, TransportSettings


@pytest.fixture(scope="session")
def nats_server() -> Iterator[Nats]:
    """A server for the whole session; skipped where there is none to start."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running_nats())
        except NatsUnavailable as error:
            pytest.skip(str(error))
        yield server


@pytest.fixture
def make_transport(nats_server: Nats) -> Callable[[str], NatsTransport]:
    """A function that makes the transport of a node; those of a test see each other alone."""
    url = f"{nats_server.url}?prefix=t{uuid.uuid4().hex}"

    def make(name: str) -> NatsTransport:
        instance = uuid.uuid4().hex[:8]
        return make_nats_transport(TransportSettings(url=url, name=name, instance=instance))

    return make


@pytest.fixture
def lose_node() -> object:
    """A coroutine function that cuts a node off for good, as when its process is killed."""

    async def lose(transport: Transport) -> None:
        assert isinstance(transport, NatsTransport)
        client, transport._client = transport._client, None
        assert client is not None
        assert transport._beating is not None
        transport._beating.cancel()
        for work in transport._work.values():
            if work.task is not None:
                work.task.cancel()
        await client.close()
        await asyncio.sleep(0)

    return lose
