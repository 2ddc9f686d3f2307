"""A paused run is left only by a request: what is sent to it waits for that."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.host.runs.machines import COUNTER, TIMER, seen

from qtforge_host.runs.reset import reset_run
from qtforge_sdk import Run
from qtforge_sdk.journal import InboxMessage
from qtforge_sdk.records import EventReceived, RunFinished

Start = Callable[[Any], Awaitable[str]]


async def waits(run: Run) -> Any:
    return (await run.wait_event("note", timeout=3600))["text"]


async def machine(lab: Any) -> str:
    return str(await lab.supervisor.start(lab.machine(COUNTER), {}))


async def script(lab: Any) -> str:
    return str(await lab.supervisor.start(lab.script(waits), {}))


async def paused(lab: Any, start: Start, linger_s: float) -> str:
    """Return a run that waits, and that was paused in the process that executes it."""
    lab.engine.active_runs.linger_s = linger_s
    run_id = await start(lab)
    if start is machine:
        await lab.has(run_id, "waiting")
    else:

        async def waits_now() -> bool:
            return bool(lab.engine.active_runs.awaited_events(run_id))

        await lab.until(waits_now)
    await lab.post(run_id, "pause")
    await lab.has(run_id, "paused")
    return run_id


def event(data: Any, message_id: str) -> InboxMessage:
    now = datetime.datetime.now(datetime.UTC)
    return InboxMessage(message_id=message_id, kind="event", at=now, name="note", data=data)


async def posted(lab: Any, run_id: str) -> None:
    await lab.post(run_id, "event", "note", {"text": "x"})


async def sent(lab: Any, run_id: str) -> None:
    assert await lab.supervisor.send(run_id, event({"text": "x"}, "s1"), timeout_s=0.1) is None


async def woken(lab: Any, run_id: str) -> None:
    await posted(lab, run_id)
    lab.supervisor.wake(run_id)


async def amended(lab: Any, run_id: str) -> None:
    await posted(lab, run_id)
    await lab.post(run_id, "amend", data={"patch": [], "reason": ""})


async def after_a_restart(lab: Any, run_id: str) -> None:
    await posted(lab, run_id)
    await lab.start()


@pytest.mark.parametrize("linger_s", [0, 3600])
@pytest.mark.parametrize("start", [machine, script])
@pytest.mark.parametrize("way", [posted, sent, woken, amended, after_a_restart])
def test_nothing_that_is_sent_resumes_a_paused_run_and_nothing_of_it_is_lost(
    play: Any, start: Start, way: Callable[[Any, str], Awaitable[None]], linger_s: float
) -> None:
    async def case(lab: Any) -> None:
        async with lab.dispatching():
            run_id = await paused(lab, start, linger_s)
            before = len(await lab.journal.records(run_id))
            if way is not after_a_restart:
                await way(lab, run_id)
                await asyncio.sleep(0.1)
        if way is after_a_restart:
            await way(lab, run_id)
        async with lab.dispatching():
            await asyncio.sleep(0.05)
            assert await lab.status(run_id) == "paused"
            assert len(await lab.journal.records(run_id)) == before
            resuming = asyncio.ensure_future(lab.engine.resume(run_id))
            if start is script:
                assert (await asyncio.wait_for(resuming, 60)).result == "x"
            else:
                await lab.until(lambda: took(lab, run_id))
        await lab.end()
        await resuming

    play(case)


async def took(lab: Any, run_id: str) -> bool:
    return bool(await seen(lab, run_id) == [{"text": "x"}])


def test_the_timer_of_a_paused_machine_fires_once_it_is_resumed(play: Any) -> None:
    async def case(lab: Any) -> None:
        async with lab.dispatching():
            lab.engine.active_runs.linger_s = 3600
            run_id = await lab.supervisor.start(lab.machine(TIMER % "60s"), {})
            await lab.has(run_id, "waiting")
            await lab.post(run_id, "pause")
            await lab.has(run_id, "paused")
            await lab.clock.advance(120)
            await asyncio.sleep(0.05)
            assert await lab.status(run_id) == "paused"
            resuming = asyncio.ensure_future(lab.engine.resume(run_id))
            await lab.until(lambda: is_off(lab, run_id))
        await lab.end()
        await resuming

    play(case)


async def is_off(lab: Any, run_id: str) -> bool:
    return bool((await lab.kept(run_id)).label == "off")


def test_a_request_to_pause_outlives_the_process_and_not_a_request_to_resume(play: Any) -> None:
    async def steps(run: Run) -> Any:
        await run.request("one", "do.wait", {})
        return await run.request("two", "do.ok", {})

    async def case(lab: Any) -> None:
        run_id = await lab.supervisor.start(lab.script(steps), {})
        await asyncio.wait_for(lab.desk.pending.wait(), 60)
        await lab.post(run_id, "pause")
        await lab.engine.abandon()
        lab.desk.gate.set()
        await lab.start()
        async with lab.dispatching():
            await lab.has(run_id, "paused")
        assert (await lab.resume(run_id)).status == "succeeded"

    play(case)


def test_a_paused_child_stays_so_when_its_parent_is_resumed_after_a_crash(play: Any) -> None:
    async def parent(run: Run) -> Any:
        return await run.run_workflow("child", {})

    async def case(lab: Any) -> None:
        lab.script(waits, "child")
        lab.mortal._dies = lambda it: it.__class__.__name__ == "RunPaused"
        run_id = await lab.supervisor.start(lab.script(parent), {})

        async def child_waits() -> bool:
            return len(lab.store.runs) == 2 and bool(
                lab.engine.active_runs.awaited_events(list(lab.store.runs)[1])
            )

        await lab.until(child_waits)
        child = list(lab.store.runs)[1]
        await lab.post(child, "pause")  # the process dies before the parent is paused as well
        await lab.has(child, "paused")
        await lab.start()
        async with lab.dispatching():
            await lab.has(run_id, "paused")
            await lab.post(child, "event", "note", {"text": "x"})
            await asyncio.sleep(0.05)
            assert await lab.status(child) == "paused"
        assert (await lab.resume(run_id)).result == "x"

    play(case)


@pytest.mark.parametrize("start", [machine, script])
def test_a_request_to_cancel_ends_a_paused_run(play: Any, start: Start) -> None:
    async def case(lab: Any) -> None:
        async with lab.dispatching():
            run_id = await paused(lab, start, 3600)
            await lab.post(run_id, "cancel")
            await lab.has(run_id, "cancelled")

    play(case)


REQUESTS = st.lists(
    st.sampled_from(["note", "pause", "resume", "restart", "wake"]), min_size=1, max_size=10
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it gives a new lab each time
)
@given(requests=REQUESTS)
def test_a_machine_handles_each_event_once_in_order_and_none_while_it_is_paused(
    lab: Any, requests: list[str]
) -> None:
    note(str(requests))

    async def case(lab: Any) -> None:
        run_id = await machine(lab)
        await lab.has(run_id, "waiting")
        is_paused, handled, kept = False, [], []  # type: ignore[var-annotated]
        for number, request in enumerate(requests):
            if request == "restart":
                await lab.start()
            async with lab.dispatching():
                if request == "note":
                    kept.append(number)
                    await lab.post(run_id, "event", "note", number)
                elif request == "wake":
                    lab.supervisor.wake(run_id)
                elif request == "pause" and not is_paused:
                    is_paused = True
                    await lab.post(run_id, "pause")
                    await lab.has(run_id, "paused")
                elif request == "resume":
                    is_paused = False
                    await asyncio.wait_for(lab.engine.resume(run_id), 60)
                if not is_paused:
                    handled, kept = [*handled, *kept], []
                await lab.until(lambda expected=[*handled]: has_seen(lab, run_id, expected))
            status = await lab.status(run_id)
            assert status == ("paused" if is_paused else "waiting")

    async def has_seen(lab: Any, run_id: str, expected: list[int]) -> bool:
        return bool(await seen(lab, run_id) == expected)

    async def main() -> None:
        async with lab() as it:
            await case(it)

    asyncio.run(main())


@pytest.mark.parametrize("start", [machine, script])
def test_a_cancel_that_reaches_the_inbox_as_the_run_ends_does_not_end_its_retry(
    play: Any, start: Start
) -> None:
    async def fails(run: Run) -> Any:
        return await run.request("one", "do.ok", {"word": "a"})

    async def case(lab: Any) -> None:
        lab.desk.failures["one"] = 1
        if start is machine:
            lab.machine(COUNTER.replace("data.seen + [event.data]", "data.seen + [event.data.no]"))
            run_id = str(await lab.supervisor.start(lab.workflows["m"], {}))
            await lab.has(run_id, "waiting")
            await lab.post(run_id, "event", "note", {})
            await lab.supervisor.engine.resume(run_id)
        else:
            run_id = (await lab.engine.execute(lab.script(fails), {})).run_id
        await lab.has(run_id, "failed")
        await lab.post(run_id, "cancel")
        assert not await lab.records(run_id, EventReceived)
        await reset_run(lab.journal, run_id, None, at=lab.clock.now(), by="ada")
        state = await lab.engine.resume(run_id)
        assert state.status == ("failed" if start is machine else "succeeded")
        assert "cancelled" not in [each.status for each in await lab.records(run_id, RunFinished)]

    play(case)
