"""Orchestrators that plugins contribute: which are used, and what is logged of the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, ClassVar

import pytest

from qtforge_host.plugin_code import Author
from qtforge_host.plugins.extensions import add_orchestrator
from qtforge_host.plugins.wiring import Contributions
from qtforge_host.testing import PluginTestHost
from qtforge_host.workflows.plugin_orchestrator import PluginOrchestrator
from qtforge_sdk import Definition, DefinitionChecker, Orchestrator, Run, hookimpl


class Good(Orchestrator[Definition]):
    kind: ClassVar[str] = "good"

    def check(self, definition: Definition, checker: DefinitionChecker) -> None:
        """Find no problem."""

    async def execute(self, run: Run) -> Any:
        return run.id


class Nameless(Good):
    kind = ""


class Broken(Good):
    kind = "broken"

    def __init__(self) -> None:
        raise RuntimeError("no licence")


class Alike:
    """It has every method, and does not derive from the base."""

    kind = "alike"
    definition_type = Definition
    check = Good.check
    execute = Good.execute


class Contributor:
    @hookimpl
    def qtforge_orchestrators(self) -> Iterable[Any]:
        return [Broken, Alike, Nameless, Good, "text"]


def test_each_usable_orchestrator_is_added_and_each_other_one_is_logged(
    host: PluginTestHost, caplog: pytest.LogCaptureFixture
) -> None:
    host.add(Contributor(), "acme", "1.0.0")
    parts = host.bench.parts
    contributions = Contributions(parts.hooks, parts.wiring, parts.threads, 60.0)
    with caplog.at_level(logging.WARNING, "qtforge.host"):
        found = host.run(contributions.orchestrators({}))
    assert list(found) == ["good"]
    assert [
        words
        for words in (
            "no licence",
            "Alike is not an orchestrator",
            "Nameless has no kind",
            "acme: str can't be made",
        )
        if words not in caplog.text
    ] == []
    assert all(record.getMessage().startswith("acme: ") for record in caplog.records)


def test_a_kind_that_exists_already_is_not_replaced(
    host: PluginTestHost, caplog: pytest.LogCaptureFixture
) -> None:
    host.add(Contributor(), "acme", "1.0.0")
    parts = host.bench.parts
    contributions = Contributions(parts.hooks, parts.wiring, parts.threads, 60.0)
    assert host.run(contributions.orchestrators({"good": Good()})) == {}
    assert "acme: the kind 'good' is taken" in caplog.text


def test_of_two_entry_points_of_one_kind_the_first_is_used() -> None:
    kinds = dict[str, Orchestrator[Any]]()
    add_orchestrator(kinds, Good(), Author("one", "1.0.0"))
    add_orchestrator(kinds, Good(), Author("two", "1.0.0"))
    used = kinds["good"]
    assert isinstance(used, PluginOrchestrator)
    assert used.identity == Author("one", "1.0.0")
