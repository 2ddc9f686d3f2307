"""A publication reaches every matching subscriber; a failing one affects no other."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests.conftest import Bench
from tests.host.bus.sample_plugins import Happening, Hearing
from tests.host.bus.scenarios import eventually, scenario

from qtforge_sdk import Published
from qtforge_sdk.errors import ExpressionError, InvalidTopicError


@scenario
async def test_a_publication_without_subscribers_is_no_error(it: Bench) -> None:
    assert await it.bus.publish("happening.now", Happening(1)) == Published(0, 0)


@scenario
async def test_a_plugins_subscribers_hear_by_pattern_and_filter(it: Bench) -> None:
    hearing = Hearing()
    await it.add(hearing, "hearing", "1.0.0")
    published = await it.bus.publish("happening.now", {"number": 5})
    assert published == Published(3, 0)
    await it.bus.publish("happening.far.away", Happening(11))
    await eventually(lambda: len(hearing.deep) == 2 and hearing.large)
    assert (hearing.numbers, hearing.deep, hearing.large) == ([5], [5, 11], [11])
    assert threading.get_ident() not in hearing.threads


@scenario
async def test_messages_arrive_in_order(it: Bench) -> None:
    hearing = Hearing()
    await it.add(hearing, "hearing", "1.0.0")
    for number in range(50):
        await it.bus.publish("happening.now", Happening(number))
    await eventually(lambda: len(hearing.numbers) == len(hearing.deep) == 50)
    assert hearing.numbers == hearing.deep == list(range(50))


@scenario
async def test_a_failing_subscriber_is_counted_and_affects_no_other(it: Bench) -> None:
    hearing = Hearing()
    await it.add(hearing, "hearing", "1.0.0")
    await it.bus.publish("happening.now", Happening(1))
    await it.bus.publish("happening.now", Happening(2))
    await eventually(lambda: sum(each.errors for each in it.bus.statistics()) == 2)
    await eventually(lambda: hearing.numbers == hearing.deep == [1, 2])


@scenario
async def test_a_slow_subscriber_holds_up_nobody(it: Bench) -> None:
    release, heard = asyncio.Event(), list[int]()

    async def wait(happening: Happening) -> None:
        await release.wait()

    it.bus.subscribe("happening.now", wait)
    it.bus.subscribe("happening.now", lambda happening: heard.append(happening.number))
    await it.bus.publish("happening.now", Happening(1))
    await eventually(lambda: heard == [1])
    release.set()


@scenario
async def test_a_full_mailbox_drops_and_counts(it: Bench) -> None:
    release, heard = asyncio.Event(), list[int]()

    async def wait(happening: Happening) -> None:
        heard.append(happening.number)
        await release.wait()

    it.bus.subscribe("happening.now", wait, capacity=1)
    await it.bus.publish("happening.now", Happening(1))
    await eventually(lambda: heard == [1])
    assert await it.bus.publish("happening.now", Happening(2)) == Published(1, 0)
    assert await it.bus.publish("happening.now", Happening(3)) == Published(0, 1)
    release.set()
    await eventually(lambda: heard == [1, 2])
    assert [each.dropped for each in it.bus.statistics()] == [1]


@scenario
async def test_nothing_is_delivered_after_a_subscription_is_closed(it: Bench) -> None:
    heard = list[int]()

    async def hear(happening: Happening) -> None:
        heard.append(happening.number)

    with it.bus.subscribe("happening.now", hear) as subscription:
        assert subscription.pattern == "happening.now"
        await it.bus.publish("happening.now", Happening(1))
        await eventually(lambda: heard == [1])
        await it.bus.publish("happening.now", Happening(2))
        subscription.close()
    assert await it.bus.publish("happening.now", Happening(3)) == Published(0, 0)
    await asyncio.sleep(0.02)
    assert heard == [1]


@scenario
async def test_a_subscription_may_filter_by_message_and_topic(it: Bench) -> None:
    heard = list[int]()

    async def hear(happening: Happening) -> None:
        heard.append(happening.number)

    where = "message.number > 1 && topic.endsWith('now')"
    it.bus.subscribe("happening.*", hear, where=where)
    for topic, number in (("now", 1), ("then", 2), ("now", 3)):
        await it.bus.publish(f"happening.{topic}", Happening(number))
    await eventually(lambda: heard == [3])


@scenario
async def test_what_is_not_well_formed_is_refused(it: Bench) -> None:
    async def hear(happening: Happening) -> None: ...

    with pytest.raises(InvalidTopicError):
        await it.bus.publish("happening..now", Happening(1))
    with pytest.raises(InvalidTopicError):
        it.bus.subscribe("happening.>.now", hear)
    with pytest.raises(ExpressionError):
        it.bus.subscribe("happening.>", hear, where="message.number >")
