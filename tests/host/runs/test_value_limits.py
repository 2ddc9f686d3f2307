"""How much a run keeps: a step's result, its own result, and a state machine's data."""

from __future__ import annotations

from typing import Any

import pytest

from qtforge_sdk import Run
from qtforge_sdk.errors import StageFailedError
from qtforge_sdk.records import RunFinished, StepFailed, StepSucceeded

LIMIT_BYTES = 1 << 20
LARGE = "x" * LIMIT_BYTES
DOUBLING = """
initial = "on"
data = { seen = ["${input.text}"] }
[states.on]
[[transitions]]
name = "more"
from = "on"
trigger = "double"
actions = ["double"]
[actions.double]
type = "set"
values = { seen = ["${data.seen}", "${data.seen}"] }
"""


def test_a_step_whose_result_is_too_large_fails_and_says_sizes_and_fix(play: Any) -> None:
    async def large() -> Any:
        return [LARGE]

    async def small() -> str:
        return "small"

    async def code(run: Run) -> Any:
        with pytest.raises(StageFailedError):
            await run.step("large", large)
        return await run.step("small", small)

    async def case(lab: Any) -> None:
        lab.mortal.inner.max_value_bytes = LIMIT_BYTES
        state = await lab.engine.execute(lab.script(code), {})
        assert (state.status, state.result) == ("succeeded", "small")
        (failed,) = await lab.records(state.run_id, StepFailed)
        assert (failed.step, failed.error.code) == ("large", "run.too_large")
        assert "the answer of the step 'large' can't be stored: it has 1,04" in failed.error.message
        assert "max_value in [host]" in failed.error.fix
        assert [it.step for it in await lab.records(state.run_id, StepSucceeded)] == ["small"]

    play(case)


def test_a_run_whose_result_is_too_large_fails_and_says_sizes_and_fix(play: Any) -> None:
    async def half() -> str:
        return LARGE[: LIMIT_BYTES // 2]

    async def code(run: Run) -> Any:
        small = await run.step("half", half)
        return [small, small]

    async def case(lab: Any) -> None:
        lab.mortal.inner.max_value_bytes = LIMIT_BYTES
        state = await lab.engine.execute(lab.script(code), {})
        assert (state.status, state.error.code) == ("failed", "run.too_large")
        assert "it has 1,04" in state.error.message
        assert "max_value in [host]" in state.error.fix

    play(case)


def test_a_machine_whose_data_doubles_fails_when_it_is_too_large(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.mortal.inner.max_value_bytes = LIMIT_BYTES
        machine = lab.machine(DOUBLING)
        run_id = (await lab.engine.execute(machine, {"text": "x" * 10_000})).run_id
        for number in range(40):
            await lab.post(run_id, "event", "double", None, f"n{number}")
        await lab.start()
        lab.mortal.inner.max_value_bytes = LIMIT_BYTES
        state = await lab.engine.resume(run_id)
        assert (state.status, state.error.code) == ("failed", "run.too_large")
        assert "'state_kept' of the run" in state.error.message
        assert "max_value in [host]" in state.error.fix
        assert len(await lab.records(run_id, RunFinished)) == 1
        kept = await lab.kept(run_id)
        assert kept.event == "double"

    play(case)
