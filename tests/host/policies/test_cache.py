from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from qtforge_host.policies.cache import CachedAnswer, ResultCache
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


def test_who_asks_at_the_same_time_shares_the_answer() -> None:
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
    assert "'a.b' can't be kept" in caplog.text


@pytest.mark.parametrize("kept", [b"", b"\xc1", b"\xdf\xff"])
def test_what_does_not_decode_is_asked_anew(kept: bytes) -> None:
    async def scenario(case: Case) -> None:
        now_s = case.clock.now().timestamp()
        await case.store.put("key", kept, topic="a.b", now_s=now_s, ttl_s=60, max_entries=9)
        async with case.clock.auto():
            assert (await case.answer()).source == "handler"
            assert (await case.answer()).source == "cache"

    asyncio.run(scenario(Case()))


def test_the_policy_says_how_many_answers_are_kept_and_clearing_drops_them() -> None:
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
