"""The bus between nodes over NATS.

`make_nats_transport` is what the entry points ``nats`` and ``tls`` of the group
``qtforge.transports`` name: the schemes of addresses.
"""

from qtforge_nats.transport import NatsTransport, make_nats_transport

__all__ = ["NatsTransport", "make_nats_transport"]
