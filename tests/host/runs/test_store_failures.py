"""A store that fails for a while strands no run, and what is tried is tried again by time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from tests.host.runs.machines import COUNTER, begun, seen

from qtforge_host.runs.recovery import RecoveryLoop
from qtforge_sdk import Run
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal import Journal
from qtforge_sdk.records import RunFinished, StepSucceeded

FULL = "the disk is full"
WRITES = {"append", "claim", "create", "release", "post", "take"}


class FailingStore:
    """A journal whose writes, or all of whose methods, fail while it is told so."""

    def __init__(self) -> None:
        self.inner: Journal  # opened by the process that uses it
        self.full = False
        self.gone = False
        self.takes_lost = 0
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            if self.gone or (self.full and name in WRITES):
                self.refused += 1
                raise StateDirectoryError("state", FULL)
            if name == "take" and self.takes_lost:
                self.takes_lost -= 1
                return ()  # another process was faster
            return await method(*arguments, **named)

        return method if name in ("changed", "close") else call


@contextlib.asynccontextmanager
async def served(lab: Any, store: FailingStore) -> AsyncIterator[RecoveryLoop]:
    """Execute runs over a store, as ``serve`` does."""
    await lab.start(journal=cast(Journal, store))
    store.inner = lab.client()
    loop = RecoveryLoop(lab.supervisor, cast(Journal, store), lab.clock)
    work = asyncio.ensure_future(loop.run())
    await loop.ready.wait()
    try:
        yield loop
    finally:
        work.cancel()
        await asyncio.wait({work})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.01)
    monkeypatch.setattr("qtforge_host.runs.recovery._LONGEST_S", 0.05)
    monkeypatch.setattr("qtforge_host.runs.active_runs._AGAIN_S", 0.01)


@pytest.mark.parametrize("fault", ["full", "gone"])
def test_runs_continue_when_a_store_that_failed_for_a_while_is_back(play: Any, fault: str) -> None:
    async def code(run: Run) -> str:
        await run.request("one", "do.ok", {})
        await run.request("two", "do.wait", {})
        await run.request("three", "do.ok", {})
        return "done"

    async def case(lab: Any) -> None:
        workflow = lab.script(code)
        store = FailingStore()
        async with served(lab, store) as loop:
            runs = [await lab.supervisor.start(workflow, {}) for _ in range(20)]
            await lab.desk.pending.wait()
            setattr(store, fault, True)
            lab.desk.gate.set()

            async def refused_often() -> bool:
                return store.refused > 60 and lab.supervisor.count() == 0

            await lab.until(refused_often)
            assert FULL in str(loop.trouble)
            setattr(store, fault, False)
            for run_id in runs:
                await lab.has(run_id, "succeeded")

            async def well() -> bool:
                return loop.trouble is None

            await lab.until(well)
        for run_id in runs:
            assert len(await lab.records(run_id, RunFinished)) == 1
            steps = [each.step for each in await lab.records(run_id, StepSucceeded)]
            assert steps == ["one", "two", "three"]

    play(case)


def test_an_event_that_could_not_be_recorded_is_delivered_when_the_store_is_back(
    play: Any,
) -> None:
    async def code(run: Run) -> Any:
        return await run.wait_event("go")

    async def case(lab: Any) -> None:
        store = FailingStore()
        async with served(lab, store):
            run_id = await lab.supervisor.start(lab.script(code), {})
            store.full = True
            await lab.post(run_id, "event", "go", 7)

            async def refused() -> bool:
                return store.refused > 2

            await lab.until(refused)
            store.full = False
            await lab.has(run_id, "succeeded")

    play(case)


def test_a_machine_handles_an_event_that_came_while_the_store_had_failed(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, COUNTER)
        store = FailingStore()
        async with served(lab, store):
            store.full = True
            await lab.post(run_id, "event", "note", 1)

            async def refused() -> bool:
                return store.refused > 2

            await lab.until(refused)
            store.full = False

            async def handled() -> bool:
                return bool(await seen(lab, run_id) == [1])

            await lab.until(handled)

    play(case)


def test_a_run_that_another_process_was_about_to_take_is_tried_again(play: Any) -> None:
    async def code(run: Run) -> str:
        await run.request("one", "do.ok", {})
        return "done"

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), lambda it: isinstance(it, StepSucceeded))
        await lab.end()
        store = FailingStore()
        store.takes_lost = 3
        async with served(lab, store):
            await lab.has(run_id, "succeeded")
        assert store.takes_lost == 0

    play(case)


def test_a_blocked_run_is_looked_at_again_when_the_plugins_have_changed(play: Any) -> None:
    async def code(run: Run) -> str:
        await run.request("one", "do.ok", {})
        await run.request("two", "do.ok", {})
        return "done"

    async def case(lab: Any) -> None:
        run_id = await lab.crash(
            lab.script(code), lambda it: getattr(it, "step", "") == "two", after=False
        )
        lab.versions = {"desk": "2.0.0"}
        store = FailingStore()
        async with served(lab, store):
            await lab.has(run_id, "blocked")
            lab.versions = {"desk": "1.0.0"}
            await lab.has(run_id, "succeeded")

    play(case)


def test_a_store_that_fails_at_the_first_look_is_looked_at_again(play: Any) -> None:
    async def code(run: Run) -> str:
        await run.request("one", "do.ok", {})
        return "done"

    async def case(lab: Any) -> None:
        run_id = await lab.crash(lab.script(code), lambda record: isinstance(record, StepSucceeded))
        store = FailingStore()
        await lab.start(journal=cast(Journal, store))
        store.inner, store.gone = lab.client(), True
        loop = RecoveryLoop(lab.supervisor, cast(Journal, store), lab.clock)
        work = asyncio.ensure_future(loop.run())
        try:
            await lab.until(lambda: was_refused(store))
            assert not work.done()
            assert FULL in str(loop.trouble)
            assert not loop.ready.is_set()
            store.gone = False
            await lab.has(run_id, "succeeded")
            assert loop.trouble is None
        finally:
            work.cancel()
            await asyncio.wait({work})

    play(case)


async def was_refused(store: FailingStore) -> bool:
    return store.refused > 2
