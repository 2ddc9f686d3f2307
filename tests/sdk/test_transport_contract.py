"""Nodes in one process keep the contract of transports."""

from __future__ import annotations

import pytest

from qtforge_sdk.testing.memory_transport import MemoryNetwork
from qtforge_sdk.testing.transport_contract import LoseNode, MakeTransport, TransportContract
from qtforge_sdk.transport import Transport


class TestTheTransportInMemory(TransportContract):
    @pytest.fixture
    def network(self) -> MemoryNetwork:
        return MemoryNetwork()

    @pytest.fixture
    def make_transport(self, network: MemoryNetwork) -> MakeTransport:
        return network.transport

    @pytest.fixture
    def lose_node(self, network: MemoryNetwork) -> LoseNode:
        async def lose(transport: Transport) -> None:
            await network.lose(transport.node)

        return lose
