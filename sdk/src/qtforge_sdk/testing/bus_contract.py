"""The tests that every `qtforge_sdk.Bus` passes.

Inherit from `BusContract` in a test module and give it a bus of yours::

    class TestMyBus(BusContract):
        @pytest.fixture
        def make_bus(self):
            return my_bus  # an async context manager of a BusUnderTest

Each test gets a fresh bus on a loop of its own.
"""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from qtforge_sdk.errors import (
    HandlerFailedError,
    InvalidMessageError,
    NoHandlerError,
    OperationError,
    RequestTimeoutError,
)
from qtforge_sdk.testing._contract_plugins import (
    Echo,
    Failing,
    First,
    Happening,
    Last,
    Letter,
    Note,
    OddNumbers,
    Reply,
    Shouting,
    Slow,
    Stamping,
    TaggedRed,
)
from qtforge_sdk.testing._contract_publishing import PublishContract
from qtforge_sdk.testing._contract_scenarios import BusUnderTest, MakeBus, scenario

__all__ = [
    "BusContract",
    "BusUnderTest",
    "ChoiceContract",
    "FailureContract",
    "MakeBus",
    "PublishContract",
    "RequestContract",
]


class RequestContract:
    """A request gets the handler's answer, and types are checked both ways."""

    @scenario
    async def test_an_async_operation_answers(self, it: BusUnderTest) -> None:
        await it.add(Echo(), "echo", "1.2.0")
        assert await it.bus.request("note.echo", Note("hi")) == Reply("hi", "echo")

    @scenario
    async def test_a_plain_operation_answers_from_a_thread(self, it: BusUnderTest) -> None:
        echo = Echo()
        await it.add(echo, "echo", "1.2.0")
        assert await it.bus.request("note.echo_in_thread", Note("hi")) == Reply("hi", "echo")
        assert echo.threads != [threading.get_ident()]

    @scenario
    async def test_a_message_that_fits_goes_through_untouched(self, it: BusUnderTest) -> None:
        echo, note = Echo(), Note("hi")
        await it.add(echo, "echo", "1.2.0")
        await it.bus.request("note.echo", note)
        assert echo.given[0] is note

    @scenario
    async def test_mappings_and_dataclasses_are_converted(self, it: BusUnderTest) -> None:
        echo = Echo()
        await it.add(echo, "echo", "1.2.0")
        await it.bus.request("note.echo", {"text": "a", "number": 1})
        await it.bus.request("note.echo", Letter("b", 2))
        assert echo.given == [Note("a", 1), Note("b", 2)]

    @scenario
    async def test_a_message_that_does_not_fit_names_the_field(self, it: BusUnderTest) -> None:
        echo = Echo()
        await it.add(echo, "echo", "1.2.0")
        with pytest.raises(InvalidMessageError, match=r"\$\.number") as caught:
            await it.bus.request("note.echo", {"text": "a", "number": "one"})
        assert (caught.value.topic, caught.value.role) == ("note.echo", "message")
        assert echo.given == []

    @scenario
    async def test_the_answer_is_converted_to_what_the_caller_asks_for(
        self, it: BusUnderTest
    ) -> None:
        await it.add(Echo(), "echo", "1.2.0")
        answer = await it.bus.request("note.echo", Note("hi"), response_type=dict[str, str])
        assert answer == {"text": "hi", "by": "echo"}

    @scenario
    async def test_an_answer_that_does_not_fit_is_an_error(self, it: BusUnderTest) -> None:
        await it.add(Echo(), "echo", "1.2.0")
        with pytest.raises(InvalidMessageError) as caught:
            await it.bus.request("note.echo", Note("hi"), response_type=Happening)
        assert caught.value.role == "response"

    @scenario
    async def test_the_context_tells_topic_plugin_and_deadline(self, it: BusUnderTest) -> None:
        echo = Echo()
        await it.add(echo, "echo", "1.2.0")
        for topic in ("note.contextual", "note.echo_in_thread"):
            await it.bus.request(topic, Note("hi"), timeout=5)
            context = echo.contexts.pop()
            assert (context.topic, context.plugin, context.run_id) == (topic, "echo", None)
            remaining_s = context.remaining_s()
            assert remaining_s is not None
            assert 3 < remaining_s <= 5

    @scenario
    async def test_many_requests_are_answered_at_once(self, it: BusUnderTest) -> None:
        await it.add(Echo(), "echo", "1.2.0")
        replies = await asyncio.gather(
            *(it.bus.request("note.echo_in_thread", Note(str(number))) for number in range(20))
        )
        assert [reply.text for reply in replies] == [str(number) for number in range(20)]


class ChoiceContract:
    """Which handler is asked, and who stands around it."""

    @scenario
    async def test_a_topic_that_nobody_answers_is_an_error(self, it: BusUnderTest) -> None:
        with pytest.raises(NoHandlerError) as caught:
            await it.bus.request("note.echo", Note("hi"))
        assert caught.value.topic == "note.echo"

    @scenario
    async def test_tryfirst_goes_before_and_trylast_after_the_others(
        self, it: BusUnderTest
    ) -> None:
        await it.add(First(), "first", "1.0.0")
        await it.add(Last(), "last", "1.0.0")
        await it.add(Echo(), "echo", "1.0.0")
        asked = [info.plugin for info in it.bus.topics()["note.echo"]]
        assert asked == ["first", "echo", "last"]
        assert (await it.bus.request("note.echo", Note("hi"))).by == "first"

    @scenario
    async def test_a_named_plugin_is_asked_and_no_other(self, it: BusUnderTest) -> None:
        await it.add(Last(), "last", "1.0.0")
        await it.add(Echo(), "echo", "1.0.0")
        assert (await it.bus.request("note.echo", Note("hi"), plugin="last")).by == "last"
        with pytest.raises(NoHandlerError, match="absent"):
            await it.bus.request("note.echo", Note("hi"), plugin="absent")

    @scenario
    async def test_a_handler_is_asked_only_for_what_it_accepts(self, it: BusUnderTest) -> None:
        await it.add(Last(), "last", "1.0.0")
        await it.add(OddNumbers(), "odd", "1.0.0")
        assert (await it.bus.request("note.echo", Note("hi", 1))).by == "odd"
        assert (await it.bus.request("note.echo", Note("hi", 2))).by == "last"

    @scenario
    async def test_nobody_accepting_is_an_error_that_tells_the_conditions(
        self, it: BusUnderTest
    ) -> None:
        await it.add(OddNumbers(), "odd", "1.0.0")
        with pytest.raises(NoHandlerError, match=r"message\.number % 2 == 1"):
            await it.bus.request("note.echo", Note("hi", 2))

    @scenario
    async def test_a_condition_may_search_a_list_and_a_missing_field_is_no_match(
        self, it: BusUnderTest
    ) -> None:
        await it.add(TaggedRed(), "red", "1.0.0")
        assert await it.bus.request("thing.name", {"name": "hat", "tags": ["red"]}) == "red hat"
        for thing in ({"name": "hat", "tags": ["blue"]}, {"name": "hat"}):
            with pytest.raises(NoHandlerError):
                await it.bus.request("thing.name", thing)

    @scenario
    async def test_wrappers_stand_around_the_handler_the_last_added_outermost(
        self, it: BusUnderTest
    ) -> None:
        await it.add(Stamping("A"), "stamp-a", "1.0.0")
        await it.add(Echo(), "echo", "1.0.0")
        await it.add(Stamping("B"), "stamp-b", "1.0.0")
        assert (await it.bus.request("note.echo", Note("-"))).text == "AB-AB"
        infos = it.bus.topics()["note.echo"]
        assert [info.plugin for info in infos] == ["stamp-b", "stamp-a", "echo"]
        assert [info.wrapper for info in infos] == [True, True, False]

    @scenario
    async def test_a_wrapper_may_answer_for_a_handler_that_failed(self, it: BusUnderTest) -> None:
        await it.add(Failing(), "failing", "1.0.0")
        await it.add(Shouting(), "shouting", "1.0.0")
        reply = await it.bus.request("fail.plainly", Note("hi"))
        assert reply == Reply("HandlerFailedError", "mended")

    @scenario
    async def test_topics_tell_how_each_handler_runs(self, it: BusUnderTest) -> None:
        await it.add(Echo(), "echo", "1.2.0")
        await it.add(OddNumbers(), "odd", "2.0.0")
        infos = it.bus.topics()
        assert [info.execution for info in infos["note.echo_in_thread"]] == ["thread"]
        odd = infos["note.echo"][0]
        assert (odd.plugin, odd.version, odd.execution) == ("odd", "2.0.0", "async")
        assert odd.accepts == "message.number % 2 == 1"
        assert odd.message_type.endswith("Note")
        assert odd.response_type.endswith("Reply")


class FailureContract:
    """What a caller gets when a handler fails or is too late."""

    @scenario
    async def test_a_failure_names_plugin_and_version_and_keeps_its_cause(
        self, it: BusUnderTest
    ) -> None:
        await it.add(Failing(), "failing", "3.1.4")
        for topic in ("fail.plainly", "fail.in_thread"):
            with pytest.raises(HandlerFailedError, match="no ink") as caught:
                await it.bus.request(topic, Note("ink"))
            error = caught.value
            assert (error.topic, error.plugin, error.version) == (topic, "failing", "3.1.4")
            assert isinstance(error.__cause__, LookupError)

    @scenario
    async def test_a_plugins_own_error_keeps_its_code_fix_and_hints(self, it: BusUnderTest) -> None:
        await it.add(Failing(), "failing", "3.1.4")
        with pytest.raises(HandlerFailedError, match="the note is torn") as caught:
            await it.bus.request("fail.deliberately", Note("hi"))
        assert (caught.value.cause_code, caught.value.fix) == ("note.torn", "glue it")
        assert (caught.value.retryable, caught.value.retry_after_s) == (True, 2.5)
        assert isinstance(caught.value.__cause__, OperationError)

    @scenario
    async def test_a_handlers_own_timeout_is_a_failure_of_it(self, it: BusUnderTest) -> None:
        await it.add(Failing(), "failing", "3.1.4")
        with pytest.raises(HandlerFailedError, match="the far end is slow"):
            await it.bus.request("fail.with_its_own_timeout", Note("hi"), timeout=5)

    @scenario
    async def test_a_handler_that_wants_to_exit_only_fails(self, it: BusUnderTest) -> None:
        await it.add(Failing(), "failing", "3.1.4")
        with pytest.raises(HandlerFailedError) as caught:
            await it.bus.request("fail.by_exit", Note("hi"))
        assert isinstance(caught.value.__cause__, SystemExit)

    @scenario
    async def test_a_wrapper_that_fails_is_the_one_named(self, it: BusUnderTest) -> None:
        await it.add(Echo(), "echo", "1.2.0")
        await it.add(Shouting(), "shouting", "2.0.0")
        with pytest.raises(HandlerFailedError, match="too loud") as caught:
            await it.bus.request("note.contextual", Note("hi"))
        assert (caught.value.plugin, caught.value.version) == ("shouting", "2.0.0")

    @scenario
    async def test_a_late_handler_is_cancelled_and_named(self, it: BusUnderTest) -> None:
        slow = Slow()
        await it.add(slow, "slow", "1.0.0")
        with pytest.raises(RequestTimeoutError) as caught:
            await it.bus.request("slow.on_loop", Note("hi"), timeout=0.05)
        assert (caught.value.plugin, caught.value.version) == ("slow", "1.0.0")
        assert caught.value.timeout_s == 0.05
        assert slow.cancelled

    @scenario
    async def test_a_late_thread_is_not_waited_for(self, it: BusUnderTest) -> None:
        await it.add(Slow(), "slow", "1.0.0")
        started = time.monotonic()
        with pytest.raises(RequestTimeoutError):
            await it.bus.request("slow.in_thread", Note("hi"), timeout=0.05)
        assert time.monotonic() - started < 0.4

    @scenario
    async def test_a_callers_own_cancellation_stays_one(self, it: BusUnderTest) -> None:
        slow = Slow()
        await it.add(slow, "slow", "1.0.0")
        request = asyncio.ensure_future(it.bus.request("slow.on_loop", Note("hi"), timeout=10))
        await slow.begun.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert slow.cancelled

    @scenario
    async def test_statistics_count_requests_errors_and_timeouts(self, it: BusUnderTest) -> None:
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
        assert 0.04 < slow.mean_s < 5
        assert slow.p50_s <= slow.p99_s
        assert list(found) == sorted(found)


class BusContract(RequestContract, ChoiceContract, FailureContract, PublishContract):
    """All of it; give it a fixture ``make_bus``."""
