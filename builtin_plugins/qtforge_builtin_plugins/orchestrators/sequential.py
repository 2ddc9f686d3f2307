"""``kind = "sequential"``: one stage after the other, with compensation.

The fields are those of the original's WorkflowStage (QtForge's DocumentProcessingOrchestrator):
name, plugin, operation, message (there: parameters), timeout of 30 s, required. New are
``when`` and ``compensation``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import durationpy
import msgspec

from qtforge_sdk import (
    Compensation,
    Definition,
    DefinitionChecker,
    Duration,
    Run,
    Template,
)
from qtforge_sdk.errors import ExpressionError, StageFailedError

__all__ = ["SequentialDefinition", "SequentialOrchestrator", "Stage", "StageCompensation"]


class StageCompensation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a completed stage is undone when a later required one fails.

    Attributes:
        operation: The topic to ask; it must be idempotent.
        message: A template; it may use this stage's result.
        timeout: A duration.
        on_failure: Ask it also when the stage itself failed, since what it did is unknown.
    """

    operation: str
    message: dict[str, Any] = {}
    timeout: Duration = "30s"
    on_failure: bool = False


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of the sequence.

    Attributes:
        name: Unique in the workflow.
        operation: The topic to ask.
        plugin: Ask only this plugin, or None.
        message: A template; it may use the stages before.
        timeout: A duration.
        required: When false, a failure is a warning and the run goes on, degraded.
        when: A condition; the stage is skipped where it does not hold.
        compensation: How to undo it, or None.
    """

    name: str
    operation: str
    plugin: str | None = None
    message: dict[str, Any] = {}
    timeout: Duration = "30s"
    required: bool = True
    when: str | None = None
    compensation: StageCompensation | None = None


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
        before: list[str] = []
        for position, stage in enumerate(definition.stages):
            path = f"stages[{position}]"
            if stage.name in before:
                checker.problem(f"{path}.name", f"there are two stages '{stage.name}'")
            if not stage.name.isidentifier():
                fix = "use letters, digits and _, so that expressions can name it"
                checker.problem(f"{path}.name", f"'{stage.name}' is not a name", fix)
            checker.topic(f"{path}.operation", stage.operation)
            if stage.plugin is not None:
                checker.plugin(f"{path}.plugin", stage.plugin, stage.operation)
            checker.duration(f"{path}.timeout", stage.timeout)
            checker.template(f"{path}.message", stage.message, before)
            if stage.when is not None:
                checker.condition(f"{path}.when", stage.when, before)
            before = [*before, stage.name]
            if stage.compensation is not None:
                self._check_compensation(
                    stage.compensation, f"{path}.compensation", before, checker
                )
        checker.template("result", definition.result, before)
        checker.template("summary", definition.summary, before)

    async def execute(self, run: Run) -> dict[str, Any]:
        """Do the stages; return each stage's data by its name."""
        definition: SequentialDefinition = run.definition
        for stage in definition.stages:
            if not self._wanted(stage, run):
                await run.skip(stage.name, f"when = {stage.when}")
                continue
            await run.request(
                stage.name,
                stage.operation,
                Template(stage.message),
                timeout=_seconds(stage.timeout),
                plugin=stage.plugin,
                required=stage.required,
                compensation=_compensation(stage.compensation),
            )
        return {name: step.data for name, step in run.steps.items()}

    def _wanted(self, stage: Stage, run: Run) -> bool:
        if stage.when is None:
            return True
        try:
            return run.evaluate(stage.when)
        except ExpressionError as error:
            raise StageFailedError(stage.name, str(error)) from error

    def _check_compensation(
        self,
        compensation: StageCompensation,
        path: str,
        stages: list[str],
        checker: DefinitionChecker,
    ) -> None:
        checker.topic(f"{path}.operation", compensation.operation)
        checker.duration(f"{path}.timeout", compensation.timeout)
        checker.template(f"{path}.message", compensation.message, stages)


def _compensation(given: StageCompensation | None) -> Compensation | None:
    if given is None:
        return None
    return Compensation(
        topic=given.operation,
        message=Template(given.message),
        timeout_s=_seconds(given.timeout),
        on_failure=given.on_failure,
    )


def _seconds(duration: Duration) -> float:
    return float(durationpy.from_str(duration).total_seconds())
