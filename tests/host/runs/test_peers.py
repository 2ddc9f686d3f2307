"""Several processes that take runs from one journal: shares, drained nodes, and plugin versions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.host.runs.machines import COUNTER, begun, seen

from qtforge_host.runs.recovery import RecoveryLoop, default_node
from qtforge_host.runs.supervisor import Supervisor
from qtforge_sdk import Run
from qtforge_sdk.records import QueueEntry, RunBlocked, RunResumed, StepSucceeded

NEW = {"desk": "2.0.0"}
OLD = {"desk": "1.4.0"}
COUNT = 40


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.01)
    monkeypatch.setattr("qtforge_host.runs.peers._FRESH_S", 0.0)


@contextlib.asynccontextmanager
async def node(lab: Any, supervisor: Supervisor, name: str, **options: Any) -> AsyncIterator[str]:
    """Let a process take runs; give its name in the journal."""
    journal = supervisor.engine.journal
    loop = RecoveryLoop(supervisor, journal, lab.clock, node=name, **options)
    work = asyncio.ensure_future(loop.run())
    await loop.ready.wait()
    lab.peers.append(loop.peers)
    try:
        yield (await journal.standing()).owner
    finally:
        lab.peers.remove(loop.peers)
        work.cancel()
        await asyncio.wait({work})


async def two_steps(run: Run) -> Any:
    await run.request("one", "do.wait", {})
    return await run.request("two", "do.ok", {})


async def quick(run: Run) -> Any:
    return await run.request("one", "do.ok", {})


async def drain(lab: Any, owner: str, *, draining: bool = True) -> None:
    assert await lab.journal.drain(owner, draining=draining)


async def owners_of(lab: Any, run_id: str) -> list[str]:
    return [each.owner for each in await lab.records(run_id, RunResumed)]


def test_a_drained_node_hands_a_run_over_before_its_next_step(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        other = await lab.beside()
        run_id = await lab.engine.enqueue(lab.script(two_steps), {}, QueueEntry())
        async with node(lab, lab.supervisor, "a") as mine:
            await lab.desk.pending.wait()
            async with node(lab, other, "b") as theirs:
                await drain(lab, mine)
                await lab.until(lambda: is_leaving(lab, run_id))
                lab.desk.gate.set()
                await lab.has(run_id, "succeeded")
                assert await owners_of(lab, run_id) == [mine, theirs]
        assert lab.desk.asked == ["one", "two"]
        assert lab.supervisor.count() == 0

    play(case)


async def is_leaving(lab: Any, run_id: str) -> bool:
    """Return whether the first process has learnt that it is to hand a run over."""
    return bool(lab.supervisor.active_runs[run_id].is_leaving)


def test_a_step_that_outlasts_the_grace_is_repeated_elsewhere(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        other = await lab.beside()
        run_id = await lab.engine.enqueue(lab.script(two_steps), {}, QueueEntry())
        async with node(lab, lab.supervisor, "a", grace_s=0.05) as mine:
            await lab.desk.pending.wait()
            async with node(lab, other, "b"):
                await drain(lab, mine)
                await lab.until(lambda: asked_again(lab))
                lab.desk.gate.set()
                await lab.has(run_id, "succeeded")
        assert lab.desk.asked == ["one", "one", "two"]
        (_, resumed) = await lab.records(run_id, RunResumed)
        assert not resumed.died

    play(case)


async def asked_again(lab: Any) -> bool:
    return len(lab.desk.asked) > 1


def test_a_drained_node_begins_nothing_until_it_is_resumed(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        async with node(lab, lab.supervisor, "a") as mine:
            await drain(lab, mine)
            run_id = await lab.engine.enqueue(lab.script(quick), {}, QueueEntry())
            await asyncio.sleep(0.1)
            assert await lab.status(run_id) == "queued"
            await drain(lab, mine, draining=False)
            await lab.has(run_id, "succeeded")

    play(case)


def test_a_drained_node_says_so_and_says_when_it_is_resumed(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        said: list[bool] = []

        async def has_said(*expected: bool) -> bool:
            return said == list(expected)

        async with node(lab, lab.supervisor, "a", on_draining=said.append) as mine:
            assert said == [False]
            await drain(lab, mine)
            await lab.until(lambda: has_said(False, True))
            await drain(lab, mine, draining=False)
            await lab.until(lambda: has_said(False, True, False))

    play(case)


def test_a_run_is_continued_by_a_node_with_the_plugins_that_served_it(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start(lambda record: isinstance(record, StepSucceeded))
        run_id = await lab.engine.enqueue(lab.script(two_steps), {}, QueueEntry())
        lab.desk.gate.set()
        new, old = await lab.beside(NEW), await lab.beside(OLD)
        (ownership,) = await lab.mortal.take(1, now=lab.clock.now())
        await lab.dies(lab.engine.resume(run_id, ownership=ownership))
        async with node(lab, old, "old", pools=("other",)), node(lab, new, "new"):
            await lab._mortal.inner.close()  # the journal does not know what has served it
            await lab.until(lambda: needed(lab, run_id))
            assert await lab.status(run_id) == "running"
            assert not await lab.records(run_id, RunBlocked)
        async with node(lab, old, "old") as mine, node(lab, new, "new"):
            await lab.has(run_id, "succeeded")
            assert (await owners_of(lab, run_id))[1:] == [mine]
        assert (await lab.records(run_id, RunResumed))[-1].died
        lab._mortal = None

    play(case)


async def needed(lab: Any, run_id: str) -> bool:
    """Return whether the journal knows what a run needs, and nobody executes it."""
    run = lab.store.runs[run_id]
    return run.served == {"desk": "1"} and run.owner not in lab.store.owners


def test_a_run_is_blocked_where_no_node_has_what_served_it(play: Any) -> None:
    async def blocked(lab: Any) -> None:
        lab.desk.gate.set()
        run_id = await lab.crash(lab.script(two_steps), lambda it: isinstance(it, StepSucceeded))
        await lab._mortal.inner.close()
        lab._mortal = None
        new = await lab.beside(NEW)
        async with node(lab, new, "new"):
            await lab.has(run_id, "blocked")

    play(blocked)


def test_new_runs_go_to_the_newest_node_that_has_room(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        new = await lab.beside(NEW)
        workflow = lab.script(quick)
        async with (
            node(lab, lab.supervisor, "old") as mine,
            node(lab, new, "new", max_runs=1) as best,
        ):
            await lab.until(lambda: know(lab, 2))
            runs = [await lab.engine.enqueue(workflow, {}, QueueEntry()) for _ in range(5)]
            for run_id in runs:
                await lab.has(run_id, "succeeded")
            begun_by = [await owners_of(lab, run_id) for run_id in runs]
            assert begun_by[0] == [best]
            slow = [
                await lab.engine.enqueue(lab.script(two_steps, "s"), {}, QueueEntry()) for _ in "ab"
            ]
            await lab.until(lambda: both_asked(lab))
            assert sorted([(await owners_of(lab, each))[0] for each in slow]) == sorted(
                [mine, best]
            )
            lab.desk.gate.set()
            for run_id in slow:
                await lab.has(run_id, "succeeded")

    play(case)


async def know(lab: Any, count: int) -> bool:
    """Return whether every process knows that so many take runs."""
    return len(lab.peers) == count and all(each.count() == count for each in lab.peers)


async def both_asked(lab: Any) -> bool:
    return len([key for key in lab.desk.asked if key == "one"]) >= 7


def test_what_only_a_drained_node_can_continue_stays_with_it(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.gate.set()
        await lab.start()
        new = await lab.beside(NEW)
        async with node(lab, lab.supervisor, "old") as mine:
            waits = lab.script(asks_then_waits)
            run_id = await lab.engine.enqueue(waits, {}, QueueEntry())
            await lab.until(lambda: one_asked(lab))
            async with node(lab, new, "new"):
                await drain(lab, mine)
                await asyncio.sleep(0.1)
                await lab.post(run_id, "event", "go")
                await lab.has(run_id, "succeeded")
                assert await owners_of(lab, run_id) == [mine]

    play(case)


async def asks_then_waits(run: Run) -> Any:
    await run.request("one", "do.ok", {})
    return await run.wait_event("go")


async def one_asked(lab: Any) -> bool:
    return "one" in lab.desk.asked


def test_a_state_machine_that_waits_is_handed_over_with_its_events(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, COUNTER)
        other = await lab.beside()
        async with node(lab, lab.supervisor, "a") as mine:
            await drain(lab, mine)
            async with node(lab, other, "b"):
                for number in range(3):
                    await lab.post(run_id, "event", "note", number)

                async def all_seen() -> bool:
                    return bool(await seen(lab, run_id) == [0, 1, 2])

                await lab.until(all_seen)
        assert lab.supervisor.count() == 0

    play(case)


def test_runs_are_shared_out_among_nodes(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # However busy the machine is: the others are given the time to take theirs.
    monkeypatch.setattr("qtforge_host.runs.recovery._LEFT_S", 3600.0)

    async def case(lab: Any) -> None:
        await lab.start()
        others = [await lab.beside() for _ in range(3)]
        async with contextlib.AsyncExitStack() as stack:
            names = [
                await stack.enter_async_context(node(lab, each, f"n{number}", max_runs=100))
                for number, each in enumerate([lab.supervisor, *others])
            ]
            await lab.until(lambda: know(lab, 4))
            workflow = lab.script(two_steps)
            runs = [await lab.engine.enqueue(workflow, {}, QueueEntry()) for _ in range(COUNT)]

            async def all_begun() -> bool:
                return len(lab.desk.asked) == COUNT

            await lab.until(all_begun)
            counts = {each.owner: each.runs for each in await lab.journal.owners()}
            assert sum(counts.values()) == COUNT
            assert min(counts[name] for name in names) > 0
            lab.desk.gate.set()
            for run_id in runs:
                await lab.has(run_id, "succeeded")

    play(case)


def test_the_name_of_a_node_that_was_given_none_can_be_typed() -> None:
    host, _, number = default_node().rpartition("-")
    assert host
    assert number.isdecimal()


async def side_by_side(run: Run) -> Any:
    async def branch(name: str) -> Any:
        await run.request(name, "do.wait", {})
        return await run.request(f"{name}2", "do.ok", {})

    return await run.gather(branch("a"), branch("b"))


def test_branches_end_their_steps_before_a_run_is_handed_over(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        other = await lab.beside()
        run_id = await lab.engine.enqueue(lab.script(side_by_side), {}, QueueEntry())
        async with node(lab, lab.supervisor, "a") as mine:
            await lab.until(lambda: asked_again(lab))
            async with node(lab, other, "b") as theirs:
                await drain(lab, mine)
                await lab.until(lambda: is_leaving(lab, run_id))
                lab.desk.gate.set()
                await lab.has(run_id, "succeeded")
                assert await owners_of(lab, run_id) == [mine, theirs]
        assert sorted(lab.desk.asked) == ["a", "a2", "b", "b2"]

    play(case)


async def with_child(run: Run) -> Any:
    await run.run_workflow("w", {})
    return await run.request("last", "do.ok", {})


@pytest.mark.parametrize("grace_s", [30.0, 0.05])
def test_a_child_is_handed_over_with_its_parent(play: Any, grace_s: float) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        other = await lab.beside()
        lab.script(two_steps)
        run_id = await lab.engine.enqueue(lab.script(with_child, "p"), {}, QueueEntry())
        async with node(lab, lab.supervisor, "a", grace_s=grace_s) as mine:
            await lab.desk.pending.wait()
            async with node(lab, other, "b") as theirs:
                await drain(lab, mine)
                await lab.until(lambda: is_leaving(lab, run_id))
                if grace_s < 1:
                    await lab.until(lambda: asked_again(lab))
                lab.desk.gate.set()
                await lab.has(run_id, "succeeded")
                assert await owners_of(lab, run_id) == [mine, theirs]
        assert lab.desk.asked.count("two") == 1
        assert lab.desk.asked.count("last") == 1
        assert lab.supervisor.count() == 0

    play(case)
