"""The error of the caller when a handler fails or exceeds its deadline."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.conftest import Bench
from tests.host.bus.sample_plugins import Echo, Failing, Note, Shouting, Slow
from tests.host.bus.scenarios import scenario

from qtforge_sdk import OperationContext, Plugin, operation
from qtforge_sdk.errors import HandlerFailedError, OperationError, RequestTimeoutError


@scenario
async def test_a_failure_names_plugin_and_version_and_keeps_its_cause(it: Bench) -> None:
    await it.add(Failing(), "failing", "3.1.4")
    for topic in ("fail.plainly", "fail.in_thread"):
        with pytest.raises(HandlerFailedError, match="no ink") as caught:
            await it.bus.request(topic, Note("ink"))
        error = caught.value
        assert (error.topic, error.plugin, error.version) == (topic, "failing", "3.1.4")
        assert isinstance(error.__cause__, LookupError)


@scenario
async def test_a_plugins_own_error_keeps_its_code_fix_and_hints(it: Bench) -> None:
    await it.add(Failing(), "failing", "3.1.4")
    with pytest.raises(HandlerFailedError, match="the note is torn") as caught:
        await it.bus.request("fail.deliberately", Note("hi"))
    assert (caught.value.cause_code, caught.value.fix) == ("note.torn", "glue it")
    assert (caught.value.retryable, caught.value.retry_after_s) == (True, 2.5)
    assert isinstance(caught.value.__cause__, OperationError)


@scenario
async def test_a_handlers_own_timeout_is_a_failure_of_it(it: Bench) -> None:
    await it.add(Failing(), "failing", "3.1.4")
    with pytest.raises(HandlerFailedError, match="the far end is slow"):
        await it.bus.request("fail.with_its_own_timeout", Note("hi"), timeout=60)


@scenario
async def test_a_handler_that_wants_to_exit_only_fails(it: Bench) -> None:
    await it.add(Failing(), "failing", "3.1.4")
    with pytest.raises(HandlerFailedError) as caught:
        await it.bus.request("fail.by_exit", Note("hi"))
    assert isinstance(caught.value.__cause__, SystemExit)


@scenario
async def test_a_wrapper_that_fails_is_the_one_named(it: Bench) -> None:
    await it.add(Echo(), "echo", "1.2.0")
    await it.add(Shouting(), "shouting", "2.0.0")
    with pytest.raises(HandlerFailedError, match="too loud") as caught:
        await it.bus.request("note.contextual", Note("hi"))
    assert (caught.value.plugin, caught.value.version) == ("shouting", "2.0.0")


@scenario
async def test_a_late_handler_is_cancelled_and_named(it: Bench) -> None:
    slow = Slow()
    await it.add(slow, "slow", "1.0.0")
    with pytest.raises(RequestTimeoutError) as caught:
        await it.bus.request("slow.on_loop", Note("hi"), timeout=0.05)
    assert (caught.value.plugin, caught.value.version) == ("slow", "1.0.0")
    assert caught.value.timeout_s == 0.05
    assert slow.cancelled


def block() -> None:
    """Keep the event loop for longer than the request may take."""
    time.sleep(0.05)


class Blocking(Plugin):
    """Operations that block the loop, so that nothing can cut them off."""

    @operation("block.at_once")
    async def at_once(self, message: Note) -> Note:
        block()
        return message

    @operation("block.later")
    async def later(self, message: Note) -> Note:
        await asyncio.sleep(0)
        block()
        return message

    @operation("block.between")
    async def between(self, message: Note) -> Note:
        block()
        await asyncio.sleep(0)
        return message

    @operation("block.swallow")
    async def swallow(self, message: Note) -> Note:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return message
        return message


@pytest.mark.parametrize("method", ["at_once", "later", "between", "swallow"])
def test_an_answer_after_the_deadline_is_late_whatever_kept_it(method: str, bench: Any) -> None:
    @scenario
    async def play(it: Bench) -> None:
        await it.add(Blocking(), "blocking", "1.0.0")
        with pytest.raises(RequestTimeoutError):
            await it.bus.request(f"block.{method}", Note("hi"), timeout=0.01)
        (found,) = (each for each in it.bus.statistics() if each.topic == f"block.{method}")
        assert (found.requests, found.errors, found.timeouts) == (1, 1, 1)

    play(bench)


@scenario
async def test_a_late_thread_is_not_waited_for(it: Bench) -> None:
    slow = Slow()
    await it.add(slow, "slow", "1.0.0")
    with pytest.raises(RequestTimeoutError):
        await it.bus.request("slow.in_thread", Note("hi"), timeout=0.05)
    assert not slow.release.is_set()
    slow.release.set()


@scenario
async def test_a_callers_own_cancellation_stays_one(it: Bench) -> None:
    slow = Slow()
    await it.add(slow, "slow", "1.0.0")
    request = asyncio.ensure_future(it.bus.request("slow.on_loop", Note("hi"), timeout=60))
    await slow.begun.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert slow.cancelled


@scenario
async def test_statistics_count_requests_errors_and_timeouts(it: Bench) -> None:
    await it.add(Echo(), "echo", "1.2.0")
    await it.add(Failing(), "failing", "1.0.0")
    await it.add(Slow(), "slow", "1.0.0")
    await it.bus.request("note.echo", Note("a"))
    await it.bus.request("note.echo", Note("b"))
    with pytest.raises(HandlerFailedError):
        await it.bus.request("fail.plainly", Note("a"))
    with pytest.raises(RequestTimeoutError):
        await it.bus.request("slow.on_loop", Note("a"), timeout=0.05)
    found = {(each.topic, each.plugin): each for each in it.bus.statistics()}
    counts = {
        key: (each.requests, each.errors, each.timeouts, each.outstanding)
        for key, each in found.items()
        if each.requests
    }
    assert counts == {
        ("note.echo", "echo"): (2, 0, 0, 0),
        ("fail.plainly", "failing"): (1, 1, 0, 0),
        ("slow.on_loop", "slow"): (1, 1, 1, 0),
    }
    slow = found["slow.on_loop", "slow"]
    assert 0.04 < slow.mean_s < 300  # seconds, and no other unit
    assert slow.p50_s <= slow.p99_s
    assert list(found) == sorted(found)


class Revealing:
    """An operation and a wrapper that raise with a secret in their text."""

    @operation("leak.inner")
    async def inner(self, message: Any) -> None:
        raise ValueError("no access with s3cret")

    @operation("leak.outer")
    async def outer(self, message: Any) -> None:
        """Do nothing."""

    @operation("leak.outer", wrapper=True)
    async def wrap(self, message: Any, context: OperationContext, proceed: Any) -> None:
        raise ValueError("no access with s3cret")


@pytest.mark.parametrize("topic", ["leak.inner", "leak.outer"])
def test_the_error_of_an_operation_or_a_wrapper_has_its_secrets_masked(
    bench: Any, topic: str
) -> None:
    async def case() -> None:
        async with bench() as it:
            it.parts.secrets.reveal("${secret.TOKEN}")
            await it.add(Revealing(), "leaky", "1.0.0")
            with pytest.raises(HandlerFailedError) as caught:
                await it.bus.request(topic, {})
        assert "no access with ***" in str(caught.value)
        assert "s3cret" not in str(caught.value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTFORGE_SECRET_TOKEN", "s3cret")
        asyncio.run(case())
