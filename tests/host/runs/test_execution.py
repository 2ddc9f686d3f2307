"""A run is executed in its caller's task: what ends the one does not end the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import ContextVar
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
        await self.stay_away()

    async def stay_away(self) -> None:
        self.begun.set()
        while not self.ended:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)


STAYS: ContextVar[Deaf] = ContextVar("stays")  # of the test that executes


async def in_an_operation(run: Run) -> Any:
    return await run.request("one", "deaf.stay", {}, timeout="10m")


async def beside_another(run: Run) -> Any:
    stay = run.request("one", "deaf.stay", {}, timeout="10m")
    return await run.gather(stay, run.request("two", "do.ok", {}))


async def in_a_step(run: Run) -> Any:
    return await run.step("one", STAYS.get().stay_away)


async def in_the_workflow(run: Run) -> Any:
    await STAYS.get().stay_away()


async def in_a_branch(run: Run) -> Any:
    await run.gather(STAYS.get().stay_away(), run.request("two", "do.ok", {}))


async def beside_a_failure(run: Run) -> Any:
    stay = run.request("one", "deaf.stay", {}, timeout="10m")
    return await run.gather(stay, failing(run))


async def failing(run: Run) -> Any:
    await STAYS.get().begun.wait()
    await run.request("two", "do.fail", {})


async def not_needed(run: Run) -> Any:
    async def enough() -> None:
        await STAYS.get().begun.wait()

    return await run.gather(run.request("one", "deaf.stay", {}, timeout="10m"), enough(), first=1)


CODES = (in_an_operation, beside_another, in_a_step, in_the_workflow, in_a_branch)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("code", "cut_by", "status"),
    [
        *((code, "its time", "failed") for code in CODES),
        *((code, "a cancel", "cancelled") for code in CODES),
        *((code, "the caller", "cancelled") for code in CODES),
        (beside_a_failure, "itself", "failed"),
        (not_needed, "itself", "succeeded"),
    ],
)
def test_code_that_swallows_its_cancellations_does_not_keep_the_run(
    code: Callable[[Run], Any],
    cut_by: str,
    status: str,
    play: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(cancellation, "CLEANUP_S", 0.01)
    monkeypatch.setattr(cancellation, "_INSIST_S", 0.01)

    async def case(lab: Any) -> None:
        await lab.start()
        deaf = await lab.add(Deaf(), "deaf", "1.0.0")
        STAYS.set(deaf)
        workflow = lab.script(code, timeout="10ms" if cut_by == "its time" else None)
        going = asyncio.ensure_future(lab.engine.execute(workflow, {}, run_id="run"))
        await asyncio.wait_for(deaf.begun.wait(), 60)
        if cut_by == "its time":
            await lab.clock.advance(0.01)
        elif cut_by == "a cancel":
            await lab.post("run", "cancel")
        elif cut_by == "the caller":
            going.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(going, 60)
        (ended,) = await lab.records("run", RunFinished)
        assert ended.status == status
        if status != "succeeded" and cut_by != "itself":
            assert "swallows its cancellation in" in ended.error.message
            assert ended.error.fix == cancellation.LET_CANCELLATION_OUT
        late = [each for each in caplog.messages if "has not ended" in each]
        assert len(late) == 1  # not once for each cancellation
        assert f"at {__file__}:" in late[0]
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
