"""Orchestrators that plugins contribute: which are used, and what is logged of the others."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any, ClassVar

import msgspec
import pytest
from tests.host.conftest import Site

from qtforge_host.plugin_code import Author
from qtforge_host.plugins.candidates import ORCHESTRATOR_GROUP
from qtforge_host.plugins.extensions import Orchestrators, add_orchestrator
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.resolution import resolve_installed
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


ORCHESTRATOR = """
import {module}_was_imported
from qtforge_sdk import Definition, Orchestrator

class Example(Orchestrator[Definition]):
    kind = {kind}

    def check(self, definition, checker): ...

    async def execute(self, run): ...
"""


def orchestrators(site: Site, monkeypatch: pytest.MonkeyPatch, **kinds: str) -> Orchestrators:
    """Return orchestrators, each of which imports a module named after it."""
    for name, kind in kinds.items():
        monkeypatch.setitem(sys.modules, f"{name}_was_imported", ModuleType(name))
        source = ORCHESTRATOR.format(module=name, kind=kind)
        site.plugin(name, group=ORCHESTRATOR_GROUP, source=source)
    installed = resolve_installed(site.settings)
    own = {f"{name}_module" for name in kinds}
    resolution = installed.resolution
    offered = tuple(one for one in resolution.others if one.entry_point.module in own)
    narrowed = msgspec.structs.replace(resolution, others=offered)
    return Orchestrators(narrowed, PluginLoader(), site.settings, installed.kinds)


def author_of(found: Orchestrator[Any]) -> str:
    assert isinstance(found, PluginOrchestrator)
    return found.identity.plugin


def imported() -> list[str]:
    return sorted(name for name in sys.modules if name in ("alpha_module", "beta_module"))


def test_a_kind_is_imported_when_it_is_looked_up_and_no_other(
    importable: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = orchestrators(importable, monkeypatch, alpha='"first"', beta='"second"')
    assert imported() == []
    assert "second" in found
    assert found["second"].kind == "second"
    assert imported() == ["beta_module"]
    assert "third" not in found  # which may be that of one whose kind is known otherwise
    assert imported() == ["alpha_module", "beta_module"]
    assert sorted(found) == ["first", "second"]


@pytest.mark.parametrize("kind", ['"fir" + "st"', '"first" if True else "other"'])
def test_all_kinds_are_imported_where_one_is_not_a_literal(
    importable: Site, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    found = orchestrators(importable, monkeypatch, alpha=kind, beta='"first"')
    assert author_of(found["first"]) == "alpha"  # the first of them, as if all were asked for
    assert imported() == ["alpha_module", "beta_module"]


def test_a_kind_whose_orchestrator_does_not_load_is_another_of_the_kind_or_none(
    importable: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = orchestrators(importable, monkeypatch, alpha='"first"', beta='"first"')
    monkeypatch.delitem(sys.modules, "alpha_was_imported")
    assert author_of(found["first"]) == "beta"
    assert "alpha is broken" in caplog.text
    assert "second" not in found
