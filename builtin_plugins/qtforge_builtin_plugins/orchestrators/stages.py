"""Stages: the steps that a workflow of any kind carries out one after the other.

The fields are those of the original's WorkflowStage (QtForge's DocumentProcessingOrchestrator):
name, plugin, operation, message (there: parameters), timeout of 30 s, required. New are
``when``, ``workflow``, ``foreach`` and ``compensation``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from qtforge_sdk import Compensation, Duration, Run, StepResult, Template
from qtforge_sdk.errors import ExpressionError, StageFailedError
from qtforge_sdk.policies import Cache, Fallback, Retry
from qtforge_sdk.records import POOL_NAME

__all__ = [
    "Stage",
    "StageCompensation",
    "run_stages",
    "stage_amendment_problems",
    "stage_data",
]


class StageCompensation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request that undoes a completed stage when a later required stage fails.

    Attributes:
        operation: The topic of the request; its operation must be idempotent.
        message: A template; it may use this stage's result.
        timeout: A duration.
        on_failure: Whether to undo the stage also when it failed itself, since its effects
            are unknown then.
        retry: The retry policy, or None.
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
        operation: The topic of the request; or
        workflow: The workflow to run, as a run of its own.
        foreach: A template of a list: the stage runs for each of its items, and its result is
            the list of their results, in that order; templates may use ``item`` and
            ``index``. None to run it once.
        pool: The pool whose processes may execute the workflow; None for the run's own process.
        concurrency: With ``foreach``, the most items at once.
        plugin: The only plugin that may answer, or None.
        message: A template of the operation's message; it may use the earlier stages.
        input: A template of the workflow's input, likewise.
        timeout: A duration, for the operation; a workflow has one of its own.
        required: When false, a failure is a warning and the run continues, degraded.
        when: A condition; the stage is skipped when it does not hold.
        retry: The retry policy, or None.
        cache: The cache policy, or None.
        fallback: The answer when all attempts failed, or None; its message is a template.
        compensation: The request that undoes it, or None. With ``foreach`` each item is
            undone; its message may use ``item`` and ``index`` then, and not the stage's result.
    """

    name: str
    operation: str | None = None
    workflow: str | None = None
    pool: Annotated[str, msgspec.Meta(pattern=rf"^{POOL_NAME}(?!\n)$")] | None = None
    foreach: Any = None
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 8
    plugin: str | None = None
    message: dict[str, Any] = {}
    input: dict[str, Any] = {}
    timeout: Duration = "30s"
    required: bool = True
    when: str | None = None
    retry: Retry | None = None
    cache: Cache | None = None
    fallback: Fallback | None = None
    compensation: StageCompensation | None = None


async def run_stages(run: Run) -> None:
    """Run the stages of a run's definition, in order.

    Raises:
        StageFailedError: A required stage failed.
    """
    done: set[str] = set()
    while (stage := _next(run.definition.stages, done)) is not None:
        done.add(stage.name)
        if not await _wanted(stage, run):
            await run.skip(stage.name, f"when = {stage.when}")
            continue
        if stage.foreach is None:
            await _do(stage, run, stage.name, None)
        else:
            await _do_each(stage, run)


def stage_data(run: Run) -> dict[str, Any]:
    """Return the data of each finished stage by its name."""
    names = [stage.name for stage in run.definition.stages]
    return {name: run.steps[name].data for name in names if name in run.steps}


def stage_amendment_problems(
    before: Sequence[Stage], after: Sequence[Stage], steps: Mapping[str, StepResult]
) -> list[str]:
    """Return the reasons against an amendment: stages that have begun stay, and come first."""
    items = {name.partition("[")[0] for name in steps}  # the steps of a stage with foreach
    begun = [stage for stage in before if stage.name in steps or stage.name in items]
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
    # Looked up each time: an amendment may have changed the stages to come.
    return next((stage for stage in stages if stage.name not in done), None)


async def _do_each(stage: Stage, run: Run) -> None:
    """Run a stage for each item; its own step holds the results in the items' order."""
    items = await _rendered(run, stage, stage.foreach, None)
    if not isinstance(items, list | tuple):
        what = f"foreach must be a list, not {type(items).__name__}"
        raise StageFailedError(stage.name, what)
    places = asyncio.Semaphore(stage.concurrency)

    async def one(index: int, item: Any) -> Any:
        async with places:
            return await _do(stage, run, f"{stage.name}[{index}]", {"item": item, "index": index})

    answers = await run.gather(*(one(index, item) for index, item in enumerate(items)))
    await run.step(stage.name, lambda: answers)


async def _do(stage: Stage, run: Run, step: str, names: Mapping[str, Any] | None) -> Any:
    if stage.workflow is not None:
        given = await _rendered(run, stage, stage.input, names)
        return await run.run_workflow(
            stage.workflow, given, step=step, required=stage.required, pool=stage.pool
        )
    assert stage.operation is not None  # noqa: S101 - `check_stages` has checked it
    message: object = Template(stage.message)
    if names is not None:
        message = await _rendered(run, stage, stage.message, names)
    return await run.request(
        step,
        stage.operation,
        message,
        timeout=stage.timeout,
        plugin=stage.plugin,
        required=stage.required,
        retry=stage.retry,
        cache=stage.cache,
        fallback=stage.fallback,
        compensation=await _compensation(stage, run, names),
    )


async def _rendered(run: Run, stage: Stage, template: Any, names: Mapping[str, Any] | None) -> Any:
    try:
        return await run.compute(lambda: run.render(template, names))
    except ExpressionError as error:
        raise StageFailedError(stage.name, str(error)) from error


async def _wanted(stage: Stage, run: Run) -> bool:
    if stage.when is None:
        return True
    condition = stage.when
    try:
        return await run.compute(lambda: run.evaluate(condition))
    except ExpressionError as error:
        raise StageFailedError(stage.name, str(error)) from error


async def _compensation(
    stage: Stage, run: Run, names: Mapping[str, Any] | None
) -> Compensation | None:
    given = stage.compensation
    if given is None:
        return None
    message: object = Template(given.message)
    if names is not None:
        message = await _rendered(run, stage, given.message, names)
    return Compensation(
        topic=given.operation,
        message=message,
        timeout=given.timeout,
        on_failure=given.on_failure,
        retry=given.retry,
    )
