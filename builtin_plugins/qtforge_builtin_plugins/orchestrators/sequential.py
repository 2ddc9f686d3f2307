"""``kind = "sequential"``: one stage after the other, with compensation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from qtforge_builtin_plugins.orchestrators.drawing import END, chain
from qtforge_builtin_plugins.orchestrators.stage_checks import check_stages
from qtforge_builtin_plugins.orchestrators.stages import (
    Stage,
    run_stages,
    stage_amendment_problems,
    stage_data,
)
from qtforge_sdk import Definition, DefinitionChecker, Orchestrator, Run, StepResult
from qtforge_sdk.graphs import Edge, Graph, Node

__all__ = ["SequentialDefinition", "SequentialOrchestrator"]


class SequentialDefinition(Definition, frozen=True, kw_only=True):
    """A workflow of stages, in order."""

    stages: tuple[Stage, ...]


class SequentialOrchestrator(Orchestrator[SequentialDefinition]):
    """Run stages in order; when a required one fails, compensate the earlier ones."""

    kind: ClassVar[str] = "sequential"

    def check(self, definition: SequentialDefinition, checker: DefinitionChecker) -> None:
        """Check every stage, which may use the earlier ones."""
        if not definition.stages:
            checker.problem("stages", "a sequential workflow has at least one stage")
        names = check_stages(definition.stages, checker)
        checker.template("result", definition.result, names)
        checker.template("summary", definition.summary, names)

    async def execute(self, run: Run) -> dict[str, Any]:
        """Run the stages; return each stage's data by its name."""
        await run_stages(run)
        return stage_data(run)

    def graph(self, definition: SequentialDefinition) -> Graph:
        """Return the stages in a row."""
        nodes, edges, last = chain(definition.stages)
        nodes.append(Node(id=END, label="end", kind="end"))
        edges.append(Edge(source=last, target=END))
        return Graph(title=definition.name, nodes=tuple(nodes), edges=tuple(edges))

    def check_amendment(
        self,
        before: SequentialDefinition,
        after: SequentialDefinition,
        steps: Mapping[str, StepResult],
    ) -> list[str]:
        """Return the reasons against an amendment."""
        return stage_amendment_problems(before.stages, after.stages, steps)
