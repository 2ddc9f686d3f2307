"""How often the owners of a run died in its steps."""

from __future__ import annotations

import asyncio
from typing import Any

from qtforge_sdk.records import RunResumed, RunStarted, StepStarted


async def _code(run: Any) -> Any:
    return await run.request("held", "do.wait", {}, timeout=60)


def test_an_orderly_end_of_the_owner_is_no_death(lab: Any) -> None:
    async def main() -> None:
        async with lab() as it:
            workflow = it.script(_code)
            await it.start()
            run_id = await it.supervisor.start(workflow, {})
            for _ in range(5):
                await asyncio.wait_for(it.desk.pending.wait(), 60)
                it.desk.pending.clear()
                await it.start()
                it.supervisor.wake(run_id)
            it.desk.gate.set()
            await it.has(run_id, "succeeded")
            assert not any(each.died for each in await it.records(run_id, RunResumed))

    asyncio.run(main())


def test_the_step_in_which_three_owners_died_fails_at_the_fourth(lab: Any) -> None:
    asked: list[int] = []

    async def main() -> None:
        async with lab() as it:
            workflow = it.script(_code)

            def dies(record: Any) -> bool:
                return isinstance(record, StepStarted)

            run_id = await it.crash(workflow, lambda record: isinstance(record, RunStarted))
            for _ in range(2):
                await it.start(dies)
                await it.dies(it.engine.resume(run_id))
                asked.append(len(it.desk.asked))
            state = await it.resume(run_id)
            assert state.status == "failed"
            assert state.error is not None
            assert state.error.code == "run.step_killed_its_process"
            assert (state.error.plugin, state.error.plugin_version) == ("desk", "1.0.0")
            assert [each.died for each in await it.records(run_id, RunResumed)] == [True] * 3

    asyncio.run(main())
    assert asked == [0, 0]  # the start is recorded before the request is made
