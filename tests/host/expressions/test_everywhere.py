"""Wherever an expression is evaluated, a hopeless one fails, and none blocks the loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qtforge_host.testing import WorkflowKit
from qtforge_sdk import Plugin, operation
from qtforge_sdk.errors import NoHandlerError, QtForgeError

COSTLY = "l.exists(a, l.exists(b, a + b < 0))"
HOPELESS = "l.exists(a, l.exists(b, l.exists(c, a + b + c < 0)))"
NUMBERS = list(range(600))

STAGE = '\n[[stages]]\nname = "one"\noperation = "one.do"\n'
PLACES = {
    "when": f'kind = "sequential"{STAGE}when = "!EXPRESSION"\n',
    "message": f'kind = "sequential"{STAGE}message = {{ value = "${{EXPRESSION}}" }}\n',
    "foreach": f'kind = "sequential"{STAGE}foreach = "${{EXPRESSION ? [] : [1]}}"\n',
    "item": f'kind = "sequential"{STAGE}foreach = [1]\nmessage = {{ value = "${{EXPRESSION}}" }}\n',
    "result": f'kind = "sequential"\nresult = "${{EXPRESSION}}"{STAGE}',
    "check": 'kind = "sequential"\n[[checks]]\ninput = "l"\ncondition = "!EXPRESSION"\nwants = "x"'
    f"{STAGE}",
    "rule": 'kind = "conditional"\ndefault = "other"\ndry_run = true\n[[rules]]\nname = "r"\n'
    'target = "other"\ncondition = "EXPRESSION"\n',
    "guard": 'kind = "reactive"\ninitial = "a"\n[data]\nl = "${input.l}"\n[states.a]\n[states.b]\n'
    'final = true\n[[transitions]]\nname = "go"\nfrom = "a"\nto = "b"\ncondition = "!DATA"\n',
    "machine": 'kind = "reactive"\ninitial = "b"\n[data]\nx = "${EXPRESSION}"\n[states.b]\n'
    "final = true\n",
}


def definition(place: str, expression: str) -> str:
    own = expression.replace("l.exists", "input.l.exists")
    text = PLACES[place].replace("EXPRESSION", own)
    return f'name = "{place}"\n' + text.replace("DATA", own.replace("input", "data"))


@pytest.mark.parametrize("place", PLACES)
def test_a_hopeless_expression_fails_the_run_that_has_it(
    place: str, workflows: WorkflowKit
) -> None:
    workflows.add(definition(place, HOPELESS), f'name = "other"\nkind = "sequential"{STAGE}')
    workflows.fake("one.do", {"done": True})
    try:
        run = workflows.run(place, {"l": NUMBERS})
    except QtForgeError as error:
        said = str(error)
    else:
        assert run.status == "failed"
        assert run.error is not None
        said = run.error.message
    assert "steps, and the limit is 50,000,000" in said


class Choosy(Plugin):
    @operation("choose.me", accepts=f"!{COSTLY.replace('l.exists', 'message.l.exists')}")
    async def choose(self, message: dict[str, Any]) -> str:
        return "chosen"


class Hopeless(Plugin):
    @operation("choose.nobody", accepts=f"!{HOPELESS.replace('l.exists', 'message.l.exists')}")
    async def choose(self, message: dict[str, Any]) -> str:
        return "chosen"


def test_a_handler_and_a_subscriber_with_costly_conditions(bench: Any) -> None:
    async def main() -> list[int]:
        async with bench() as it:
            await it.add(Choosy(), "choosy")
            await it.add(Hopeless(), "hopeless")
            assert await it.bus.request("choose.me", {"l": NUMBERS}) == "chosen"
            with pytest.raises(NoHandlerError, match="steps, and the limit is"):
                await it.bus.request("choose.nobody", {"l": NUMBERS})
            heard: list[int] = []
            one = asyncio.Event()

            async def hear(message: dict[str, Any]) -> None:
                heard.append(len(message["l"]))
                one.set()

            where = COSTLY.replace("l.exists", "message.l.exists")
            it.bus.subscribe("numbers.*", hear, where=where)
            await it.bus.publish("numbers.some", {"l": NUMBERS})
            await it.bus.publish("numbers.some", {"l": [-1, -2]})
            async with asyncio.timeout(60):
                await one.wait()
            return heard

    assert asyncio.run(main()) == [2]
