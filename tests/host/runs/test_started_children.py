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
            lab._mortal.kill()
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
    max_examples=8,
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
                lab._mortal.kill()
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


@pytest.mark.parametrize("how", LINGERS_S)
def test_a_machine_handles_the_end_of_what_it_started_in_the_same_process(
    play: Any, how: str
) -> None:
    async def case(lab: Any) -> None:
        run_id, _ = await started(lab, how)
        lab.desk.gate.set()
        await lab.supervisor.settle(run_id, 60)
        await lab.has(run_id, "succeeded")
        assert await answer(lab, run_id) == "succeeded"

    play(case)


@pytest.mark.parametrize("left", ["the end is unread", "the child was interrupted"])
def test_a_machine_that_is_resumed_takes_what_it_has_started_with_it(play: Any, left: str) -> None:
    async def case(lab: Any) -> None:
        run_id, child = await started(lab)
        await lab.engine.close()
        await lab.start()
        lab.desk.gate.set()
        if left == "the end is unread":
            lab.engine.on_ended = None
            await lab.engine.resume(child)
            await lab.start()
        assert (await lab.engine.resume(run_id)).status in ("waiting", "succeeded")
        await lab.supervisor.settle(run_id, 60)
        assert await lab.status(run_id) == "succeeded"

    play(case)


def test_a_process_that_ends_does_not_wait_for_ever_for_what_was_started(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, child = await started(lab)
        await lab.supervisor.settle(run_id, 0.05)
        assert [await lab.status(each) for each in (run_id, child)] == ["waiting", "running"]

    play(case)


def test_a_run_of_another_process_is_not_waited_for(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, _ = await started(lab)
        other = await lab.beside()
        await asyncio.wait_for(other.settle(run_id, 3600), 60)

    play(case)


LEAVES = """
initial = "idle"
[states.idle]
[states.waits]
entry = ["begin"]
[states.outside]
[states.done]
final = true
[[transitions]]
name = "go"
from = "idle"
to = "waits"
trigger = "go"
actions = [%(actions)s]
[[transitions]]
name = "leave"
from = "waits"
to = "outside"
trigger = "leave"
[[transitions]]
name = "end"
from = "waits"
to = "done"
trigger = "end"
[[transitions]]
name = "stop"
from = "*"
trigger = "stop"
actions = ["stop"]
[[transitions]]
name = "note"
from = "*"
trigger = "error.workflow"
actions = ["note"]
[[transitions]]
name = "note2"
from = "*"
trigger = "done.workflow"
actions = ["note"]
[[transitions]]
name = "fail"
from = "*"
trigger = "fail"
actions = ["fail"]
[actions.begin]
type = "workflow"
workflow = "child"
keep = %(keep)s
[actions.other]
type = "workflow"
workflow = "child"
[actions.stop]
type = "cancel"
action = "begin"
[actions.note]
type = "set"
values = { answer = "${event.data.status}" }
[actions.fail]
type = "set"
values = { x = "${event.data.missing}" }
"""
# What becomes of what a state's entry has started: without and with keep.
ENDS = {
    "leave": ("cancelled", "succeeded"),
    "end": ("cancelled", "succeeded"),
    "stop": ("cancelled", "cancelled"),
    "fail": ("cancelled", "succeeded"),
    "cancel": ("cancelled", "succeeded"),
    "nothing": ("succeeded", "succeeded"),
}


async def leaving(lab: Any, *, keep: bool = False, actions: str = "") -> tuple[str, str]:
    """Return a machine that has started a child in a state, and the child, which works."""
    lab.workflows["child"] = lab.sequential(CHILD)
    text = LEAVES % {"keep": str(keep).lower(), "actions": actions}
    lab.engine.active_runs.linger_s = 3600
    run_id = str(await lab.supervisor.start(lab.machine(text), {}))
    await lab.has(run_id, "waiting")
    await lab.post(run_id, "event", "go")
    await asyncio.wait_for(lab.desk.pending.wait(), 60)
    return run_id, [each for each in lab.store.runs if each != run_id][-1]


async def at_rest(lab: Any, run_id: str) -> bool:
    """Whether a machine has handled everything that it was sent."""
    ended = await lab.status(run_id) not in ("running", "waiting")
    return ended or not await lab.journal.pending(run_id)


async def at_rest_or_dead(lab: Any, run_id: str) -> bool:
    """Whether nothing more happens in this process, except to what the state has started."""
    return lab.mortal.dead or await at_rest(lab, run_id)


@pytest.mark.parametrize("process", ["the same", "another", "a dead one"])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("what", ENDS)
def test_leaving_a_state_ends_what_the_state_has_started_unless_it_is_kept(
    play: Any, what: str, keep: bool, process: str
) -> None:
    async def case(lab: Any) -> None:
        async with lab.dispatching():
            run_id, child = await leaving(lab, keep=keep)
        if process != "the same":
            if process == "a dead one":
                lab._mortal.kill()
            await lab.start()
        async with lab.dispatching():
            if what != "nothing":
                kind = "cancel" if what == "cancel" else "event"
                await lab.post(run_id, kind, "" if kind == "cancel" else what)
                await lab.until(lambda: at_rest(lab, run_id))
            expected = ENDS[what][keep]
            if expected == "cancelled":
                await lab.has(child, expected)
            lab.desk.gate.set()
            await lab.has(child, expected)
            await lab.until(lambda: at_rest(lab, run_id))
            told = expected if expected == "succeeded" and what in ("nothing", "leave") else None
            assert await answer(lab, run_id) == told  # what the machine cancels raises nothing

    play(case)


def test_what_a_transition_has_started_is_not_ended_with_a_state(play: Any) -> None:
    async def case(lab: Any) -> None:
        async with lab.dispatching():
            run_id, _ = await leaving(lab, actions='"other"')

            async def have_begun() -> bool:
                return len(lab.store.runs) == 3

            await lab.until(have_begun)
            other, begun = [each for each in lab.store.runs if each != run_id]
            await lab.post(run_id, "event", "leave")
            await lab.has(begun, "cancelled")
            lab.desk.gate.set()
            await lab.has(other, "succeeded")

    play(case)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it gives a new lab each time
)
@given(at=st.integers(0, 12), after=st.booleans())
def test_a_state_that_is_left_ends_its_workflow_wherever_the_process_dies(
    lab: Any, at: int, after: bool
) -> None:
    async def case(lab: Any) -> None:
        async with lab.dispatching():
            run_id, child = await leaving(lab)
        left = [at]

        def dies(record: object) -> bool:
            left[0] -= 1
            return left[0] < 0

        await lab.start(dies, after=after)
        async with lab.dispatching():
            await lab.post(run_id, "event", "leave")
            await lab.until(lambda: at_rest_or_dead(lab, run_id))
        await lab.start()
        async with lab.dispatching():
            await lab.has(child, "cancelled")
            await lab.until(lambda: at_rest(lab, run_id))
            assert (await lab.kept(run_id)).label == "outside"
            assert await answer(lab, run_id) is None

    async def main() -> None:
        async with lab() as it:
            await case(it)

    asyncio.run(main())
