"""``kind = "graph"``: stages that begin as soon as the stages that they need have ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, ClassVar

import msgspec

from qtforge_builtin_plugins.orchestrators.drawing import StageDrawing
from qtforge_builtin_plugins.orchestrators.needs import GraphBlock, GraphStage, by_needs
from qtforge_builtin_plugins.orchestrators.stage_amendments import stage_amendment_problems
from qtforge_builtin_plugins.orchestrators.stage_checks import check_stages
from qtforge_builtin_plugins.orchestrators.stage_repeats import steps_repeated_with
from qtforge_builtin_plugins.orchestrators.stage_runner import conclude_stages, run_stages
from qtforge_builtin_plugins.orchestrators.stages import StagedDefinition
from qtforge_sdk import DefinitionChecker, ErrorInfo, Orchestrator, Run, StepResult
from qtforge_sdk.checkpoints import Ended
from qtforge_sdk.graphs import Graph

__all__ = ["GraphDefinition", "GraphOrchestrator"]


class GraphDefinition(StagedDefinition, frozen=True, kw_only=True):
    """A workflow of stages, each with those that it needs.

    Attributes:
        stages: The stages, in any order.
        blocks: The blocks by their names.
        concurrency: The most stages at once, of the run or of one block.
    """

    stages: tuple[GraphStage, ...]
    blocks: Mapping[str, GraphBlock] = msgspec.field(default_factory=dict)
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32


class GraphOrchestrator(Orchestrator[GraphDefinition]):
    """Run each stage when the stages that it needs have ended; undo the last ended first."""

    kind: ClassVar[str] = "graph"

    def check(self, definition: GraphDefinition, checker: DefinitionChecker) -> None:
        """Check every stage, which may use those that it needs, directly or not."""
        if not definition.stages:
            checker.problem("stages", "a graph has at least one stage")
        names = {"stages": check_stages(definition, checker)}
        checker.template("result", definition.result, (), names)
        checker.template("summary", definition.summary, (), names)

    async def execute(self, run: Run) -> Ended:
        """Run the stages; return each stage's data by its name."""
        scope = await run_stages(run, by_needs(run.definition.concurrency))
        return Ended(result=scope.data(run.definition.stages), names={"stages": scope.seen})

    def graph(self, definition: GraphDefinition) -> Graph:
        """Return the stages, each after those that it needs."""
        return StageDrawing(definition).graph(definition.name)

    def check_amendment(
        self,
        before: GraphDefinition,
        after: GraphDefinition,
        steps: Mapping[str, StepResult],
    ) -> list[str]:
        """Return the reasons against an amendment."""
        return stage_amendment_problems(before, after, steps)

    def concludes(self, definition: GraphDefinition) -> bool:
        """Return whether the definition has stages that are done last."""
        return bool(definition.finally_)

    async def conclude(self, run: Run, status: str, error: ErrorInfo | None) -> None:
        """Do the stages that are done last."""
        await conclude_stages(run, status, error, by_needs(run.definition.concurrency))

    def repeated_with(
        self,
        definition: GraphDefinition,
        steps: Collection[str],
        ended: Sequence[str],
        failed: Collection[str],
    ) -> set[str]:
        """Return what a retry does again together with some steps."""
        return steps_repeated_with(definition, steps, ended, failed)
