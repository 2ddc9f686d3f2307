"""The dispatcher takes up what was interrupted, was sent something, or is due."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections import Counter
from typing import Any

import msgspec
import pytest
from tests.host.runs.machines import CALLER, COUNTER, TIMER, begun, labelled, seen

from qtforge_sdk.journal import Standing
from qtforge_sdk.records import CheckpointSaved, RunBlocked, RunResumed, StepSucceeded


def test_a_run_whose_process_died_while_it_was_live_is_taken_up(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, CALLER % "do.ok")
        await lab.post(run_id, "event", "go")
        await lab.start(lambda it: isinstance(it, StepSucceeded), after=False)
        await lab.dies(lab.engine.resume(run_id))
        await lab.start()
        async with lab.dispatching():
            await lab.has(run_id, "waiting")
        assert (await lab.kept(run_id)).state["data"] == {
            "answer": {"done": "1.ask"},
        }
        assert lab.desk.asked == ["1.ask", "1.ask"]

    play(case)


def test_what_is_sent_before_and_after_its_start_is_handled(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, COUNTER)
        await lab.post(run_id, "event", "note", "before")
        async with lab.dispatching():
            await lab.until(lambda: seen_by(lab, run_id, ["before"]))
            await lab.post(run_id, "event", "note", "after")
            await lab.until(lambda: seen_by(lab, run_id, ["before", "after"]))

    play(case)


async def seen_by(lab: Any, run_id: str, expected: list[Any]) -> bool:
    return bool(await seen(lab, run_id) == expected)


def test_more_than_it_takes_up_at_once_is_handled_all_the_same(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._AT_ONCE", 4)

    async def case(lab: Any) -> None:
        runs = [await begun(lab, COUNTER) for _ in range(20)]
        for run_id in runs:
            await lab.post(run_id, "event", "note", 1)
        async with lab.dispatching():
            for run_id in runs:
                await lab.until(lambda each=run_id: seen_by(lab, each, [1]))
            for run_id in runs:
                await lab.post(run_id, "event", "note", 2)
            for run_id in runs:
                await lab.until(lambda each=run_id: seen_by(lab, each, [1, 2]))

    play(case)


def test_a_timer_fires_when_it_is_due(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, TIMER % "60s")
        async with lab.dispatching():
            await lab.until(lambda: sleeps(lab))
            await lab.clock.advance(59.9)
            assert (await lab.kept(run_id)).label == "on"
            await lab.clock.advance(0.1)
            await lab.until(lambda: labelled(lab, run_id, "off"))
        assert (await lab.kept(run_id)).late_s == 0

    play(case)


async def sleeps(lab: Any) -> bool:
    return bool(lab.clock.waiting > 0)


def test_a_timer_that_was_due_while_no_process_ran_fires_late_and_once(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, TIMER % "60s")
        await lab.end()
        await lab.clock.advance(3600)
        for _ in range(2):
            await lab.start()
            async with lab.dispatching():
                await lab.until(lambda: labelled(lab, run_id, "off"))
                await lab.until(lambda: rests(lab, run_id))
        fired = [each for each in await lab.records(run_id, CheckpointSaved) if each.event]
        assert [each.late_s for each in fired] == [3540]

    play(case)


async def rests(lab: Any, run_id: str) -> bool:
    return bool(lab.engine.active_runs.get(run_id) is None)


def test_a_year_of_timers_of_resting_runs_passes_in_no_time(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._GAP_S", 0.0)

    async def case(lab: Any) -> None:
        start = lab.clock.now()
        runs = [await begun(lab, TIMER % f"{24 * day}h") for day in range(1, 366)]
        async with lab.dispatching():
            for run_id in runs:
                await lab.clock.advance(24 * 3600)
                await lab.until(lambda each=run_id: labelled(lab, each, "off"))
        for day, run_id in enumerate(runs, 1):
            (fired,) = [each for each in await lab.records(run_id, CheckpointSaved) if each.event]
            assert (fired.at, fired.late_s) == (start + datetime.timedelta(days=day), 0)

    play(case)


def test_a_run_whose_plugins_have_changed_is_blocked_until_they_are_back(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, CALLER % "do.ok")
        await lab.post(run_id, "event", "go")
        await lab.start(lambda it: isinstance(it, CheckpointSaved) and not it.event, after=False)
        await lab.dies(lab.engine.resume(run_id))
        lab.versions = {"desk": "2.0.0"}
        await lab.start()
        async with lab.dispatching():
            await lab.has(run_id, "blocked")
            await lab.post(run_id, "event", "go")
            await asyncio.sleep(0.05)
        assert await lab.status(run_id) == "blocked"
        assert len(await lab.records(run_id, RunBlocked)) == 1
        lab.versions = {"desk": "1.0.0"}
        await lab.start()
        async with lab.dispatching():
            await lab.has(run_id, "waiting")
            await lab.until(lambda: asked(lab, ["1.ask", "2.ask"]))

    play(case)


async def asked(lab: Any, expected: list[str]) -> bool:
    return bool(lab.desk.asked == expected)


def test_a_run_that_another_process_left_busy_is_taken_up_although_it_was_before(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.02)

    async def case(lab: Any) -> None:
        run_id = await begun(lab, CALLER % "do.wait")
        await lab.post(run_id, "event", "go")
        async with lab.dispatching():
            await asyncio.wait_for(lab.desk.pending.wait(), 60)
            lab.desk.gate.set()
            await lab.has(run_id, "waiting")
            await lab.until(lambda: rests(lab, run_id))
            other = lab.client()
            ownership = await other.claim(run_id)
            now = lab.clock.now()
            resumed = RunResumed(run_id=run_id, at=now, owner=ownership.owner, plugins={})
            await other.append(ownership, [resumed])
            await asyncio.sleep(0.1)
            assert await lab.status(run_id) == "running"
            await other.close()  # it died
            await lab.has(run_id, "waiting")

    play(case)


def test_a_run_that_can_not_be_taken_up_is_told_of_once(
    play: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.02)

    async def case(lab: Any) -> None:
        async def unknown(run: Any) -> None:
            await run.request("one", "do.wait", {})

        await lab.crash(lab.script(unknown), lambda it: True)
        del lab.workflows["w"]
        await lab.start()
        run_id = await begun(lab, COUNTER)
        async with lab.dispatching():
            await asyncio.sleep(0.2)
            await lab.post(run_id, "event", "note", 1)
            await lab.until(lambda: seen_by(lab, run_id, [1]))

    with caplog.at_level(logging.WARNING, "qtforge.runs"):
        play(case)
    assert len([each for each in caplog.messages if "can't be resumed" in each]) == 1


def test_a_clock_that_is_set_forward_lets_timers_fire(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.02)

    async def case(lab: Any) -> None:
        run_id = await begun(lab, TIMER % "60s")
        now = lab.clock.now
        async with lab.dispatching():
            await lab.until(lambda: sleeps(lab))
            lab.clock.now = lambda: now() + datetime.timedelta(hours=1)
            await lab.until(lambda: labelled(lab, run_id, "off"))
        assert (await lab.kept(run_id)).late_s == 3540

    play(case)


def test_a_sweep_of_an_idle_process_is_one_call_of_the_journal(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.001)

    async def case(lab: Any) -> None:
        calls: Counter[str] = Counter()
        swept = asyncio.Event()

        def counted(name: str) -> Any:
            works = getattr(lab.mortal, name)

            async def call(*args: Any, **options: Any) -> Any:
                calls[name] += 1
                if calls["take"] >= 20:
                    swept.set()
                return await works(*args, **options)

            return call

        for name in ("take", "deliveries", "next_due", "owners", "due", "runs_with_pending"):
            setattr(lab.mortal, name, counted(name))
        async with lab.dispatching(), asyncio.timeout(60):
            await swept.wait()
            calls.clear()
            swept.clear()
            await swept.wait()
            assert calls == {"take": 20}
            run_id = await begun(lab, COUNTER)
            await lab.post(run_id, "event", "note", "after")
            await lab.until(lambda: seen_by(lab, run_id, ["after"]))

    play(case)


def test_a_process_that_the_store_does_not_answer_leaves_its_runs_and_resumes_them_later(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._CONTACT_S", 0.001)
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 0.01)

    async def case(lab: Any) -> None:
        works, cut_off = lab.mortal.standing, False

        async def standing() -> Standing:
            found: Standing = msgspec.structs.replace(await works(), cut_off=cut_off)
            return found

        lab.mortal.standing = standing
        run_id = await begun(lab, CALLER % "do.wait")
        async with lab.dispatching():
            await lab.post(run_id, "event", "go")
            await lab.until(lambda: asked(lab, ["1.ask"]))
            cut_off = True
            await lab.until(lambda: rests(lab, run_id))
            cut_off = False
            await lab.until(lambda: asked(lab, ["1.ask", "1.ask"]))

    play(case)


def test_the_runs_of_a_process_that_has_ended_are_looked_for_at_once(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 3600.0)
    monkeypatch.setattr("qtforge_host.runs.recovery._ALERT_S", 0.0)

    async def case(lab: Any) -> None:
        stands, takes, nodes = lab.mortal.standing, lab.mortal.take, "before"
        sweeps, swept = 0, asyncio.Event()

        async def standing() -> Standing:
            found: Standing = msgspec.structs.replace(await stands(), nodes=nodes)
            return found

        async def take(*args: Any, **options: Any) -> Any:
            nonlocal sweeps
            if options["since"] is None:
                sweeps += 1
                swept.set()
            return await takes(*args, **options)

        lab.mortal.standing, lab.mortal.take = standing, take
        async with lab.dispatching(), asyncio.timeout(60):
            await swept.wait()
            await asyncio.sleep(0.05)
            before = sweeps
            swept.clear()
            nodes = "after"
            for tell in [*lab.engine.active_runs.on_change]:
                tell()
            await swept.wait()
            assert sweeps == before + 1

    play(case)


def test_runs_that_there_was_no_room_for_are_taken_when_there_is_some(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.runs.recovery._SWEEP_S", 3600.0)
    monkeypatch.setattr("qtforge_host.runs.recovery._ALERT_S", 0.0)

    async def case(lab: Any) -> None:
        runs = [await begun(lab, COUNTER) for _ in range(9)]
        for run_id in runs:
            await lab.post(run_id, "event", "note", 1)
        async with lab.dispatching(max_runs=2):
            for run_id in runs:
                await lab.until(lambda each=run_id: seen_by(lab, each, [1]))

    play(case)
