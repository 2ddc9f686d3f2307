"""Which steps a retry or a fork does again together with one of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qtforge_builtin_plugins.orchestrators.needs import GraphStage
from qtforge_builtin_plugins.orchestrators.stage_runner import parts_of, stage_of
from qtforge_builtin_plugins.orchestrators.stages import Stage, StagedDefinition

__all__ = ["steps_repeated_with"]


def steps_repeated_with(
    definition: StagedDefinition,
    steps: Collection[str],
    ended: Sequence[str],
    failed: Collection[str],
) -> set[str]:
    """Return what is done again together with some steps.

    That is the stages of these steps, and every stage that depends on them. Of a stage with
    ``foreach`` that is only the items that failed, where some did; where a step is within an item
    or a block, it is what ended after the step there.

    Args:
        definition: The run's.
        steps: The steps; also stages and items, whose own steps may not have begun.
        ended: The run's steps and timers, in the order in which they ended.
        failed: Those that failed.

    Returns:
        Some of ``ended``.
    """
    table = {stage.name: stage for stage in definition.stages}
    own: dict[str, list[str]] = {name: [] for name in table}
    others: list[str] = []  # the kind's own steps, which follow all stages
    for each in ended:
        own.get(stage_of(each), others).append(each)
    wanted: dict[str, set[str]] = {}
    again: set[str] = set()
    for step in steps:
        name = stage_of(step)
        if name in table:
            wanted.setdefault(name, set()).add(step)
        elif step in others:
            again.update(others[others.index(step) :])
    for name, within in wanted.items():
        again |= _within(table[name], within, own[name], failed)
    for name in _dependents(definition.stages, wanted):
        again.update(own[name])
    return again.union(others) if wanted else again


def _within(
    stage: Stage, steps: Collection[str], own: Sequence[str], failed: Collection[str]
) -> set[str]:
    """Return what is done again of one stage."""
    places = {step: place for place, step in enumerate(own)}
    if stage.name in steps:
        bad = [step for step in own if step in failed and _item_of(stage, step) is not None]
        if not bad:
            return set(own)
        wholes = {part for step in bad for part in parts_of(step)[:-1]}
        steps = {*bad, *steps} - wholes
    first: dict[str | None, int] = {None: len(own)}  # by item; None for what is of no item
    for step in steps:
        item = _item_of(stage, step)
        place = places.get(step, len(own))
        if step == item or step not in places:  # all of it
            members = (at for at, each in enumerate(own) if step in parts_of(each))
            place = min(members, default=len(own))
        first[item] = min(place, first.get(item, place))
        first[None] = min(place, first[None])
    return {
        step
        for place, step in enumerate(own)
        if place >= first.get(_item_of(stage, step), len(own))
    }


def _item_of(stage: Stage, step: str) -> str | None:
    """Return the item of a stage with ``foreach`` to which a step belongs, such as ``each[3]``."""
    if stage.foreach is None or not step.startswith(f"{stage.name}["):
        return None
    return step[: step.index("]") + 1]


def _dependents(stages: Sequence[Stage], names: Collection[str]) -> set[str]:
    """Return the stages that depend on others, directly or not."""
    graph = [stage for stage in stages if isinstance(stage, GraphStage)]
    if not graph:
        all_names = [stage.name for stage in stages]
        first = min((all_names.index(name) for name in names), default=len(all_names))
        return set(all_names[first + 1 :])
    users: dict[str, list[str]] = {}
    for stage in graph:
        for need in stage.needs:
            users.setdefault(need, []).append(stage.name)
    found: set[str] = set()
    left = list(names)
    while left:
        for each in users.get(left.pop(), ()):
            if each not in found:
                found.add(each)
                left.append(each)
    return found
