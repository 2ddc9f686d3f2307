"""The machine of docs/machines.md does what is said of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.builtin_plugins.orchestrators.reactive.driving import Driven
from tests.builtin_plugins.orchestrators.reactive.machines import machine, problems

from qtforge_builtin_plugins.orchestrators.reactive.actions import Action
from qtforge_builtin_plugins.orchestrators.reactive.definition import (
    ReactiveDefinition,
    State,
    TransitionDefinition,
)

PAGE = (Path(__file__).parents[4] / "docs" / "machines.md").read_text(encoding="utf-8")
DEFINITIONS = [
    each for each in re.findall(r"^```toml\n(.*?)^```", PAGE, re.S | re.M) if "\nkind = " in each
]


@pytest.fixture
def documented() -> ReactiveDefinition:
    (found,) = (each for each in DEFINITIONS if "user.question" in each)
    return machine(found)


@pytest.mark.parametrize("text", DEFINITIONS)
def test_a_documented_machine_has_no_problem(text: str) -> None:
    found = problems(machine(text))
    assert {path for path, what in found.items() if "there is no workflow" not in what} == set()


def test_it_comes_back_to_who_asked(documented: ReactiveDefinition) -> None:
    it = Driven(documented, request={"days": 20}, rounds=0)
    assert it.active == ("with_lead",)
    assert it.send("user.action", action="approve")
    assert it.send("user.question")
    assert it.send("user.answer", text="because")
    assert it.active == ("with_head",)
    assert it.snapshot.data["answer"] == "because"
    assert it.send("user.action", action="approve")
    assert it.snapshot.finished == "granted"


def test_a_reminder_leaves_the_timeout_as_it_is(documented: ReactiveDefinition) -> None:
    it = Driven(documented, request={"days": 2}, rounds=0)
    assert it.send("request.remind")
    assert it.called == ["ask_lead", "ask_lead"]
    assert (it.trace.set, it.trace.exited) == ([], [])


@pytest.mark.parametrize(
    "kind", [State, TransitionDefinition, *Action.__args__], ids=lambda kind: kind.__name__
)
def test_every_key_is_in_the_tables(kind: Any) -> None:
    names = [*kind.__struct_encode_fields__]
    if kind not in (State, TransitionDefinition):
        names.append(kind.__struct_config__.tag)
    missing = [name for name in names if f"`{name}`" not in PAGE]
    assert missing == []
