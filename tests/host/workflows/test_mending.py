"""Of a definition with wrong keys as much is read as can be, so that all its problems are found."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_builtin_plugins.orchestrators.graph import GraphOrchestrator
from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import ReactiveOrchestrator
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.workflows.catalog import Catalog
from qtforge_host.workflows.checking import WorkflowChecker
from qtforge_host.workflows.definitions import parse
from qtforge_host.workflows.mending import mended
from qtforge_sdk import HandlerInfo, Orchestrator
from qtforge_sdk.validation import validation_errors

KINDS: dict[str, Orchestrator[Any]] = {
    "graph": GraphOrchestrator(),
    "reactive": ReactiveOrchestrator(),
}
TOPICS = {
    "shop.sell": [
        HandlerInfo(
            topic="shop.sell", plugin="shop", version="1", execution="async", accepts=None,
            wrapper=False, message_type="", response_type="",
        )
    ]
}  # fmt: skip
A = '[[stages]]\nname = "a"\noperation = "shop.sell"\n'


def paths(text: str, kind: str = "graph", *, typed: bool = True) -> list[str]:
    """Return the paths of everything that is wrong."""
    parsed = parse(f'name = "w"\nkind = "{kind}"\n{text}', "w.toml", KINDS)
    assert parsed.workflow is None
    checker = WorkflowChecker(Catalog({}), Expressions(), lambda: TOPICS, lambda requires: ())
    return [each.path for each in checker.problems(parsed, typed=typed)]


def test_a_wrong_type_hides_no_wrong_name_behind_it() -> None:
    text = (
        A + 'timeout = ["30s"]\n[[stages]]\nname = "b"\noperation = "shop.sel"\nwhen = "nput.x"\n'
    )
    assert paths(text) == ["stages[0].timeout", "stages[1].when", "stages[1].operation"]
    assert paths(text, typed=False) == ["stages[0].timeout"]  # only validate looks further


@pytest.mark.parametrize("code", ["", 'code = "Bad Code", '])
def test_a_text_of_a_form_that_is_missing_or_wrong_hides_nothing(code: str) -> None:
    text = A + f'[[stages]]\nname = "b"\nfail = {{ {code}message = "${{inpt.x}}" }}\n'
    assert paths(text) == ["stages[1].fail.code", "stages[1].fail.message"]


@pytest.mark.parametrize("needs", ['need = ["a"]', 'needs = "a"', "needs = 3"])
def test_what_a_wrong_key_may_mean_is_no_further_problem(needs: str) -> None:
    text = A + f'[[stages]]\nname = "b"\n{needs}\noperation = "shop.sell"\n'
    expected = ["stages[1].need"] if needs.startswith("need ") else ["stages[1].needs"]
    text += 'message = { x = "${stages.a.data}" }\n' if needs != "needs = 3" else ""
    assert paths(text) == expected


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("stages = [1]", "stages[0]"),
        ('[[stages]]\nname = "a"\nblock = "b"\n[blocks]\nb = 1', "blocks.b"),
        ('[[stages]]\nname = "a"\nblock = "b"\n[blocks.b]\nstages = [1]', "blocks.b.stages[0]"),
        (A + 'message = { x = "${input.day}" }\n[inputs]\nday = 3\nb = {}', "inputs.day"),
    ],
)
def test_what_is_left_out_is_not_missed_as_well(text: str, wrong: str) -> None:
    assert paths(text) == [wrong]


def test_a_missing_name_hides_no_unknown_state() -> None:
    text = 'initial = "one"\n[states.one]\n[states.two]\ncolour = 1\n'
    text += '[[transitions]]\nfrom = "one"\nto = "tow"\n'
    assert set(paths(text, "reactive")) >= {
        "states.two.colour", "transitions[0].name", "transitions[0].to",
    }  # fmt: skip


def test_a_definition_of_which_nothing_can_be_made_has_the_problems_of_its_types() -> None:
    assert paths("stages = 3") == ["stages"]
    assert paths(A + "".join(f"x{each} = 1\n" for each in range(60)))[59] == "stages[0].x59"


def test_what_is_mended_stays_as_it_was() -> None:
    table = {"name": "w", "kind": "graph", "stages": [{"name": 5, "operation": "shop.sell"}]}
    found = mended(table, GraphOrchestrator.definition_type)
    assert found is not None
    assert (found["stages"][0]["name"], table["stages"][0]["name"]) == ("5", 5)  # type: ignore[index]


WHOLE: dict[str, dict[str, Any]] = {
    "graph": {
        "name": "w",
        "kind": "graph",
        "inputs": {"order": {"type": "string"}},
        "stages": [
            {"name": "a", "operation": "shop.sell", "message": {"x": [1]}},
            {"name": "b", "needs": ["a"], "block": [{"name": "c", "operation": "shop.sell"}]},
        ],
    },
    "reactive": {
        "name": "w",
        "kind": "reactive",
        "initial": "one",
        "states": {"one": {"timeout": "5s"}, "two": {"final": True}},
        "transitions": [{"name": "go", "from": "one", "to": "two", "actions": [{"set": {"x": 1}}]}],
    },
}  # fmt: skip
ODD = st.sampled_from([None, 3, "x", [], {}, [1], [[1]], {"x": 1}, [{"name": 1}], True, "[0]", ""])


@st.composite
def broken(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Make a definition with odd values in some of its places."""
    table = copy.deepcopy(WHOLE[kind])
    for _ in range(draw(st.integers(1, 4))):
        inner: Any = table
        while True:
            keys = sorted(inner) if isinstance(inner, dict) else list(range(len(inner)))
            key = draw(st.sampled_from([*keys, "[1]", "a.b"] if isinstance(inner, dict) else keys))
            below = inner[key] if key in keys else None
            if not isinstance(below, dict | list) or not below or draw(st.booleans()):
                inner[key] = copy.deepcopy(draw(ODD))
                break
            inner = below
    return table


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_whatever_is_wrong_the_result_is_a_definition_or_nothing(
    kind: str, data: st.DataObject
) -> None:
    wanted = KINDS[kind].definition_type
    found = mended(data.draw(broken(kind)), wanted)
    assert found is None or not validation_errors(found, wanted)
