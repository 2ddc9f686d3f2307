"""What the host does with a kind of a plugin goes through to it, and its failures do not."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, cast

import pytest

from qtforge_host.plugin_code import Author
from qtforge_host.workflows.plugin_orchestrator import PluginOrchestrator
from qtforge_sdk import Definition, DefinitionChecker, Orchestrator, Run
from qtforge_sdk.members import ListOf, Members, Scalar


class Kind(Orchestrator[Definition]):
    kind: ClassVar[str] = "kind"

    def __init__(self, members: Any) -> None:
        self.members = members

    def check(self, definition: Definition, checker: DefinitionChecker) -> None:
        """Find no problem."""

    async def execute(self, run: Run) -> Any:
        return run.id

    def result_members(self, definition: Definition, checker: DefinitionChecker) -> Members:
        if isinstance(self.members, Exception):
            raise self.members
        found: Members = self.members
        return found


def test_every_method_of_a_kind_goes_through_to_the_plugins() -> None:
    methods = {name for name, _ in inspect.getmembers(Orchestrator, inspect.isfunction)}
    assert methods <= vars(PluginOrchestrator).keys()


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"a": None}, {"a": None}),
        (ListOf(), ListOf()),
        (Scalar("a number"), Scalar("a number")),
        (None, None),
        ([1], None),
        (ValueError("no"), None),
    ],
)
def test_members_of_a_result_are_the_plugins_and_its_failure_is_none(
    members: Any, found: Any
) -> None:
    used = PluginOrchestrator(Kind(members), Author("one", "1.0.0"))
    checker = cast("DefinitionChecker", None)  # it is the plugin's alone
    assert used.result_members(Definition(name="w", kind="kind"), checker) == found
