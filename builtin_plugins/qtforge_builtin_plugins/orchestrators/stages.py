"""Stages: what a workflow does one after the other, whichever kind it is of.

The fields are those of the original's WorkflowStage (QtForge's DocumentProcessingOrchestrator):
name, plugin, operation, message (there: parameters), timeout of 30 s, required. New are
``when`` and ``compensation``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import durationpy
import msgspec

from qtforge_sdk import Compensation, DefinitionChecker, Duration, Run, StepResult, Template
from qtforge_sdk.errors import ExpressionError, StageFailedError
from qtforge_sdk.policies import Cache, Fallback, Retry, durations_of

__all__ = [
    "Stage",
    "StageCompensation",
    "check_stages",
    "do_stages",
    "stage_data",
    "why_stages_stay",
]


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


def check_stages(stages: Sequence[Stage], checker: DefinitionChecker) -> list[str]:
    """Check every stage; each may use the ones before it. Return their names."""
    before: list[str] = []
    for position, stage in enumerate(stages):
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
        _check_policies(stage, path, before, checker)
        before = [*before, stage.name]
        if stage.compensation is not None:
            _check_compensation(stage.compensation, f"{path}.compensation", before, checker)
    return before


async def do_stages(run: Run) -> None:
    """Do the stages of a run's definition, in order.

    Raises:
        StageFailedError: A required one failed.
    """
    done: set[str] = set()
    while (stage := _next(run.definition.stages, done)) is not None:
        done.add(stage.name)
        if not _wanted(stage, run):
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


def stage_data(run: Run) -> dict[str, Any]:
    """Return each stage's data by its name, as far as they have been done."""
    names = [stage.name for stage in run.definition.stages]
    return {name: run.steps[name].data for name in names if name in run.steps}


def why_stages_stay(
    before: Sequence[Stage], after: Sequence[Stage], steps: Mapping[str, StepResult]
) -> list[str]:
    """Say why stages can't be amended so: what has begun stays, and what comes is after it."""
    begun = [stage for stage in before if stage.name in steps]
    kept = {stage.name: stage for stage in after}
    reasons = [
        f"the stage '{stage.name}' has begun: it can't be changed or removed"
        for stage in begun
        if kept.get(stage.name) != stage
    ]
    order = [stage.name for stage in after[: len(begun)]]
    if not reasons and order != [stage.name for stage in begun]:
        reasons.append("a new stage can't come before one that has begun")
    return reasons


def _next(stages: Sequence[Stage], done: set[str]) -> Stage | None:
    # Looked up anew each time: an amendment may have changed what comes.
    return next((stage for stage in stages if stage.name not in done), None)


def _wanted(stage: Stage, run: Run) -> bool:
    if stage.when is None:
        return True
    try:
        return run.evaluate(stage.when)
    except ExpressionError as error:
        raise StageFailedError(stage.name, str(error)) from error


def _check_policies(stage: Stage, path: str, before: list[str], checker: DefinitionChecker) -> None:
    policies = {"retry": stage.retry, "cache": stage.cache, "fallback": stage.fallback}
    for name, policy in policies.items():
        for key, text in durations_of(policy) if policy is not None else ():
            checker.duration(f"{path}.{name}.{key}", text)
    if stage.fallback is not None and stage.fallback.topic is not None:
        checker.topic(f"{path}.fallback.topic", stage.fallback.topic)
        checker.template(f"{path}.fallback.message", stage.fallback.message, before)


def _check_compensation(
    compensation: StageCompensation, path: str, stages: list[str], checker: DefinitionChecker
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
