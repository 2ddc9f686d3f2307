"""What is published on the bus starts machines, and reaches those that it concerns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.host.runs.machines import seen

from qtforge_host.runs.triggers import EventTriggers

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
        await lab.bus.drain(5)
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
        await lab.bus.drain(5)

    play_bound(play, case)
    assert any("no-such-run" in each for each in caplog.messages)
    assert any("order.paid" in each for each in caplog.messages)
