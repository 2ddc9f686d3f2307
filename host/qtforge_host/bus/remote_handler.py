"""The handler of a plugin on another node; a route chooses among it and local handlers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from qtforge_host.bus.handler import Predicate
from qtforge_host.bus.statistics import Counters
from qtforge_host.major_versions import major
from qtforge_host.plugin_code import Author, is_interruption
from qtforge_host.trace_context import carrier
from qtforge_sdk import HandlerInfo
from qtforge_sdk.errors import RequestTimeoutError
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.transport import Envelope, NodeHandler, Transport

__all__ = ["RemoteHandler"]


class RemoteHandler:
    """A handler on another node.

    Args:
        node: The node.
        announced: What the node says of it.
        accepts: The compiled condition, or None.
        transport: Carries the calls.

    Attributes:
        announced: What the node says of it.
        is_healthy: Whether the plugin is healthy on its node.
        is_draining: Whether its node is asked only where no other one can be.
        breaker_name: The name under which its circuit breaker is kept: a plugin may fail on one
            node, and work on another.
    """

    def __init__(
        self,
        node: str,
        announced: NodeHandler,
        accepts: Predicate | None,
        transport: Transport,
    ) -> None:
        self.node: Final = node
        self.announced: Final = announced
        self.topic: Final = announced.topic
        self.plugin: Final = announced.plugin
        self.version: Final = announced.version
        self.identity: Final = Author(announced.plugin, announced.version)
        self.rank: Final = announced.rank
        self.is_healthy: Final = announced.healthy
        self.is_draining: Final = announced.draining
        self.accepts: Final = accepts
        self.wrapper: Final = False
        self.breaker_name: Final = f"{announced.plugin}@{node}"
        self.counters = Counters(announced.topic, announced.plugin, node)
        self._transport: Final = transport

    def has_served(self, versions: Mapping[str, str] | None) -> bool:
        """Return False when another major version of the plugin has served a run.

        Args:
            versions: The plugins that have served it, with their versions; None without a run.
        """
        before = None if versions is None else versions.get(self.plugin)
        return before is None or major(before) == major(self.version)

    @property
    def info(self) -> HandlerInfo:
        """The description in `Bus.topics`."""
        announced = self.announced
        return HandlerInfo(
            topic=self.topic,
            plugin=self.plugin,
            version=self.version,
            execution=announced.execution,
            accepts=announced.accepts,
            wrapper=False,
            message_type=announced.message_type,
            response_type=announced.response_type,
            node=self.node,
        )

    async def call(
        self, envelope: Envelope, message: Any, listener: ProgressListener | None = None
    ) -> Any:
        """Send one message to the node, and return the response as plain values.

        Raises:
            BusError: See `qtforge_sdk.transport.Transport.call`.
        """
        envelope.served_by = self.identity
        counters = self.counters
        counters.requests += 1
        counters.outstanding += 1
        started = time.monotonic()
        try:
            sent = msgspec.structs.replace(
                envelope, payload=message, plugin=self.plugin, trace=carrier()
            )
            reply = await self._transport.call(self.node, sent, listener)
        except RequestTimeoutError:
            counters.errors += 1
            counters.timeouts += 1
            raise
        except BaseException as error:
            if not is_interruption(error):
                counters.errors += 1
            raise
        finally:
            counters.outstanding -= 1
            counters.ended(time.monotonic() - started)
        if reply.served_by is not None:
            envelope.served_by = reply.served_by
        if reply.secrets is not None:
            envelope.secrets = reply.secrets
        return reply.answer
