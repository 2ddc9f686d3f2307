"""Runs that need a place of a concurrency key, and runs with a unique key."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.runs.errors import RunKeysError
from qtforge_host.runs.recovery import RecoveryLoop
from qtforge_host.runs.run_keys import Start
from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.testing.mortal_journal import Crash, Moment, MortalJournal
from qtforge_sdk import Run
from qtforge_sdk.journal_errors import RunConcurrencyError, RunDuplicateError, TagsInvalidError
from qtforge_sdk.records import QueueEntry, RunFinished, RunQueued, RunResumed, StepSucceeded
from qtforge_sdk.run_keys import ConcurrencyKey, UniqueKey

LAST_WRITE = 40  # more than the longest case has


async def quick(run: Run) -> Any:
    return await run.request("one", "do.ok", {})


async def slow(run: Run) -> Any:
    return await run.request("one", "do.wait", {})


@contextlib.asynccontextmanager
async def executing(lab: Any) -> AsyncIterator[None]:
    """Execute queued runs, as ``serve`` does."""
    loop = RecoveryLoop(lab.supervisor, lab.mortal, lab.clock)
    work = asyncio.ensure_future(loop.run())
    await loop.ready.wait()
    try:
        yield
    finally:
        work.cancel()
        await asyncio.wait({work})


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.01)


def keyed(lab: Any, code: Any = slow, name: str = "w", **key: Any) -> Any:
    key = {"key": "${input.customer}", **key}
    return lab.script(code, name, concurrency_key=ConcurrencyKey(**key))


def test_runs_of_a_key_are_executed_one_after_the_other(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = keyed(lab)
        async with executing(lab):
            first = await lab.supervisor.start(workflow, {"customer": "a"})
            second = await lab.supervisor.start(workflow, {"customer": "a"})
            other = await lab.supervisor.start(workflow, {"customer": "b"})
            await lab.has(other, "running")
            await lab.has(first, "running")
            assert (await lab.journal.summary(second)).held_by == (first,)
            lab.desk.gate.set()
            for run_id in (first, second, other):
                await lab.has(run_id, "succeeded")
        assert not await lab.records(first, RunQueued)
        (ended,) = await lab.records(first, RunFinished)
        (resumed,) = await lab.records(second, RunResumed)
        assert ended.at <= resumed.at

    play(case)


def test_a_run_without_keys_has_no_record_more(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        writes: list[Moment] = []

        def count(moment: Moment) -> bool:
            writes.append(moment)
            return False

        journal = MortalJournal(MemoryJournal(store=lab.store), count, owners=True)
        engine = await lab.start(journal=journal)
        plain = (await engine.execute(lab.script(quick), {})).run_id
        written = [each.what for each in writes if each.after]
        assert written == ["run_started", "step_succeeded", "run_finished"]
        first = (await lab.journal.records(plain))[0]
        assert (first.keys, first.queue, first.started_by) == (None, None, None)

    play(case)


def test_where_no_place_is_left_a_run_is_refused_and_nothing_is_stored(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = keyed(lab, when_full="refuse")
        first = await lab.supervisor.start(workflow, {"customer": "a"})
        await lab.has(first, "running")
        for start in (
            lab.engine.execute(workflow, {"customer": "a"}),
            lab.engine.enqueue(workflow, {"customer": "a"}, QueueEntry()),
        ):
            with pytest.raises(RunConcurrencyError, match=first):
                await start
        assert len(lab.store.runs) == 1
        lab.desk.gate.set()
        await lab.has(first, "succeeded")
        again = await lab.engine.execute(workflow, {"customer": "a"})
        assert again.status == "succeeded"

    play(case)


def test_the_oldest_run_is_cancelled_for_a_new_one(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = keyed(lab, when_full="cancel")
        async with executing(lab):
            first = await lab.supervisor.start(workflow, {"customer": "a"})
            await lab.has(first, "running")
            second = await lab.supervisor.start(workflow, {"customer": "a"})
            await lab.has(first, "cancelled")
            await lab.has(second, "running")
            lab.desk.gate.set()
            await lab.has(second, "succeeded")
        (finished,) = await lab.records(first, RunFinished)
        assert finished.error.message == f"cancelled by the run {second}"

    play(case)


def test_only_the_newest_run_waits(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = keyed(lab, when_full="latest")
        async with executing(lab):
            ids = []
            for _ in range(4):
                ids.append(await lab.supervisor.start(workflow, {"customer": "a"}))
                await lab.until(lambda: _begun(lab, ids[0]))
            for dropped in ids[1:3]:
                await lab.has(dropped, "cancelled")
            assert await lab.status(ids[3]) == "queued"
            lab.desk.gate.set()
            await lab.has(ids[0], "succeeded")
            await lab.has(ids[3], "succeeded")
        for dropped in ids[1:3]:
            assert not await lab.records(dropped, StepSucceeded)

    play(case)


async def _begun(lab: Any, run_id: str) -> bool:
    return bool(await lab.status(run_id) == "running")


def test_a_child_needs_no_place_and_is_not_unique(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        lab.script(
            quick,
            "inner",
            concurrency_key=ConcurrencyKey(),
            unique=UniqueKey(key="x"),
            tags={"n": "${input.n}"},
        )

        async def outer(run: Run) -> Any:
            await run.run_workflow("inner", {"n": 1}, step="a")
            return await run.run_workflow("inner", {"n": 2}, step="b")

        state = await lab.engine.execute(lab.script(outer, "outer"), {})
        assert state.status == "succeeded"
        tags = [each.tags for each in lab.store.runs.values() if each.workflow == "inner"]
        assert tags == [{"n": "1"}, {"n": "2"}]

    play(case)


def test_a_unique_key_answers_with_the_run_that_is_there(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = lab.script(slow, unique=UniqueKey(key="${input.n}"))
        first = await lab.supervisor.start(workflow, {"n": 7})
        with pytest.raises(RunDuplicateError) as caught:
            await lab.engine.execute(workflow, {"n": 7})
        assert caught.value.run_id == first
        lab.desk.gate.set()
        await lab.has(first, "succeeded")
        assert (await lab.engine.execute(workflow, {"n": 7})).status == "succeeded"

    play(case)


def test_tags_and_title_are_those_of_the_input(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = lab.script(
            quick,
            title="Invoice ${input.n}\n of ${input.who}",
            tags={"who": "${input.who}", "n": "${input.n}", "none": "${input.none}"},
            priority="${input.n}",
        )
        given = {"n": 7, "who": "Ada", "none": None}
        start = Start(tags={"who": "Eve"})
        state = await lab.engine.execute(workflow, given, start=start)
        assert (state.title, dict(state.tags)) == ("Invoice 7 of Ada", {"who": "Eve", "n": "7"})
        queued = await lab.engine.enqueue(workflow, given, QueueEntry())
        assert (await lab.journal.summary(queued)).priority == 7
        for wrong, error in (
            ({**given, "who": "x" * 201}, TagsInvalidError),
            ({**given, "who": [1]}, RunKeysError),
        ):
            with pytest.raises(error):
                await lab.engine.execute(workflow, wrong)
        with pytest.raises(RunKeysError, match="priority"):
            await lab.engine.enqueue(workflow, {**given, "n": 101}, QueueEntry())
        assert len(lab.store.runs) == 2

    play(case)


@pytest.mark.parametrize("after", [False, True])
def test_whatever_write_a_process_dies_at_no_place_is_lost_or_held_for_ever(
    play: Any, after: bool
) -> None:
    async def dies_at(lab: Any, write: int) -> bool:
        """Start three runs of one key in a process that dies; return whether it did."""
        lab.store.runs.clear()
        mortal = MortalJournal(
            MemoryJournal(store=lab.store),
            lambda moment: moment.write == write and moment.after == after,
            owners=True,
        )
        engine = await lab.start(journal=mortal)
        workflow = keyed(lab, quick)
        supervisor = Supervisor(engine)
        loop = asyncio.ensure_future(RecoveryLoop(supervisor, mortal, lab.clock).run())
        with contextlib.suppress(Crash):
            for _ in range(3):
                await supervisor.start(workflow, {"customer": "a"})
        with contextlib.suppress(Crash):
            await lab.until(lambda: _all_ended(lab, mortal))
        loop.cancel()
        await asyncio.wait({loop})
        await supervisor.engine.active_runs.close(0.0, rest_s=0.2)
        await mortal.inner.close()
        return bool(mortal.dead)

    async def case(lab: Any) -> None:
        died = 0
        for write in range(1, LAST_WRITE):
            if not await dies_at(lab, write):
                break
            died += 1
            await lab.start()
            async with executing(lab):
                for run_id in list(lab.store.runs):
                    await lab.has(run_id, "succeeded")
                free = await lab.engine.execute(keyed(lab, quick), {"customer": "a"})
                await lab.has(free.run_id, "succeeded")
            assert not any(each.holds for each in lab.store.runs.values())
        assert died > 8

    play(case)


async def _all_ended(lab: Any, mortal: MortalJournal) -> bool:
    ended = all(each.finished_at is not None for each in lab.store.runs.values())
    return mortal.dead or (ended and len(lab.store.runs) == 3)
