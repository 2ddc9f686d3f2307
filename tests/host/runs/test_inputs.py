"""What has to hold of a run's input before the run starts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qtforge_sdk.errors import RunInputError

CHECKED = """
initial = "on"
defaults = { wait = "1h", limits = { most = 5 } }
[[checks]]
input = "wait"
condition = "duration(input.wait) >= duration('1s')"
wants = "a duration of a second or more"
[[checks]]
input = "limits.most"
condition = "input.limits.most < 10"
wants = "a number below 10"
[[checks]]
input = "limits.least"
condition = "!has(input.least) || has(input.limits.least)"
wants = "both or none"
[states.on]
[states.off]
final = true
[[transitions]]
name = "end"
from = "on"
to = "off"
trigger = "end"
"""


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"wait": "soon"}, "the input 'wait' of 'm' can't be 'soon'"),
        ({"wait": 5}, "the input 'wait' of 'm' can't be 5"),
        ({"wait": "10ms"}, "the input 'wait' of 'm' can't be '10ms'"),
        ({"limits": {"most": 12}}, "the input 'limits.most' of 'm' can't be 12"),
        ({"limits": 3}, "the input 'limits.most' of 'm' is missing"),
        ({"least": 1}, "the input 'limits.least' of 'm' is missing"),
    ],
)
def test_a_wrong_input_starts_nothing(play: Any, given: dict[str, Any], what: str) -> None:
    async def case(lab: Any) -> None:
        workflow = lab.machine(CHECKED)
        for begin in (lab.engine.execute, lab.supervisor.start):
            with pytest.raises(RunInputError) as raised:
                await begin(workflow, given)
            assert raised.value.what == what
        assert raised.value.fix.startswith("give ")
        assert not lab.store.runs

    play(case)


@pytest.mark.parametrize(
    ("key", "fix"), [("wiat", "did you mean 'wait'?"), ("colour", "use one of wait, limits, least")]
)
def test_an_input_of_another_name_is_refused_with_the_nearest(
    play: Any, key: str, fix: str
) -> None:
    async def case(lab: Any) -> None:
        workflow = lab.machine('inputs = ["wait", "limits", "least"]' + CHECKED)
        with pytest.raises(RunInputError, match=f"'m' has no input '{key}'") as raised:
            await lab.engine.execute(workflow, {key: "1h"})
        assert (raised.value.key, raised.value.fix) == (key, fix)
        assert not lab.store.runs
        assert (await lab.engine.execute(workflow, {"wait": "1h"})).status == "waiting"

    play(case)


def test_a_right_input_and_the_defaults_start_a_run(play: Any) -> None:
    async def case(lab: Any) -> None:
        for given in ({}, {"wait": "24h"}, {"limits": {"most": 1, "least": 0}, "least": 1}):
            state = await asyncio.wait_for(lab.engine.execute(lab.machine(CHECKED), given), 60)
            assert state.status == "waiting"

    play(case)


def test_a_step_whose_workflow_does_not_take_its_input_fails_with_the_reason(play: Any) -> None:
    async def parent(run: Any) -> Any:
        return await run.run_workflow("m", {"wait": "soon"})

    async def case(lab: Any) -> None:
        lab.machine(CHECKED)
        state = await asyncio.wait_for(lab.engine.execute(lab.script(parent), {}), 60)
        assert state.status == "failed"
        assert "the input 'wait' of 'm' can't be 'soon'" in state.error.message
        assert len(lab.store.runs) == 1

    play(case)
