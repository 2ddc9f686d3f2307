"""Hosts that ask each other's plugins, over nodes in one process."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qtforge_host.nodes.node_bus import Answering, NodeBus
from qtforge_host.placements import Placements
from qtforge_host.policies.breaker_file import BreakerFile
from qtforge_sdk import Health, OperationContext, Plugin, operation, subscriber
from qtforge_sdk.errors import (
    BreakerOpenError,
    BusUnavailableError,
    HandlerFailedError,
    NodeGoneError,
    NodeLostError,
    NoHandlerError,
    OperationError,
    OverloadedError,
    RequestTimeoutError,
)
from qtforge_sdk.policies import Breaker, TopicPolicy
from qtforge_sdk.testing.memory_transport import MemoryNetwork
from qtforge_sdk.transport import Envelope, NodeHandler, Transport


class Numbers(msgspec.Struct, frozen=True):
    one: int
    two: int


class Calculator(Plugin):
    """Answers ``numbers.*``; ``calls`` holds the contexts."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.calls: list[OperationContext] = []
        self.gate = asyncio.Event()
        self.heard: list[Any] = []
        self.state = "healthy"

    @operation("numbers.add")
    async def add(self, message: Numbers, context: OperationContext) -> dict[str, Any]:
        self.calls.append(context)
        return {"sum": message.one + message.two, "by": self.name}

    @operation("numbers.wait")
    async def wait(self, message: Any, context: OperationContext) -> str:
        self.calls.append(context)
        context.progress(1, 2, "waiting")
        await self.gate.wait()
        return self.name

    @operation("numbers.thread")
    def thread(self, message: Any, context: OperationContext) -> int:
        context.progress(1, None, "in a thread")
        return 7

    @operation("numbers.fail")
    async def fail(self, message: Any) -> None:
        raise OperationError("numbers.bad", "they are bad", "of all numbers", "take others")

    @subscriber("data.*")
    async def hear(self, message: Any) -> None:
        self.heard.append(message)

    async def qtforge_health(self) -> Health:
        return Health("unhealthy" if self.state != "healthy" else "healthy")


class Positive(Plugin):
    @operation("numbers.add", accepts="message.one > 0", tryfirst=True)
    async def add(self, message: Mapping[str, Any]) -> str:
        return "positive"


class Doubling(Plugin):
    """Wraps ``numbers.add``."""

    def __init__(self) -> None:
        self.wrapped = 0

    @operation("numbers.add", wrapper=True)
    async def add(self, message: Any, context: OperationContext, proceed: Any) -> Any:
        self.wrapped += 1
        return {"wrapped": await proceed(message)}


@dataclasses.dataclass
class Machine:
    """A host of the tests, with its node."""

    bench: Any
    nodes: NodeBus

    @property
    def bus(self) -> Any:
        return self.bench.bus

    @property
    def state_dir(self) -> Any:
        return self.bench._settings.state_dir

    async def sees(self, *topics: str) -> None:
        await until(lambda: set(topics) <= set(self.bus.topics()))

    async def loses(self, *topics: str) -> None:
        await until(lambda: not set(topics) & set(self.bus.topics()))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - of several nodes
            await asyncio.sleep(0.01)


class Machines:
    def __init__(self, bench: Any, stack: contextlib.AsyncExitStack) -> None:
        self.network = MemoryNetwork()
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.one_node: set[str] = set()  # plugins that keep their data on one node
        self._bench = bench
        self._stack = stack

    async def start(
        self,
        name: str,
        *plugins: tuple[Any, str],
        answering: Answering | None = None,
        **settings: Any,
    ) -> Machine:
        it = await self._stack.enter_async_context(self._bench(**settings))
        for plugin, plugin_name in plugins:
            await it.add(plugin, plugin_name)
        parts = it.parts
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        placements = Placements(folder)
        nodes = NodeBus(
            it.bus,
            self.network.transport(name),
            "memory",
            parts.expressions.compile,
            parts.policies.for_topic,
            parts.policies.health.is_usable,
            parts.forget_breaker,
            placements,
        )
        placements.on_change.append(
            lambda: it.bus.leave_to_others(placements.elsewhere, parts.policies.for_topic)
        )
        kept = {each: folder / each for _, each in plugins if each in self.one_node}
        placements.share(kept, answers=True)
        await nodes.open(answering or Answering())
        self._stack.push_async_callback(nodes.close)
        return Machine(it, nodes)


Test = Callable[[Machines], Awaitable[None]]


def over_machines(test: Test) -> Callable[[Any], None]:
    async def within(bench: Any) -> None:
        async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
            await test(Machines(bench, stack))

    def run(bench: Any) -> None:
        asyncio.run(within(bench))

    run.__name__ = test.__name__  # not functools.wraps: pytest would ask for the inner arguments
    return run


ADD = {"one": 1, "two": 2}


@over_machines
async def test_a_topic_that_only_another_node_answers_is_asked_there(machines: Machines) -> None:
    there = Calculator("there")
    await machines.start("two", (there, "calculator"))
    one = await machines.start("one")
    await one.sees("numbers.add")
    envelope = Envelope("numbers.add", Numbers(1, 2), 5.0, asyncio.get_running_loop().time() + 5)
    envelope.run_id, envelope.step, envelope.attempt = "run", "step", 2
    envelope.idempotency_key = "run/step"
    assert await one.bus.send(envelope) == {"sum": 3, "by": "there"}
    assert tuple(envelope.served_by or ()) == ("calculator", "1.0.0")
    (context,) = there.calls
    assert (context.run_id, context.step, context.attempt) == ("run", "step", 2)
    assert context.idempotency_key == "run/step"
    assert 0 < (context.remaining_s() or 0) <= 5
    (shown,) = one.bus.topics()["numbers.add"]
    assert (shown.plugin, shown.node, shown.message_type) == ("calculator", "two", "Numbers")
    counted = [each for each in one.bus.statistics() if each.node == "two" and each.requests]
    assert [(each.topic, each.requests) for each in counted] == [("numbers.add", 1)]


@over_machines
async def test_a_plugin_of_this_process_is_preferred_to_the_same_one_elsewhere(
    machines: Machines,
) -> None:
    here, there = Calculator("here"), Calculator("there")
    await machines.start("two", (there, "calculator"))
    one = await machines.start("one", (here, "calculator"))
    await until(lambda: len(one.bus.topics()["numbers.add"]) == 2)
    answers = await asyncio.gather(*(one.bus.request("numbers.add", ADD) for _ in range(8)))
    assert {each["by"] for each in answers} == {"here"}


@over_machines
async def test_equal_nodes_share_the_requests_by_load(machines: Machines) -> None:
    busy, idle = Calculator("busy"), Calculator("idle")
    await machines.start("two", (busy, "calculator"))
    await machines.start("three", (idle, "calculator"))
    one = await machines.start("one")
    await until(lambda: len(one.bus.topics().get("numbers.wait", ())) == 2)
    waiting = [asyncio.ensure_future(one.bus.request("numbers.wait", {})) for _ in range(8)]
    await until(lambda: len(busy.calls) == len(idle.calls) == 4)
    busy.gate.set()
    idle.gate.set()
    assert sorted(await asyncio.gather(*waiting)) == ["busy"] * 4 + ["idle"] * 4


@over_machines
async def test_rank_and_condition_hold_for_handlers_of_other_nodes(machines: Machines) -> None:
    await machines.start("two", (Positive(), "positive"))
    one = await machines.start("one", (Calculator("here"), "calculator"))
    await until(lambda: len(one.bus.topics()["numbers.add"]) == 2)
    assert [each.plugin for each in one.bus.topics()["numbers.add"]] == ["positive", "calculator"]
    assert await one.bus.request("numbers.add", ADD) == "positive"
    answer = await one.bus.request("numbers.add", {"one": -1, "two": 2})
    assert answer == {"sum": 1, "by": "here"}
    assert (await one.bus.request("numbers.add", ADD, plugin="calculator"))["by"] == "here"
    with pytest.raises(NoHandlerError, match="none accepts"):
        await one.bus.request("numbers.add", {"one": -1, "two": 2}, plugin="positive")


@over_machines
async def test_wrappers_of_both_nodes_hold_and_each_plugin_wraps_once(machines: Machines) -> None:
    there, shared, here = Doubling(), Doubling(), Doubling()
    await machines.start("two", (Calculator(), "calculator"), (there, "there"), (shared, "shared"))
    one = await machines.start("one", (here, "shared"))
    await until(lambda: len(one.bus.topics()["numbers.add"]) == 2)
    answer = await one.bus.request("numbers.add", ADD)
    assert answer == {"wrapped": {"wrapped": {"sum": 3, "by": ""}}}
    assert (here.wrapped, there.wrapped, shared.wrapped) == (1, 1, 0)


@over_machines
async def test_errors_progress_and_deadlines_travel(machines: Machines) -> None:
    await machines.start("two", (Calculator("there"), "calculator"))
    one = await machines.start("one")
    await one.sees("numbers.wait", "numbers.fail")
    with pytest.raises(HandlerFailedError) as caught:
        await one.bus.request("numbers.fail", {})
    error = caught.value
    assert (error.plugin, error.version, error.cause_code) == ("calculator", "1.0.0", "numbers.bad")
    assert error.fix == "take others"
    heard: list[Any] = []
    deadline = asyncio.get_running_loop().time() + 0.3
    with pytest.raises(RequestTimeoutError) as late:
        await one.bus.send(
            Envelope("numbers.wait", {}, 0.3, deadline), lambda *said: heard.append(said)
        )
    assert late.value.plugin == "calculator"
    deadline = asyncio.get_running_loop().time() + 20
    await one.bus.send(Envelope("numbers.thread", {}, 20, deadline), lambda *s: heard.append(s))
    assert heard == [(1, 2, "waiting"), (1, None, "in a thread")]


@over_machines
async def test_the_next_node_is_asked_when_one_is_gone(machines: Machines) -> None:
    gone = await machines.start("a-gone", (Calculator("gone"), "calculator"))
    await machines.start("b-stays", (Calculator("stays"), "calculator"))
    one = await machines.start("one")
    await until(lambda: len(one.bus.topics().get("numbers.add", ())) == 2)
    # Its plugin has stopped, and no other node has noticed.
    gone.bus.set_routes({"numbers.add": ()})
    assert (await one.bus.request("numbers.add", ADD))["by"] == "stays"


@over_machines
async def test_a_node_that_dies_is_lost_or_gone_and_then_forgotten(machines: Machines) -> None:
    there = Calculator("there")
    two = await machines.start("two", (there, "calculator"))
    one = await machines.start("one")
    await one.sees("numbers.wait")
    call = asyncio.ensure_future(one.bus.request("numbers.wait", {}))
    await until(lambda: bool(there.calls))
    await machines.network.lose("two")
    with pytest.raises(NodeLostError) as lost:
        await call
    assert (lost.value.code, lost.value.node) == ("bus.node_lost", "two")
    await one.loses("numbers.wait", "numbers.add")
    with pytest.raises(NoHandlerError):
        await one.bus.request("numbers.add", ADD)
    assert two.bus.topics()


@over_machines
async def test_a_node_that_drains_is_asked_no_more(machines: Machines) -> None:
    two = await machines.start("two", (Calculator("there"), "calculator"))
    one = await machines.start("one")
    await one.sees("numbers.add")
    assert await two.nodes.drain(5)
    await one.loses("numbers.add")
    sent = Envelope("numbers.add", ADD, 5, asyncio.get_running_loop().time() + 5, "calculator")
    with pytest.raises(NodeGoneError):
        await one.nodes.transport.call("two", sent)


@over_machines
async def test_a_node_that_is_drained_for_now_is_asked_only_where_no_other_one_has_the_plugin(
    machines: Machines,
) -> None:
    two = await machines.start("a-two", (Calculator("two"), "calculator"), (Positive(), "positive"))
    one = await machines.start("one")
    await until(lambda: len(one.bus.topics().get("numbers.add", ())) == 2)

    def drains(node: str) -> bool:
        handlers = one.nodes.transport.directory()[node].handlers
        return bool(handlers) and all(each.draining for each in handlers)

    async def add(**options: Any) -> Any:
        return (await one.bus.request("numbers.add", {"one": -1, "two": 2}, **options))["by"]

    two.nodes.set_draining(True)
    await until(lambda: drains("a-two"))
    assert await add() == "two"  # nothing that only it can do is lost
    three = await machines.start("b-three", (Calculator("three"), "calculator"))
    await until(lambda: len(one.bus.topics()["numbers.add"]) == 3)
    assert {await add() for _ in range(4)} == {"three"}
    assert await one.bus.request("numbers.add", ADD, plugin="positive") == "positive"
    sent = Envelope("numbers.add", {"one": -1, "two": 2}, 5, asyncio.get_running_loop().time() + 5)
    sent.versions = {"calculator": "1.0.0"}
    assert (await one.bus.send(sent))["by"] == "three"
    two.nodes.set_draining(False)
    await until(lambda: not drains("a-two"))
    three.nodes.set_draining(True)
    await until(lambda: drains("b-three"))
    assert {await add() for _ in range(4)} == {"two"}


@over_machines
async def test_a_run_is_served_by_its_major_version_also_on_a_node_that_is_drained(
    machines: Machines,
) -> None:
    old, new = await machines.start("a-old"), await machines.start("b-new")
    await old.bench.add(Calculator("1.0.0"), "calculator", "1.0.0")
    await new.bench.add(Calculator("2.0.0"), "calculator", "2.0.0")
    old.nodes.set_draining(True)
    one = await machines.start("one")
    await until(
        lambda: (
            [
                each.draining
                for _, entry in sorted(one.nodes.transport.directory().items())
                for each in entry.handlers
                if each.topic == "numbers.add"
            ]
            == [True, False]
        )
    )
    for served, expected in (({"calculator": "1.4.0"}, "1.0.0"), (None, "2.0.0")):
        envelope = Envelope("numbers.add", ADD, 5, asyncio.get_running_loop().time() + 5)
        envelope.versions = served
        assert (await one.bus.send(envelope))["by"] == expected


@over_machines
async def test_a_breaker_is_of_a_plugin_on_a_node(machines: Machines) -> None:
    topics = {"numbers.wait": TopicPolicy(breaker=Breaker(failures=1, window="1h"))}
    one = await machines.start("one", topics=topics)
    bad, good = Calculator("bad"), Calculator("good")
    good.gate.set()
    await machines.start("a-bad", (bad, "calculator"))
    await one.sees("numbers.wait")
    with pytest.raises(RequestTimeoutError):
        await one.bus.request("numbers.wait", {}, timeout=0.05)
    with pytest.raises(BreakerOpenError, match="calculator@a-bad"):
        await one.bus.request("numbers.wait", {}, timeout=0.05)
    await machines.start("b-good", (good, "calculator"))
    await until(lambda: len(one.bus.topics()["numbers.wait"]) == 2)
    assert await one.bus.request("numbers.wait", {}) == "good"
    file, breakers = BreakerFile(one.state_dir), one.bench.parts.policies.breakers
    assert [each.plugin for each in file.all()] == ["calculator@a-bad"]
    await machines.network.lose("a-bad")
    await until(lambda: not file.all())
    assert [each.plugin for each in breakers.all()] == ["calculator@b-good"]


@over_machines
async def test_an_unhealthy_plugin_is_asked_only_where_there_is_no_other(
    machines: Machines,
) -> None:
    ill, well = Calculator("ill"), Calculator("well")
    two = await machines.start("a-two", (ill, "calculator"))
    two.bench.parts.policies.health.watch("calculator", ill.qtforge_health)
    one = await machines.start("one")
    ill.state = "unhealthy"
    await two.bench.parts.policies.health.check_all()
    await until(
        lambda: any(
            not each.healthy
            for entry in one.nodes.transport.directory().values()
            for each in entry.handlers
        )
    )
    assert (await one.bus.request("numbers.add", ADD))["by"] == "ill"
    await machines.start("b-three", (well, "calculator"))
    await until(lambda: len(one.bus.topics()["numbers.add"]) == 2)
    for _ in range(4):
        assert (await one.bus.request("numbers.add", ADD))["by"] == "well"


@over_machines
async def test_a_publication_reaches_the_subscribers_of_all_nodes_once(machines: Machines) -> None:
    plugins = [Calculator(), Calculator(), Calculator()]
    nodes = [
        await machines.start(f"node-{number}", (plugin, "calculator"))
        for number, plugin in enumerate(plugins)
    ]
    await until(lambda: all(len(each.nodes.transport.directory()) == 2 for each in nodes))
    relayed: list[tuple[str, Any, str, bool]] = []

    async def relay(topic: str, message: Any, message_id: str, lasting: bool) -> None:
        relayed.append((topic, message, message_id, lasting))

    nodes[1].nodes.origin = nodes[0].nodes.origin = "postgresql://db"
    nodes[1].nodes.add_run_relay(relay)
    nodes[2].nodes.add_run_relay(relay)
    await nodes[0].bus.publish("data.ready", {"n": 1})
    await until(lambda: all(each.heard for each in plugins))
    await until(lambda: bool(relayed))
    # The journal that both have brings it to the runs of the one, and the bus to the other's.
    assert [each[:2] + each[3:] for each in relayed] == [("data.ready", {"n": 1}, True)]
    await nodes[1].bus.deliver("data.ready", {"n": 1}, relayed[0][2])  # from the journal as well
    await nodes[2].bus.publish("data.ready", {"n": 2})
    await until(lambda: all(len(each.heard) == 2 for each in plugins))
    assert all(each.heard == [{"n": 1}, {"n": 2}] for each in plugins)


@over_machines
async def test_a_bus_that_is_away_is_said_and_found_again(machines: Machines) -> None:
    machines.network.is_away = True
    heard = Calculator("here")
    one = await machines.start("one", (heard, "calculator"))
    with pytest.raises(BusUnavailableError, match="the network is away"):
        await one.bus.request("elsewhere.only", {})
    await one.bus.publish("data.ready", {"n": 1})
    await until(lambda: bool(heard.heard))
    assert (await one.bus.request("numbers.add", ADD))["by"] == "here"
    machines.network.is_away = False
    await until(lambda: not one.nodes.transport.trouble)
    with pytest.raises(NoHandlerError):
        await one.bus.request("elsewhere.only", {})
    two = await machines.start("two")
    await two.sees("numbers.add")


@over_machines
async def test_handlers_that_cannot_be_used_are_left_out(
    machines: Machines,
) -> None:

    class Silent:
        async def handle(self, envelope: Envelope, listener: Any) -> Any:
            raise AssertionError

        async def deliver(self, publication: Any) -> None: ...

        def changed(self) -> None: ...

    one = await machines.start("one")
    rogue: Transport = machines.network.transport("rogue")
    await rogue.open(Silent())
    bad = [
        NodeHandler(topic="not a topic", plugin="x", version="1"),
        NodeHandler(topic="a.b", plugin="x", version="1", accepts="message."),
        NodeHandler(topic="a.c", plugin="x", version="1"),
    ]
    await rogue.announce(bad)
    assert list(one.bus.topics()) == ["a.c"]
    await rogue.close()


@over_machines
async def test_a_node_handles_so_many_requests_at_once_and_refuses_what_it_cannot_hold(
    machines: Machines,
) -> None:
    there = Calculator("there")
    await machines.start("two", (there, "calculator"), answering=Answering(at_once=2))
    one = await machines.start("one")
    await one.sees("numbers.wait")
    asked = [asyncio.ensure_future(one.bus.request("numbers.wait", {})) for _ in range(19)]
    done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    assert [type(each.exception()) for each in done] == [OverloadedError]
    assert len(there.calls) == 2
    there.gate.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert answers.count("there") == 18
    assert len(there.calls) == 18


@over_machines
async def test_the_plugins_of_other_nodes_are_known_with_their_versions(
    machines: Machines,
) -> None:
    one = await machines.start("one", (Calculator(), "calculator"))
    assert one.nodes.plugins() == {}
    await machines.start("two", (Calculator(), "calculator"), (Positive(), "positive"))
    await until(lambda: len(one.nodes.plugins()) == 2)
    assert one.nodes.plugins() == {"calculator": {"1.0.0"}, "positive": {"1.0.0"}}
    await machines.network.lose("two")
    await until(lambda: one.nodes.plugins() == {})


@over_machines
async def test_a_run_is_served_by_the_major_version_that_has_served_it(
    machines: Machines,
) -> None:
    for number, version in enumerate(("1.4.0", "2.0.0", "1.5.0")):
        node = await machines.start(f"node-{number}")
        await node.bench.add(Calculator(version), "calculator", version)
    one = await machines.start("one")
    await until(lambda: len(one.bus.topics().get("numbers.add", ())) == 3)
    for served, expected in (
        ({"calculator": "2.1.0"}, {"2.0.0"}),
        ({"calculator": "1.0.0", "other": "2.0.0"}, {"1.4.0"}),
        ({"calculator": "3.0.0"}, {"1.4.0"}),  # rather than none
        ({}, {"1.4.0"}),
    ):
        envelope = Envelope("numbers.add", ADD, 5, asyncio.get_running_loop().time() + 5)
        envelope.versions = served
        assert {(await one.bus.send(envelope))["by"]} == expected


@over_machines
async def test_a_plugin_with_data_on_one_node_is_asked_on_the_first_one_by_all(
    machines: Machines,
) -> None:
    machines.one_node = {"calculator"}
    one = await machines.start("one", (Calculator("one"), "calculator"))
    two = await machines.start("two", (Calculator("two"), "calculator"), (Positive(), "positive"))
    three = await machines.start("three")
    await until(lambda: len(three.bus.topics().get("numbers.add", ())) == 2)
    negative = {"one": -1, "two": 2}
    for machine in (one, two, three):
        answers = [await machine.bus.request("numbers.add", negative) for _ in range(4)]
        assert {each["by"] for each in answers} == {"one"}
    assert await two.bus.request("numbers.add", ADD) == "positive"  # any node answers with it
    four = await machines.start("four", (Calculator("four"), "calculator"))
    assert (await four.bus.request("numbers.add", negative))["by"] == "one"
    one.nodes.set_draining(True)  # there is no other
    await until(
        lambda: all(each.draining for each in two.nodes.transport.directory()["one"].handlers)
    )
    assert (await two.bus.request("numbers.add", negative))["by"] == "one"


@over_machines
async def test_a_plugin_with_data_on_a_node_that_is_away_is_not_asked_elsewhere(
    machines: Machines,
) -> None:
    machines.one_node = {"calculator"}
    await machines.start("one", (Calculator("one"), "calculator"))
    two = await machines.start("two", (Calculator("two"), "calculator"))
    asking = await machines.start("asking")
    assert (await two.bus.request("numbers.add", ADD))["by"] == "one"
    await machines.network.lose("one")
    await until(lambda: not two.nodes.plugins())
    with pytest.raises(NoHandlerError, match="the data of 'calculator' are on another node") as no:
        await two.bus.request("numbers.add", ADD)
    # A step waits for it, as for every node that is gone.
    assert two.bus.may_be_answered("numbers.add", None, no.value)
    with pytest.raises((NodeGoneError, NoHandlerError)):
        await asking.bus.request("numbers.add", ADD)
    again = await machines.start("one", (Calculator("again"), "calculator"))
    await until(lambda: bool(two.nodes.plugins()))
    for machine in (again, two, asking):
        assert (await machine.bus.request("numbers.add", ADD))["by"] == "again"


@over_machines
async def test_a_plugin_that_any_node_has_is_not_affected_by_placements(
    machines: Machines,
) -> None:
    machines.one_node = {"calculator"}
    await machines.start("one", (Calculator("one"), "calculator"), (Positive(), "positive"))
    two = await machines.start("two", (Positive(), "positive"))
    await two.sees("numbers.add")
    assert (await two.bus.request("numbers.add", {"one": -1, "two": 1}))["by"] == "one"
    assert await two.bus.request("numbers.add", ADD) == "positive"
