"""`bus.publish`, beside other ways to call several receivers; a round ends when all were called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import blinker
import msgspec
import pluggy
from pubsub.core.publisher import Publisher
from pyee import EventEmitter

from benchmarks.hosting import bus_with
from benchmarks.measuring import Candidate, Figure, Goal, measure
from qtforge_host.bus.message_bus import MessageBus

__all__ = ["measure_publishing"]

_GOAL = Goal(per_s=250_000)
_DRAIN_S = 30.0
_MANY = 10


class Event(msgspec.Struct, frozen=True):
    """What is published."""

    number: int


_EVENT = Event(42)


class Receiver:
    """Counts what it hears."""

    def __init__(self) -> None:
        self.heard = 0

    def hear(self, event: Event) -> None:
        self.heard += 1

    async def hear_later(self, event: Event) -> None:
        self.heard += 1

    def hear_from(self, sender: object, event: Event) -> None:
        self.heard += 1


Publish = Callable[[int], Awaitable[None]]
Connect = Callable[[list[Receiver]], Publish]


async def measure_publishing(rounds: int) -> list[Figure]:
    """Time publications to one receiver and to ten.

    Raises:
        RuntimeError: A receiver did not hear everything.
    """
    return [
        *await _measure("one message published, to one subscriber", 1, _GOAL, rounds),
        *await _measure(f"one message published, to {_MANY} subscribers", _MANY, None, rounds),
    ]


async def _measure(group: str, receivers: int, goal: Goal | None, rounds: int) -> list[Figure]:
    async with bus_with() as bus:
        connections: list[tuple[str, Connect]] = [
            ("bus.publish to an `async def`, until delivered", _bus(bus)),
            ("pluggy: hook call", _pluggy),
            ("blinker: send", _blinker),
            ("pyee: EventEmitter.emit", _pyee),
            ("PyPubSub: sendMessage", _pypubsub),
        ]
        return await measure(
            group,
            [
                Candidate(name, _checked(connect, receivers), None if number else goal)
                for number, (name, connect) in enumerate(connections)
            ],
            rounds,
        )


def _checked(connect: Connect, count: int) -> Publish:
    receivers = [Receiver() for _ in range(count)]
    publish = connect(receivers)

    async def call(calls: int) -> None:
        before = [receiver.heard for receiver in receivers]
        await publish(calls)
        heard = [now.heard - earlier for now, earlier in zip(receivers, before, strict=True)]
        if any(number != calls for number in heard):
            raise RuntimeError(f"{calls} messages were published, and {heard} heard")

    return call


def _bus(bus: MessageBus) -> Connect:
    def connect(receivers: list[Receiver]) -> Publish:
        for receiver in receivers:
            bus.subscribe("bench.event", receiver.hear_later)

        async def publish(calls: int) -> None:
            for _ in range(calls):
                await bus.publish("bench.event", _EVENT)
            if not await bus.drain(_DRAIN_S):
                raise RuntimeError(f"the subscribers were not done within {_DRAIN_S:g} s")

        return publish

    return connect


def _pluggy(receivers: list[Receiver]) -> Publish:
    spec, implementation = pluggy.HookspecMarker("bench"), pluggy.HookimplMarker("bench")

    class Specs:
        @spec
        def hear(self, event: Event) -> None: ...

    class Implementation:
        def __init__(self, receiver: Receiver) -> None:
            self._receiver = receiver

        @implementation
        def hear(self, event: Event) -> None:
            self._receiver.heard += 1

    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(Specs)
    for receiver in receivers:
        manager.register(Implementation(receiver))

    async def publish(calls: int) -> None:
        for _ in range(calls):
            manager.hook.hear(event=_EVENT)

    return publish


def _blinker(receivers: list[Receiver]) -> Publish:
    signal = blinker.Signal()
    for receiver in receivers:
        signal.connect(receiver.hear_from, weak=False)

    async def publish(calls: int) -> None:
        for _ in range(calls):
            signal.send(None, event=_EVENT)

    return publish


def _pyee(receivers: list[Receiver]) -> Publish:
    emitter = EventEmitter()
    for receiver in receivers:
        emitter.add_listener("event", receiver.hear)

    async def publish(calls: int) -> None:
        for _ in range(calls):
            emitter.emit("event", _EVENT)

    return publish


def _pypubsub(receivers: list[Receiver]) -> Publish:
    publisher = Publisher()
    for receiver in receivers:
        publisher.subscribe(receiver.hear, "event")

    async def publish(calls: int) -> None:
        for _ in range(calls):
            publisher.sendMessage("event", event=_EVENT)

    return publish
