"""What the kinds of workflow have in common that have stages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from qtforge_builtin_plugins.orchestrators.drawing import StageDrawing
from qtforge_builtin_plugins.orchestrators.stage_amendments import stage_amendment_problems
from qtforge_builtin_plugins.orchestrators.stage_checks import check_stages, result_of
from qtforge_builtin_plugins.orchestrators.stage_repeats import steps_repeated_with
from qtforge_builtin_plugins.orchestrators.stage_runner import (
    Execute,
    conclude_stages,
    in_order,
    run_stages,
)
from qtforge_builtin_plugins.orchestrators.stages import StagedDefinition
from qtforge_sdk import DefinitionChecker, ErrorInfo, Orchestrator, Run, StepResult
from qtforge_sdk.checkpoints import Ended
from qtforge_sdk.graphs import Graph
from qtforge_sdk.members import Members

__all__ = ["StagedOrchestrator"]

D = TypeVar("D", bound=StagedDefinition)


class StagedOrchestrator(Orchestrator[D]):
    """Run stages, in order; when a required one fails, compensate the earlier ones."""

    def order(self, definition: D) -> Execute:
        """Return what runs the stages of a scope in their order."""
        return in_order

    def check(self, definition: D, checker: DefinitionChecker) -> None:
        """Check every stage, and that there is one."""
        if not definition.stages:
            checker.problem("stages", f"a {self.kind} workflow has at least one stage")
        names = {"stages": check_stages(definition, checker)}
        checker.template("result", definition.result, (), names)
        checker.template("summary", definition.summary, (), names)

    def result_members(self, definition: D, checker: DefinitionChecker) -> Members:
        """Return what is known of ``result``, or without one of each stage's data by its name."""
        return result_of(definition, definition.stages, definition.result, checker)

    async def execute(self, run: Run) -> Any:
        """Run the stages; return each stage's data by its name."""
        scope = await run_stages(run, self.order(run.definition))
        return Ended(result=scope.data(run.definition.stages), names={"stages": scope.seen})

    def graph(self, definition: D) -> Graph:
        """Return the stages, each after those that come before it."""
        return StageDrawing(definition).graph(definition.name)

    def check_amendment(self, before: D, after: D, steps: Mapping[str, StepResult]) -> list[str]:
        """Return the reasons against an amendment."""
        return stage_amendment_problems(before, after, steps)

    def concludes(self, definition: D) -> bool:
        """Return whether the definition has stages that are done last."""
        return bool(definition.finally_)

    async def conclude(self, run: Run, status: str, error: ErrorInfo | None) -> None:
        """Do the stages that are done last."""
        await conclude_stages(run, status, error, self.order(run.definition))

    def repeated_with(
        self,
        definition: D,
        steps: Collection[str],
        ended: Sequence[str],
        failed: Collection[str],
    ) -> set[str]:
        """Return what a retry does again together with some steps."""
        return steps_repeated_with(definition, steps, ended, failed)
