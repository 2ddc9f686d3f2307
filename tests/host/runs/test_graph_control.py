"""What others ask of a graph while it goes on: pause, cancel, amend; and its resuming."""

from __future__ import annotations

import asyncio
from typing import Any

from qtforge_host.runs.reset import forked, reset_run
from qtforge_sdk.records import AmendmentRefused, EventReceived, RunPaused, StepSucceeded

UNDO = 'compensation = { operation = "do.ok", on_failure = true }'


def stage(name: str, operation: str = "do.ok", *lines: str) -> str:
    return "\n".join(["[[stages]]", f'name = "{name}"', f'operation = "{operation}"', *lines, ""])


GRAPH = (
    stage("first", "do.ok", UNDO)
    + stage("waits", "do.wait", 'needs = ["first"]', UNDO, 'timeout = "1h"')
    + stage("beside", "do.ok", 'needs = ["first"]', UNDO)
    + stage("then", "do.ok", 'needs = ["waits"]')
    + stage("last", "do.ok", 'needs = ["then", "beside"]')
)


async def begun(lab: Any, text: str = GRAPH) -> tuple[str, asyncio.Task[Any]]:
    """Execute a graph until ``waits`` waits and ``beside`` has ended."""
    going = asyncio.ensure_future(lab.engine.execute(lab.staged("graph", text), {}))
    await asyncio.wait_for(lab.desk.pending.wait(), 60)
    (run_id,) = lab.store.runs

    async def beside_ended() -> bool:
        return any(each.step == "beside" for each in await lab.records(run_id, StepSucceeded))

    await lab.until(beside_ended)
    return run_id, going


async def seen(lab: Any, run_id: str) -> None:
    """Wait until the run has taken in what was sent before, by a mark sent after it."""
    await lab.post(run_id, "event", "mark")

    async def there() -> bool:
        return bool(await lab.records(run_id, EventReceived))

    await lab.until(there)


async def amended(lab: Any, *patch: dict[str, Any]) -> tuple[Any, str]:
    """Amend the graph while ``waits`` waits, and let it end."""
    run_id, going = await begun(lab)
    await lab.post(run_id, "amend", data={"patch": list(patch)})
    await seen(lab, run_id)
    lab.desk.gate.set()
    return await asyncio.wait_for(going, 60), run_id


def test_a_paused_graph_lets_what_is_in_progress_end_and_begins_nothing(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await begun(lab)
        await lab.post(run_id, "pause")
        await seen(lab, run_id)
        lab.desk.gate.set()
        state = await asyncio.wait_for(going, 60)
        assert state.status == "paused"
        assert set(state.steps) == {"first", "waits", "beside"}
        assert await lab.records(run_id, RunPaused)
        state = await lab.resume(run_id)
        assert state.status == "succeeded"
        assert lab.desk.asked == ["first", "waits", "beside", "then", "last"]

    play(case)


def test_a_cancelled_graph_undoes_what_ended_and_what_was_cut_off(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await begun(lab, 'on_cancel = "compensate"\n' + GRAPH)
        await lab.post(run_id, "cancel")
        state = await asyncio.wait_for(going, 60)
        assert state.status == "cancelled"
        assert list(state.compensations) == ["waits", "beside", "first"]
        assert state.steps["waits"].error.code == "run.step_cut"
        assert set(state.steps) == {"first", "waits", "beside"}

    play(case)


def test_a_resumed_graph_does_again_only_what_was_in_progress(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.gate.set()

        def dies(record: object) -> bool:
            return isinstance(record, StepSucceeded) and record.step == "beside"

        run_id = await lab.crash(lab.staged("graph", GRAPH), dies)
        state = await lab.resume(run_id)
        assert state.status == "succeeded"
        assert lab.desk.asked.count("first") == 1
        assert lab.desk.asked.count("beside") == 1
        assert lab.desk.asked[-1] == "last"

    play(case)


def test_a_new_stage_of_a_live_graph_is_done_before_those_that_come_to_need_it(play: Any) -> None:
    async def case(lab: Any) -> None:
        new = {"name": "new", "operation": "do.ok", "needs": ["beside"]}
        state, _ = await amended(
            lab,
            {"op": "add", "path": "/stages/5", "value": new},
            {"op": "add", "path": "/stages/3/needs/1", "value": "new"},
        )
        assert (state.status, state.amendments) == ("succeeded", 1)
        assert lab.desk.asked == ["first", "waits", "beside", "new", "then", "last"]

    play(case)


def test_a_stage_of_a_live_graph_can_be_removed_and_another_stop_needing_it(play: Any) -> None:
    async def case(lab: Any) -> None:
        state, _ = await amended(
            lab,
            {"op": "replace", "path": "/stages/4/needs", "value": ["beside"]},
            {"op": "remove", "path": "/stages/3"},
        )
        assert state.status == "succeeded"
        assert set(state.steps) == {"first", "waits", "beside", "last"}

    play(case)


def test_what_has_begun_in_a_graph_cannot_be_changed_nor_come_to_need_what_has_not(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        change = {"op": "replace", "path": "/stages/1/needs", "value": ["first", "beside"]}
        state, run_id = await amended(lab, change)
        assert state.status == "succeeded"
        (refused,) = await lab.records(run_id, AmendmentRefused)
        assert refused.reason == "the stage 'waits' has begun: it can't be changed or removed"

    play(case)


def test_a_block_that_has_begun_cannot_be_changed_and_another_can(play: Any) -> None:
    text = (
        stage("first")
        + '[[stages]]\nname = "now"\nneeds = ["first"]\nblock = "one"\n'
        + '[[stages]]\nname = "later"\nneeds = ["now"]\nblock = "two"\n'
        + stage("beside", "do.ok", 'needs = ["first"]')
        + stage("waits", "do.wait").replace("[[stages]]", "[[blocks.one.stages]]")
        + stage("x").replace("[[stages]]", "[[blocks.two.stages]]")
    )

    async def case(lab: Any) -> None:
        run_id, going = await begun(lab, text)
        for name in ("one", "two"):
            path = f"/blocks/{name}/stages/0/operation"
            patch = [{"op": "replace", "path": path, "value": "do.fail"}]
            await lab.post(run_id, "amend", data={"patch": patch})
        await seen(lab, run_id)
        lab.desk.gate.set()
        state = await asyncio.wait_for(going, 60)
        (refused,) = await lab.records(run_id, AmendmentRefused)
        assert refused.reason == "the block 'one' has begun: it can't be changed or removed"
        assert (state.status, state.error.stage) == ("failed", "later.x")

    play(case)


def test_an_amendment_of_a_graph_survives_its_process(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.gate.set()

        def dies(record: object) -> bool:
            return isinstance(record, StepSucceeded) and record.step == "beside"

        run_id = await lab.crash(lab.staged("graph", GRAPH), dies)
        new = {"name": "new", "operation": "do.ok", "needs": ["first"]}
        patch = [{"op": "add", "path": "/stages/0", "value": new}]
        await lab.post(run_id, "amend", data={"patch": patch})
        state = await lab.resume(run_id)
        assert (state.status, state.amendments) == ("succeeded", 1)
        assert state.steps["new"].status == "succeeded"

    play(case)


RETRIED = (
    stage("first")
    + stage("bad", "do.ok", 'needs = ["first"]')
    + stage("beside", "do.ok", 'needs = ["first"]')
    + stage("after_beside", "do.ok", 'needs = ["beside"]')
    + stage("end", "do.ok", 'needs = ["bad", "after_beside"]')
)


def test_a_retried_graph_does_again_what_failed_and_keeps_what_does_not_need_it(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.failures["bad"] = 1
        workflow = lab.staged("graph", 'on_failure = "continue"\n' + RETRIED)
        state = await lab.engine.execute(workflow, {})
        assert (state.status, set(state.steps)) == (
            "failed",
            {"first", "bad", "beside", "after_beside"},
        )
        again = await reset_run(lab.journal, state.run_id, at=lab.clock.now(), workflow=workflow)
        assert again == ["bad"]
        lab.desk.asked.clear()
        state = await lab.resume(state.run_id)
        assert (state.status, lab.desk.asked) == ("succeeded", ["bad", "end"])

    play(case)


def test_a_graph_that_is_forked_from_a_stage_keeps_what_does_not_need_it(play: Any) -> None:
    async def case(lab: Any) -> None:
        workflow = lab.staged("graph", RETRIED)
        state = await lab.engine.execute(workflow, {})
        records = await lab.journal.records(state.run_id)
        _, copies = forked(
            records, "new", {}, at=lab.clock.now(), stage="beside", workflow=workflow
        )
        kept = {each.step for each in copies if isinstance(each, StepSucceeded)}
        assert kept == {"first", "bad"}

    play(case)


def test_retrying_items_does_only_those_again_that_failed(play: Any) -> None:
    text = '[[stages]]\nname = "each"\noperation = "do.ok"\nforeach = [1, 2, 3]\n'

    async def case(lab: Any) -> None:
        lab.desk.failures["each[1]"] = 1
        workflow = lab.staged("graph", 'on_failure = "continue"\n' + text)
        state = await lab.engine.execute(workflow, {})
        assert state.status == "failed"
        again = await reset_run(
            lab.journal, state.run_id, "each", at=lab.clock.now(), workflow=workflow
        )
        assert again == ["each[1]", "each"]
        lab.desk.asked.clear()
        state = await lab.resume(state.run_id)
        assert (state.status, lab.desk.asked) == ("succeeded", ["each[1]"])

    play(case)


LAST = '[[finally]]\nname = "tell"\noperation = "do.ok"\nmessage = { status = "${run.status}" }\n'


def test_the_last_stages_are_done_when_a_run_was_cancelled(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await begun(lab, 'on_cancel = "compensate"\n' + GRAPH + LAST)
        await lab.post(run_id, "cancel")
        state = await asyncio.wait_for(going, 60)
        assert state.status == "cancelled"
        assert state.steps["finally/tell"].data["status"] == "cancelled"
        assert lab.desk.asked[-1] == "finally/tell"

    play(case)


def test_a_run_that_is_cancelled_by_its_caller_is_so_for_who_resumes_its_last_stages(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        def dies(record: object) -> bool:
            return isinstance(record, StepSucceeded) and record.step == "finally/tell"

        await lab.start(dies, after=False)
        run_id, going = await begun(lab, GRAPH + LAST)
        going.cancel()
        await asyncio.wait([going])
        state = await lab.resume(run_id)
        assert state.status == "cancelled"
        assert state.steps["finally/tell"].data["status"] == "cancelled"

    play(case)


def test_a_retried_run_does_its_last_stages_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.failures["bad"] = 1
        workflow = lab.staged("graph", RETRIED + LAST)
        state = await lab.engine.execute(workflow, {})
        assert state.steps["finally/tell"].data["status"] == "failed"
        again = await reset_run(lab.journal, state.run_id, at=lab.clock.now(), workflow=workflow)
        assert "finally/tell" in again
        state = await lab.resume(state.run_id)
        assert state.status == "succeeded"
        assert state.steps["finally/tell"].data["status"] == "succeeded"

    play(case)
