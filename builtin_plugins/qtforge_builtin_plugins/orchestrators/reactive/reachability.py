"""Reachability: unreachable states, dead ends, and transitions that never fire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from qtforge_builtin_plugins.orchestrators.reactive.actions import (
    RaiseAction,
    SendAction,
    TimerAction,
    WorkflowAction,
    is_template,
)
from qtforge_builtin_plugins.orchestrators.reactive.chart import Chart, Node, Transition, matches
from qtforge_builtin_plugins.orchestrators.reactive.configuration import inside
from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_sdk import DefinitionChecker
from qtforge_sdk.validation import did_you_mean

__all__ = ["check_reachability"]


def check_reachability(
    definition: ReactiveDefinition,
    chart: Chart,
    paths: Mapping[str, str],
    checker: DefinitionChecker,
) -> None:
    """Check that every state can be reached and left, and every transition taken.

    Every reported problem is certain: any condition may hold, and any event may come.

    Args:
        definition: The machine.
        chart: Its states.
        paths: The path of each state in the definition.
        checker: Collects the problems.
    """
    reached = _reached(chart)
    transitions = [
        transition
        for node in (chart.root, *chart.nodes.values())
        for transition in node.transitions
    ]
    for node in chart.nodes.values():
        if node.is_history:
            continue
        if node not in reached:
            fix = "add a transition, or remove it"
            checker.problem(paths[node.name], f"'{node.name}' is unreachable", fix)
        elif node.kind == "atomic" and not any(
            _leaves(transition, node) for transition in transitions
        ):
            what = f"'{node.name}' is a dead end: it is not final, and no transition leaves it"
            fix = "make it final, or add a transition from it"
            checker.problem(paths[node.name], what, fix)
    for position, written in enumerate(definition.transitions):
        own = [transition for transition in transitions if transition.position == position]
        _check_taken(f"transitions[{position}]", own, reached, checker)
        path = f"transitions[{position}].trigger"
        _check_raised(path, written.trigger, definition, chart, checker)
    _check_handled(
        definition, chart, paths, [transition.trigger for transition in transitions], checker
    )


def _reached(chart: Chart) -> set[Node]:
    found: set[Node] = {chart.root}
    entered: set[Node] = set()  # with their defaults

    def enter(node: Node) -> None:
        if node in entered:
            return
        entered.add(node)
        found.add(node)
        for ancestor in node.ancestors:
            found.add(ancestor)
            if ancestor.kind == "parallel":
                for region in ancestor.children:
                    if node is not region and not node.is_within(region):
                        enter(region)
        for each in node.children if node.kind == "parallel" else node.initials:
            enter(each)

    for initial in chart.root.initials:
        enter(initial)
    todo = {
        transition
        for node in (chart.root, *chart.nodes.values())
        for transition in node.transitions
    }
    while leaving := [transition for transition in todo if transition.source in found]:
        todo.difference_update(leaving)
        for transition in leaving:
            for target in transition.targets:
                enter(target)
    return found


def _leaves(transition: Transition, node: Node) -> bool:
    source = transition.source
    together = source is node or node.is_within(source) or source.is_beside(node)
    if not together or not transition.targets or transition.targets == (node,):
        return False
    # A history state counts as itself: the states that it restores may be farther away.
    return node.is_within(inside(transition, transition.targets))


def _check_taken(
    path: str, transitions: Iterable[Transition], reached: set[Node], checker: DefinitionChecker
) -> None:
    leaves = [
        (transition, leaf)
        for transition in transitions
        for leaf in _leaves_of(transition.source, reached)
    ]
    if not leaves:
        if not any(
            transition.source.kind in ("final", "shallow", "deep") for transition in transitions
        ):
            checker.problem(f"{path}.from", "its source is unreachable")
        return
    rivals = [_rival(transition, leaf) for transition, leaf in leaves]
    if all(rivals):
        rival, name = rivals[0], leaves[0][0].name
        assert rival is not None  # noqa: S101 - all of them are there
        if rival.trigger == "" and leaves[0][0].trigger != "":
            what = f"'{name}' never fires: '{rival.name}' leaves the state before any event"
            checker.problem(path, what, f"give '{rival.name}' a condition or a trigger")
        else:
            what = f"'{name}' never fires: '{rival.name}' is always taken first"
            checker.problem(path, what, f"give '{rival.name}' a condition, or write it after")


def _leaves_of(source: Node, reached: set[Node]) -> Iterator[Node]:
    for node in reached:
        rests = node.kind == "atomic" or (node.kind == "final" and len(node.ancestors) > 1)
        if rests and (node is source or node.is_within(source)):
            yield node


def _rival(transition: Transition, leaf: Node) -> Transition | None:
    """Return a transition that is always taken instead of this one in a state, or None."""
    before = True
    for node in (leaf, *leaf.ancestors):
        for other in node.transitions:
            if other is transition:
                before = False
            elif other.condition is not None:
                continue
            elif other.trigger == "":
                if before or transition.trigger:
                    return other
            elif before and transition.trigger and matches(other.trigger, transition.trigger):
                return other
    return None


def _check_raised(
    path: str,
    trigger: str,
    definition: ReactiveDefinition,
    chart: Chart,
    checker: DefinitionChecker,
) -> None:
    """Check a trigger that only the machine raises."""
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
        what = f"'{name}' is never done: it has no final state"
        checker.problem(path, what, "a parallel state needs one in each region")


def _can_be_done(node: Node) -> bool:
    if node.kind == "parallel":
        return all(_can_be_done(region) for region in node.children)
    return any(child.kind == "final" for child in node.children)


def _check_handled(
    definition: ReactiveDefinition,
    chart: Chart,
    paths: Mapping[str, str],
    triggers: Iterable[str],
    checker: DefinitionChecker,
) -> None:
    """Check that some transition takes each internal event."""
    raised = [
        (f"{paths[node.name]}.timeout", node.timeout.event)
        for node in chart.nodes.values()
        if node.timeout is not None
    ]
    timers = {f"state:{node.name}" for node in chart.nodes.values() if node.timeout is not None}
    for name, action in definition.actions.items():
        to_itself = isinstance(action, RaiseAction) or (
            isinstance(action, SendAction) and action.target in ("#self", "#internal")
        )
        if isinstance(action, RaiseAction | SendAction) and (to_itself or not action.event):
            raised.append((f"actions.{name}.event", action.event))
        if isinstance(action, TimerAction) and not action.cancel:
            raised.append((f"actions.{name}.event", action.event))
            timers.add(action.timer or name)
    any_timer = any(map(is_template, timers))
    for path, event in raised:
        if not event:
            checker.problem(path, "an event must have a name")
        elif not is_template(event) and not any(
            trigger and matches(trigger, event) for trigger in triggers
        ):
            checker.problem(path, f"no transition takes '{event}'", "add one with that trigger")
    for name, action in definition.actions.items():
        if not isinstance(action, TimerAction) or not action.cancel:
            continue
        timer = action.timer or name
        if timer not in timers and not any_timer and not is_template(timer):
            what = f"there is no timer '{timer}' to cancel"
            checker.problem(f"actions.{name}.timer", what, did_you_mean(timer, sorted(timers)))
