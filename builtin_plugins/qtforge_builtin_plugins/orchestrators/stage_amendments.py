"""Which amendments of stages fit what a run has done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtforge_builtin_plugins.orchestrators.needs import GraphStage
from qtforge_builtin_plugins.orchestrators.stage_runner import stage_of
from qtforge_builtin_plugins.orchestrators.stages import (
    Stage,
    StagedDefinition,
    blocks_of,
)
from qtforge_sdk import StepResult

__all__ = ["stage_amendment_problems"]


def stage_amendment_problems(
    before: StagedDefinition, after: StagedDefinition, steps: Mapping[str, StepResult]
) -> list[str]:
    """Return the reasons against an amendment: what has begun stays as it is.

    A sequence also keeps the order of what has begun; in a graph nothing that has begun may
    come to need what has not.
    """
    names = {stage.name for stage in before.stages}
    begun_names = {stage_of(step) for step in steps} & names
    begun = [stage for stage in before.stages if stage.name in begun_names]
    kept = {stage.name: stage for stage in after.stages}
    reasons = [
        f"the stage '{stage.name}' has begun: it can't be changed or removed"
        for stage in begun
        if kept.get(stage.name) != stage
    ]
    reasons += [
        f"the block '{name}' has begun: it can't be changed or removed"
        for name in _blocks_within(before, begun)
        if after.blocks.get(name) != before.blocks.get(name)
    ]
    if begun and before.on_failure != after.on_failure:
        reasons.append("a stage has begun: 'on_failure' can't be changed")
    if not reasons and not any(isinstance(stage, GraphStage) for stage in after.stages):
        order = [stage.name for stage in after.stages[: len(begun)]]
        if order != [stage.name for stage in begun]:
            reasons.append("a new stage can't come before one that has begun")
    return reasons


def _blocks_within(definition: StagedDefinition, stages: Sequence[Stage]) -> list[str]:
    """Return the blocks that stages do, and those that these do."""
    found: dict[str, None] = {}
    left = [name for stage in stages for name in blocks_of(stage)]
    while left:
        name = left.pop()
        if name not in found and name in definition.blocks:
            found[name] = None
            left += [each for s in definition.blocks[name].stages for each in blocks_of(s)]
    return list(found)
