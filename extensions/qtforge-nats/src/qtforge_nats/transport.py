"""`NatsTransport`: calls and publications between nodes over NATS core."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from qtforge_nats.address import Address, parse_address
from qtforge_nats.connection import Connection, connection_fix
from qtforge_nats.peers import Announcement, Beat, Peers
from qtforge_nats.subjects import Subjects
from qtforge_sdk.errors import (
    BusUnavailableError,
    InvalidMessageError,
    NodeGoneError,
    NodeLostError,
    QtForgeError,
    RequestTimeoutError,
)
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.topics import validate_topic
from qtforge_sdk.transport import (
    Broadcast,
    Envelope,
    NodeEntry,
    NodeHandler,
    Reply,
    TransportReceiver,
    TransportSettings,
)
from qtforge_sdk.transport_kit import (
    AnswerFrame,
    CallFrame,
    CancelFrame,
    FailureFrame,
    GoneFrame,
    LostFrame,
    ProgressFrame,
    QueryFrame,
    answer_frame,
    call_frame,
    decode_broadcast,
    decode_request,
    decode_response,
    encode,
    encode_broadcast,
    envelope_of,
    error_of,
    failure_frame,
    reply_of,
)
from qtforge_sdk.validation import decoded

__all__ = ["NatsTransport", "make_nats_transport"]

_LOG: Final = logging.getLogger("qtforge.bus")
_BEAT_S: Final = 0.4
_DEAD_S: Final = 2.3  # without a sign of life
_CONNECT_S: Final = 3.0
_RECONNECT_S: Final = 0.2
_SETTLE_S: Final = 0.25  # in which other nodes say what they answer
_SETTLE_MOST_S: Final = 1.5
_ASK_AGAIN_S: Final = 0.2
_GRACE_S: Final = 0.5  # so that the other node says first that the time is over
_ROOM_BYTES: Final = 256  # for what the protocol adds to a message
_QUERY: Final = "q"  # ends the number of a call where the response is to a query
_MOST_PROGRESS: Final = 100  # reports of a call that wait
_Final = AnswerFrame | FailureFrame | GoneFrame | LostFrame
_BEATS: Final = msgspec.msgpack.Decoder(Beat)
_ANNOUNCEMENTS: Final = msgspec.msgpack.Decoder(Announcement)


def make_nats_transport(settings: TransportSettings, /) -> NatsTransport:
    """Make a transport; it is not opened.

    Raises:
        ConfigError: The address is not one.
    """
    return NatsTransport(parse_address(settings.url), settings.node)


class _Call:
    """A call of this node that waits for its response."""

    __slots__ = ("answered", "listener", "node", "subject")

    def __init__(
        self,
        node: str,
        subject: str,
        listener: ProgressListener | None,
        answered: asyncio.Future[_Final | None],
    ) -> None:
        self.node = node
        self.subject = subject
        self.listener = listener
        self.answered = answered

    def end(self, frame: _Final | None) -> None:
        """Give the call its response; None when its time is over."""
        if not self.answered.done():
            self.answered.set_result(frame)


class _Work:
    """A call of another node that is handled here."""

    __slots__ = ("caller", "progress", "sending", "task")

    def __init__(self, caller: str) -> None:
        self.caller = caller
        self.task: asyncio.Task[None] | None = None
        self.progress: deque[bytes] = deque(maxlen=_MOST_PROGRESS)
        self.sending: asyncio.Task[None] | None = None


class NatsTransport:
    """Implements `qtforge_sdk.transport.Transport` over NATS.

    Args:
        address: The servers.
        node: The id of this node, ``NAME.INSTANCE``.
    """

    def __init__(self, address: Address, node: str) -> None:
        self._address: Final = address
        self._node: Final = node
        self._subjects: Final = Subjects(address.prefix, node)
        self._peers: Final = Peers()
        self._calls: Final[dict[str, _Call]] = {}
        self._work: Final[dict[str, _Work]] = {}
        self._stem: Final = secrets.token_hex(8)
        self._numbers: Final = itertools.count()
        self._sending: Final[set[asyncio.Task[Any]]] = set()
        self._subscribed: dict[str, Any] = {}  # by plugin
        self._handlers: dict[str, tuple[NodeHandler, ...]] = {}  # by plugin
        self._revision = time.time_ns()  # another than that of an earlier process of this node
        self._draining = False
        self._closed = False
        self._client: Client | None = None
        self._receiver: TransportReceiver | None = None
        self._beating: asyncio.Task[None] | None = None
        self._said_s = 0.0
        self._lost_connection_s: float | None = None
        self._trouble = "it is not open"
        self._thread = 0

    @property
    def node(self) -> str:
        """The id of this node."""
        return self._node

    @property
    def trouble(self) -> str:
        """Why other nodes can't be reached; "" while they can."""
        client = self._client
        if client is not None and client.is_connected:
            return ""
        return self._trouble

    async def open(self, receiver: TransportReceiver) -> None:
        """Connect; see `qtforge_sdk.transport.Transport.open`."""
        client = Connection()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await client.connect(
                    servers=self._address.servers,
                    name=self._node,
                    no_echo=True,
                    connect_timeout=2,
                    ping_interval=2,
                    max_outstanding_pings=2,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=_RECONNECT_S,  # type: ignore[arg-type]  # it only sleeps
                    skip_subject_validation=True,  # they are made by `Subjects`
                    error_cb=self._failed,
                    disconnected_cb=self._disconnected,
                    reconnected_cb=self._reconnected,
                    closed_cb=self._disconnected,
                    **self._address.options,
                )
            client.check_encryption()
        except (OSError, TimeoutError, ValueError, nats.errors.Error) as error:
            of_attempt = (TimeoutError, nats.errors.NoServersError)
            why = self._trouble if isinstance(error, of_attempt) else _text(error)
            with contextlib.suppress(Exception):
                await client.close()
            self._trouble = "it did not answer" if why == "it is not open" else why
            raise BusUnavailableError(
                self._address.shown, self._trouble, connection_fix(self._trouble)
            ) from None
        client.options["max_reconnect_attempts"] = -1  # from here on it never gives up
        self._client, self._receiver, self._trouble = client, receiver, "it is not connected"
        self._thread = threading.get_ident()
        await client.subscribe(self._subjects.replies, cb=self._on_response)
        await client.subscribe(self._subjects.all_nodes, cb=self._on_node)
        await client.subscribe(self._subjects.all_events, cb=self._on_event)
        await self._send(self._subjects.who, b"")
        self._beating = asyncio.create_task(self._beat(), name="signs of life")
        until_s, most_s = time.monotonic() + _SETTLE_S, time.monotonic() + _SETTLE_MOST_S
        while (now_s := time.monotonic()) < most_s:
            if now_s >= until_s and self._peers.are_complete:
                break
            await asyncio.sleep(0.02)

    async def announce(self, handlers: Sequence[NodeHandler]) -> None:
        """Announce handlers; see `qtforge_sdk.transport.Transport.announce`."""
        by_plugin: dict[str, list[NodeHandler]] = {}
        for handler in handlers:
            by_plugin.setdefault(handler.plugin, []).append(handler)
        client = self._client
        if client is not None:
            for plugin in [each for each in self._subscribed if each not in by_plugin]:
                subscription = self._subscribed.pop(plugin)
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()
            for plugin in by_plugin:
                if plugin not in self._subscribed and not self._closed:
                    subject = self._subjects.calls(plugin, self._node)
                    self._subscribed[plugin] = await client.subscribe(subject, cb=self._on_request)
        self._handlers = {plugin: tuple(found) for plugin, found in by_plugin.items()}
        self._revision += 1
        await self._say_handlers()

    def directory(self) -> Mapping[str, NodeEntry]:
        """Return the other live nodes, by their ids."""
        return self._peers.directory()

    async def call(
        self, node: str, envelope: Envelope, listener: ProgressListener | None = None
    ) -> Reply:
        """Send a request to a node; see `qtforge_sdk.transport.Transport.call`."""
        client = self._connected()
        if not self._peers.lives(node):
            raise NodeGoneError(envelope.topic, node)
        number = f"{self._stem}{next(self._numbers):x}"
        subject = self._subjects.calls(envelope.plugin or "", node)
        data = call_frame(number, self._node, envelope, listener is not None)
        self._check_size(client, envelope.topic, data, "message")
        loop = asyncio.get_running_loop()
        call = _Call(node, subject, listener, loop.create_future())
        self._calls[number] = call
        expiry = loop.call_at(envelope.deadline + _GRACE_S, call.end, None)
        try:
            try:
                await client.publish(subject, data, self._subjects.reply(number))
            except (OSError, nats.errors.Error) as error:
                raise self._unavailable(_text(error)) from None
            frame = await call.answered
        except asyncio.CancelledError:
            self._send_soon(subject, encode(CancelFrame(number)))
            raise
        finally:
            expiry.cancel()
            del self._calls[number]
        if isinstance(frame, AnswerFrame):
            return reply_of(frame)
        if frame is None:
            self._send_soon(subject, encode(CancelFrame(number)))
            raise RequestTimeoutError(envelope.topic, envelope.timeout_s)
        if isinstance(frame, GoneFrame):
            raise NodeGoneError(envelope.topic, node, frame.why)
        if isinstance(frame, LostFrame):
            raise NodeLostError(envelope.topic, node)
        envelope.served_by = frame.served_by or envelope.served_by
        raise error_of(frame)

    async def broadcast(self, publication: Broadcast) -> None:
        """Send a publication to every other node."""
        validate_topic(publication.topic)
        data = encode_broadcast(publication)
        client = self._connected()
        self._check_size(client, publication.topic, data, "message")
        try:
            await client.publish(self._subjects.event(publication.topic), data)
        except (OSError, nats.errors.Error) as error:
            raise self._unavailable(_text(error)) from None

    async def drain(self, within_s: float) -> bool:
        """Accept no further calls; see `qtforge_sdk.transport.Transport.drain`."""
        self._draining = True
        await self._say_beat()
        tasks = [each.task for each in self._work.values() if each.task is not None]
        if not tasks:
            return True
        _, late = await asyncio.wait(tasks, timeout=within_s)
        return not late

    async def close(self) -> None:
        """Disconnect; see `qtforge_sdk.transport.Transport.close`."""
        if self._closed:
            return
        self._closed, self._draining, self._trouble = True, True, "it is closed"
        tasks = [each.task for each in self._work.values() if each.task is not None]
        if self._beating is not None:
            tasks.append(self._beating)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for call in list(self._calls.values()):
            call.end(LostFrame())
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(Exception):  # it may be away
            async with asyncio.timeout(1):
                gone = Beat(self._revision, 0, draining=True, gone=True)
                await client.publish(self._subjects.beat, encode(gone))
                await client.flush()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                await client.close()
        if self._sending:
            await asyncio.wait(list(self._sending), timeout=1)

    # What is received.

    async def _on_request(self, message: Msg) -> None:
        try:
            frame = decode_request(message.data)
        except msgspec.DecodeError as error:
            _LOG.warning("a call of another node can't be read: %s", _text(error))
            return
        reply = message.reply
        if isinstance(frame, CancelFrame):
            work = self._work.get(frame.token)
            if work is not None and work.task is not None:
                work.task.cancel()
            return
        if not self._subjects.is_reply(reply):
            return
        if isinstance(frame, QueryFrame):
            if frame.token not in self._work:
                await self._send(reply, encode(LostFrame()))
        elif self._draining or self._receiver is None:
            await self._send(reply, encode(GoneFrame("it stops")))
        else:
            work = _Work(frame.caller)
            self._work[frame.token] = work
            # A callback of its own would hold up the next one.
            work.task = asyncio.create_task(self._handle(self._receiver, work, frame, reply))

    async def _handle(
        self, receiver: TransportReceiver, work: _Work, frame: CallFrame, reply: str
    ) -> None:
        try:
            data = await self._answer(receiver, work, frame, reply)
            if work.sending is not None:
                await asyncio.wait([work.sending])
            await self._send(reply, data)
        except asyncio.CancelledError:
            return
        finally:  # not before the response was sent: a query would be answered that it is lost
            self._work.pop(frame.token, None)

    async def _answer(
        self, receiver: TransportReceiver, work: _Work, frame: CallFrame, reply: str
    ) -> bytes:
        envelope = envelope_of(frame)
        listener = self._listener(work, reply) if frame.listens else None
        try:
            data = answer_frame(frame.topic, await receiver.handle(envelope, listener))
        except NodeGoneError as error:
            return encode(GoneFrame(error.why))
        except Exception as error:  # noqa: BLE001 - the caller gets it
            if not isinstance(error, QtForgeError):
                _LOG.error("a call of %s failed", frame.caller, exc_info=error)
            return failure_frame(error, envelope.served_by)
        if len(data) > self._limit_bytes():
            return failure_frame(self._too_large(frame.topic, data, "response"))
        return data

    def _listener(self, work: _Work, reply: str) -> ProgressListener:
        loop = asyncio.get_running_loop()

        async def send() -> None:
            while work.progress:
                await self._send(reply, work.progress.popleft())

        def add(data: bytes) -> None:
            work.progress.append(data)
            if work.sending is None or work.sending.done():
                work.sending = asyncio.ensure_future(send())

        def listen(done: float, total: float | None, text: str) -> None:
            data = encode(ProgressFrame(done, total, text))
            if threading.get_ident() == self._thread:
                add(data)
            else:
                loop.call_soon_threadsafe(add, data)

        return listen

    async def _on_response(self, message: Msg) -> None:
        number = self._subjects.token_of(message.subject)
        is_query = number.endswith(_QUERY)
        call = self._calls.get(number.removesuffix(_QUERY))
        if call is None:
            return
        if message.headers is not None:  # of the server: there is no such subscription
            if not is_query:
                call.end(GoneFrame())
            elif not self._peers.lives(call.node):
                call.end(LostFrame())
            else:  # it may be connected again soon
                later = asyncio.get_running_loop().call_later
                later(_BEAT_S, self._query, lambda each: each is call)
            return
        try:
            frame = decode_response(message.data)
        except msgspec.DecodeError as error:
            _LOG.warning("a response of %s can't be read: %s", call.node, _text(error))
            return
        if not isinstance(frame, ProgressFrame):
            call.end(frame)
        elif call.listener is not None and not call.answered.done():
            try:
                call.listener(frame.done, frame.total, frame.text)
            except Exception:  # noqa: BLE001 - the call continues
                _LOG.exception("progress of a call could not be shown")

    async def _on_event(self, message: Msg) -> None:
        try:
            publication = decode_broadcast(message.data)
        except msgspec.DecodeError as error:
            _LOG.warning("a publication of another node can't be read: %s", _text(error))
            return
        # Permissions are of subjects: the topic is what the subject says.
        if self._receiver is not None and self._subjects.event(publication.topic) == (
            message.subject
        ):
            await self._receiver.deliver(publication)

    async def _on_node(self, message: Msg) -> None:
        subject, now_s = message.subject, time.monotonic()
        if subject == self._subjects.who:
            if now_s - self._said_s >= _ASK_AGAIN_S or not message.data:
                await self._say_handlers()
            return
        try:
            node = self._subjects.node_of_beat(subject)
            if node is not None:
                await self._on_beat(node, decoded(_BEATS.decode, message.data), now_s)
                return
            found = self._subjects.plugin_of(subject)
            if found is None:
                return
            node, plugin = found
            announcement = decoded(_ANNOUNCEMENTS.decode, message.data)
        except msgspec.DecodeError as error:
            _LOG.warning("a node's announcement can't be read: %s", _text(error))
            return
        # Permissions are of subjects: a node speaks for the plugin that the subject names.
        named = all(self._subjects.is_named(plugin, each.plugin) for each in announcement.handlers)
        if named and self._peers.announced(node, plugin, announcement, now_s):
            self._tell_changed()
        # It may have been away, and what it answered meanwhile with it.
        self._query(lambda call: call.node == node)

    async def _on_beat(self, node: str, beat: Beat, now_s: float) -> None:
        if beat.gone:
            self._lose(node, said_so=True)
            return
        changed, unknown = self._peers.beat(node, beat, now_s)
        if changed:
            self._tell_changed()
        if unknown and now_s - self._said_s >= _ASK_AGAIN_S:
            await self._send(self._subjects.who, b"again")

    # What is sent.

    async def _say_handlers(self) -> None:
        self._said_s = time.monotonic()
        for plugin, handlers in list(self._handlers.items()):
            data = encode(Announcement(self._revision, handlers))
            await self._send(self._subjects.plugin(plugin), data)
        await self._say_beat()

    async def _say_beat(self) -> None:
        if not self._closed:
            beat = Beat(self._revision, len(self._handlers), self._draining)
            await self._send(self._subjects.beat, encode(beat))

    async def _beat(self) -> None:
        """Give signs of life, and notice whose have ended."""
        last_s = time.monotonic()
        while True:
            await asyncio.sleep(_BEAT_S)
            now_s = time.monotonic()
            late_s, last_s = now_s - last_s - _BEAT_S, now_s
            if late_s > _BEAT_S:  # what has arrived meanwhile has not been read
                self._peers.excuse(late_s)
            await self._say_beat()
            # A query of a node that had gone may have reached its connection and not the node.
            self._query(lambda call: not self._peers.lives(call.node))
            if self._lost_connection_s is None:
                for node in self._peers.lapsed(now_s - _DEAD_S):
                    self._lose(node)
            elif now_s - self._lost_connection_s > _DEAD_S:
                for node in self._peers.all():
                    self._lose(node)

    async def _send(self, subject: str, data: bytes, reply: str = "") -> None:
        """Send what nobody waits for."""
        client = self._client
        if client is None or not client.is_connected:
            return
        try:
            await client.publish(subject, data, reply)
        except (OSError, nats.errors.Error) as error:
            _LOG.warning("nothing can be sent to other nodes: %s", _text(error))

    def _send_soon(self, subject: str, data: bytes, reply: str = "") -> None:
        sending: Coroutine[Any, Any, None] = self._send(subject, data, reply)
        task = asyncio.ensure_future(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    # What happens to the connection, and to nodes.

    async def _failed(self, error: Exception) -> None:
        if not self._closed and _text(error) != self._trouble:
            self._trouble = _text(error)
            if self._client is not None:
                _LOG.warning("%s: %s", self._address.shown, self._trouble)

    async def _disconnected(self) -> None:
        if self._client is not None and self._lost_connection_s is None:
            self._lost_connection_s = time.monotonic()
            _LOG.warning("the connection to %s was lost", self._address.shown)

    async def _reconnected(self) -> None:
        _LOG.warning("connected to %s again", self._address.shown)
        if self._lost_connection_s is not None:
            self._peers.excuse(time.monotonic() - self._lost_connection_s)
        self._lost_connection_s = None
        await self._say_handlers()
        await self._send(self._subjects.who, b"")
        self._query(lambda _: True)  # the responses may have been missed

    def _query(self, chosen: Callable[[_Call], bool]) -> None:
        """Ask whether calls are still handled: a node that does not handle one says so.

        What the node, or the server for it, has said before arrives before the response.
        """
        for number, call in self._calls.items():
            if chosen(call):
                reply = self._subjects.reply(number + _QUERY)
                self._send_soon(call.subject, encode(QueryFrame(number)), reply)

    def _lose(self, node: str, *, said_so: bool = False) -> None:
        if self._peers.remove(node):
            self._tell_changed()
        if said_so:  # what it did not accept was not done
            self._query(lambda call: call.node == node)
        else:
            for call in self._calls.values():
                if call.node == node:
                    call.end(LostFrame())
        for work in self._work.values():
            if work.caller == node and work.task is not None:
                work.task.cancel()

    def _tell_changed(self) -> None:
        if self._receiver is not None:
            self._receiver.changed()

    def _connected(self) -> Client:
        client = self._client
        if client is None or not client.is_connected:
            raise self._unavailable(self.trouble)
        return client

    def _unavailable(self, why: str) -> BusUnavailableError:
        return BusUnavailableError(self._address.shown, why, connection_fix(why))

    def _limit_bytes(self) -> int:
        return 0 if self._client is None else self._client.max_payload - _ROOM_BYTES

    def _check_size(self, client: Client, topic: str, data: bytes, role: str) -> None:
        if len(data) > client.max_payload - _ROOM_BYTES:
            raise self._too_large(topic, data, role)

    def _too_large(self, topic: str, data: bytes, role: str) -> InvalidMessageError:
        error = InvalidMessageError(
            topic,
            f"it has {len(data):,} bytes, and between nodes it may have {self._limit_bytes():,}:"
            " raise max_payload of the NATS server (up to 64MB), or send the name of a file",
            role,
        )
        return error


def _text(error: BaseException) -> str:
    return str(error).removeprefix("nats: ") or type(error).__name__
