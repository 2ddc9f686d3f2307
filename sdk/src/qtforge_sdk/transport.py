"""`Transport`: the bus between nodes. A host sends requests and publications over it.

An entry point of the group ``qtforge.transports`` names a `TransportFactory`. Its name is the
scheme of the address in ``[host] bus``. `qtforge_sdk.transport_kit` has the encoding of calls
and errors, and `qtforge_sdk.testing.transport_contract` the tests that every transport passes.

A node is a process that is connected to the bus. Which handler answers a request is decided by
the host of the node that asks; the transport carries one call to one node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from qtforge_sdk.operations import AnswerSecrets, ProgressListener
from qtforge_sdk.placement import Placement

__all__ = [
    "Broadcast",
    "Envelope",
    "NodeEntry",
    "NodeHandler",
    "Reply",
    "Transport",
    "TransportFactory",
    "TransportReceiver",
    "TransportSettings",
]


class Envelope(msgspec.Struct):
    """A request in transit.

    Attributes:
        topic: The topic.
        payload: The message, unchanged.
        timeout_s: The timeout of the request, in seconds.
        deadline: When the response is due, on this machine's `time.monotonic` scale, in
            seconds. Another machine's clock differs, so a transport sends the remaining time.
        plugin: The only plugin that may handle it, or None.
        run_id: The run that sends the request, or None.
        step: The step of that run, or None.
        attempt: The number of the attempt, from 1.
        idempotency_key: The same for every attempt, or None.
        served_by: Name and version of the plugin that was chosen, once one was.
        secrets: What its operation says of secrets in the answer, or None.
        wrapped_by: The plugins whose wrappers the request has passed on the node that sends it.
        versions: Of a run, the plugins that have served it, with their versions: of several nodes
            one with the same major version is asked first. It is not sent.
        from_node: Whether another node has sent it. It is not sent.
        trace: The context of the trace in which it is sent, as W3C headers; empty for none.
    """

    topic: str
    payload: Any
    timeout_s: float
    deadline: float
    plugin: str | None = None
    run_id: str | None = None
    step: str | None = None
    attempt: int = 1
    idempotency_key: str | None = None
    served_by: tuple[str, str] | None = None
    secrets: AnswerSecrets | None = None
    wrapped_by: tuple[str, ...] = ()
    versions: Mapping[str, str] | None = None
    from_node: bool = False
    trace: Mapping[str, str] = {}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The response of a node to a call.

    Attributes:
        answer: The handler's answer; from another node as plain values.
        served_by: Name and version of the plugin that gave it, or None.
        secrets: What its operation says of secrets in the answer, or None.
    """

    answer: Any
    served_by: tuple[str, str] | None = None
    secrets: AnswerSecrets | None = None


class Broadcast(msgspec.Struct, frozen=True, kw_only=True):
    """A publication that every other node receives.

    Attributes:
        topic: The topic.
        message: The message; from another node as plain values.
        message_id: The id of the publication.
        origin: The journal that the publishing node has stored it in for runs; "" for none.
    """

    topic: str
    message: Any
    message_id: str
    origin: str = ""


class NodeHandler(msgspec.Struct, frozen=True, kw_only=True):
    """A handler that a node announces.

    Attributes:
        topic: The topic that it handles.
        plugin: The plugin that it belongs to.
        version: That plugin's version.
        rank: 0 for ``tryfirst``, 2 for ``trylast``, otherwise 1.
        accepts: Its CEL condition, or None for every message.
        execution: ``async``, ``thread`` or ``process``.
        message_type: The name of its message's type.
        response_type: The name of its response's type.
        healthy: Whether the plugin's health checks succeed.
        draining: Whether another node is to be asked where one has the plugin.
        placement: Where the node has the plugin, where one node alone answers with it; None where
            any node does.
    """

    topic: str
    plugin: str
    version: str
    rank: int = 1
    accepts: str | None = None
    execution: str = "async"
    message_type: str = "Any"
    response_type: str = "Any"
    healthy: bool = True
    draining: bool = False
    placement: Placement | None = None


class NodeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A live node.

    Attributes:
        node: Its id, unique among all processes.
        handlers: What it answers; nothing while it drains.
        draining: Whether it accepts no further requests.
    """

    node: str
    handlers: tuple[NodeHandler, ...] = ()
    draining: bool = False


class TransportReceiver(Protocol):
    """The host, as a transport calls it; on the event loop in which the transport was opened."""

    async def handle(self, envelope: Envelope, listener: ProgressListener | None) -> Reply:
        """Answer a call of another node with a handler of this one.

        The transport cancels it when the node that asks cancels the call, or is lost.

        Args:
            envelope: The request; its ``plugin`` is the one that the node that asks has chosen.
            listener: Receives progress, also from other threads; None where the caller does not
                listen.

        Raises:
            NodeGoneError: This node has no such handler any more; nothing was done.
            QtForgeError: The request failed; see `qtforge_sdk.Bus.request`.
        """

    async def deliver(self, publication: Broadcast) -> None:
        """Deliver what another node has published; must not raise."""

    def changed(self) -> None:
        """Notice that `Transport.directory` has changed; must be quick and not raise."""


class Transport(Protocol):
    """A connection to the other nodes."""

    @property
    def node(self) -> str:
        """The id of this node, unique among all processes."""

    @property
    def trouble(self) -> str:
        """Why other nodes can't be reached at this moment; "" while they can."""

    async def open(self, receiver: TransportReceiver) -> None:
        """Connect, and learn which nodes there are.

        Args:
            receiver: Answers calls and receives publications.

        Raises:
            BusUnavailableError: It can't be reached.
        """

    async def announce(self, handlers: Sequence[NodeHandler]) -> None:
        """Tell the other nodes what this one answers, in place of what was announced before.

        A connection that is away for a while is no error: it is announced when it is back.
        """

    def directory(self) -> Mapping[str, NodeEntry]:
        """Return the other live nodes, by their ids."""

    async def call(
        self, node: str, envelope: Envelope, listener: ProgressListener | None = None
    ) -> Reply:
        """Send a request to one node, and return its response.

        Cancelling it cancels the handler on the other node. The deadline travels with it: the
        handler has the remaining time.

        Args:
            node: The node.
            envelope: The request, with the plugin that is to answer it.
            listener: Receives progress, or None.

        Raises:
            NodeGoneError: The node did not accept it: it is stopped, stops, or does not have the
                handler any more. Nothing was done.
            NodeLostError: The node gives no sign of life since it was sent; whether it was done
                is not known. It is raised within 3 s of the node's end.
            BusUnavailableError: The bus can't be reached; nothing was sent.
            RequestTimeoutError: No response by the deadline.
            InvalidMessageError: The message or the response can't be sent, or is too large.
            QtForgeError: The request failed on the other node, with the code that it has there.
        """

    async def broadcast(self, publication: Broadcast) -> None:
        """Send a publication to every other node that is connected now.

        Raises:
            InvalidMessageError: The message can't be sent, or is too large.
            BusUnavailableError: The bus can't be reached.
        """

    async def drain(self, within_s: float) -> bool:
        """Accept no further calls, say so to the other nodes, and wait for those in progress.

        Args:
            within_s: How long to wait, in seconds.

        Returns:
            Whether all have ended in time.
        """

    async def close(self) -> None:
        """Cancel calls that are in progress, say goodbye and disconnect; calls of it may repeat."""


class TransportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a transport connects to, and as which node.

    Attributes:
        url: The address, with its secrets; the scheme is the name of the entry point.
        name: The name of this machine or worker: letters, digits, ``-`` and ``_``. Permissions
            may depend on it.
        instance: Distinguishes processes of the same name; of the same characters.
    """

    url: str
    name: str
    instance: str

    @property
    def node(self) -> str:
        """The id of the node: name and instance."""
        return f"{self.name}.{self.instance}"


class TransportFactory(Protocol):
    """The object that an entry point of the group ``qtforge.transports`` names."""

    def __call__(self, settings: TransportSettings, /) -> Transport:
        """Make a transport; it is not opened.

        Raises:
            ConfigError: The address is not one.
        """
