"""A run is executed in its caller's task: what ends the one does not end the other."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from qtforge_host import cancellation
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk import Compensation, Plugin, Run, operation
from qtforge_sdk.journal import Journal
from qtforge_sdk.records import CompensationSucceeded, Record, RunFinished, StepSucceeded


class Slow:
    """A journal on disk whose appends tell when they begin."""

    def __init__(self, inner: Journal, kind: type[Record]) -> None:
        self.inner = inner
        self.begun = asyncio.Event()
        self._kind = kind

    async def append(self, ownership: Any, records: Any, posts: Any = ()) -> None:
        if any(isinstance(record, self._kind) for record in records):
            self.begun.set()
        await self.inner.append(ownership, records, posts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


async def waits(run: Run) -> None:
    await run.request("one", "do.wait", {})


def test_a_cancelled_run_does_not_cancel_who_executes_it(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = lab.script(waits)

        async def caller() -> tuple[str, int]:
            state = await lab.engine.execute(workflow, {})
            await asyncio.sleep(0)  # a cancellation that was left behind would come here
            task = asyncio.current_task()
            return state.status, -1 if task is None else task.cancelling()

        going = asyncio.ensure_future(caller())
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        await lab.post(next(iter(lab.store.runs)), "cancel")
        assert await asyncio.wait_for(going, 60) == ("cancelled", 0)

    play(case)


def test_a_run_whose_time_is_over_does_not_cancel_who_executes_it(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = lab.script(waits, timeout="10ms")

        async def caller() -> tuple[str, str]:
            async with asyncio.timeout(60):
                state = await lab.engine.execute(workflow, {})
                await asyncio.sleep(0)
            return state.status, state.error.code

        going = asyncio.ensure_future(caller())
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        await lab.clock.advance(0.01)
        assert await going == ("failed", "run.timeout")

    play(case)


class Deaf(Plugin):
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = False

    @operation("deaf.stay")
    async def stay(self, message: object) -> None:
        self.begun.set()
        while not self.ended:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("beside", [False, True])
def test_an_operation_that_swallows_its_cancellation_ends_soon_after_the_runs_time(
    beside: bool, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "_INSIST_S", 0.01)

    async def code(run: Run) -> None:
        stay = run.request("one", "deaf.stay", {})
        await (run.gather(stay, run.request("two", "do.ok", {})) if beside else stay)

    async def case(lab: Any) -> None:
        await lab.start()
        deaf = await lab.add(Deaf(), "deaf", "1.0.0")
        going = asyncio.ensure_future(lab.engine.execute(lab.script(code, timeout="10ms"), {}))
        await asyncio.wait_for(deaf.begun.wait(), 60)
        await lab.clock.advance(0.01)
        state = await asyncio.wait_for(going, 20)  # before the step's own 30 s
        assert state.error.code == "run.timeout"
        assert "deaf 1.0.0 swallows its cancellation in 'deaf.stay'" in state.error.message
        deaf.ended = True

    play(case)


def test_a_callers_timeout_cancels_the_run_and_is_the_callers(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        workflow = lab.script(waits)

        async def caller() -> None:
            async with asyncio.timeout(None) as limit:

                async def on_started(run_id: str) -> None:
                    limit.reschedule(asyncio.get_running_loop().time() + 0.01)

                await lab.engine.execute(workflow, {}, on_started=on_started)

        with pytest.raises(TimeoutError):
            await caller()
        run_id = next(iter(lab.store.runs))
        assert [each.status for each in await lab.records(run_id, RunFinished)] == ["cancelled"]

    play(case)


def test_code_that_swallows_its_cancellation_does_not_hide_it_from_the_caller(play: Any) -> None:
    begun = asyncio.Event()

    async def deaf(run: Run) -> str:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        return "done all the same"

    async def case(lab: Any) -> None:
        await lab.start()
        going = asyncio.ensure_future(lab.engine.execute(lab.script(deaf), {}))
        await asyncio.wait_for(begun.wait(), 60)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(going, 60)
        run_id = next(iter(lab.store.runs))
        assert [each.status for each in await lab.records(run_id, RunFinished)] == ["succeeded"]

    play(case)


def test_a_step_that_is_cancelled_while_its_success_is_written_is_undone(
    play: Any, tmp_path: Path
) -> None:
    async def code(run: Run) -> None:
        undo = Compensation(topic="do.ok", message={})
        await run.request("one", "do.ok", {}, compensation=undo)

    async def case(lab: Any) -> None:
        disk = SqliteJournal(tmp_path)
        await disk.open()
        journal = Slow(disk, StepSucceeded)
        await lab.start(journal=journal)
        workflow = lab.script(code, on_cancel="compensate")
        going = asyncio.ensure_future(lab.engine.execute(workflow, {}, run_id="run"))
        await asyncio.wait_for(journal.begun.wait(), 60)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(going, 60)
        records = await disk.records("run")
        await lab.end()
        await disk.close()
        assert [each.step for each in records if isinstance(each, StepSucceeded)] == ["one"]
        assert [each.step for each in records if isinstance(each, CompensationSucceeded)] == ["one"]
        assert lab.desk.asked == ["one", "one/compensation"]

    play(case)


def test_a_caller_who_is_cancelled_while_the_end_is_written_finds_one_end(
    play: Any, tmp_path: Path
) -> None:
    async def code(run: Run) -> str:
        return "done"

    async def case(lab: Any) -> None:
        disk = SqliteJournal(tmp_path)
        await disk.open()
        journal = Slow(disk, RunFinished)
        await lab.start(journal=journal)
        going = asyncio.ensure_future(lab.engine.execute(lab.script(code), {}, run_id="run"))
        await asyncio.wait_for(journal.begun.wait(), 60)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(going, 60)
        records = await disk.records("run")
        await lab.end()
        await disk.close()
        assert [each.status for each in records if isinstance(each, RunFinished)] == ["succeeded"]

    play(case)


def test_many_short_runs_one_after_another_let_others_have_their_turn(play: Any) -> None:
    async def short(run: Run) -> None:
        await run.request("one", "do.ok", {})

    async def case(lab: Any) -> None:
        await lab.start()
        workflow = lab.script(short)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.ensure_future(count())
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() < began + 0.1:
            await lab.engine.execute(workflow, {})
        counting.cancel()
        assert turns > 1

    play(case)
