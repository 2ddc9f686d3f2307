"""Of a definition with wrong keys as much is read as can be, so that all its problems are found."""

from __future__ import annotations

from typing import Any

import pytest

from qtforge_builtin_plugins.orchestrators.graph import GraphOrchestrator
from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import ReactiveOrchestrator
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.workflows.catalog import Catalog
from qtforge_host.workflows.checking import WorkflowChecker
from qtforge_host.workflows.definitions import parse
from qtforge_host.workflows.mending import mended
from qtforge_sdk import HandlerInfo, Orchestrator

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


@pytest.mark.parametrize("needs", ['need = ["a"]', 'needs = "a"', "needs = 3"])
def test_what_a_wrong_key_may_mean_is_no_further_problem(needs: str) -> None:
    text = A + f'[[stages]]\nname = "b"\n{needs}\noperation = "shop.sell"\n'
    expected = ["stages[1].need"] if needs.startswith("need ") else ["stages[1].needs"]
    text += 'message = { x = "${stages.a.data}" }\n' if needs != "needs = 3" else ""
    assert paths(text) == expected


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
