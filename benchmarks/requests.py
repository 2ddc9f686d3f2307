"""`bus.request`, beside ways to call a function by name or with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import blinker
import pluggy
from pubsub.core.publisher import Publisher
from pyee import EventEmitter
from pyee.asyncio import AsyncIOEventEmitter

from benchmarks.hosting import bus_with
from benchmarks.measuring import Candidate, Figure, Goal, measure
from benchmarks.plugins import Answer, Answers, Question, Wraps
from qtforge_host.bus.message_bus import MessageBus

__all__ = ["measure_requests"]

_GROUP = "one request, answered"
_GOAL = Goal(per_s=250_000)
_TIMEOUT_S = 5.0
_TASKS_AT_ONCE = 256
_QUESTION = Question("how many", 42)
_VARIANTS = (
    ("it takes an OperationContext", "bench.context"),
    ("it suspends once", "bench.suspends"),
    ("it has an `accepts` condition", "bench.accepts"),
    ("through one wrapper", "bench.wrapped"),
    ("a `def`, in a thread", "bench.thread"),
    ("in a worker process", "bench.process"),
)


async def measure_requests(rounds: int) -> list[Figure]:
    """Time requests.

    Raises:
        RuntimeError: The bus did not count every request, so something else was timed.
    """
    asked = _Asked()
    async with bus_with(Answers(), Wraps()) as bus:
        found = await measure(_GROUP, [*asked.of(bus), *_peers()], rounds)
        counted = {each.topic: each.requests - each.errors for each in bus.statistics()}
    if counted != asked.calls:
        raise RuntimeError(f"asked {asked.calls}, and the bus counted {counted}")
    return found


class _Asked:
    """The bus's candidates, and how often each topic was asked."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}

    def of(self, bus: MessageBus) -> list[Candidate]:
        return [
            Candidate(
                "bus.request to an `async def`", self._asking(bus, "bench.plain", _QUESTION), _GOAL
            ),
            Candidate(
                "· the message is a dict, converted and validated",
                self._asking(bus, "bench.plain", {"text": "how many", "number": 42}),
            ),
            *(
                Candidate(f"· {name}", self._asking(bus, topic, _QUESTION))
                for name, topic in _VARIANTS
            ),
        ]

    def _asking(
        self, bus: MessageBus, topic: str, message: object
    ) -> Callable[[int], Awaitable[None]]:
        async def ask(calls: int) -> None:
            self.calls[topic] = self.calls.get(topic, 0) + calls
            for _ in range(calls):
                await bus.request(topic, message, timeout=_TIMEOUT_S, response_type=Answer)

        return ask


def _peers() -> list[Candidate]:
    return [
        Candidate("`asyncio.timeout` around a bare coroutine call", _asyncio_timeout),
        Candidate("`asyncio.timeout` around one that suspends once", _asyncio_timeout_suspending),
        Candidate("pluggy: hook call", _pluggy()),
        Candidate("blinker: send", _blinker()),
        Candidate("blinker: send_async", _blinker_async()),
        Candidate("pyee: EventEmitter.emit", _pyee()),
        Candidate("pyee: AsyncIOEventEmitter.emit, until done", _pyee_async()),
        Candidate("PyPubSub: sendMessage", _PyPubSub()),
    ]


async def _answer(question: Question) -> Answer:
    return Answer(question.number)


async def _asyncio_timeout(calls: int) -> None:
    for _ in range(calls):
        async with asyncio.timeout(_TIMEOUT_S):
            await _answer(_QUESTION)


async def _answer_later(question: Question) -> Answer:
    await asyncio.sleep(0)
    return Answer(question.number)


async def _asyncio_timeout_suspending(calls: int) -> None:
    for _ in range(calls):
        async with asyncio.timeout(_TIMEOUT_S):
            await _answer_later(_QUESTION)


def _pluggy() -> Callable[[int], Awaitable[None]]:
    spec, implementation = pluggy.HookspecMarker("bench"), pluggy.HookimplMarker("bench")

    class Specs:
        @spec(firstresult=True)
        def ask(self, question: Question) -> Answer | None: ...

    class Implementation:
        @implementation
        def ask(self, question: Question) -> Answer:
            return Answer(question.number)

    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(Specs)
    manager.register(Implementation())

    async def call(calls: int) -> None:
        for _ in range(calls):
            manager.hook.ask(question=_QUESTION)

    return call


def _blinker() -> Callable[[int], Awaitable[None]]:
    signal = blinker.Signal()

    def receive(sender: object, question: Question) -> Answer:
        return Answer(question.number)

    signal.connect(receive, weak=False)

    async def call(calls: int) -> None:
        for _ in range(calls):
            signal.send(None, question=_QUESTION)

    return call


def _blinker_async() -> Callable[[int], Awaitable[None]]:
    signal = blinker.Signal()

    async def receive(sender: object, question: Question) -> Answer:
        return Answer(question.number)

    signal.connect(receive, weak=False)

    async def call(calls: int) -> None:
        for _ in range(calls):
            await signal.send_async(None, question=_QUESTION)

    return call


def _pyee() -> Callable[[int], Awaitable[None]]:
    emitter = EventEmitter()

    def receive(question: Question) -> None:
        Answer(question.number)

    emitter.add_listener("ask", receive)

    async def call(calls: int) -> None:
        for _ in range(calls):
            emitter.emit("ask", _QUESTION)

    return call


def _pyee_async() -> Callable[[int], Awaitable[None]]:
    emitter = AsyncIOEventEmitter()

    async def receive(question: Question) -> None:
        Answer(question.number)

    emitter.add_listener("ask", receive)

    async def call(calls: int) -> None:
        for number in range(1, calls + 1):
            emitter.emit("ask", _QUESTION)
            if number % _TASKS_AT_ONCE == 0:
                await emitter.wait_for_complete()
        await emitter.wait_for_complete()

    return call


class _PyPubSub:
    """Holds its listener: PyPubSub does so weakly."""

    def __init__(self) -> None:
        self._publisher = Publisher()
        self._publisher.subscribe(self._receive, "ask")

    async def __call__(self, calls: int) -> None:
        for _ in range(calls):
            self._publisher.sendMessage("ask", question=_QUESTION)

    def _receive(self, question: Question) -> None:
        Answer(question.number)
