"""A request returns the handler's response; both messages are checked against their types."""

from __future__ import annotations

import asyncio
import datetime
import threading
import time

import pytest
from tests.conftest import Bench
from tests.host.bus.sample_plugins import Echo, Happening, Letter, Note, Reply
from tests.host.bus.scenarios import scenario

from qtforge_sdk.errors import InvalidMessageError


@scenario
async def test_an_async_operation_answers(it: Bench) -> None:
    await it.add(Echo(), "echo", "1.2.0")
    assert await it.bus.request("note.echo", Note("hi")) == Reply("hi", "echo")


@scenario
async def test_a_plain_operation_answers_from_a_thread(it: Bench) -> None:
    echo = Echo()
    await it.add(echo, "echo", "1.2.0")
    assert await it.bus.request("note.echo_in_thread", Note("hi")) == Reply("hi", "echo")
    assert echo.threads != [threading.get_ident()]


@scenario
async def test_a_message_that_fits_goes_through_untouched(it: Bench) -> None:
    echo, note = Echo(), Note("hi")
    await it.add(echo, "echo", "1.2.0")
    await it.bus.request("note.echo", note)
    assert echo.given[0] is note


@scenario
async def test_mappings_and_dataclasses_are_converted(it: Bench) -> None:
    echo = Echo()
    await it.add(echo, "echo", "1.2.0")
    await it.bus.request("note.echo", {"text": "a", "number": 1})
    await it.bus.request("note.echo", Letter("b", 2))
    assert echo.given == [Note("a", 1), Note("b", 2)]


@scenario
async def test_a_message_that_does_not_fit_names_the_field(it: Bench) -> None:
    echo = Echo()
    await it.add(echo, "echo", "1.2.0")
    with pytest.raises(InvalidMessageError, match="number: expected int, got str") as caught:
        await it.bus.request("note.echo", {"text": "a", "number": "one"})
    assert (caught.value.topic, caught.value.role) == ("note.echo", "message")
    assert echo.given == []


@scenario
async def test_the_answer_is_converted_to_what_the_caller_asks_for(it: Bench) -> None:
    await it.add(Echo(), "echo", "1.2.0")
    answer = await it.bus.request("note.echo", Note("hi"), response_type=dict[str, str])
    assert answer == {"text": "hi", "by": "echo"}


@scenario
async def test_an_answer_that_does_not_fit_is_an_error(it: Bench) -> None:
    await it.add(Echo(), "echo", "1.2.0")
    with pytest.raises(InvalidMessageError) as caught:
        await it.bus.request("note.echo", Note("hi"), response_type=Happening)
    assert caught.value.role == "response"


@scenario
async def test_the_context_tells_topic_plugin_and_deadline(it: Bench) -> None:
    echo = Echo()
    await it.add(echo, "echo", "1.2.0")
    for topic in ("note.contextual", "note.echo_in_thread"):
        await it.bus.request(topic, Note("hi"), timeout=60)
        context = echo.contexts.pop()
        assert (context.topic, context.plugin, context.run_id) == (topic, "echo", None)
        remaining_s = context.remaining_s()
        assert remaining_s is not None
        assert 0 < remaining_s <= 60


@scenario
async def test_many_requests_are_answered_at_once(it: Bench) -> None:
    await it.add(Echo(), "echo", "1.2.0")
    replies = await asyncio.gather(
        *(it.bus.request("note.echo_in_thread", Note(str(number))) for number in range(20))
    )
    assert [reply.text for reply in replies] == [str(number) for number in range(20)]


@scenario
async def test_a_timeout_is_seconds_text_or_a_timedelta(it: Bench) -> None:
    echo = Echo()
    await it.add(echo, "echo", "1.2.0")
    for timeout in (3600, 3600.0, "1h", datetime.timedelta(hours=1)):
        before = time.monotonic()
        await it.bus.request("note.contextual", Note("hi"), timeout=timeout)
        deadline = echo.contexts[-1].deadline
        assert deadline is not None
        assert before + 3600 <= deadline <= time.monotonic() + 3600


@scenario
async def test_a_timeout_that_is_no_duration_is_refused_and_nothing_is_asked(it: Bench) -> None:
    echo = Echo()
    await it.add(echo, "echo", "1.2.0")
    for timeout in ("30 sec", float("nan"), True):
        with pytest.raises(ValueError, match="is not a duration"):
            await it.bus.request("note.echo", Note("hi"), timeout=timeout)
    assert echo.given == []
