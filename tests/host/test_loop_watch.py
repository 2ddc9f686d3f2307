"""A blocked event loop: who is named, what that says about health, and what it excuses."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from qtforge_host.bus.handler import Handler
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.loop_watch import LoopWatch
from qtforge_host.plugin_code import Author
from qtforge_sdk.operations import OperationSpec, handler_signature
from qtforge_sdk.transport import Envelope

LIMIT_S = 0.05


def nobody(package: str) -> Author | None:
    return None


async def block(message: Any) -> str:
    deadline = time.monotonic() + 60.0
    while not message.is_set() and time.monotonic() < deadline:
        time.sleep(0.005)  # noqa: ASYNC251 - it is to block the loop
    return "done"


def handler_of(method: Any, plugin: str) -> Handler:
    spec = OperationSpec(topic="a.b", accepts=None, execution="auto", wrapper=False)
    signature = handler_signature(method, plugin)
    return Handler(plugin, "1.0.0", method, spec, signature, None, 1, WorkerThreads(1), None)


async def blocked_once(watch: LoopWatch, plugin: str = "acme") -> None:
    """Block the loop until the watch has noticed."""
    noticed = threading.Event()
    before = len(watch._blocks)

    def look() -> None:
        while len(watch._blocks) == before:
            time.sleep(0.005)
        noticed.set()

    looking = threading.Thread(target=look)
    looking.start()
    envelope = Envelope("a.b", noticed, 60.0, time.monotonic() + 60.0, None)
    assert await handler_of(block, plugin).call(envelope, noticed) == "done"
    looking.join()
    while watch._blocks[-1].ended is None:  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0.005)


def watched(scenario: Any) -> LoopWatch:
    watch = LoopWatch(LIMIT_S, nobody)

    async def main() -> None:
        watch.start()
        try:
            await scenario(watch)
        finally:
            watch.close()

    asyncio.run(main())
    return watch


def test_the_operation_that_blocks_the_loop_is_named_with_its_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "qtforge.host"):
        watch = watched(blocked_once)
    assert f"by acme 1.0.0 in 'a.b' at {__file__}:" in caplog.text
    count, seconds = watch.totals()["acme"]
    assert count == 1
    assert seconds >= LIMIT_S


def test_the_third_block_in_a_row_makes_a_plugin_unhealthy() -> None:
    found = []

    async def scenario(watch: LoopWatch) -> None:
        for _ in range(3):
            await blocked_once(watch)
            health = watch.health("acme")
            assert health is not None
            found.append(health.status)
        assert watch.health("other") is None

    watched(scenario)
    assert found == ["degraded", "degraded", "unhealthy"]


def test_a_delay_is_explained_and_only_another_plugin_is_an_excuse() -> None:
    async def scenario(watch: LoopWatch) -> None:
        began = time.monotonic()
        await blocked_once(watch)
        other, own = Author("other", "1.0.0"), Author("acme", "1.0.0")
        reason, blocked_s = watch.reason_for_delay(began, other)
        assert "blocked for" in reason
        assert "by acme 1.0.0 in 'a.b'" in reason
        assert LIMIT_S <= blocked_s <= time.monotonic() - began
        assert watch.reason_for_delay(began, own) == (reason, 0.0)
        assert watch.reason_for_delay(time.monotonic(), other) == ("", 0.0)

    watched(scenario)


def test_a_loop_that_waits_is_not_blocked_and_the_thread_ends() -> None:
    async def scenario(watch: LoopWatch) -> None:
        await asyncio.sleep(LIMIT_S * 4)

    assert dict(watched(scenario).totals()).get("acme") is None
    assert "qtforge-loop-watch" not in {each.name for each in threading.enumerate()}
