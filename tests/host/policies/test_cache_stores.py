"""The behaviour of both cache stores."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtforge_host.policies.cache import CacheStore
from qtforge_host.policies.memory_cache import MemoryCache
from qtforge_host.policies.sqlite_cache import SqliteCache

NOW_S = 1_700_000_000.0
Scenario = Callable[[CacheStore], Awaitable[None]]


@pytest.fixture(params=["memory", "sqlite"])
def perform(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    """Run a scenario on a fresh store that holds 100 bytes."""

    def run(scenario: Scenario) -> None:
        async def go() -> None:
            store: CacheStore = (
                MemoryCache(100)
                if request.param == "memory"
                else SqliteCache(tmp_path / "state" / "cache.sqlite", 100)
            )
            try:
                await scenario(store)
            finally:
                await store.close()

        asyncio.run(go())

    return run


async def put(
    store: CacheStore,
    key: str,
    value: bytes = b"value",
    *,
    topic: str = "a.b",
    now_s: float = NOW_S,
    max_entries: int = 100,
) -> None:
    await store.put(key, value, topic=topic, now_s=now_s, ttl_s=60.0, max_entries=max_entries)


async def held(store: CacheStore, *keys: str) -> list[str]:
    return [key for key in keys if await store.get(key, NOW_S) is not None]


def test_a_value_is_found_until_it_expires(
    perform: Callable[[Scenario], None],
) -> None:
    async def scenario(store: CacheStore) -> None:
        assert await store.get("x", NOW_S) is None
        await put(store, "x", b"\x00\xff")
        assert await store.get("x", NOW_S + 59.9) == b"\x00\xff"
        assert await store.get("x", NOW_S + 60) is None

    perform(scenario)


def test_the_last_value_of_a_key_counts(perform: Callable[[Scenario], None]) -> None:
    async def scenario(store: CacheStore) -> None:
        await put(store, "x", b"old")
        await put(store, "x", b"new", topic="c.d")
        assert await store.get("x", NOW_S) == b"new"
        assert await store.clear("a.b") == 0
        assert await store.clear("c.d") == 1

    perform(scenario)


def test_a_topic_keeps_so_many_entries_and_others_are_left_alone(
    perform: Callable[[Scenario], None],
) -> None:
    async def scenario(store: CacheStore) -> None:
        await put(store, "other", topic="c.d")
        for number in range(5):
            await put(store, f"k{number}", max_entries=2)
        assert await held(store, "other", "k0", "k1", "k2", "k3", "k4") == ["other", "k3", "k4"]

    perform(scenario)


def test_all_values_together_stay_within_the_bound(perform: Callable[[Scenario], None]) -> None:
    async def scenario(store: CacheStore) -> None:
        await put(store, "a", bytes(40))
        await put(store, "b", bytes(40), topic="c.d")
        await put(store, "c", bytes(40))
        assert await held(store, "a", "b", "c") == ["b", "c"]
        await put(store, "d", bytes(100))
        assert await held(store, "b", "c", "d") == ["d"]

    perform(scenario)


def test_a_value_above_the_bound_is_not_stored_and_drops_the_previous_one(
    perform: Callable[[Scenario], None],
) -> None:
    async def scenario(store: CacheStore) -> None:
        await put(store, "small")
        await put(store, "x")
        await put(store, "x", bytes(101))
        assert await held(store, "small", "x") == ["small"]

    perform(scenario)


def test_clearing_drops_a_topic_or_all(perform: Callable[[Scenario], None]) -> None:
    async def scenario(store: CacheStore) -> None:
        for key, topic in (("a", "a.b"), ("b", "a.b"), ("c", "c.d")):
            await put(store, key, topic=topic)
        assert await store.clear("a.b") == 2
        assert await held(store, "a", "b", "c") == ["c"]
        assert await store.clear() == 1
        assert await held(store, "c") == []

    perform(scenario)


def test_many_concurrent_callers_get_what_they_put(perform: Callable[[Scenario], None]) -> None:
    async def scenario(store: CacheStore) -> None:
        keys = [f"k{number}" for number in range(50)]
        await asyncio.gather(*(put(store, key, key.encode()[:2]) for key in keys))
        assert len(await held(store, *keys)) == 50

    perform(scenario)


def test_memory_drops_the_least_recently_used_entry() -> None:
    async def scenario() -> None:
        store = MemoryCache(100)
        for key in "abc":
            await put(store, key, bytes(30))
        await store.get("a", NOW_S)
        await put(store, "d", bytes(30))
        assert await held(store, *"abcd") == ["a", "c", "d"]
        await store.get("a", NOW_S)
        await put(store, "e", max_entries=2)
        assert await held(store, *"acde") == ["a", "e"]

    asyncio.run(scenario())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"),
            st.sampled_from(["a.b", "c.d"]),
            st.integers(0, 60),
            st.integers(1, 4),
        ),
        max_size=40,
    )
)
def test_memory_never_holds_more_than_it_may(
    puts: list[tuple[str, str, int, int]],
) -> None:
    async def scenario() -> None:
        store = MemoryCache(100)
        topics: dict[str, str] = {}
        for key, topic, size, max_entries in puts:
            await put(store, key, bytes(size), topic=topic, max_entries=max_entries)
            topics[key] = topic
            sizes = {each: await store.get(each, NOW_S) for each in topics}
            kept = {each: len(value) for each, value in sizes.items() if value is not None}
            assert sum(kept.values()) <= 100
            assert kept[key] == size
            assert sum(topics[each] == topic for each in kept) <= max_entries
        assert (
            await store.clear() == sum(value is not None for value in sizes.values())
            if puts
            else True
        )

    asyncio.run(scenario())
