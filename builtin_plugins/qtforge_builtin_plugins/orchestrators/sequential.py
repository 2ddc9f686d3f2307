"""``kind = "sequential"``: one stage after the other, with compensation.

The fields are those of the original's WorkflowStage (QtForge's DocumentProcessingOrchestrator):
name, plugin, operation, message (there: parameters), timeout of 30 s, required. New are
``when`` and ``compensation``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import durationpy
import msgspec

from qtforge_sdk import (
    Compensation,
    Definition,
    DefinitionChecker,
    Duration,
    Run,
    StepResult,
    Template,
)
from qtforge_sdk.errors import ExpressionError, StageFailedError
from qtforge_sdk.policies import Cache, Fallback, Retry, durations_of

__all__ = ["SequentialDefinition", "SequentialOrchestrator", "Stage", "StageCompensation"]


class StageCompensation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a completed stage is undone when a later required one fails.

    Attributes:
        operation: The topic to ask; it must be idempotent.
        message: A template; it may use this stage's result.
        timeout: A duration.
        on_failure: Ask it also when the stage itself failed, since what it did is unknown.
        retry: When to try it again, or None.
    """

    operation: str
    message: dict[str, Any] = {}
    timeout: Duration = "30s"
    on_failure: bool = False
    retry: Retry | None = None


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
        retry: When to try it again, or None.
        cache: Answer from an earlier answer to the same question, or None.
        fallback: What to answer when it has failed for good, or None; its message is a template.
        compensation: How to undo it, or None.
    """

    name: str
    operation: str
    plugin: str | None = None
    message: dict[str, Any] = {}
    timeout: Duration = "30s"
    required: bool = True
    when: str | None = None
    retry: Retry | None = None
    cache: Cache | None = None
    fallback: Fallback | None = None
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
            self._check_policies(stage, path, before, checker)
            before = [*before, stage.name]
            if stage.compensation is not None:
                self._check_compensation(
                    stage.compensation, f"{path}.compensation", before, checker
                )
        checker.template("result", definition.result, before)
        checker.template("summary", definition.summary, before)

    async def execute(self, run: Run) -> dict[str, Any]:
        """Do the stages; return each stage's data by its name."""
        done: set[str] = set()
        while (stage := self._next(run.definition, done)) is not None:
            done.add(stage.name)
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
                retry=stage.retry,
                cache=stage.cache,
                fallback=stage.fallback,
                compensation=_compensation(stage.compensation),
            )
        names = [stage.name for stage in run.definition.stages]
        return {name: run.steps[name].data for name in names if name in run.steps}

    def check_amendment(
        self,
        before: SequentialDefinition,
        after: SequentialDefinition,
        steps: Mapping[str, StepResult],
    ) -> list[str]:
        """Say why an amendment can't be made: what has begun stays, and what comes is after it."""
        begun = [stage for stage in before.stages if stage.name in steps]
        kept = {stage.name: stage for stage in after.stages}
        reasons = [
            f"the stage '{stage.name}' has begun: it can't be changed or removed"
            for stage in begun
            if kept.get(stage.name) != stage
        ]
        order = [stage.name for stage in after.stages[: len(begun)]]
        if not reasons and order != [stage.name for stage in begun]:
            reasons.append("a new stage can't come before one that has begun")
        return reasons

    def _next(self, definition: SequentialDefinition, done: set[str]) -> Stage | None:
        # Looked up anew each time: an amendment may have changed what comes.
        return next((stage for stage in definition.stages if stage.name not in done), None)

    def _wanted(self, stage: Stage, run: Run) -> bool:
        if stage.when is None:
            return True
        try:
            return run.evaluate(stage.when)
        except ExpressionError as error:
            raise StageFailedError(stage.name, str(error)) from error

    def _check_policies(
        self, stage: Stage, path: str, before: list[str], checker: DefinitionChecker
    ) -> None:
        policies = {"retry": stage.retry, "cache": stage.cache, "fallback": stage.fallback}
        for name, policy in policies.items():
            for key, text in durations_of(policy) if policy is not None else ():
                checker.duration(f"{path}.{name}.{key}", text)
        if stage.fallback is not None and stage.fallback.topic is not None:
            checker.topic(f"{path}.fallback.topic", stage.fallback.topic)
            checker.template(f"{path}.fallback.message", stage.fallback.message, before)

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
        retry=given.retry,
    )


def _seconds(duration: Duration) -> float:
    return float(durationpy.from_str(duration).total_seconds())
