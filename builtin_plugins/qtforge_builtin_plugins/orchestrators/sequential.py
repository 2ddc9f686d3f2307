"""``kind = "sequential"``: one stage after the other, with compensation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from qtforge_builtin_plugins.orchestrators.stages import (
    Stage,
    check_stages,
    do_stages,
    stage_data,
    why_stages_stay,
)
from qtforge_sdk import Definition, DefinitionChecker, Run, StepResult

__all__ = ["SequentialDefinition", "SequentialOrchestrator"]


class SequentialDefinition(Definition, frozen=True, kw_only=True):
    """A workflow of stages, in order."""

    stages: tuple[Stage, ...]


class SequentialOrchestrator:
    """Runs stages in order; when a required one fails, those before it are compensated."""

    kind: ClassVar[str] = "sequential"
    definition_type: ClassVar[type[Definition]] = SequentialDefinition

    def check(self, definition: SequentialDefinition, checker: DefinitionChecker) -> None:
        """Check every stage; each may use the ones before it."""
        if not definition.stages:
            checker.problem("stages", "a sequential workflow has at least one stage")
        names = check_stages(definition.stages, checker)
        checker.template("result", definition.result, names)
        checker.template("summary", definition.summary, names)

    async def execute(self, run: Run) -> dict[str, Any]:
        """Do the stages; return each stage's data by its name."""
        await do_stages(run)
        return stage_data(run)

    def check_amendment(
        self,
        before: SequentialDefinition,
        after: SequentialDefinition,
        steps: Mapping[str, StepResult],
    ) -> list[str]:
        """Say why an amendment can't be made."""
        return why_stages_stay(before.stages, after.stages, steps)
