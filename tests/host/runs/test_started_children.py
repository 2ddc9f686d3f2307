"""A workflow that a state machine started outlives its process, and is resumed with the machine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.host.runs.machines import PARENT, begun

from qtforge_host.runs.deaths import CRASH_LIMIT
from qtforge_sdk.records import CompensationStarted, RunCancelRequested, RunFinished

CHILD = """
[[stages]]
name = "first"
operation = "do.ok"
compensation = { operation = "do.ok" }
[[stages]]
name = "long"
operation = "do.wait"
"""
LINGERS_S = {"it rests": 0, "it is in memory": 3600}


async def started(lab: Any, how: str = "it rests", on_cancel: str = "stop") -> tuple[str, str]:
    """Return a machine and the child that it has started, which works."""
    lab.workflows["child"] = lab.sequential(f'on_cancel = "{on_cancel}"\n{CHILD}')
    run_id = await begun(lab, PARENT)
    lab.engine.active_runs.linger_s = LINGERS_S[how]
    await lab.post(run_id, "event", "go")
    if how == "it rests":
        await lab.engine.resume(run_id)
    else:
        lab.supervisor.wake(run_id)
    await asyncio.wait_for(lab.desk.pending.wait(), 60)
    (child,) = [each for each in lab.store.runs if each != run_id]
    return run_id, child


async def answer(lab: Any, run_id: str) -> Any:
    return (await lab.kept(run_id)).state.get("data", {}).get("answer")


@pytest.mark.parametrize("how", LINGERS_S)
@pytest.mark.parametrize("on_cancel", ["stop", "compensate"])
@pytest.mark.parametrize("end", ["close", "abandon", "crash"])
def test_a_started_child_is_left_at_the_end_of_the_process_and_finished_by_the_next(
    play: Any, how: str, on_cancel: str, end: str
) -> None:
    async def case(lab: Any) -> None:
        run_id, child = await started(lab, how, on_cancel)
        if end == "crash":
            lab._mortal.dead = True
        await asyncio.wait_for(getattr(lab.engine, "abandon" if end == "crash" else end)(), 60)
        assert await lab.status(child) == "running"
        for kind in (RunCancelRequested, RunFinished, CompensationStarted):
            assert not await lab.records(child, kind)
        await lab.start()
        lab.desk.gate.set()
        async with lab.dispatching():
            await lab.has(run_id, "succeeded")
        assert await answer(lab, run_id) == "succeeded"
        assert lab.desk.asked == ["first", "long", "long"]

    play(case)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it gives a new lab each time
)
@given(
    ends=st.lists(st.sampled_from(["close", "abandon", "crash"]), max_size=4).filter(
        lambda ends: ends.count("crash") < CRASH_LIMIT  # else the step fails by itself
    )
)
def test_however_often_its_process_ends_the_child_ends_once_and_its_parent_is_told(
    lab: Any, ends: list[str]
) -> None:
    async def case(lab: Any) -> None:
        run_id, child = await started(lab, on_cancel="compensate")
        for end in ends:
            if end == "crash":
                lab._mortal.dead = True
            await asyncio.wait_for(getattr(lab.engine, "abandon" if end == "crash" else end)(), 60)
            await lab.start()
            lab.desk.pending.clear()
            async with lab.dispatching():
                await asyncio.wait_for(lab.desk.pending.wait(), 60)
        await lab.start()
        lab.desk.gate.set()
        async with lab.dispatching():
            await lab.has(run_id, "succeeded")
        assert await answer(lab, run_id) == "succeeded"
        assert [each.status for each in await lab.records(child, RunFinished)] == ["succeeded"]

    async def main() -> None:
        async with lab() as it:
            await case(it)

    asyncio.run(main())
