"""The choice of a handler, and the wrappers around it."""

from __future__ import annotations

import pytest
from tests.conftest import Bench
from tests.host.bus.sample_plugins import (
    Echo,
    Failing,
    First,
    Last,
    Note,
    OddNumbers,
    Reply,
    Shouting,
    Stamping,
    TaggedRed,
)
from tests.host.bus.scenarios import scenario

from qtforge_sdk.errors import NoHandlerError


@scenario
async def test_a_topic_without_a_handler_is_an_error(it: Bench) -> None:
    with pytest.raises(NoHandlerError) as caught:
        await it.bus.request("note.echo", Note("hi"))
    assert caught.value.topic == "note.echo"


@scenario
async def test_tryfirst_goes_before_and_trylast_after_the_others(it: Bench) -> None:
    await it.add(First(), "first", "1.0.0")
    await it.add(Last(), "last", "1.0.0")
    await it.add(Echo(), "echo", "1.0.0")
    asked = [info.plugin for info in it.bus.topics()["note.echo"]]
    assert asked == ["first", "echo", "last"]
    assert (await it.bus.request("note.echo", Note("hi"))).by == "first"


@scenario
async def test_a_named_plugin_is_asked_and_no_other(it: Bench) -> None:
    await it.add(Last(), "last", "1.0.0")
    await it.add(Echo(), "echo", "1.0.0")
    assert (await it.bus.request("note.echo", Note("hi"), plugin="last")).by == "last"
    with pytest.raises(NoHandlerError, match="absent"):
        await it.bus.request("note.echo", Note("hi"), plugin="absent")


@scenario
async def test_a_handler_is_called_only_for_messages_that_it_accepts(it: Bench) -> None:
    await it.add(Last(), "last", "1.0.0")
    await it.add(OddNumbers(), "odd", "1.0.0")
    assert (await it.bus.request("note.echo", Note("hi", 1))).by == "odd"
    assert (await it.bus.request("note.echo", Note("hi", 2))).by == "last"


@scenario
async def test_a_message_that_no_handler_accepts_is_an_error_with_the_conditions(it: Bench) -> None:
    await it.add(OddNumbers(), "odd", "1.0.0")
    with pytest.raises(NoHandlerError, match=r"message\.number % 2 == 1"):
        await it.bus.request("note.echo", Note("hi", 2))


@scenario
async def test_a_condition_may_search_a_list_and_a_missing_field_is_no_match(it: Bench) -> None:
    await it.add(TaggedRed(), "red", "1.0.0")
    assert await it.bus.request("thing.name", {"name": "hat", "tags": ["red"]}) == "red hat"
    for thing in ({"name": "hat", "tags": ["blue"]}, {"name": "hat"}):
        with pytest.raises(NoHandlerError):
            await it.bus.request("thing.name", thing)


@scenario
async def test_wrappers_stand_around_the_handler_the_last_added_outermost(it: Bench) -> None:
    await it.add(Stamping("A"), "stamp-a", "1.0.0")
    await it.add(Echo(), "echo", "1.0.0")
    await it.add(Stamping("B"), "stamp-b", "1.0.0")
    assert (await it.bus.request("note.echo", Note("-"))).text == "AB-AB"
    infos = it.bus.topics()["note.echo"]
    assert [info.plugin for info in infos] == ["stamp-b", "stamp-a", "echo"]
    assert [info.wrapper for info in infos] == [True, True, False]


@scenario
async def test_a_wrapper_may_answer_for_a_handler_that_failed(it: Bench) -> None:
    await it.add(Failing(), "failing", "1.0.0")
    await it.add(Shouting(), "shouting", "1.0.0")
    reply = await it.bus.request("fail.plainly", Note("hi"))
    assert reply == Reply("HandlerFailedError", "mended")


@scenario
async def test_topics_tell_how_each_handler_runs(it: Bench) -> None:
    await it.add(Echo(), "echo", "1.2.0")
    await it.add(OddNumbers(), "odd", "2.0.0")
    infos = it.bus.topics()
    assert [info.execution for info in infos["note.echo_in_thread"]] == ["thread"]
    odd = infos["note.echo"][0]
    assert (odd.plugin, odd.version, odd.execution) == ("odd", "2.0.0", "async")
    assert odd.accepts == "message.number % 2 == 1"
    assert odd.message_type.endswith("Note")
    assert odd.response_type.endswith("Reply")
