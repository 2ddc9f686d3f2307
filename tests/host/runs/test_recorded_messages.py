"""The journal says what each step was asked, how each attempt failed, and what a run is about."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qtforge_host.runs import recorded_messages
from qtforge_host.runs.run_keys import default_title
from qtforge_sdk import Compensation, Document, OperationError, Plugin, Run, Template, operation
from qtforge_sdk.journal_kit import encoding
from qtforge_sdk.policies import Retry
from qtforge_sdk.records import (
    MOST_TRACEBACK,
    CompensationStarted,
    RunFinished,
    RunStarted,
    StepFailed,
    StepStarted,
)

RETRY = Retry(max_attempts=3, jitter=0, include=("*",))


class Shop(Plugin):
    """Fails as often as it is told, each time with a message of its own."""

    def __init__(self) -> None:
        self.failures = 0

    @operation("shop.buy")
    async def buy(self, message: Any) -> str:
        if self.failures:
            self.failures -= 1
            raise ValueError(f"sold out: {self.failures}\x1b[31m")
        if isinstance(message, dict):
            message["changed"] = True
        return "bought"

    @operation("shop.sink")
    async def sink(self, message: Any) -> None:
        self.dig(1)

    def dig(self, depth: int) -> None:
        self.dig(depth + 1)

    @operation("shop.refuse")
    async def refuse(self, message: Any) -> None:
        raise OperationError("shop.closed", "it is closed")


async def run_of(lab: Any, code: Any, **given: Any) -> tuple[str, str]:
    """Run code in Python to its end; return the run's id and status."""
    async with lab.clock.auto():
        state = await asyncio.wait_for(lab.engine.execute(lab.script(code), given), 60)
    return state.run_id, state.status


def test_a_step_s_message_is_recorded_as_it_was_sent(lab: Any) -> None:
    async def look() -> None:
        async with lab() as it:
            await it.add(Shop(), "shop", "1.0.0")

            async def code(run: Run) -> None:
                await run.request("a", "shop.buy", {"item": "tea", "n": (1, 2)})
                given = Template({"item": "${input.item}"}, {"input": run.input})
                await run.request("b", "shop.buy", given)
                await run.publish("c", "shop.sold", {"item": "tea"})

            run_id, _ = await run_of(it, code, item="cocoa")
            begun = await it.records(run_id, StepStarted)
            assert [each.message for each in begun] == [
                {"item": "tea", "n": [1, 2]},
                {"item": "cocoa"},
                {"item": "tea"},
            ]

    asyncio.run(look())


def test_a_message_is_recorded_once_for_all_attempts_that_send_it(lab: Any) -> None:
    async def look() -> None:
        async with lab() as it:
            shop = await it.add(Shop(), "shop", "1.0.0")
            shop.failures = 2

            async def code(run: Run) -> None:
                await run.request("a", "shop.buy", {"item": "tea"}, retry=RETRY)

            run_id, status = await run_of(it, code)
            assert status == "succeeded"
            begun = await it.records(run_id, StepStarted)
            assert [each.message for each in begun] == [{"item": "tea"}, None, None]

    asyncio.run(look())


def test_the_message_of_a_compensation_is_recorded_once_for_its_attempts(lab: Any) -> None:
    async def look() -> None:
        async with lab() as it:
            shop = await it.add(Shop(), "shop", "1.0.0")

            async def code(run: Run) -> None:
                given = Template({"give": "${input.item}"}, {"input": run.input})
                undo = Compensation(topic="shop.buy", message=given, retry=RETRY)
                await run.request("a", "shop.buy", {"item": "tea"}, compensation=undo)
                shop.failures = 1
                raise ValueError("enough")

            run_id, status = await run_of(it, code, item="tea")
            assert status == "compensated"
            begun = await it.records(run_id, CompensationStarted)
            assert [each.message for each in begun] == [{"give": "tea"}, None]

    asyncio.run(look())


@pytest.mark.parametrize(
    ("message", "note"),
    [
        (2**80, "can't be stored"),
        ({"x": object()}, "can't be stored"),
        ({"x": "y" * 9_000_000}, "sha256"),
    ],
)
def test_a_message_that_can_t_be_stored_fails_no_run(lab: Any, message: Any, note: str) -> None:
    async def look() -> None:
        async with lab() as it:
            await it.add(Shop(), "shop", "1.0.0")

            async def code(run: Run) -> None:
                await run.request("a", "shop.buy", message)

            run_id, status = await run_of(it, code)
            assert status == "succeeded"
            (begun,) = await it.records(run_id, StepStarted)
            assert begun.message is None
            assert note in begun.message_note

    asyncio.run(look())


def test_a_message_that_the_journal_refuses_fails_no_run(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_messages, "MOST_MESSAGE_BYTES", 1 << 40)

    async def look() -> None:
        async with lab() as it:
            await it.add(Shop(), "shop", "1.0.0")

            async def code(run: Run) -> None:
                await run.request("a", "shop.buy", {"x": "y" * (encoding.MAX_VALUE_BYTES + 1)})

            run_id, status = await run_of(it, code)
            assert status == "succeeded"
            (begun,) = await it.records(run_id, StepStarted)
            assert "can't be stored" in begun.message_note

    asyncio.run(look())


def test_the_traceback_of_every_failed_attempt_is_kept_from_the_plugin_s_code_on(lab: Any) -> None:
    async def look() -> None:
        async with lab() as it:
            shop = await it.add(Shop(), "shop", "1.0.0")
            shop.failures = 3

            async def code(run: Run) -> None:
                await run.request("a", "shop.buy", {}, retry=RETRY)

            run_id, status = await run_of(it, code)
            assert status == "failed"
            failed = await it.records(run_id, StepFailed)
            for number, each in enumerate(reversed(failed)):
                lines = each.error.traceback.splitlines()
                assert lines[0] == "Traceback (most recent call last):"
                assert "in buy" in lines[1]  # and no frame of the host before it
                assert f"ValueError: sold out: {number}" in each.error.traceback
            (finished,) = await it.records(run_id, RunFinished)
            assert finished.error.stage == "a"
            assert finished.error.traceback is None  # the step has it

    asyncio.run(look())


def test_a_traceback_is_bounded_and_is_that_of_deliberate_errors_too(lab: Any) -> None:
    async def look() -> None:
        async with lab() as it:
            await it.add(Shop(), "shop", "1.0.0")

            async def code(run: Run) -> None:
                await run.request("deep", "shop.sink", {}, required=False)
                await run.request("shut", "shop.refuse", {}, required=False)
                await run.request("none", "shop.nothing", {}, required=False)

            run_id, _ = await run_of(it, code)
            deep, shut, none = await it.records(run_id, StepFailed)
            assert "RecursionError" in deep.error.traceback
            assert len(deep.error.traceback) <= MOST_TRACEBACK
            assert "in refuse" in shut.error.traceback
            assert none.error.traceback is None  # nobody's code

    asyncio.run(look())


def test_a_failure_of_a_run_s_own_code_has_its_traceback(lab: Any) -> None:
    async def look() -> None:
        async with lab() as it:

            async def code(run: Run) -> None:
                raise ValueError("oh")

            run_id, _ = await run_of(it, code)
            (finished,) = await it.records(run_id, RunFinished)
            assert "in code" in finished.error.traceback

    asyncio.run(look())


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ({"document": {"name": "a.pdf", "size": 1}}, "a.pdf"),
        ({"document": Document(name="b\n\x1b[1m.pdf")}, "b [1m.pdf"),
        ({"document": {"name": "x\ud800" + "y" * 500}}, "x\ufffd" + "y" * 197 + "…"),
        ({"document": "text"}, ""),
        ({"document": {"name": None}}, ""),
        ({}, ""),
        (7, ""),
    ],
)
def test_a_run_without_a_title_has_that_of_its_document(given: Any, title: str) -> None:
    assert default_title(given) == title


def test_the_title_is_in_the_first_record_and_in_the_list(lab: Any) -> None:
    async def look() -> None:
        async with lab() as it:

            async def code(run: Run) -> None: ...

            run_id, _ = await run_of(it, code, document={"name": "a.pdf"})
            (first,) = await it.records(run_id, RunStarted)
            assert first.keys is not None
            assert first.keys.title == "a.pdf"
            assert (await it.journal.summary(run_id)).title == "a.pdf"

    asyncio.run(look())
