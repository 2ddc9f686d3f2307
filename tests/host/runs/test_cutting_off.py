"""A step that is cut off is recorded as such, and undone once its call has really ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from qtforge_sdk import Compensation, Plugin, Run, operation
from qtforge_sdk.records import CompensationFailed, StepFailed, StepSkipped, StepStarted

BOOK_EACH = """
on_failure = "cancel"
[[stages]]
name = "book"
operation = "book.item"
foreach = ["slow", "bad"]
message = { item = "${item}" }

[stages.compensation]
operation = "do.ok"
on_failure = true
"""


class Bookings(Plugin):
    """Books an item; the bad one fails while the slow one is in progress."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    @operation("book.item")
    async def book(self, message: Mapping[str, Any]) -> None:
        if message["item"] == "bad":
            await self._begun.wait()
            raise ValueError("no")
        self._begun.set()
        await asyncio.Event().wait()


def undone(step: str, **how: Any) -> Compensation:
    return Compensation(topic="do.ok", message={"undo": step}, **how)


async def cut(lab: Any, run_id: str) -> list[str]:
    found = await lab.records(run_id, StepFailed)
    return [each.step for each in found if each.cut]


async def fails_beside_a_step_in_progress(lab: Any, run: Run, **how: Any) -> None:
    async def fail() -> None:
        await lab.desk.pending.wait()
        await run.request("bad", "do.fail", {})

    slow = run.request("slow", "do.wait", {}, compensation=undone("slow", **how))
    await run.gather(slow, fail())


def test_a_step_that_is_cut_off_is_undone_where_its_compensation_asks_for_that(play: Any) -> None:
    async def case(lab: Any) -> None:
        async def code(run: Run) -> None:
            await fails_beside_a_step_in_progress(lab, run, on_failure=True)

        state = await lab.engine.execute(lab.script(code), {})
        assert (state.status, state.error.code) == ("compensated", "desk.closed")
        assert state.steps["slow"].error.code == "run.step_cut"
        assert lab.desk.asked == ["slow", "bad", "slow/compensation"]
        assert await cut(lab, state.run_id) == ["slow"]

    play(case)


def test_a_run_does_not_say_compensated_where_a_step_that_was_cut_off_is_left(play: Any) -> None:
    async def case(lab: Any) -> None:
        async def code(run: Run) -> None:
            await run.request("one", "do.ok", {}, compensation=undone("one"))
            await fails_beside_a_step_in_progress(lab, run)

        state = await lab.engine.execute(lab.script(code), {})
        assert state.status == "failed"
        assert lab.desk.asked == ["one", "slow", "bad", "one/compensation"]

    play(case)


@pytest.mark.parametrize("why", ["cancelled", "out of time"])
def test_a_step_in_progress_when_its_process_died_is_undone_if_the_run_winds_down(
    play: Any, why: str
) -> None:
    async def code(run: Run) -> None:
        await run.request("slow", "do.wait", {}, compensation=undone("slow", on_failure=True))

    async def case(lab: Any) -> None:
        workflow = lab.script(code, timeout="1h", on_cancel="compensate")
        run_id = await lab.crash(workflow, lambda record: isinstance(record, StepStarted))
        if why == "cancelled":
            await lab.post(run_id, "cancel")
        else:
            await lab.clock.advance(3601)
        state = await lab.resume(run_id)
        assert state.status == ("cancelled" if why == "cancelled" else "compensated")
        assert lab.desk.asked == ["slow/compensation"]
        assert await cut(lab, run_id) == ["slow"]

    play(case)


def test_a_step_that_is_not_needed_any_more_is_undone_if_the_run_fails_later(play: Any) -> None:
    async def case(lab: Any) -> None:
        async def code(run: Run) -> None:
            how = undone("slow", on_failure=True)
            slow = run.request("slow", "do.wait", {}, compensation=how)
            await run.gather(slow, run.request("quick", "do.ok", {}), first=1)
            await run.request("bad", "do.fail", {})

        state = await lab.engine.execute(lab.script(code), {})
        assert state.status == "compensated"
        assert lab.desk.asked[-1] == "slow/compensation"
        assert [each.cut for each in await lab.records(state.run_id, StepSkipped)] == [True]

    play(case)


def test_a_step_whose_thread_does_not_end_is_not_undone_and_the_run_says_so(play: Any) -> None:
    begun, gate = threading.Event(), threading.Event()

    class Threads(Plugin):
        @operation("thread.wait")
        def wait(self, message: Mapping[str, Any]) -> None:
            begun.set()
            gate.wait(60)

        @operation("thread.fail")
        def fail(self, message: Mapping[str, Any]) -> None:
            begun.wait(60)
            raise ValueError("no")

    async def case(lab: Any) -> None:
        await lab.add(Threads(), "threads", "1.0.0")

        async def code(run: Run) -> None:
            how = undone("slow", on_failure=True, timeout=0.05)
            slow = run.request("slow", "thread.wait", {}, compensation=how)
            await run.gather(slow, run.request("bad", "thread.fail", {}))

        try:
            state = await lab.engine.execute(lab.script(code), {})
        finally:
            gate.set()
        assert state.status == "failed"
        [failed] = await lab.records(state.run_id, CompensationFailed)
        assert failed.error.code == "run.call_not_ended"
        assert lab.desk.asked == []

    play(case)


def test_an_item_in_progress_is_undone_when_another_item_of_the_foreach_fails(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.add(Bookings(), "bookings", "1.0.0")
        workflow = lab.sequential(BOOK_EACH)
        state = await lab.engine.execute(workflow, {})
        assert state.status == "compensated"
        assert sorted(lab.desk.asked) == ["book[0]/compensation", "book[1]/compensation"]

    play(case)
