"""`NodeBus`: connects a host's message bus with those of other nodes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.bus.handler import Handler, Predicate
from qtforge_host.bus.message_bus import ConditionCompiler, MessageBus, PolicyOf, Relay
from qtforge_host.bus.remote_handler import RemoteHandler
from qtforge_host.placements import Placements
from qtforge_host.plugin_code import traceback_of
from qtforge_host.trace_context import attached
from qtforge_sdk.errors import (
    BusError,
    BusUnavailableError,
    ExpressionError,
    HandlerFailedError,
    InvalidTopicError,
    OverloadedError,
    QtForgeError,
    RequestTimeoutError,
)
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.placement import Placement
from qtforge_sdk.topics import validate_topic
from qtforge_sdk.transport import (
    Broadcast,
    Envelope,
    NodeEntry,
    NodeHandler,
    Reply,
    Transport,
)

__all__ = ["Answering", "NodeBus", "node_name"]

_LOG: Final = logging.getLogger("qtforge.bus")
_LOOK_S: Final = 1.0  # after which a plugin's changed health is announced
_AGAIN_S: Final = 1.0  # before an attempt to connect is repeated
_MOST_HANDLERS: Final = 10_000  # of one node
_WAITING: Final = 8  # requests that wait, for each that is answered at once
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_Known = tuple[str, str, str]  # node, topic and plugin


class Answering(msgspec.Struct, frozen=True, kw_only=True):
    """How a host answers what other nodes ask.

    Attributes:
        name: The name of the node; "" for that of the machine.
        at_once: So many requests of other nodes are handled at once; None for any number.
        grace_s: How long those in progress may take when the host stops, in seconds.
    """

    name: str = ""
    at_once: int | None = None
    grace_s: float = 10.0


def node_name(name: str) -> str:
    """Return a node's name in the characters that all transports can carry.

    >>> node_name("gpu-1.example.org")
    'gpu-1-example-org'
    """
    return _UNSAFE.sub("-", name or socket.gethostname()).strip("-") or "node"


class NodeBus:
    """Lets other nodes answer what plugins of this host ask, and answers theirs.

    Implements `qtforge_sdk.transport.TransportReceiver`.

    Args:
        bus: The host's bus.
        transport: The connection to other nodes, not yet open.
        where: The address of the bus between nodes, without a password.
        compile_condition: Compiles ``accepts`` of other nodes' handlers.
        policy_of: Returns the policy of a topic with that many handlers, or None.
        is_healthy: Whether a plugin of this host is healthy.
        placements: Which plugins' data other nodes hold.
        mask: Removes secrets from the text of an error.
        forget_breaker: Called with a topic and the `RemoteHandler.breaker_name` of a handler that
            is gone.

    Attributes:
        transport: The connection to other nodes.
        origin: Which journal this host stores its publications in for runs; "" for none. A
            publication of a node with the same journal has reached its runs already.
    """

    def __init__(
        self,
        bus: MessageBus,
        transport: Transport,
        where: str,
        compile_condition: ConditionCompiler,
        policy_of: PolicyOf,
        is_healthy: Callable[[str], bool],
        forget_breaker: Callable[[str, str], None] = lambda topic, name: None,
        placements: Placements | None = None,
        mask: Callable[[str], str] = str,
    ) -> None:
        self.transport: Final = transport
        self.origin = ""
        self._bus: Final = bus
        self._where: Final = where
        self._compile: Final = compile_condition
        self._policy_of: Final = policy_of
        self._is_healthy: Final = is_healthy
        self._forget_breaker: Final = forget_breaker
        self._placements: Final = placements
        self._mask: Final = mask
        self._remote: dict[_Known, RemoteHandler] = {}
        self._run_relays: tuple[Relay, ...] = ()
        self._changed: Final = asyncio.Event()
        self._remove_relay: Callable[[], None] = _nothing
        self._task: asyncio.Task[None] | None = None
        self._trouble = "it is not open"
        self._said = ""  # of what could not be sent last
        self._answers = False
        self._draining = False
        self._places: asyncio.Semaphore | None = None
        self._at_once: int | None = None
        self._waiting = 0

    async def open(self, answering: Answering | None) -> None:
        """Connect; where that is not possible now, it is tried again until it is.

        Args:
            answering: How other nodes are answered; None where they may not ask this host.
        """
        self._answers = answering is not None
        if answering is not None and answering.at_once is not None:
            self._at_once = answering.at_once
            self._places = asyncio.Semaphore(answering.at_once)
        self._bus.watch_nodes(self._why_unreachable)
        self._remove_relay = self._bus.add_relay(self._broadcast, shared=True)
        self._bus.on_routes = self._changed.set
        try:
            await self._connect()
        except BusUnavailableError as error:
            _LOG.warning("%s; it is tried again", error)
        self._task = asyncio.create_task(self._keep_announced(), name="announced handlers")

    def add_run_relay(self, relay: Relay) -> Callable[[], None]:
        """Pass publications of other nodes to what starts runs or sends them events.

        Args:
            relay: Called with each publication that has not reached the runs of this journal.

        Returns:
            A function that ends that.
        """
        self._run_relays = (*self._run_relays, relay)

        def remove() -> None:
            self._run_relays = tuple(each for each in self._run_relays if each is not relay)

        return remove

    def plugins(self) -> dict[str, set[str]]:
        """Return the versions of each plugin that another node has."""
        found: dict[str, set[str]] = {}
        for handler in self._remote.values():
            found.setdefault(handler.plugin, set()).add(handler.version)
        return found

    def set_draining(self, draining: bool) -> None:
        """Let other nodes ask this one only for plugins that no other node has, or as before."""
        self._draining = draining
        self._changed.set()

    async def drain(self, within_s: float) -> bool:
        """Accept no further requests of other nodes, and wait for those in progress.

        Returns:
            Whether all have ended in time.
        """
        self._answers = False
        return bool(self._trouble) or await self.transport.drain(within_s)

    async def close(self) -> None:
        """Disconnect; the handlers of other nodes are removed."""
        self._remove_relay()
        self._bus.on_routes = _nothing
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.transport.close()
        self._trouble = "it is closed"
        self._bus.set_remote_handlers({}, self._policy_of)

    async def handle(self, envelope: Envelope, listener: ProgressListener | None) -> Reply:
        """Answer a call of another node; see `qtforge_sdk.transport.TransportReceiver`."""
        try:
            with attached(envelope.trace):
                if self._places is None:
                    answer = await self._bus.answer(envelope, listener)
                else:
                    answer = await self._in_turn(self._places, envelope, listener)
        except HandlerFailedError as error:  # what goes to the other node has no cause
            if not error.traceback and error.__cause__ is not None:
                error.traceback = self._mask(traceback_of(error.__cause__) or "")
            raise
        return Reply(answer=answer, served_by=envelope.served_by, secrets=envelope.secrets)

    async def _in_turn(
        self, places: asyncio.Semaphore, envelope: Envelope, listener: ProgressListener | None
    ) -> Any:
        capacity = (self._at_once or 1) * _WAITING
        if self._waiting >= capacity:
            raise OverloadedError(envelope.topic, envelope.plugin or "", "", capacity)
        self._waiting += 1
        try:
            async with asyncio.timeout_at(envelope.deadline):
                await places.acquire()
        except TimeoutError:
            raise RequestTimeoutError(
                envelope.topic, envelope.timeout_s, "", "", "all places of the node were taken"
            ) from None
        finally:
            self._waiting -= 1
        try:
            return await self._bus.answer(envelope, listener)
        finally:
            places.release()

    async def deliver(self, publication: Broadcast) -> None:
        """Deliver what another node has published."""
        topic, message, message_id = (
            publication.topic,
            publication.message,
            publication.message_id,
        )
        try:
            await self._bus.deliver(topic, message, message_id, from_node=True)
            if publication.origin == self.origin and self.origin:
                return
            for relay in self._run_relays:
                await relay(topic, message, message_id, True)
        except QtForgeError as error:
            _LOG.warning("a publication of another node is not delivered: %s", error)

    def changed(self) -> None:
        """Replace the handlers of other nodes by those in the directory."""
        found: dict[_Known, RemoteHandler] = {}
        by_topic: dict[str, list[RemoteHandler]] = {}
        directory = self.transport.directory()
        first = self._first_placements(directory)
        for node, entry in sorted(directory.items()):
            for announced in entry.handlers[:_MOST_HANDLERS]:
                placement = announced.placement
                if placement is not None and placement.place != first[announced.plugin].place:
                    continue  # another node holds the plugin's data
                key = node, announced.topic, announced.plugin
                handler = self._remote_handler(node, announced, self._remote.get(key))
                if handler is not None and key not in found:
                    found[key] = handler
                    by_topic.setdefault(announced.topic, []).append(handler)
        gone = [handler for key, handler in self._remote.items() if key not in found]
        self._remote = found
        self._bus.set_remote_handlers(by_topic, self._policy_of)
        for handler in gone:
            self._forget_breaker(handler.topic, handler.breaker_name)

    def _first_placements(self, directory: Mapping[str, NodeEntry]) -> dict[str, Placement]:
        """Return where each plugin is that keeps its data on one node."""
        first: dict[str, Placement] = {}
        placements = self._placements
        for node, entry in directory.items():
            for announced in entry.handlers[:_MOST_HANDLERS]:
                plugin, placement = announced.plugin, announced.placement
                if placement is None or first.get(plugin) == placement:
                    continue
                if placements is not None:
                    placements.observe(plugin, placement, node.partition(".")[0])
                first[plugin] = min(placement, first.get(plugin, placement))
        if placements is not None:
            for plugin, placement in first.items():
                first[plugin] = min(placement, placements.first(plugin) or placement)
        return first

    def _remote_handler(
        self, node: str, announced: NodeHandler, before: RemoteHandler | None
    ) -> RemoteHandler | None:
        if before is not None and before.announced == announced:
            return before
        accepts: Predicate | None = None
        try:
            validate_topic(announced.topic)
            if announced.accepts is not None:
                accepts = self._compile(announced.accepts, ("message",))
        except (ExpressionError, InvalidTopicError) as error:
            _LOG.warning("a handler of the node %s can't be used: %s", node, error)
            return None
        handler = RemoteHandler(node, announced, accepts, self.transport)
        if before is not None:
            handler.counters = before.counters
        return handler

    async def _connect(self) -> None:
        try:
            await self.transport.open(self)
        except BusUnavailableError as error:
            self._trouble = error.why
            raise
        self._trouble = ""
        if self._answers:
            await self.transport.announce(self._own_handlers())
        self.changed()

    async def _keep_announced(self) -> None:
        """Announce what this host answers whenever that changes; connect before where needed."""
        while self._trouble:
            await asyncio.sleep(_AGAIN_S)
            with contextlib.suppress(BusUnavailableError):
                await self._connect()
        announced: Sequence[NodeHandler] | None = None
        while True:
            handlers = self._own_handlers()
            if handlers != announced and self._answers:
                await self.transport.announce(handlers)
                announced = handlers
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._changed.wait()

    def _own_handlers(self) -> list[NodeHandler]:
        handlers = self._bus.handlers()
        healthy = {
            plugin: self._is_healthy(plugin) for plugin in {each.plugin for each in handlers}
        }
        own = {} if self._placements is None else self._placements.own
        return [
            _announced(each, healthy[each.plugin], self._draining, own.get(each.plugin))
            for each in handlers
        ]

    async def _broadcast(self, topic: str, message: Any, message_id: str, lasting: bool) -> None:
        publication = Broadcast(
            topic=topic, message=message, message_id=message_id, origin=self.origin
        )
        try:
            await self.transport.broadcast(publication)
        except BusError as error:  # what was published here is done, and runs are not to fail
            if str(error) != self._said:  # it may last for days
                _LOG.warning("'%s' was not sent to other nodes: %s", topic, error)
            self._said = str(error)
        else:
            self._said = ""

    def _why_unreachable(self) -> BusUnavailableError | None:
        trouble = self._trouble or self.transport.trouble
        return BusUnavailableError(self._where, trouble) if trouble else None


def _announced(
    handler: Handler, healthy: bool, draining: bool, placement: Placement | None
) -> NodeHandler:
    info = handler.info
    return NodeHandler(
        topic=info.topic,
        plugin=info.plugin,
        version=info.version,
        rank=handler.rank,
        accepts=info.accepts,
        execution=info.execution,
        message_type=info.message_type,
        response_type=info.response_type,
        healthy=healthy,
        draining=draining,
        placement=placement,
    )


def _nothing() -> None:
    return None
