"""Checking workflows against a host: requirements, cycles, and the input of runs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.workflows.catalog import Catalog, Contribution
from qtforge_host.workflows.checking import WorkflowChecker, checked_input, find_cycle
from qtforge_host.workflows.definitions import UnmetRequirement
from qtforge_sdk import HandlerInfo, Orchestrator
from qtforge_sdk.errors import (
    RunInputError,
    WorkflowInvalidError,
    WorkflowNotFoundError,
    WorkflowUnmetError,
)

KINDS: dict[str, Orchestrator[Any]] = {"sequential": SequentialOrchestrator()}
INFO = HandlerInfo(
    topic="a.b",
    plugin="acme",
    version="1",
    execution="async",
    accepts=None,
    wrapper=False,
    message_type="Any",
    response_type="Any",
)
CHECKED = """\
name = "checked"
kind = "sequential"
inputs = ["wait", "limits"]
defaults = { wait = "1h", limits = { most = 5 } }
checks = [
  { input = "limits.most", condition = "input.limits.most < 10", wants = "a number below 10" },
]
[[stages]]
name = "one"
operation = "a.b"
"""


def definition(name: str, stage: str = 'operation = "a.b"', requires: str = "") -> str:
    needed = f'requires = ["{requires}"]\n' if requires else ""
    return f'name = "{name}"\nkind = "sequential"\n{needed}[[stages]]\nname = "one"\n{stage}\n'


def unmet(requires: Iterable[str]) -> list[UnmetRequirement]:
    """Every requirement but ``acme`` is unmet."""
    return [
        UnmetRequirement(position=position, text=text, why="it is missing", fix="install it")
        for position, text in enumerate(requires)
        if text != "acme"
    ]


def checker(*texts: str) -> tuple[Catalog, WorkflowChecker]:
    catalog = Catalog(KINDS)
    catalog.add(Contribution(content=text, contributor="a plugin") for text in texts)
    return catalog, WorkflowChecker(catalog, Expressions(), lambda: {"a.b": [INFO]}, unmet)


def test_a_workflow_whose_names_are_all_there_can_be_executed() -> None:
    catalog, found = checker(definition("good", requires="acme"))
    assert found.get("good") is catalog.get("good")
    assert found.problems(catalog.find("good")) == ()


def test_a_workflow_whose_plugin_is_missing_is_unmet_and_the_requirement_a_problem() -> None:
    catalog, found = checker(definition("needy", requires="other >= 2"))
    with pytest.raises(WorkflowUnmetError, match="other >= 2: it is missing") as raised:
        found.get("needy")
    assert raised.value.fix == "install it"
    (problem,) = found.problems(catalog.find("needy"))
    assert (problem.path, problem.line) == ("requires[0]", 3)
    assert problem.what == "'other >= 2' is not met: it is missing"


def test_a_workflow_with_a_problem_is_invalid_and_an_unknown_one_not_found() -> None:
    catalog, found = checker(definition("wrong", 'operation = "a.c"'))
    with pytest.raises(WorkflowInvalidError, match=r"no active plugin answers 'a\.c'"):
        found.get("wrong")
    assert [each.path for each in found.problems(catalog.find("wrong"))] == ["stages[0].operation"]
    with pytest.raises(WorkflowNotFoundError):
        found.get("nothing")


def test_a_secret_input_is_an_input_without_a_default() -> None:
    text = definition("safe").replace(
        "[[stages]]",
        """inputs = ["password", "user"]
secret_inputs = ["password", "pasword", "user"]
defaults = { user = "ada" }
[[stages]]""",
    )
    catalog, found = checker(text)
    problems = found.problems(catalog.find("safe"))
    assert [each.path for each in problems] == ["secret_inputs[1]", "secret_inputs[2]"]
    assert problems[0].what == "'pasword' is none of the inputs"
    assert "password" in problems[0].fix
    assert problems[1].what.startswith("'user' has a default")


def test_a_secret_input_that_is_not_accepted_is_not_shown() -> None:
    text = CHECKED.replace('inputs = ["wait", "limits"]', 'secret_inputs = ["limits"]')
    catalog, _ = checker(text.replace('defaults = { wait = "1h", limits = { most = 5 } }\n', ""))
    with pytest.raises(RunInputError) as caught:
        checked_input(
            catalog.get("checked").definition, {"limits": {"most": 99}}, Evaluator(Expressions())
        )
    assert "99" not in str(caught.value)
    assert "the input 'limits.most'" in str(caught.value)


def test_workflows_that_run_each_other_are_a_problem_of_each() -> None:
    catalog, found = checker(
        definition("a", 'workflow = "b"'),
        definition("b", 'workflow = "c"'),
        definition("c", 'workflow = "a"'),
        definition("d", 'workflow = "d"'),
        definition("e", 'workflow = "f"'),
        definition("f"),
    )
    whats = {name: [each.what for each in found.problems(catalog.find(name))] for name in "abcdef"}
    assert whats == {
        "a": ["the workflow would run itself: a -> b -> c -> a"],
        "b": ["the workflow would run itself: b -> c -> a -> b"],
        "c": ["the workflow would run itself: c -> a -> b -> c"],
        "d": ["'d' would run itself"],
        "e": [],
        "f": [],
    }


def test_a_search_for_a_cycle_ends_in_a_graph_with_other_cycles() -> None:
    uses = {"b": ["c", "d"], "c": ["b"], "d": []}.__getitem__
    assert find_cycle("a", "b", uses) is None


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ({}, {"wait": "1h", "limits": {"most": 5}}),
        ({"wait": "2h"}, {"wait": "2h", "limits": {"most": 5}}),
        ({"limits": {"most": 9}}, {"wait": "1h", "limits": {"most": 9}}),
    ],
)
def test_defaults_replace_values_that_are_not_given(
    given: Mapping[str, Any], whole: dict[str, Any]
) -> None:
    catalog, _ = checker(CHECKED)
    assert (
        checked_input(catalog.get("checked").definition, given, Evaluator(Expressions())) == whole
    )


@pytest.mark.parametrize(
    ("given", "key", "what", "fix"),
    [
        ({"wiat": "1h"}, "wiat", "'checked' has no input 'wiat'", "did you mean 'wait'?"),
        ({"colour": 1}, "colour", "'checked' has no input 'colour'", "use one of wait, limits"),
        ({"limits": {"most": 10}}, "limits.most",
         "the input 'limits.most' of 'checked' can't be 10", "give a number below 10"),
        ({"limits": {}}, "limits.most",
         "the input 'limits.most' of 'checked' is missing", "give a number below 10"),
        ({"limits": "x" * 10_000}, "limits.most",
         "the input 'limits.most' of 'checked' is missing", "give a number below 10"),
    ],
)  # fmt: skip
def test_an_input_that_the_definition_does_not_accept_is_refused(
    given: Mapping[str, Any], key: str, what: str, fix: str
) -> None:
    catalog, _ = checker(CHECKED)
    with pytest.raises(RunInputError) as raised:
        checked_input(catalog.get("checked").definition, given, Evaluator(Expressions()))
    assert (raised.value.key, raised.value.what, raised.value.fix) == (key, what, fix)


TYPED = """\
name = "typed"
kind = "sequential"
defaults = { limit = 20 }
result = "${input.day}"
[inputs]
day = { type = "date" }
limit = { type = "integer", default = 10, max = 100 }
note = { type = "string", required = false }
pin = { type = "string", secret = true, min_length = 4 }
[[stages]]
name = "one"
operation = "a.b"
message = { day = "${input.day}" }
"""


def test_typed_inputs_are_kept_in_one_form_and_what_is_not_given_is_there() -> None:
    catalog, _ = checker(TYPED)
    workflow = catalog.get("typed")
    assert workflow.definition.secret_names == ("pin",)
    given = {"day": datetime.date(2026, 11, 30), "pin": "1234"}
    found = checked_input(workflow.definition, given, Evaluator(Expressions()))
    assert found == {"day": "2026-11-30", "limit": 20, "note": None, "pin": "1234"}


@pytest.mark.parametrize(
    ("given", "what", "fix"),
    [
        ({"pin": "1234"}, "the input 'day' of 'typed' is missing",
         "give a date such as 2026-11-30"),
        ({"day": "soon", "pin": "1234"}, "the input 'day' of 'typed' can't be 'soon'",
         "give a date such as 2026-11-30"),
        ({"day": "2026-11-30", "limit": 500, "pin": "1234"},
         "the input 'limit' of 'typed' can't be 500",
         "give an integer of at most 100"),
        ({"day": "2026-11-30", "limit": "9" * 10_000, "pin": "1234"},
         f"the input 'limit' of 'typed' can't be '{'9' * 59}…", "give an integer of at most 100"),
        ({"day": "2026-11-30", "pin": "abc"}, "the input 'pin' of 'typed' can't be this value",
         "give a string with at least 4 characters"),
    ],
)  # fmt: skip
def test_a_typed_input_that_is_not_accepted_says_what_is(
    given: Mapping[str, Any], what: str, fix: str
) -> None:
    catalog, _ = checker(TYPED)
    with pytest.raises(RunInputError) as raised:
        checked_input(catalog.get("typed").definition, given, Evaluator(Expressions()))
    assert (raised.value.what, raised.value.fix) == (what, fix)


SEVERAL_CHECKS = """\
name = "several"
kind = "sequential"
checks = [
  { input = "a", condition = "has(input.a)", wants = "a table" },
  { input = "a.b", condition = "has(input.a.b)", wants = "its part" },
  { input = "c", condition = "input.c > 1", wants = "more than 1" },
]
[[stages]]
name = "one"
operation = "a.b"
"""


@pytest.mark.parametrize(
    ("text", "given", "names"),
    [
        (TYPED, {"limit": "many", "dya": "2026-01-01"}, ["dya", "day", "limit", "pin"]),
        (SEVERAL_CHECKS, {"c": 1}, ["a", "c"]),
        (CHECKED, {f"x{number}": 1 for number in range(1000)}, [f"x{n}" for n in range(20)]),
    ],
)
def test_all_wrong_inputs_are_named_at_once(
    text: str, given: Mapping[str, Any], names: list[str]
) -> None:
    catalog, _ = checker(text)
    (workflow,) = catalog.names()
    with pytest.raises(RunInputError) as raised:
        checked_input(catalog.get(workflow).definition, given, Evaluator(Expressions()))
    error = raised.value
    named = [line for line in error.why.splitlines() if not line.startswith("and ")]
    assert (error.key, error.fix) == (names[0], "")
    assert error.what.endswith(f"inputs of '{workflow}' are not accepted")
    for name, line in zip(names, named, strict=True):
        assert f"'{name}'" in line
    assert (error.why.splitlines()[-1] == "and 980 more") == (len(given) == 1000)


def test_an_expression_with_an_input_that_is_not_declared_is_a_problem() -> None:
    for inputs in ('inputs = ["day"]', "[inputs]\nday = {}"):
        text = f"""\
name = "typed"
kind = "sequential"
result = "${{input.dya}}"
checks = [{{ input = "day", condition = "has(input.dax)", wants = "a day" }}]
{inputs}
[[stages]]
name = "one"
operation = "a.b"
"""
        catalog, found = checker(text)
        problems = found.problems(catalog.find("typed"))
        assert sorted(each.path for each in problems) == ["checks[0].condition", "result"]
        assert all(each.fix == "did you mean 'day'?" for each in problems)


def test_a_declared_input_that_can_not_be_meant_is_a_problem_with_its_line() -> None:
    text = TYPED.replace("max = 100", "max = 'many'").replace("limit = 20", "limti = 20")
    catalog, found = checker(text)
    problems = found.problems(catalog.find("typed"))
    assert [(each.path, each.line) for each in problems] == [
        ("inputs.limit.max", 7),
        ("inputs.limit.default", 7),
        ("defaults.limti", 3),
    ]
