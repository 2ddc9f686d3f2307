"""The transport over NATS keeps the contract that the SDK ships."""

from __future__ import annotations

from qtforge_sdk.testing.transport_contract import TransportContract


class TestTheTransportOverNats(TransportContract):
    """`make_transport` and `lose_node` are in conftest.py."""
