"""What is published on the bus starts machines, and reaches those that it concerns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.host.runs.machines import seen

from qtforge_host.runs.active_runs import ActiveRuns
from qtforge_host.runs.recovery import RecoveryLoop
from qtforge_host.runs.triggers import EventTriggers
from qtforge_sdk import Run
from qtforge_sdk.records import RunFinished, StepSucceeded

MACHINE = """
initial = "on"
key = "${input.order}"
data = { seen = [] }
[states.on]
[[transitions]]
name = "note"
from = "on"
trigger = "*"
actions = ["add"]
[actions.add]
type = "set"
values = { seen = "${data.seen + [event.name, event.data.text]}" }
[[start_on]]
topic = "order.placed"
where = "event.data.amount > 10"
input = { order = "${event.data.order}" }
[[events]]
topic = "order.paid"
key = "event.data.order"
[[events]]
topic = "user.*"
where = "has(event.data.run)"
event = "told"
instance = "event.data.run"
"""


def play_bound(play: Any, case: Any) -> None:
    async def bound(lab: Any) -> None:
        triggers = EventTriggers(lab.bus, lab.supervisor, lab.mortal, lab.expressions, lab.clock)
        triggers.bind([lab.machine(MACHINE)])
        try:
            async with lab.dispatching():
                await case(lab)
        finally:
            triggers.close()
        before = len(lab.store.runs)
        await lab.bus.publish("order.placed", {"order": "late", "amount": 99})
        await lab.bus.drain(60)
        await asyncio.sleep(0)
        assert len(lab.store.runs) == before  # nothing is heard any more

    play(bound)


async def placed(lab: Any, *orders: str) -> list[str]:
    for order in orders:
        await lab.bus.publish("order.placed", {"order": order, "amount": 11})

    async def there() -> bool:
        return len(lab.store.runs) == len(orders)

    await lab.until(there)
    for run_id in lab.store.runs:
        await lab.has(run_id, "waiting")
    return list(lab.store.runs)


async def noted(lab: Any, run_id: str, *expected: str) -> None:
    async def there() -> bool:
        return bool(await seen(lab, run_id) == list(expected))

    await lab.until(there)


def test_what_is_published_starts_a_machine_where_the_condition_holds(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.bus.publish("order.placed", {"order": "small", "amount": 1})
        (run_id,) = await placed(lab, "big")
        (started, *_) = await lab.journal.records(run_id)
        assert started.input == {"order": "big"}

    play_bound(play, case)


def test_an_event_reaches_the_machine_with_its_key(play: Any) -> None:
    async def case(lab: Any) -> None:
        one, two = await placed(lab, "o1", "o2")
        await lab.bus.publish("order.paid", {"order": "o2", "text": "a"})
        await lab.bus.publish("order.paid", {"order": "nobody's", "text": "b"})
        await lab.bus.publish("order.paid", {"order": "o2", "text": "c"})
        await noted(lab, two, "order.paid", "a", "order.paid", "c")
        assert await seen(lab, one) == []

    play_bound(play, case)


def test_an_event_reaches_every_machine_with_its_key(play: Any) -> None:
    async def case(lab: Any) -> None:
        for each in await placed(lab, "same", "same", "same"):
            await lab.has(each, "waiting")
        await lab.bus.publish("order.paid", {"order": "same", "text": "a"})
        for each in list(lab.store.runs):
            await noted(lab, each, "order.paid", "a")

    play_bound(play, case)


def test_an_event_reaches_the_machine_that_it_names(play: Any) -> None:
    async def case(lab: Any) -> None:
        one, two = await placed(lab, "o1", "o2")
        await lab.bus.publish("user.action", {"run": one, "text": "hello"})
        await noted(lab, one, "told", "hello")
        assert await seen(lab, two) == []

    play_bound(play, case)


def test_an_event_that_concerns_nobody_or_is_malformed_harms_nothing(
    play: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def case(lab: Any) -> None:
        (one,) = await placed(lab, "o1")
        await lab.bus.publish("user.action", {"run": "no-such-run", "text": "x"})
        await lab.bus.publish("order.paid", "a text")
        await lab.bus.publish("user.action", {"text": "for nobody"})
        await lab.bus.publish("user.action", {"run": one, "text": "hello"})
        await noted(lab, one, "told", "hello")
        await lab.bus.drain(60)

    play_bound(play, case)
    assert any("no-such-run" in each for each in caplog.messages)
    assert any("order.paid" in each for each in caplog.messages)


COUNTS = """
initial = "on"
data = { n = 0 }
[states.on]
[states.off]
final = true
[[transitions]]
name = "count"
from = "on"
trigger = "tick"
actions = ["add"]
[[transitions]]
name = "end"
from = "on"
to = "off"
trigger = "stop"
[actions.add]
type = "set"
values = { n = "${data.n + 1}" }
"""
BINDINGS = {
    "by the topic": '[[events]]\ntopic = "tick"\ninstance = "event.data.run"\n',
    "by a pattern": '[[events]]\ntopic = "*"\nevent = "tick"\ninstance = "event.data.run"\n',
    "by a key": '[[events]]\ntopic = "tick"\nkey = "event.data.run"\n',
}


@pytest.mark.parametrize("message_id", [None, "p1"])
@pytest.mark.parametrize("one", BINDINGS)
@pytest.mark.parametrize("two", BINDINGS)
def test_a_publication_is_handled_once_however_many_bindings_lead_to_the_run(
    play: Any, one: str, two: str, message_id: str | None
) -> None:
    async def case(lab: Any) -> None:
        triggers = EventTriggers(lab.bus, lab.supervisor, lab.mortal, lab.expressions, lab.clock)
        machine = lab.machine(COUNTS + BINDINGS[one] + BINDINGS[two], "m1")
        triggers.bind([machine, lab.machine(COUNTS + BINDINGS[two], "m2")])
        async with lab.dispatching():
            run_id = await lab.supervisor.start(machine, {})
            await lab.has(run_id, "waiting")
            for _ in range(2):
                await lab.bus.publish("tick", {"run": run_id}, message_id=message_id)
            await lab.post(run_id, "event", "stop")
            await lab.has(run_id, "succeeded")
            expected = 2 if message_id is None else 1
            if "by a key" == one == two:
                expected = 0  # it has no key
            assert (await lab.kept(run_id)).state["data"] == {"n": expected}
        triggers.close()

    play(case)


SAYS = """
initial = "a"
data = { parent = "${input.parent}" }
[states.a]
entry = [%s]
[states.b]
final = true
[[transitions]]
name = "t"
from = "a"
to = "b"
[actions.say]
type = "message"
topic = "child.said"
message = { parent = "${data.parent}" }
"""
HEARS = """
initial = "wait"
data = { heard = 0, ended = 0 }
result = { heard = "${data.heard}" }
[states.wait]
entry = [%s]
[states.end]
final = true
[[transitions]]
name = "hear"
from = "wait"
trigger = "child.said"
actions = ["note"]
[[transitions]]
name = "last"
from = "wait"
to = "end"
trigger = "done.workflow.child"
condition = "data.ended == %d"
[[transitions]]
name = "ended"
from = "wait"
trigger = "done.workflow.child"
actions = ["count"]
[actions.child]
type = "workflow"
workflow = "says"
input = { parent = "${instance.id}" }
[actions.note]
type = "set"
values = { heard = "${data.heard + 1}" }
[actions.count]
type = "set"
values = { ended = "${data.ended + 1}" }
[[events]]
topic = "child.said"
instance = "event.data.parent"
"""


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it gives a new lab each time
)
@given(parents=st.integers(1, 4), children=st.integers(1, 3), messages=st.integers(1, 4))
def test_a_parent_that_ends_with_its_last_child_has_seen_all_messages_of_its_children(
    lab: Any, parents: int, children: int, messages: int
) -> None:
    async def case(lab: Any) -> None:
        triggers = EventTriggers(lab.bus, lab.supervisor, lab.mortal, lab.expressions, lab.clock)
        lab.machine(SAYS % ", ".join(['"say"'] * messages), "says")
        parent = lab.machine(HEARS % (", ".join(['"child"'] * children), children - 1), "hears")
        triggers.bind([parent])
        lab.engine.active_runs.linger_s = 3600
        async with lab.dispatching():
            found = [await lab.supervisor.start(parent, {}) for _ in range(parents)]
            for run_id in found:
                await lab.has(run_id, "succeeded")
                (ended,) = await lab.records(run_id, RunFinished)
                assert ended.result == {"heard": children * messages}
        triggers.close()

    async def main() -> None:
        async with lab() as it:
            await case(it)

    asyncio.run(main())


def test_a_publication_that_a_run_makes_again_after_a_crash_is_handled_once(play: Any) -> None:
    starts = COUNTS + '[[start_on]]\ntopic = "tick"\n' + BINDINGS["by the topic"]

    async def says(run: Run) -> Any:
        await run.publish("say", "tick", {"run": run.input["run"]})

    async def case(lab: Any) -> None:
        machine = lab.machine(starts, "m")
        run_id = await lab.supervisor.start(machine, {})
        await lab.has(run_id, "waiting")
        publisher = lab.script(says)
        for attempt in range(2):
            await lab.start(lambda it: isinstance(it, StepSucceeded), after=False)
            triggers = EventTriggers(
                lab.bus, lab.supervisor, lab.mortal, lab.expressions, lab.clock
            )
            triggers.bind([machine])
            if attempt == 0:
                await lab.dies(lab.engine.execute(publisher, {"run": run_id}))
                publishing = list(lab.store.runs)[1]
            else:
                await lab.dies(lab.engine.resume(publishing))
            triggers.close()
        await lab.start()
        async with lab.dispatching():
            await lab.post(run_id, "event", "stop")
            await lab.has(run_id, "succeeded")
        assert (await lab.kept(run_id)).state["data"] == {"n": 1}
        assert len(lab.store.runs) == 3  # the machine, its publisher, and what that has started

    play(case)


@asynccontextmanager
async def limited(lab: Any, max_runs: int, *pools: str) -> AsyncIterator[None]:
    """Start runs as ``serve --max-runs --pool`` does."""
    machine = lab.machine(MACHINE)
    pools = pools or ("default",)
    triggers = EventTriggers(
        lab.bus,
        lab.supervisor,
        lab.mortal,
        lab.expressions,
        lab.clock,
        max_runs=max_runs,
        pools=pools,
    )
    triggers.bind([machine])
    loop = RecoveryLoop(lab.supervisor, lab.mortal, lab.clock, pools=pools, max_runs=max_runs)
    work = asyncio.ensure_future(loop.run())
    try:
        yield
    finally:
        work.cancel()
        await asyncio.wait([work])
        triggers.close()


async def place(lab: Any, *numbers: int) -> None:
    for number in numbers:
        await lab.bus.publish("order.placed", {"order": str(number), "amount": 11})


def orders(lab: Any) -> list[str]:
    return sorted(run.read()[0].input["order"] for run in lab.store.runs.values())


def test_a_start_that_there_is_no_room_for_is_queued_also_for_the_next_process(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    executing = 2

    async def case(lab: Any) -> None:
        nonlocal executing
        for counts in ("count", "taken"):
            monkeypatch.setattr(ActiveRuns, counts, lambda _: executing)
        async with limited(lab, 2):
            await place(lab, 1, 2, 3)
            await lab.until(lambda: started(lab, "1", "2", "3"))
            assert await statuses(lab) == {"queued"}
        await lab.start()
        async with limited(lab, 2):
            await asyncio.sleep(0.05)
            assert await statuses(lab) == {"queued"}
            executing = 1
            await lab.until(lambda: all_are(lab, "waiting"))

    play(case)


def test_a_process_of_other_pools_starts_nothing_itself(play: Any) -> None:
    async def case(lab: Any) -> None:
        async with limited(lab, 100, "reports"):
            await place(lab, 1)
            await lab.until(lambda: started(lab, "1"))
            assert await statuses(lab) == {"queued"}

    play(case)


async def statuses(lab: Any) -> set[str]:
    return {await lab.status(run_id) for run_id in list(lab.store.runs)}


async def all_are(lab: Any, status: str) -> bool:
    return await statuses(lab) == {status}


async def started(lab: Any, *expected: str) -> bool:
    return orders(lab) == list(expected)
