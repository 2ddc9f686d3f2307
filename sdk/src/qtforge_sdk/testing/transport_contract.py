"""The tests that every `qtforge_sdk.transport.Transport` passes.

Inherit from `TransportContract` in a test module and give it transports of yours::

    class TestMyTransport(TransportContract):
        @pytest.fixture
        def make_transport(self):
            return lambda name: MyTransport("my://server", name)

        @pytest.fixture
        def lose_node(self):
            return cut_the_connection_of

``make_transport`` makes the transport of another node on the same bus, not yet open;
``lose_node`` ends one without a goodbye, as when its process is killed. Each test gets a
fresh loop.
"""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar, Final

import msgspec
import pytest

from qtforge_sdk.errors import (
    BreakerOpenError,
    BusUnavailableError,
    HandlerFailedError,
    InvalidMessageError,
    NodeGoneError,
    NodeLostError,
    NoHandlerError,
    OperationError,
    OverloadedError,
    PolicyOverloadedError,
    QtForgeError,
    RequestTimeoutError,
    StateDirectoryError,
)
from qtforge_sdk.operations import AnswerSecrets, ProgressListener
from qtforge_sdk.runs import AmendingAnswer, Amendment
from qtforge_sdk.transport import Broadcast, Envelope, NodeEntry, NodeHandler, Reply, Transport

__all__ = ["LoseNode", "MakeTransport", "TransportContract"]

MakeTransport = Callable[[str], Transport]
"""What the fixture ``make_transport`` gives."""
LoseNode = Callable[[Transport], Awaitable[None]]
"""What the fixture ``lose_node`` gives."""

_SCENARIO_TIMEOUT_S: Final = 120.0
_LOST_WITHIN_S: Final = 3.0
_SLACK_S: Final = 7.0  # of a slow machine
_ECHO: Final = NodeHandler(topic="text.echo", plugin="echo", version="1.2.0")


class Sample(msgspec.Struct):
    """A message with a type."""

    text: str
    when: datetime.datetime
    data: bytes


class Node:
    """A node: its transport, and what it has received.

    Attributes:
        transport: The transport.
        received: The requests that it was asked.
        publications: What other nodes have published.
        cancelled: How many requests were cancelled while they were handled.
        answer: Handles a request.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.received: list[Envelope] = []
        self.publications: list[Broadcast] = []
        self.cancelled = 0
        self.answer: Callable[[Envelope, ProgressListener | None], Awaitable[Reply]] = _echo
        self._changed = asyncio.Event()
        self._happened = asyncio.Event()

    async def handle(self, envelope: Envelope, listener: ProgressListener | None) -> Reply:
        """Answer a request."""
        self.received.append(envelope)
        self._happened.set()
        try:
            return await self.answer(envelope, listener)
        except asyncio.CancelledError:
            self.cancelled += 1
            self._happened.set()
            raise

    async def deliver(self, publication: Broadcast) -> None:
        """Receive a publication."""
        self.publications.append(publication)
        self._happened.set()

    def changed(self) -> None:
        """Notice a change of the directory."""
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something has happened to this node."""
        await _until(self._happened, holds)

    async def sees(self, other: Node, *handlers: NodeHandler) -> NodeEntry:
        """Wait until the directory has another node with these handlers."""
        name = other.transport.node

        def found() -> NodeEntry | None:
            entry = self.transport.directory().get(name)
            same = entry is not None and set(entry.handlers) == set(handlers)
            return entry if same else None

        await _until(self._changed, lambda: found() is not None)
        entry = found()
        assert entry is not None
        return entry

    async def misses(self, other: Node) -> None:
        """Wait until the directory has another node no more."""
        name = other.transport.node
        await _until(self._changed, lambda: name not in self.transport.directory())

    async def ask(
        self,
        other: Node,
        payload: Any = "hello",
        *,
        timeout_s: float = 20.0,
        listener: ProgressListener | None = None,
        **fields: Any,
    ) -> Any:
        """Call another node, and return its answer."""
        envelope = Envelope(
            "text.echo", payload, timeout_s, time.monotonic() + timeout_s, "echo", **fields
        )
        return (await self.transport.call(other.transport.node, envelope, listener)).answer


async def _echo(envelope: Envelope, listener: ProgressListener | None) -> Reply:
    return Reply(answer=envelope.payload, served_by=("echo", "1.2.0"))


async def _never(envelope: Envelope, listener: ProgressListener | None) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


async def _until(event: asyncio.Event, holds: Callable[[], bool]) -> None:
    while not holds():
        event.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):  # also where a change is not announced
                await event.wait()


class Nodes:
    """Opens nodes on one bus, and closes them at the end."""

    def __init__(self, make: MakeTransport, lose: LoseNode) -> None:
        self._make = make
        self._lose = lose
        self._open: list[Node] = []

    async def start(self, name: str, *handlers: NodeHandler) -> Node:
        """Return one more node, which announces these handlers."""
        node = Node(self._make(name))
        await node.transport.open(node)
        self._open.append(node)
        if handlers:
            await node.transport.announce(handlers)
        return node

    async def pair(self) -> tuple[Node, Node]:
        """Return a node that asks, and one that answers."""
        asking = await self.start("asking")
        answering = await self.start("answering", _ECHO)
        await asking.sees(answering, _ECHO)
        return asking, answering

    async def lose(self, node: Node) -> None:
        """End a node without a goodbye."""
        self._open.remove(node)
        await self._lose(node.transport)

    async def close(self) -> None:
        """Close those that are still open."""
        for node in self._open:
            await node.transport.close()


@contextlib.asynccontextmanager
async def _nodes(make: MakeTransport, lose: LoseNode) -> AsyncIterator[Nodes]:
    nodes = Nodes(make, lose)
    try:
        yield nodes
    finally:
        await nodes.close()


Scenario = Callable[[Any, Nodes], Awaitable[None]]


def scenario(test: Scenario) -> Callable[..., None]:
    """Run a test in a loop of its own, with nodes, and within a time limit."""

    @functools.wraps(test)
    def run(self: Any, make_transport: MakeTransport, lose_node: LoseNode) -> None:
        async def within() -> None:
            async with (
                asyncio.timeout(_SCENARIO_TIMEOUT_S),
                _nodes(make_transport, lose_node) as nodes,
            ):
                await test(self, nodes)

        asyncio.run(within())

    del run.__wrapped__  # pytest reads its parameters
    return run


ERRORS: Final[tuple[QtForgeError, ...]] = (
    OperationError(
        "text.busy", "it is busy", "too many", "wait", retryable=True, retry_after_s=2.5
    ),
    HandlerFailedError(
        "text.echo", "echo", "1.2.0", "broken", "text.bad", "fix it",
        retryable=False, place="echo.py:7",
    ),
    RequestTimeoutError("text.echo", 2.5, "echo", "1.2.0", "blocked", excused=True),
    InvalidMessageError("text.echo", "Expected `int` - at `$.a`"),
    InvalidMessageError("text.echo", "Expected `int`", "response"),
    NoHandlerError("text.echo", "none accepts it", "install one"),
    OverloadedError("text.echo", "echo", "1.2.0", 8),
    BreakerOpenError("text.echo", "echo", 3.5),
    PolicyOverloadedError("text.echo", "its queue is full"),
)  # fmt: skip


class TransportContract:
    """Inherit from this, and give it the fixtures ``make_transport`` and ``lose_node``.

    Attributes:
        too_large_bytes: So many bytes are more than a message may have.
    """

    too_large_bytes: ClassVar[int] = 8 << 20

    @scenario
    async def test_each_node_sees_what_the_others_announce(self, nodes: Nodes) -> None:
        one, two = await nodes.pair()
        await two.sees(one)
        other = NodeHandler(
            topic="image.ocr", plugin="gpu-ocr", version="2.0.0", rank=0, accepts="message.n > 1",
            execution="process", message_type="Image", response_type="Text", healthy=False,
        )  # fmt: skip
        await two.transport.announce([_ECHO, other])
        await one.sees(two, _ECHO, other)
        await two.transport.announce([other])
        await one.sees(two, other)
        assert one.transport.node not in one.transport.directory()
        late = await nodes.start("late")
        assert late.transport.node not in {one.transport.node, two.transport.node}
        await late.sees(two, other)  # which was announced before it came
        await late.sees(one)

    @scenario
    async def test_a_call_carries_its_request_and_the_reply_its_author(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()
        hidden = AnswerSecrets(fields=("token",), keep=True)

        async def answer(envelope: Envelope, _: ProgressListener | None) -> Reply:
            return Reply(answer={"text": "hi"}, served_by=("echo", "1.2.0"), secrets=hidden)

        answering.answer = answer
        envelope = Envelope(
            "text.echo", {"n": 1}, 20.0, time.monotonic() + 9.0, "echo", "run-7", "step", 3,
            "run-7/step", wrapped_by=("audit",),
        )  # fmt: skip
        reply = await asking.transport.call(answering.transport.node, envelope)
        assert reply == Reply(answer={"text": "hi"}, served_by=("echo", "1.2.0"), secrets=hidden)
        (got,) = answering.received
        assert got.deadline - time.monotonic() <= 9.0 + _SLACK_S
        same = msgspec.structs.replace(got, deadline=envelope.deadline)
        assert same == envelope

    @scenario
    async def test_values_arrive_as_plain_values(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()
        now = datetime.datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=datetime.UTC)
        sample = Sample("ä\0\n", now, b"\x00\xff")
        plain = {"text": "ä\0\n", "when": now, "data": b"\x00\xff"}
        for given, expected in (
            (sample, plain),
            ([1, 2.5, True, None, -(1 << 63), (1 << 64) - 1], None),
            ({"deep": [{"er": [sample]}]}, {"deep": [{"er": [plain]}]}),
            ("", None),
            (None, None),
        ):
            assert await asking.ask(answering, given) == (given if expected is None else expected)

    @scenario
    async def test_the_amendments_of_an_answer_come_with_it(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()
        amending = AmendingAnswer(
            answer="done", amendments=[Amendment(patch=[{"op": "remove", "path": "/a"}])]
        )

        async def amend(envelope: Envelope, _: ProgressListener | None) -> Reply:
            return Reply(answer=amending)

        answering.answer = amend
        assert await asking.ask(answering) == amending

    @scenario
    async def test_an_error_comes_back_as_it_was_raised(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()
        for error in ERRORS:

            async def fail(
                envelope: Envelope, _: ProgressListener | None, error: QtForgeError = error
            ) -> Reply:
                raise error

            answering.answer = fail
            with pytest.raises(QtForgeError) as caught:
                await asking.ask(answering)
            found = caught.value
            assert type(found) is type(error)
            assert str(found) == str(error)
            assert {**vars(found), **_stated(found)} == {**vars(error), **_stated(error)}

    @scenario
    async def test_an_error_of_another_class_keeps_its_code_and_text(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()

        async def fail(envelope: Envelope, _: ProgressListener | None) -> Reply:
            raise StateDirectoryError("/state", "the disk is full", "make room")

        answering.answer = fail
        with pytest.raises(OperationError) as caught:
            await asking.ask(answering)
        assert caught.value.code == "state.unusable"
        assert "the disk is full (fix: make room)" in str(caught.value)

        async def crash(envelope: Envelope, _: ProgressListener | None) -> Reply:
            raise ValueError("a secret detail")

        answering.answer = crash
        with pytest.raises(OperationError) as caught:
            await asking.ask(answering)
        assert caught.value.code == "bus.remote_failed"
        assert "a secret detail" not in str(caught.value)

    @scenario
    async def test_progress_arrives_in_order_before_the_answer(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()
        heard: list[tuple[float, float | None, str]] = []

        async def report(envelope: Envelope, listener: ProgressListener | None) -> Reply:
            assert listener is not None
            for number in range(5):
                listener(number, None if number == 4 else 5.0, f"part {number}")
            await asyncio.sleep(0)
            return Reply(answer=len(heard))

        answering.answer = report
        await asking.ask(answering, listener=lambda *said: heard.append(said))
        assert heard == [(n, None if n == 4 else 5.0, f"part {n}") for n in range(5)]

        async def in_thread(envelope: Envelope, listener: ProgressListener | None) -> Reply:
            assert listener is not None
            await asyncio.to_thread(listener, 1, 2, "in a thread")
            return Reply(answer=None)

        heard.clear()
        answering.answer = in_thread
        await asking.ask(answering, listener=lambda *said: heard.append(said))
        assert heard == [(1, 2, "in a thread")]

        async def quiet(envelope: Envelope, listener: ProgressListener | None) -> Reply:
            return Reply(answer=listener is None)

        answering.answer = quiet
        assert await asking.ask(answering) is True

    @scenario
    async def test_cancelling_a_call_cancels_its_handler(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()
        answering.answer = _never
        call = asyncio.ensure_future(asking.ask(answering))
        await answering.until(lambda: bool(answering.received))
        call.cancel()
        await answering.until(lambda: answering.cancelled == 1)
        with pytest.raises(asyncio.CancelledError):
            await call
        answering.answer = _echo
        assert await asking.ask(answering, "and again") == "and again"

    @scenario
    async def test_a_handler_that_does_not_answer_is_cancelled_at_the_deadline(
        self, nodes: Nodes
    ) -> None:
        asking, answering = await nodes.pair()
        answering.answer = _never
        with pytest.raises(RequestTimeoutError) as caught:
            await asking.ask(answering, timeout_s=0.3)
        assert caught.value.timeout_s == 0.3
        await answering.until(lambda: answering.cancelled == 1)

    @scenario
    async def test_many_calls_at_once_get_their_own_answers(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()
        other = await nodes.start("other", _ECHO)
        await asking.sees(other, _ECHO)

        async def slowly(envelope: Envelope, _: ProgressListener | None) -> Reply:
            await asyncio.sleep((envelope.payload % 7) / 100)
            return Reply(answer=envelope.payload)

        answering.answer = other.answer = slowly
        asked = [asking.ask((answering, other)[number % 2], number) for number in range(200)]
        assert await asyncio.gather(*asked) == list(range(200))
        assert len(answering.received) == len(other.received) == 100

    @scenario
    async def test_a_slow_call_holds_up_no_other(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()

        async def answer(envelope: Envelope, listener: ProgressListener | None) -> Reply:
            return await (_never if envelope.payload == "slow" else _echo)(envelope, listener)

        answering.answer = answer
        slow = asyncio.ensure_future(asking.ask(answering, "slow"))
        await answering.until(lambda: bool(answering.received))
        assert await asking.ask(answering, "quick") == "quick"
        assert not slow.done()
        slow.cancel()
        await asyncio.wait([slow])

    @scenario
    async def test_a_node_that_was_closed_is_gone_and_nothing_was_done(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()
        await answering.transport.close()
        with pytest.raises(NodeGoneError) as caught:
            await asking.ask(answering)
        assert (caught.value.topic, caught.value.node) == ("text.echo", answering.transport.node)
        await asking.misses(answering)
        assert not answering.received
        await answering.transport.close()

    @scenario
    async def test_a_node_without_the_handler_is_gone(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()

        async def refuse(envelope: Envelope, _: ProgressListener | None) -> Reply:
            raise NodeGoneError(envelope.topic, "me", "the plugin has stopped")

        answering.answer = refuse
        with pytest.raises(NodeGoneError, match="the plugin has stopped") as caught:
            await asking.ask(answering)
        assert caught.value.node == answering.transport.node

    @scenario
    async def test_a_node_that_drains_ends_its_calls_and_accepts_no_more(
        self, nodes: Nodes
    ) -> None:
        asking, answering = await nodes.pair()
        ending = asyncio.Event()

        async def answer(envelope: Envelope, listener: ProgressListener | None) -> Reply:
            await ending.wait()
            return await _echo(envelope, listener)

        answering.answer = answer
        accepted = asyncio.ensure_future(asking.ask(answering, "accepted"))
        await answering.until(lambda: bool(answering.received))
        assert not await answering.transport.drain(0.05)
        draining = asyncio.ensure_future(answering.transport.drain(30))
        entry = await asking.sees(answering)
        assert entry.draining
        with pytest.raises(NodeGoneError):
            await asking.ask(answering, "too late")
        ending.set()
        assert await draining
        assert await accepted == "accepted"
        assert len(answering.received) == 1

    @scenario
    async def test_a_node_that_vanishes_during_a_call_is_lost_within_seconds(
        self, nodes: Nodes
    ) -> None:
        asking, answering = await nodes.pair()
        other = await nodes.start("other", _ECHO)
        await asking.sees(other, _ECHO)
        answering.answer = other.answer = _never
        call = asyncio.ensure_future(asking.ask(answering, timeout_s=60))
        unharmed = asyncio.ensure_future(asking.ask(other, timeout_s=60))
        await answering.until(lambda: bool(answering.received))
        await other.until(lambda: bool(other.received))
        began = time.monotonic()
        await nodes.lose(answering)
        with pytest.raises(NodeLostError) as caught:
            await call
        assert time.monotonic() - began < _LOST_WITHIN_S + _SLACK_S
        assert (caught.value.topic, caught.value.node) == ("text.echo", answering.transport.node)
        await asking.misses(answering)
        assert not unharmed.done()
        unharmed.cancel()
        await asyncio.wait([unharmed])

    @scenario
    async def test_calls_of_a_node_that_vanishes_are_cancelled(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()
        answering.answer = _never
        call = asyncio.ensure_future(asking.ask(answering))
        await answering.until(lambda: bool(answering.received))
        await nodes.lose(asking)
        await answering.until(lambda: answering.cancelled == 1)
        call.cancel()
        await asyncio.wait([call])

    @scenario
    async def test_a_publication_reaches_every_other_node_once(self, nodes: Nodes) -> None:
        one, two = await nodes.pair()
        three = await nodes.start("three")
        await one.sees(three)
        sent = [
            Broadcast(topic="data.processed", message={"n": n}, message_id=f"m{n}", origin="here")
            for n in range(20)
        ]
        for each in sent:
            await one.transport.broadcast(each)
        for node in (two, three):
            await node.until(lambda node=node: len(node.publications) >= 20)  # type: ignore[misc]
        await two.transport.broadcast(Broadcast(topic="end", message=None, message_id="end"))
        await one.until(lambda: bool(one.publications))
        await three.until(lambda: len(three.publications) >= 21)
        assert two.publications == sent
        assert three.publications[:20] == sent
        assert [each.topic for each in one.publications] == ["end"]

    @scenario
    async def test_what_cannot_be_sent_is_refused_and_the_bus_stays_usable(
        self, nodes: Nodes
    ) -> None:
        asking, answering = await nodes.pair()
        for bad in (object(), {"n": 1 << 70}, "x" * self.too_large_bytes):
            with pytest.raises(InvalidMessageError) as caught:
                await asking.ask(answering, bad)
            assert caught.value.role == "message"
            with pytest.raises(InvalidMessageError):
                await asking.transport.broadcast(
                    Broadcast(topic="a.b", message=bad, message_id="1")
                )
        assert not answering.received
        for bad in (object(), "x" * self.too_large_bytes):

            async def answer(
                envelope: Envelope, _: ProgressListener | None, bad: object = bad
            ) -> Reply:
                return Reply(answer=bad)

            answering.answer = answer
            with pytest.raises(InvalidMessageError) as caught:
                await asking.ask(answering)
            assert caught.value.role == "response"
        answering.answer = _echo
        assert await asking.ask(answering, "and again") == "and again"

    @scenario
    async def test_a_transport_that_was_closed_cannot_send(self, nodes: Nodes) -> None:
        asking, answering = await nodes.pair()
        assert not asking.transport.trouble
        await asking.transport.close()
        assert asking.transport.trouble
        with pytest.raises(BusUnavailableError):
            await asking.ask(answering)
        with pytest.raises(BusUnavailableError):
            await asking.transport.broadcast(Broadcast(topic="a.b", message=None, message_id="1"))


def _stated(error: QtForgeError) -> dict[str, Any]:
    return {"code": error.code, "retryable": error.retryable, "retry_after_s": error.retry_after_s}
