"""`Orchestrator`: what a kind must have, and what it has unless it says otherwise."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from qtforge_sdk import Definition, DefinitionChecker, Orchestrator, Run
from qtforge_sdk.graphs import Graph


class Pause(Definition, frozen=True, kw_only=True):
    length: str = "1s"


class PauseOrchestrator(Orchestrator[Pause]):
    kind: ClassVar[str] = "pause"

    def check(self, definition: Pause, checker: DefinitionChecker) -> None:
        checker.duration("length", definition.length)

    async def execute(self, run: Run) -> Any:
        await run.sleep(run.definition.length)


class Drawn(PauseOrchestrator):
    kind: ClassVar[str] = "drawn"

    def graph(self, definition: Pause) -> Graph:
        return Graph(title=definition.name)


PAUSE = Pause(name="p", kind="pause")


def test_the_definition_type_is_the_type_argument() -> None:
    assert PauseOrchestrator.definition_type is Pause
    assert Drawn.definition_type is Pause


def test_without_a_type_argument_the_definition_has_the_common_keys() -> None:
    class Untyped(Orchestrator[Any]):
        kind = "untyped"

    assert Untyped.definition_type is Definition


def test_a_definition_type_that_is_written_wins() -> None:
    class Other(Orchestrator[Pause]):
        kind = "other"
        definition_type: ClassVar[type[Definition]] = Definition

    assert Other.definition_type is Definition


def test_a_kind_has_no_optional_feature_unless_it_says_so() -> None:
    orchestrator = PauseOrchestrator()
    assert orchestrator.stateful is False
    assert orchestrator.graph(PAUSE) is None
    assert orchestrator.graph_of_run(PAUSE, []) is None
    assert orchestrator.accepts(PAUSE, None) is None
    assert list(orchestrator.triggers(PAUSE)) == []
    reasons = orchestrator.check_amendment(PAUSE, PAUSE, {})
    assert reasons == ["a workflow of the kind 'pause' can't be amended"]


def test_a_kind_that_draws_its_workflows_draws_its_runs_without_marks() -> None:
    assert Drawn().graph_of_run(PAUSE, []) == Graph(title="p")


class WithoutCheck(Orchestrator[Pause]):
    kind: ClassVar[str] = "without-check"

    async def execute(self, run: Run) -> Any:
        """Do nothing."""


class WithoutExecute(Orchestrator[Pause]):
    kind: ClassVar[str] = "without-execute"

    def check(self, definition: Pause, checker: DefinitionChecker) -> None:
        """Find no problem."""


@pytest.mark.parametrize(
    ("unfinished", "missing"), [(WithoutCheck, "check"), (WithoutExecute, "execute")]
)
def test_a_kind_without_one_of_its_two_duties_can_not_be_made(
    unfinished: type[Any], missing: str
) -> None:
    with pytest.raises(TypeError, match=missing):
        unfinished()
