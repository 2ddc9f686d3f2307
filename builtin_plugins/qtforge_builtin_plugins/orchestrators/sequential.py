"""``kind = "sequential"``: one stage after the other, with compensation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from qtforge_builtin_plugins.orchestrators.drawing import StageDrawing
from qtforge_builtin_plugins.orchestrators.stage_amendments import stage_amendment_problems
from qtforge_builtin_plugins.orchestrators.stage_checks import check_stages
from qtforge_builtin_plugins.orchestrators.stage_repeats import steps_repeated_with
from qtforge_builtin_plugins.orchestrators.stage_runner import conclude_stages, run_stages
from qtforge_builtin_plugins.orchestrators.stages import Stage, StagedDefinition
from qtforge_sdk import DefinitionChecker, ErrorInfo, Orchestrator, Run, StepResult
from qtforge_sdk.checkpoints import Ended
from qtforge_sdk.graphs import Graph

__all__ = ["SequentialDefinition", "SequentialOrchestrator"]


class SequentialDefinition(StagedDefinition, frozen=True, kw_only=True):
    """A workflow of stages, in order."""

    stages: tuple[Stage, ...]


class SequentialOrchestrator(Orchestrator[SequentialDefinition]):
    """Run stages in order; when a required one fails, compensate the earlier ones."""

    kind: ClassVar[str] = "sequential"

    def check(self, definition: SequentialDefinition, checker: DefinitionChecker) -> None:
        """Check every stage, which may use the earlier ones."""
        if not definition.stages:
            checker.problem("stages", "a sequential workflow has at least one stage")
        names = {"stages": check_stages(definition, checker)}
        checker.template("result", definition.result, (), names)
        checker.template("summary", definition.summary, (), names)

    async def execute(self, run: Run) -> Any:
        """Run the stages; return each stage's data by its name."""
        scope = await run_stages(run)
        return Ended(result=scope.data(run.definition.stages), names={"stages": scope.seen})

    def graph(self, definition: SequentialDefinition) -> Graph:
        """Return the stages in a row."""
        return StageDrawing(definition).graph(definition.name)

    def check_amendment(
        self,
        before: SequentialDefinition,
        after: SequentialDefinition,
        steps: Mapping[str, StepResult],
    ) -> list[str]:
        """Return the reasons against an amendment."""
        return stage_amendment_problems(before, after, steps)

    def concludes(self, definition: SequentialDefinition) -> bool:
        """Return whether the definition has stages that are done last."""
        return bool(definition.finally_)

    async def conclude(self, run: Run, status: str, error: ErrorInfo | None) -> None:
        """Do the stages that are done last."""
        await conclude_stages(run, status, error)

    def repeated_with(
        self,
        definition: SequentialDefinition,
        steps: Collection[str],
        ended: Sequence[str],
        failed: Collection[str],
    ) -> set[str]:
        """Return what a retry does again together with some steps."""
        return steps_repeated_with(definition, steps, ended, failed)
