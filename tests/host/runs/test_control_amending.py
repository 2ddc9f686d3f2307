"""Amendments of live runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.runs.amendments import amend_resting, amendment_outcome
from qtforge_host.runs.errors import RunEndedError
from qtforge_sdk import Plugin, Record, Run, operation
from qtforge_sdk.journal import Ownership
from qtforge_sdk.records import (
    AmendmentRefused,
    EventReceived,
    RunAmended,
    RunFinished,
    StepSucceeded,
)
from qtforge_sdk.runs import AmendingAnswer, Amendment

THREE = """
[[stages]]
name = "one"
operation = "do.ok"
[[stages]]
name = "two"
operation = "do.wait"
[[stages]]
name = "three"
operation = "do.ok"
"""


INSERTED = {"name": "extra", "operation": "do.ok"}


async def begun(lab: Any, workflow: Any, given: Any = None) -> tuple[str, asyncio.Task[Any]]:
    """Execute a workflow until its handler `do.wait` has been asked."""
    going = asyncio.ensure_future(lab.engine.execute(workflow, given or {}))
    await asyncio.wait_for(lab.desk.pending.wait(), 60)
    return next(reversed(lab.store.runs)), going


async def seen(lab: Any, run_id: str) -> None:
    """Wait until the run has taken in what was sent before, by a mark sent behind it."""
    before = len(await lab.records(run_id, EventReceived))
    await lab.post(run_id, "event", "mark")

    async def there() -> bool:
        return len(await lab.records(run_id, EventReceived)) > before

    await lab.until(there)


async def amended(lab: Any, patch: list[Any]) -> tuple[Any, str]:
    """Amend the three stages while the second is in hand; return what becomes of the run."""
    run_id, going = await begun(lab, lab.sequential(THREE))
    await lab.post(run_id, "amend", data={"patch": patch, "reason": "because"})
    await seen(lab, run_id)
    lab.desk.gate.set()
    return await asyncio.wait_for(going, 60), run_id


def test_a_stage_can_be_put_before_the_next_of_a_live_run(play: Any) -> None:
    async def case(lab: Any) -> None:
        patch = [{"op": "add", "path": "/stages/2", "value": INSERTED}]
        state, run_id = await amended(lab, patch)
        assert (state.status, state.amendments) == ("succeeded", 1)
        assert list(state.steps) == ["one", "two", "extra", "three"]
        (record,) = await lab.records(run_id, RunAmended)
        assert (record.by, record.reason, record.patch) == ("ada", "because", patch)
        assert [stage["name"] for stage in record.definition["stages"]] == list(state.steps)

    play(case)


def test_a_stage_can_be_added_behind_the_one_in_hand_when_that_is_the_last(play: Any) -> None:
    async def case(lab: Any) -> None:
        state, _ = await amended(lab, [{"op": "replace", "path": "/stages/2", "value": INSERTED}])
        assert list(state.steps) == ["one", "two", "extra"]
        assert list(state.result) == ["one", "two", "extra"]

    play(case)


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ([{"op": "remove", "path": "/stages/0"}], "'one' has begun"),
        ([{"op": "replace", "path": "/stages/1/timeout", "value": "1s"}], "'two' has begun"),
        ([{"op": "add", "path": "/stages/0", "value": INSERTED}], "can't come before"),
        ([{"op": "remove", "path": "/stages/7"}], "does not apply"),
        ([{"op": "add", "path": "/nonsense", "value": 1}], "nonsense"),
        ([{"op": "replace", "path": "/name", "value": "v"}], "'name' can't be changed"),
        ([{"op": "explode"}], "patch"),
        (["remove everything"], "not a JSON Patch"),
    ],
)
def test_an_amendment_that_does_not_fit_is_refused_and_the_run_goes_on(
    play: Any, patch: list[Any], reason: str
) -> None:
    async def case(lab: Any) -> None:
        state, run_id = await amended(lab, patch)
        assert (state.status, state.amendments) == ("succeeded", 0)
        assert list(state.steps) == ["one", "two", "three"]
        (refused,) = await lab.records(run_id, AmendmentRefused)
        assert reason in refused.reason
        assert refused.by == "ada"

    play(case)


def test_an_amendment_that_came_while_nobody_ran_is_applied_first(play: Any) -> None:
    async def case(lab: Any) -> None:
        def dies(record: object) -> bool:
            return isinstance(record, StepSucceeded) and record.step == "two"

        lab.desk.gate.set()
        run_id = await lab.crash(lab.sequential(THREE), dies)
        patch = [{"op": "add", "path": "/stages/2", "value": INSERTED}]
        await lab.post(run_id, "amend", data={"patch": patch})
        state = await lab.resume(run_id)
        assert list(state.steps) == ["one", "two", "extra", "three"]
        assert lab.desk.asked == ["one", "two", "extra", "three"]

    play(case)


def test_amendments_of_a_run_survive_its_process(play: Any) -> None:
    async def case(lab: Any) -> None:
        def dies(record: object) -> bool:
            return isinstance(record, RunAmended)

        await lab.start(dies)
        run_id, going = await begun(lab, lab.sequential(THREE))
        patch = [{"op": "add", "path": "/stages/2", "value": INSERTED}]
        await lab.post(run_id, "amend", data={"patch": patch})
        await seen(lab, run_id)
        lab.desk.gate.set()
        await lab.dies(going)
        state = await lab.resume(run_id)
        assert (list(state.steps), state.amendments) == (["one", "two", "extra", "three"], 1)

    play(case)


class _Together(Plugin):
    """Answers with an amendment, when told to."""

    def __init__(self) -> None:
        self.pending = asyncio.Event()
        self.gate = asyncio.Event()

    @operation("do.amend")
    async def amend(self, message: Mapping[str, Any]) -> AmendingAnswer:
        self.pending.set()
        await self.gate.wait()
        stage = {"name": message["adds"], "operation": "do.ok"}
        add = {"op": "add", "path": "/stages/-", "value": stage}
        return AmendingAnswer(answer="amended", amendments=[Amendment(patch=[add])])


class _SlowJournal(MemoryJournal):
    """Takes its time over every record, so that much is under way at once."""

    async def append(
        self, ownership: Ownership, records: Sequence[Record], posts: Any = ()
    ) -> None:
        await asyncio.sleep(0.005)
        await super().append(ownership, records, posts)


class _Parallel(SequentialOrchestrator):
    """Two amending steps at once, then what they have added."""

    async def execute(self, run: Run) -> dict[str, Any]:
        async def one(name: str) -> None:
            await run.request(name, "do.amend", {"adds": f"by_{name}"})

        await run.gather(one("left"), one("right"))
        return {"stages": [stage.name for stage in run.definition.stages]}


def test_amendments_that_come_at_the_same_instant_are_all_made(play: Any) -> None:
    async def case(lab: Any) -> None:
        plugin = await lab.add(_Together(), "together", "1.0.0")
        await lab.start(journal=_SlowJournal(store=lab.store))
        workflow = msgspec.structs.replace(lab.sequential(THREE), orchestrator=_Parallel())
        going = asyncio.ensure_future(lab.engine.execute(workflow, {}))
        await asyncio.wait_for(plugin.pending.wait(), 60)
        run_id = next(iter(lab.store.runs))
        added = {"op": "add", "path": "/stages/-", "value": INSERTED}
        await lab.post(run_id, "amend", data={"patch": [added]})
        await seen(lab, run_id)
        plugin.gate.set()
        state = await asyncio.wait_for(going, 60)
        assert (state.status, state.amendments) == ("succeeded", 3)
        assert sorted(state.result["stages"][3:]) == ["by_left", "by_right", "extra"]
        *_, last = await lab.records(run_id, RunAmended)
        assert [stage["name"] for stage in last.definition["stages"]] == state.result["stages"]

    play(case)


def test_a_run_that_has_ended_is_not_amended(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.gate.set()
        run_id = (await lab.engine.execute(lab.sequential(THREE), {})).run_id
        before = await lab.journal.records(run_id)
        asked = await lab.post(run_id, "amend")
        client, workflows = lab.client(), lab.engine.workflows
        patch = [{"op": "add", "path": "/stages/3", "value": INSERTED}]
        for _ in range(2):  # and the first refusal releases the run
            with pytest.raises(RunEndedError, match="already ended"):
                await amend_resting(client, workflows, run_id, patch, asked, "too late")
        assert await lab.journal.records(run_id) == before
        assert amendment_outcome(before, asked.message_id) is None

    play(case)


def test_a_run_that_rests_is_amended_by_whoever_asks(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id, going = await begun(lab, lab.sequential(THREE))
        await lab.post(run_id, "pause")
        lab.desk.gate.set()
        assert (await asyncio.wait_for(going, 60)).status == "paused"
        asked = await lab.post(run_id, "amend")
        patch = [{"op": "replace", "path": "/stages/2", "value": INSERTED}]
        client, workflows = lab.client(), lab.engine.workflows
        record = await amend_resting(client, workflows, run_id, patch, asked, "because")
        found = amendment_outcome(await client.records(run_id), asked.message_id)
        assert found == record
        assert list((await lab.resume(run_id)).steps) == ["one", "two", "extra"]

    play(case)


@pytest.mark.parametrize("fails", [False, True])
def test_an_amendment_that_comes_after_the_last_step_is_refused_on_record(
    play: Any, fails: bool
) -> None:
    async def case(lab: Any) -> None:
        async def work(run: Any) -> None:
            await run.request("one", "do.ok", {})
            await lab.post(run.id, "amend", data={"patch": []})
            while not run._control.amendments:  # noqa: ASYNC110 - until it is delivered
                await asyncio.sleep(0.001)
            if fails:
                raise ValueError("odd")

        state = await lab.engine.execute(lab.script(work), {})
        assert state.status == ("failed" if fails else "succeeded")
        refused, end = (await lab.journal.records(state.run_id))[-2:]
        assert isinstance(refused, AmendmentRefused)
        assert isinstance(end, RunFinished)
        assert (refused.by, refused.reason.partition(":")[0]) == ("ada", "the run was ending")
        assert not await lab.journal.pending(state.run_id)

    play(case)
