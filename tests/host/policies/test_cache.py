from __future__ import annotations

import asyncio
import dataclasses
import datetime
import logging
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_host.policies.cache import CachedAnswer, ResultCache, SingleFlight, cache_key
from qtforge_host.policies.memory_cache import MemoryCache
from qtforge_sdk.policies import Cache
from qtforge_sdk.testing import VirtualClock

POLICY = Cache(ttl="1h", max_entries=2)


class Answer(msgspec.Struct):
    number: int


class Case:
    """A cache, and a handler that takes a second and numbers its answers."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = MemoryCache()
        self.cache = ResultCache(self.store, self.clock)
        self.asked = 0
        self.wrap: Callable[[int], Any] = Answer

    async def handler(self) -> Any:
        self.asked += 1
        number = self.asked
        await self.clock.sleep(1)
        return self.wrap(number)

    async def answer(self, key: str = "key") -> CachedAnswer:
        return await self.cache.answer(POLICY, "a.b", key, self.handler)


def answered(value: Any, source: str) -> CachedAnswer:
    return CachedAnswer(value=value, source=source)


def test_a_question_is_asked_once_until_its_time_is_over() -> None:
    async def scenario(case: Case) -> None:
        async with case.clock.auto():
            assert await case.answer() == answered(Answer(1), "handler")
            assert await case.answer() == answered({"number": 1}, "cache")
            await case.clock.sleep(3600)
            assert await case.answer() == answered(Answer(2), "handler")

    asyncio.run(scenario(Case()))


def test_concurrent_requests_share_the_result() -> None:
    async def scenario(case: Case) -> None:
        async with case.clock.auto():
            answers = await asyncio.gather(*(case.answer() for _ in range(3)))
            again = await asyncio.gather(*(case.answer() for _ in range(2)))
        assert [each.source for each in answers] == ["handler", "shared", "shared"]
        assert [each.source for each in again] == ["cache", "cache"]
        assert case.asked == 1

    asyncio.run(scenario(Case()))


def test_when_the_first_is_cancelled_the_next_asks() -> None:
    async def scenario(case: Case) -> None:
        first, second = (asyncio.create_task(case.answer()) for _ in range(2))
        await case.clock.advance(0.5)
        first.cancel()
        await case.clock.advance(1)
        assert await second == answered(Answer(2), "handler")

    asyncio.run(scenario(Case()))


def test_an_error_is_not_kept() -> None:
    async def scenario(case: Case) -> None:
        async def fail() -> Any:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await case.cache.answer(POLICY, "a.b", "key", fail)
        async with case.clock.auto():
            assert await case.answer() == answered(Answer(1), "handler")

    asyncio.run(scenario(Case()))


def test_an_answer_without_a_plain_form_is_given_but_not_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(case: Case) -> None:
        case.wrap = lambda number: {"opaque": object(), "number": number}
        async with case.clock.auto():
            assert (await case.answer()).value["number"] == 1
            assert (await case.answer()).value["number"] == 2

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario(Case()))
    assert "'a.b' can't be stored" in caplog.text


@pytest.mark.parametrize("kept", [b"", b"\xc1", b"\xdf\xff"])
def test_an_entry_that_does_not_decode_is_replaced(kept: bytes) -> None:
    async def scenario(case: Case) -> None:
        now_s = case.clock.now().timestamp()
        await case.store.put("key", kept, topic="a.b", now_s=now_s, ttl_s=60, max_entries=9)
        async with case.clock.auto():
            assert (await case.answer()).source == "handler"
            assert (await case.answer()).source == "cache"

    asyncio.run(scenario(Case()))


def test_the_policy_limits_the_entries_and_clearing_drops_them() -> None:
    async def scenario(case: Case) -> None:
        async with case.clock.auto():
            for key in ("a", "b", "c"):
                await case.answer(key)
        assert await case.cache.clear("a.b") == POLICY.max_entries
        await case.cache.close()

    asyncio.run(scenario(Case()))


@pytest.mark.parametrize("value", [None, 0, "", [], {"deep": [1, b"x"]}])
def test_an_answer_that_is_nothing_is_an_answer(value: Any) -> None:
    async def scenario(case: Case) -> None:
        case.wrap = lambda _: value
        async with case.clock.auto():
            await case.answer()
            assert await case.answer() == answered(value, "cache")

    asyncio.run(scenario(Case()))


scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text() | st.binary()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)


class Question(msgspec.Struct):
    name: str
    size: int = 1


@dataclasses.dataclass
class SameQuestion:
    size: int
    name: str


def key(message: Any) -> str:
    return cache_key("a.b", "plug", "1.0", message)


def shuffled(value: Any, source: random.Random) -> Any:
    """Return an equal value whose mappings were filled in another order."""
    if isinstance(value, dict):
        entries = [(name, shuffled(inner, source)) for name, inner in value.items()]
        source.shuffle(entries)
        return dict(entries)
    return [shuffled(inner, source) for inner in value] if isinstance(value, list) else value


@given(values, st.integers())
def test_the_order_of_a_mapping_does_not_matter(message: Any, seed: int) -> None:
    assert key(message) == key(shuffled(message, random.Random(seed)))


def exact(value: Any) -> Any:
    """Return a text that distinguishes 1 from True and so on, as ``==`` does not."""
    if isinstance(value, dict):
        return {name: exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    return type(value).__name__, value


@given(values, values)
def test_other_content_is_another_question(one: Any, other: Any) -> None:
    assert (key(one) == key(other)) is (exact(one) == exact(other))


def test_a_struct_a_dataclass_and_a_mapping_of_the_same_fields_are_one_question() -> None:
    assert key(Question("x")) == key({"size": 1, "name": "x"}) == key(SameQuestion(1, "x"))


def test_topic_plugin_and_version_are_part_of_the_question() -> None:
    keys = {
        cache_key("a.b", "plug", "1.0", 1),
        cache_key("a.c", "plug", "1.0", 1),
        cache_key("a.b", "plu", "g1.0", 1),
        cache_key("a.b", "plug", "1.1", 1),
    }
    assert len(keys) == 4


def test_dates_and_sets_have_a_key() -> None:
    noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    assert key({"at": noon}) != key({"at": noon + datetime.timedelta(seconds=1)})
    assert key({"tags": {"x", "y", "z"}}) == key({"tags": {"z", "y", "x"}})


def test_another_process_computes_the_same_key() -> None:
    code = (
        "from qtforge_host.policies.cache import cache_key;"
        "print(cache_key('a.b', 'plug', '1.0', {'t': {'x', 'y', 'z'}, 'a': 1}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == key({"a": 1, "t": {"z", "x", "y"}})


def test_a_message_without_a_plain_form_is_refused() -> None:
    with pytest.raises(TypeError):
        key(object())


class Work:
    """Takes ten seconds, and counts."""

    def __init__(self, clock: VirtualClock, error: Exception | None = None) -> None:
        self.begun = 0
        self._clock = clock
        self._error = error

    async def __call__(self) -> str:
        self.begun += 1
        number = self.begun
        await self._clock.sleep(10)
        if self._error is not None:
            raise self._error
        return f"answer {number}"


def test_those_that_ask_at_once_share_one_answer() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        work, flights = Work(clock), SingleFlight[str]()
        async with clock.auto():
            answers = await asyncio.gather(*(flights.run("key", work) for _ in range(5)))
        assert answers == [("answer 1", True), *[("answer 1", False)] * 4]
        async with clock.auto():
            assert await flights.run("key", work) == ("answer 2", True)

    asyncio.run(scenario())


def test_other_keys_do_not_wait_for_each_other() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        flights = SingleFlight[str]()
        async with clock.auto():
            work = Work(clock)
            await asyncio.gather(*(flights.run(name, work) for name in "abc"))
        assert (work.begun, clock.monotonic()) == (3, 10.0)

    asyncio.run(scenario())


def test_those_that_ask_at_once_share_one_error() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        work, flights = Work(clock, ZeroDivisionError("no")), SingleFlight[str]()
        async with clock.auto():
            answers = await asyncio.gather(
                *(flights.run("key", work) for _ in range(3)), return_exceptions=True
            )
        assert [type(each) for each in answers] == [ZeroDivisionError] * 3
        assert work.begun == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("cancelled", [1, 2, 3])
def test_a_cancelled_leader_hands_over_to_the_next_in_the_queue(cancelled: int) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        work, flights = Work(clock), SingleFlight[str]()
        tasks = [asyncio.create_task(flights.run("key", work)) for _ in range(5)]
        for task in tasks[:cancelled]:
            await clock.advance(5)
            task.cancel()
        await clock.advance(10)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        answer = f"answer {cancelled + 1}"
        assert [type(each) for each in ended[:cancelled]] == [asyncio.CancelledError] * cancelled
        assert ended[cancelled:] == [(answer, True), *[(answer, False)] * (4 - cancelled)]
        assert work.begun == cancelled + 1

    asyncio.run(scenario())


def test_a_cancelled_follower_leaves_the_leader_alone() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        work, flights = Work(clock), SingleFlight[str]()
        leader, follower = (asyncio.create_task(flights.run("key", work)) for _ in range(2))
        await clock.advance(5)
        follower.cancel()
        await clock.advance(5)
        assert await leader == ("answer 1", True)
        assert follower.cancelled()

    asyncio.run(scenario())
