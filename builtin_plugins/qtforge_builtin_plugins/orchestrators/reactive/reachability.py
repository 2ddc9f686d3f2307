"""Where a machine's ways lead: who is never reached or left, and what never happens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from qtforge_builtin_plugins.orchestrators.reactive.actions import (
    RaiseAction,
    TimerAction,
    WorkflowAction,
)
from qtforge_builtin_plugins.orchestrators.reactive.chart import Arrow, Chart, Node, matches
from qtforge_builtin_plugins.orchestrators.reactive.configuration import inside
from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_sdk import DefinitionChecker

__all__ = ["check_ways"]


def check_ways(
    definition: ReactiveDefinition,
    chart: Chart,
    paths: Mapping[str, str],
    checker: DefinitionChecker,
) -> None:
    """Check that every state is reached and left, and that every transition can be taken.

    What is found is certain: a condition is thought to hold at times, and every event to come.

    Args:
        definition: The machine.
        chart: Its states.
        paths: Where each state is written.
        checker: Hears of problems.
    """
    reached = _reached(chart)
    arrows = [arrow for node in (chart.root, *chart.nodes.values()) for arrow in node.arrows]
    for node in chart.nodes.values():
        if node.is_history:
            continue
        if node not in reached:
            fix = "add a transition, or remove it"
            checker.problem(paths[node.name], f"no way leads to '{node.name}'", fix)
        elif node.kind == "atomic" and not any(_leaves(arrow, node) for arrow in arrows):
            what = f"nothing ever leaves '{node.name}', and it is not final"
            fix = "make it final, or add a transition from it"
            checker.problem(paths[node.name], what, fix)
    for position, transition in enumerate(definition.transitions):
        own = [arrow for arrow in arrows if arrow.position == position]
        _check_taken(f"transitions[{position}]", own, reached, checker)
        path = f"transitions[{position}].trigger"
        _check_raised(path, transition.trigger, definition, chart, checker)
    _check_heard(definition, chart, paths, [arrow.trigger for arrow in arrows], checker)


def _reached(chart: Chart) -> set[Node]:
    found: set[Node] = {chart.root}
    entered: set[Node] = set()  # with their defaults

    def enter(node: Node | None) -> None:
        if node is None or node in entered:
            return
        entered.add(node)
        found.add(node)
        for ancestor in node.ancestors:
            found.add(ancestor)
            if ancestor.kind == "parallel":
                for region in ancestor.children:
                    if node is not region and not node.is_within(region):
                        enter(region)
        for each in node.children if node.kind == "parallel" else [node.initial]:
            enter(each)

    enter(chart.root.initial)
    todo = {arrow for node in (chart.root, *chart.nodes.values()) for arrow in node.arrows}
    while open_ways := [arrow for arrow in todo if arrow.source in found]:
        todo.difference_update(open_ways)
        for arrow in open_ways:
            for target in arrow.targets:
                enter(target)
    return found


def _leaves(arrow: Arrow, node: Node) -> bool:
    source = arrow.source
    together = source is node or node.is_within(source) or source.is_beside(node)
    if not together or not arrow.targets or arrow.targets == (node,):
        return False
    # A history state stands for itself: where it leads another day may be farther away.
    return node.is_within(inside(arrow, arrow.targets))


def _check_taken(
    path: str, arrows: Iterable[Arrow], reached: set[Node], checker: DefinitionChecker
) -> None:
    leaves = [(arrow, leaf) for arrow in arrows for leaf in _leaves_of(arrow.source, reached)]
    if not leaves:
        if not any(arrow.source.kind in ("final", "shallow", "deep") for arrow in arrows):
            checker.problem(f"{path}.from", "no way leads to where it starts")
        return
    rivals = [_rival(arrow, leaf) for arrow, leaf in leaves]
    if all(rivals):
        rival, name = rivals[0], leaves[0][0].name
        assert rival is not None  # noqa: S101 - all of them are there
        if rival.trigger == "" and leaves[0][0].trigger != "":
            what = f"'{name}' can never be taken: '{rival.name}' leaves before any event comes"
            checker.problem(path, what, f"give '{rival.name}' a condition or a trigger")
        else:
            what = f"'{name}' can never be taken: '{rival.name}' always goes first"
            checker.problem(path, what, f"give '{rival.name}' a condition, or write it behind")


def _leaves_of(source: Node, reached: set[Node]) -> Iterator[Node]:
    for node in reached:
        rests = node.kind == "atomic" or (node.kind == "final" and len(node.ancestors) > 1)
        if rests and (node is source or node.is_within(source)):
            yield node


def _rival(arrow: Arrow, leaf: Node) -> Arrow | None:
    """Return what is always taken instead of an arrow while a state is active."""
    before = True
    for node in (leaf, *leaf.ancestors):
        for other in node.arrows:
            if other is arrow:
                before = False
            elif other.condition is not None:
                continue
            elif other.trigger == "":
                if before or arrow.trigger:
                    return other
            elif before and arrow.trigger and matches(other.trigger, arrow.trigger):
                return other
    return None


def _check_raised(
    path: str,
    trigger: str,
    definition: ReactiveDefinition,
    chart: Chart,
    checker: DefinitionChecker,
) -> None:
    """Check a trigger that only the machine itself raises."""
    for ended in ("done.workflow.", "error.workflow."):
        name = trigger.removeprefix(ended)
        if name != trigger and not isinstance(definition.actions.get(name), WorkflowAction):
            checker.problem(path, f"no action '{name}' starts a workflow")
    name = trigger.removeprefix("done.state.")
    if name == trigger:
        return
    node = chart.nodes.get(name)
    if node is None:
        checker.problem(path, f"there is no state '{name}'")
    elif not _can_be_done(node):
        what = f"'{name}' is never done: there is no final state in it"
        checker.problem(path, what, "a parallel state wants one in each region")


def _can_be_done(node: Node) -> bool:
    if node.kind == "parallel":
        return all(_can_be_done(region) for region in node.children)
    return any(child.kind == "final" for child in node.children)


def _check_heard(
    definition: ReactiveDefinition,
    chart: Chart,
    paths: Mapping[str, str],
    triggers: Iterable[str],
    checker: DefinitionChecker,
) -> None:
    """Check that something takes every event that the machine raises itself."""
    raised = [
        (f"{paths[node.name]}.timeout", node.timeout.event)
        for node in chart.nodes.values()
        if node.timeout is not None
    ]
    timers = {f"state:{node.name}" for node in chart.nodes.values() if node.timeout is not None}
    for name, action in definition.actions.items():
        if isinstance(action, RaiseAction) or (
            isinstance(action, TimerAction) and not action.cancel
        ):
            raised.append((f"actions.{name}.event", action.event))
        if isinstance(action, TimerAction) and not action.cancel:
            timers.add(action.timer or name)
    for path, event in raised:
        if not event:
            checker.problem(path, "an event has a name")
        elif not any(trigger and matches(trigger, event) for trigger in triggers):
            checker.problem(path, f"no transition takes '{event}'", "add one with that trigger")
    for name, action in definition.actions.items():
        if not isinstance(action, TimerAction) or not action.cancel:
            continue
        timer = action.timer or name
        if timer not in timers:
            known = ", ".join(sorted(timers)) or "none"
            what = f"there is no timer '{timer}' to cancel"
            checker.problem(f"actions.{name}.timer", what, f"known are {known}")
