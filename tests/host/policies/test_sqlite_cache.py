from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from qtforge_host.policies.sqlite_cache import SqliteCache

NOW_S = 1_700_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "cache.sqlite"


async def put(store: SqliteCache, key: str, value: bytes = b"value") -> None:
    await store.put(key, value, topic="a.b", now_s=NOW_S, ttl_s=60.0, max_entries=1000)


def put_once(path: Path, key: str = "x") -> None:
    async def go() -> None:
        store = SqliteCache(path)
        await put(store, key)
        await store.close()

    asyncio.run(go())


def get_once(path: Path, key: str = "x", now_s: float = NOW_S) -> bytes | None:
    async def go() -> bytes | None:
        store = SqliteCache(path)
        try:
            return await store.get(key, now_s)
        finally:
            await store.close()

    return asyncio.run(go())


def test_an_answer_outlives_the_process(path: Path) -> None:
    put_once(path)
    assert get_once(path) == b"value"


def test_an_answer_from_the_future_is_not_used(path: Path) -> None:
    put_once(path)
    assert get_once(path, now_s=NOW_S - 1) is None


def test_entries_whose_time_is_over_leave_the_file(path: Path) -> None:
    async def go() -> None:
        store = SqliteCache(path)
        await put(store, "old")
        await store.put("new", b"v", topic="c.d", now_s=NOW_S + 60, ttl_s=1, max_entries=1)
        await store.close()

    asyncio.run(go())
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT key FROM entries").fetchall() == [("new",)]
        assert connection.execute("SELECT * FROM totals").fetchall() == [("c.d", 1, 1)]
    connection.close()


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def scrambled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)


def newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def without_its_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE entries")
    connection.close()


@pytest.mark.parametrize("damage", [torn, garbage, scrambled, newer, without_its_table])
def test_a_damaged_file_is_set_aside_with_a_warning_and_begun_anew(
    path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    put_once(path)
    assert callable(damage)
    damage(path)
    spoilt = path.read_bytes()
    with caplog.at_level(logging.WARNING):
        assert get_once(path) is None
        assert "is damaged" in caplog.text
        assert path.with_name("cache.sqlite.damaged").read_bytes() == spoilt
        caplog.clear()
        put_once(path)
        assert get_once(path) == b"value"
    assert caplog.text == ""


def test_a_file_that_is_damaged_while_it_is_open_is_begun_anew_too(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def go() -> None:
        store = SqliteCache(path)
        await put(store, "x")
        without_its_table(path)
        assert await store.get("x", NOW_S) is None
        await put(store, "y")
        assert await store.get("y", NOW_S) == b"value"
        await store.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(go())
    assert caplog.text.count("is damaged") == 1


def test_a_value_whose_sum_is_wrong_is_dropped(path: Path) -> None:
    put_once(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET value = x'00'")
    connection.close()
    assert get_once(path) is None
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (0,)
    connection.close()


def test_a_place_that_can_not_be_written_is_logged_once_and_fails_no_caller(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")

    async def go() -> None:
        store = SqliteCache(tmp_path / "state" / "cache.sqlite")
        for _ in range(3):
            await put(store, "x")
            assert await store.get("x", NOW_S) is None
        assert await store.clear() == 0
        await store.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(go())
    assert len(caplog.records) == 1


def test_two_hosts_may_use_one_file(path: Path) -> None:
    async def go() -> None:
        one, other = SqliteCache(path), SqliteCache(path)
        await asyncio.gather(
            *(put(store, f"{name}{number}") for number in range(20)
              for name, store in (("one", one), ("other", other)))
        )  # fmt: skip
        for number in range(20):
            assert await one.get(f"other{number}", NOW_S) == b"value"
            assert await other.get(f"one{number}", NOW_S) == b"value"
        await one.close()
        await other.close()

    asyncio.run(go())


def test_hosts_that_open_a_new_file_at_the_same_moment_agree_on_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def go() -> None:
        stores = [SqliteCache(path) for _ in range(8)]
        await asyncio.gather(*(put(store, f"k{n}") for n, store in enumerate(stores)))
        for number in range(8):
            assert await stores[0].get(f"k{number}", NOW_S) == b"value"
        await asyncio.gather(*(store.close() for store in stores))

    with caplog.at_level(logging.WARNING):
        asyncio.run(go())
    assert caplog.text == ""
    assert not path.with_name("cache.sqlite.damaged").exists()


def test_a_cancelled_caller_leaves_the_store_sound(path: Path) -> None:
    async def go() -> None:
        store = SqliteCache(path)
        for number in range(20):
            task = asyncio.create_task(put(store, f"k{number}"))
            await asyncio.sleep(0)
            task.cancel()
        await put(store, "last")
        assert await store.get("last", NOW_S) == b"value"
        await store.close()

    asyncio.run(go())


def test_a_closed_store_leaves_no_thread_and_answers_nothing(path: Path) -> None:
    async def go() -> None:
        store = SqliteCache(path)
        await put(store, "x")
        await store.close()
        await store.close()
        assert await store.get("x", NOW_S) is None

    before = set(threading.enumerate())
    asyncio.run(go())
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert set(threading.enumerate()) <= before
