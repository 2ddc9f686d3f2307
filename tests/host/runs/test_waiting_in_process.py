"""A run that waits for an event says so at once, also while it stays in its process."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest

from qtforge_host.testing.mortal_journal import MortalJournal
from qtforge_sdk import Run
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.records import EventReceived, RunFinished, RunWaiting, StepSucceeded, TimerFired


@pytest.fixture(autouse=True)
def note_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtforge_host.runs.log._NOTE_S", 0.001)
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.01)
    monkeypatch.setattr("qtforge_host.runs.active_runs._SWEEP_S", 0.01)


@contextlib.asynccontextmanager
async def serving(lab: Any) -> AsyncIterator[None]:
    """Execute runs as ``serve`` does: those that wait rest soon."""
    lab.engine.active_runs.linger_s = 0.05
    lab.engine.active_runs.rests_all = True
    async with lab.dispatching():
        yield


async def approval(run: Run) -> Any:
    before = await run.request("before", "do.ok", {})
    answer = await run.wait_event("yes")
    await run.request("after", "do.ok", {})
    return [before["done"], answer]


async def waiting_for(lab: Any, event: str) -> list[str]:
    return [each.run_id for each in await lab.journal.runs(RunQuery(waiting_for=event))]


async def awaits(lab: Any, run_id: str) -> bool:
    return bool(lab.engine.active_runs.awaited_events(run_id))


async def begins(lab: Any, code: Any) -> str:
    """Start a run, and wait until its code waits for an event."""
    run_id: str = await lab.supervisor.start(lab.script(code), {})
    await lab.until(lambda: awaits(lab, run_id))
    return run_id


def test_it_is_found_by_its_event_until_it_goes_on(play: Any) -> None:
    async def code(run: Run) -> Any:
        answer = await run.wait_event("yes")
        await run.request("after", "do.wait", {})
        return answer

    async def case(lab: Any) -> None:
        await lab.start()
        run_id = await begins(lab, code)
        await lab.has(run_id, "waiting")
        (found,) = await lab.journal.runs(RunQuery(waiting_for="yes"))
        assert (found.run_id, found.owner_alive) == (run_id, True)
        assert found.waiting_since is not None
        await lab.post(run_id, "event", "other")
        await lab.until(lambda: has_records(lab, run_id, RunWaiting, 3))
        assert await waiting_for(lab, "yes") == [run_id]
        await lab.post(run_id, "event", "yes", 7)
        await lab.desk.pending.wait()
        assert (await lab.status(run_id), await waiting_for(lab, "yes")) == ("running", [])
        lab.desk.gate.set()
        await lab.has(run_id, "succeeded")
        waits = await lab.records(run_id, RunWaiting)
        assert [each.over for each in waits] == [False, True, False, True]
        assert not await lab.journal.check()

    play(case)


async def has_records(lab: Any, run_id: str, kind: type[Any], count: int) -> bool:
    return len(await lab.records(run_id, kind)) == count


def test_it_waits_only_once_no_other_branch_works(play: Any) -> None:
    async def code(run: Run) -> Any:
        return await run.gather(
            run.wait_event("yes", timeout=60),
            run.wait_event("no"),
            run.request("beside", "do.wait", {}),
            run.sleep(30),
            deadline=3600,
        )

    async def case(lab: Any) -> None:
        await lab.start()
        run_id = await begins(lab, code)
        await lab.desk.pending.wait()
        assert await lab.status(run_id) == "running"
        lab.desk.gate.set()
        await lab.has(run_id, "waiting")
        (waits,) = await lab.records(run_id, RunWaiting)
        assert waits.events == ("yes", "no")
        assert waits.until == lab.clock.now() + datetime.timedelta(seconds=30)
        await lab.clock.advance(31)
        await lab.until(lambda: has_records(lab, run_id, RunWaiting, 3))
        records = await lab.journal.records(run_id)
        over = [place for place, each in enumerate(records) if getattr(each, "over", False)]
        assert [type(records[place + 1]) for place in over] == [TimerFired]
        await lab.post(run_id, "event", "no")
        await lab.until(lambda: has_records(lab, run_id, RunWaiting, 5))
        await lab.clock.advance(31)
        await lab.has(run_id, "failed")

    play(case)


def test_a_wait_that_is_over_before_it_is_written_costs_nothing(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.log._NOTE_S", 3600)

    async def case(lab: Any) -> None:
        await lab.start()
        run_id = await begins(lab, approval)
        await lab.post(run_id, "event", "yes")
        await lab.has(run_id, "succeeded")
        assert not await lab.records(run_id, RunWaiting)

    play(case)


def test_it_rests_later_without_another_record(play: Any) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        async with serving(lab):
            run_id = await begins(lab, approval)
            await lab.has(run_id, "waiting")
            await lab.until(lambda: is_left(lab, run_id))
            assert await has_records(lab, run_id, RunWaiting, 1)
            await lab.post(run_id, "event", "yes")
            await lab.has(run_id, "succeeded")

    play(case)


async def is_left(lab: Any, run_id: str) -> bool:
    (found,) = await lab.journal.runs(RunQuery(waiting_for="yes"))
    return not found.owner_alive


@pytest.mark.parametrize(("kind", "status"), [("cancel", "cancelled"), ("pause", "paused")])
def test_it_can_be_cancelled_and_paused(play: Any, kind: Any, status: str) -> None:
    async def case(lab: Any) -> None:
        await lab.start()
        run_id = await begins(lab, approval)
        await lab.has(run_id, "waiting")
        await lab.post(run_id, kind)
        await lab.has(run_id, status)
        assert not await waiting_for(lab, "yes")

    play(case)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", [RunWaiting, EventReceived, StepSucceeded])
def test_a_process_that_dies_as_it_waits_or_goes_on_loses_nothing(
    play: Any, kind: type[Any], *, after: bool
) -> None:
    def dies(record: Any) -> bool:
        return isinstance(record, kind) and getattr(record, "step", "event yes") == "event yes"

    async def is_dead(lab: Any) -> bool:
        mortal: MortalJournal = lab.mortal
        return mortal.dead

    async def case(lab: Any) -> None:
        await lab.start(dies, after=after)
        run_id = await begins(lab, approval)
        if kind is not RunWaiting:
            await lab.has(run_id, "waiting")
            await lab.post(run_id, "event", "yes", 7)
        await lab.until(lambda: is_dead(lab))
        await lab.start()
        async with serving(lab):
            if kind is RunWaiting:
                await lab.post(run_id, "event", "yes", 7)
            await lab.has(run_id, "succeeded")
        (end,) = await lab.records(run_id, RunFinished)
        assert end.result == ["before", 7]
        assert lab.desk.asked == ["before", "after"]
        assert not await lab.journal.check()

    play(case)
