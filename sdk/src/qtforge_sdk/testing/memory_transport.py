"""Nodes in one process: `MemoryNetwork` connects `MemoryTransport` objects without a server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Final

from qtforge_sdk.errors import (
    BusUnavailableError,
    InvalidMessageError,
    NodeGoneError,
    NodeLostError,
    QtForgeError,
    RequestTimeoutError,
)
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.transport import (
    Broadcast,
    Envelope,
    NodeEntry,
    NodeHandler,
    Reply,
    TransportReceiver,
)
from qtforge_sdk.transport_kit import (
    AnswerFrame,
    CallFrame,
    FailureFrame,
    answer_frame,
    call_frame,
    decode_broadcast,
    decode_request,
    decode_response,
    encode_broadcast,
    envelope_of,
    error_of,
    failure_frame,
    reply_of,
)

__all__ = ["MemoryNetwork", "MemoryTransport"]

_WHERE: Final = "memory"


class MemoryNetwork:
    """Connects transports of one event loop; messages are encoded as on a real network.

    Args:
        max_message_bytes: The largest message.

    Attributes:
        is_away: Whether no node can reach another at this moment.
    """

    def __init__(self, max_message_bytes: int = 1 << 20) -> None:
        self.max_message_bytes = max_message_bytes
        self.is_away = False
        self.connected: dict[str, MemoryTransport] = {}

    def transport(self, node: str) -> MemoryTransport:
        """Return the transport of a node, not yet open."""
        return MemoryTransport(self, node)

    async def lose(self, node: str) -> None:
        """End a node without a goodbye, as when its process is killed."""
        lost = self.connected.pop(node)
        lost.abandon()
        for each in self.connected.values():
            each.forget(node)


class MemoryTransport:
    """Implements `qtforge_sdk.transport.Transport` in one process.

    Args:
        network: The other nodes.
        node: The id of this one.
    """

    def __init__(self, network: MemoryNetwork, node: str) -> None:
        self._network = network
        self._node = node
        self._receiver: TransportReceiver | None = None
        self._handlers: tuple[NodeHandler, ...] = ()
        self._draining = False
        self._tokens = itertools.count()
        self._waiting: dict[str, tuple[str, asyncio.Future[bytes]]] = {}  # with the node asked
        self._working: dict[tuple[str, str], asyncio.Task[None]] = {}  # by caller and token
        self._delivering: set[asyncio.Task[None]] = set()

    @property
    def node(self) -> str:
        """The id of this node."""
        return self._node

    @property
    def trouble(self) -> str:
        """Why other nodes can't be reached; "" while they can."""
        if self._network.is_away:
            return "the network is away"
        return "" if self._node in self._network.connected else "it is not open"

    async def open(self, receiver: TransportReceiver) -> None:
        """Connect; see `qtforge_sdk.transport.Transport.open`."""
        if self._network.is_away:
            raise BusUnavailableError(_WHERE, "the network is away")
        self._receiver = receiver
        self._network.connected[self._node] = self
        self._notify()

    async def announce(self, handlers: Sequence[NodeHandler]) -> None:
        """Announce handlers; see `qtforge_sdk.transport.Transport.announce`."""
        self._handlers = tuple(handlers)
        self._notify()

    def directory(self) -> Mapping[str, NodeEntry]:
        """Return the other nodes."""
        if self.trouble:
            return {}
        return {
            name: NodeEntry(
                node=name,
                handlers=() if each._draining else each._handlers,
                draining=each._draining,
            )
            for name, each in self._network.connected.items()
            if each is not self
        }

    async def call(
        self, node: str, envelope: Envelope, listener: ProgressListener | None = None
    ) -> Reply:
        """Send a request to a node; see `qtforge_sdk.transport.Transport.call`."""
        if self.trouble:
            raise BusUnavailableError(_WHERE, self.trouble)
        token = str(next(self._tokens))
        data = call_frame(token, self._node, envelope, listener is not None)
        self._check_size(envelope.topic, data)
        other = self._network.connected.get(node)
        if other is None or other._draining:
            raise NodeGoneError(envelope.topic, node)
        frame = decode_request(data)
        assert isinstance(frame, CallFrame)  # noqa: S101 - it was made by `call_frame`
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[token] = node, answered
        other._begin(frame, answered, listener)
        try:
            async with asyncio.timeout(max(0.0, envelope.deadline - time.monotonic()) + 0.1):
                found = decode_response(await answered)
        except _Lost:
            raise NodeLostError(envelope.topic, node) from None
        except _Refused as refused:
            raise NodeGoneError(envelope.topic, node, refused.why) from None
        except TimeoutError:
            other._cancel(self._node, token)
            raise RequestTimeoutError(envelope.topic, envelope.timeout_s) from None
        except asyncio.CancelledError:
            other._cancel(self._node, token)
            raise
        finally:
            del self._waiting[token]
        if isinstance(found, FailureFrame):
            envelope.served_by = found.served_by or envelope.served_by
            raise error_of(found)
        assert isinstance(found, AnswerFrame)  # noqa: S101 - nothing else is sent
        return reply_of(found)

    async def broadcast(self, publication: Broadcast) -> None:
        """Send a publication to every other node."""
        data = encode_broadcast(publication)
        self._check_size(publication.topic, data)
        if self.trouble:
            raise BusUnavailableError(_WHERE, self.trouble)
        for each in self._network.connected.values():
            if each is not self and each._receiver is not None:
                task = asyncio.ensure_future(each._deliver(each._receiver, data))
                each._delivering.add(task)
                task.add_done_callback(each._delivering.discard)

    async def drain(self, within_s: float) -> bool:
        """Accept no further calls; see `qtforge_sdk.transport.Transport.drain`."""
        self._draining = True
        self._notify()
        if not self._working:
            return True
        _, late = await asyncio.wait(list(self._working.values()), timeout=within_s)
        return not late

    async def close(self) -> None:
        """Disconnect."""
        self._network.connected.pop(self._node, None)
        tasks = [*self._working.values(), *self._delivering]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for node, answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(_Lost(node))
        for each in self._network.connected.values():
            each.forget(self._node)

    def abandon(self) -> None:
        """End what this node does, without a word to the others."""
        for task in [*self._working.values(), *self._delivering]:
            task.cancel()

    def forget(self, node: str) -> None:
        """Notice that another node has ended."""
        for asked, answered in self._waiting.values():
            if asked == node and not answered.done():
                answered.set_exception(_Lost(node))
        for (caller, _), task in list(self._working.items()):
            if caller == node:
                task.cancel()
        self._changed()

    def _check_size(self, topic: str, data: bytes, role: str = "message") -> None:
        limit = self._network.max_message_bytes
        if len(data) > limit:
            why = f"it has {len(data):,} bytes, and may have {limit:,}"
            raise InvalidMessageError(topic, why, role)

    def _notify(self) -> None:
        for each in self._network.connected.values():
            if each is not self:
                each._changed()
        if self._node in self._network.connected:
            self._changed()

    def _changed(self) -> None:
        if self._receiver is not None:
            self._receiver.changed()

    def _begin(
        self, frame: CallFrame, answered: asyncio.Future[bytes], listener: ProgressListener | None
    ) -> None:
        key = frame.caller, frame.token
        task = asyncio.ensure_future(self._work(frame, answered, listener))
        self._working[key] = task
        task.add_done_callback(lambda _: self._working.pop(key, None))

    def _cancel(self, caller: str, token: str) -> None:
        task = self._working.get((caller, token))
        if task is not None:
            task.cancel()

    async def _work(
        self, frame: CallFrame, answered: asyncio.Future[bytes], listener: ProgressListener | None
    ) -> None:
        assert self._receiver is not None  # noqa: S101 - it is open
        try:
            reply = await self._receiver.handle(envelope_of(frame), listener)
            data = answer_frame(frame.topic, reply)
            self._check_size(frame.topic, data, "response")
        except NodeGoneError as error:
            if not answered.done():
                answered.set_exception(_Refused(error.why))
            return
        except QtForgeError as error:
            data = failure_frame(error)
        except Exception as error:  # noqa: BLE001 - the receiver failed
            data = failure_frame(error)
        if not answered.done():
            answered.set_result(data)

    @staticmethod
    async def _deliver(receiver: TransportReceiver, data: bytes) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await receiver.deliver(decode_broadcast(data))


class _Lost(Exception):
    """The node that was asked has ended."""


class _Refused(Exception):
    """The node that was asked does not accept the call."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
