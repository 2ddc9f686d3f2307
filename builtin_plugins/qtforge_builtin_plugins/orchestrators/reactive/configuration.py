"""Sets of active states and the transitions they select, each computed once and cached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from qtforge_builtin_plugins.orchestrators.reactive.chart import Chart, Node, Transition, matches

__all__ = ["Configuration", "Memory", "domain", "effective_targets", "exits", "inside", "select"]

Holds = Callable[[Transition], bool]
Memory = Mapping[str, Sequence[Node]]
"""For each history state, the states that were active when its parent was left."""


class Configuration:
    """A set of active states, with all their ancestors except the root.

    Attributes:
        nodes: In document order.
        atomic: The nodes without active children, in document order.
        names: The names of the atomic nodes.
        path: The names of all nodes.
    """

    __slots__ = ("_candidates", "_root", "atomic", "names", "nodes", "path")

    def __init__(self, chart: Chart, nodes: Iterable[Node]) -> None:
        self.nodes = tuple(chart.in_order(nodes))
        parents = {node.parent for node in self.nodes}
        self.atomic = tuple(node for node in self.nodes if node not in parents)
        self.names = tuple(node.name for node in self.atomic)
        self.path = tuple(node.name for node in self.nodes)
        self._root = chart.root
        self._candidates: dict[str, tuple[tuple[Transition, ...], ...]] = {}

    def candidates(self, event: str) -> tuple[tuple[Transition, ...], ...]:
        """Return, for each atomic state, the transitions that match an event, innermost first.

        Args:
            event: The event's name; "" for the transitions without a trigger.
        """
        found = self._candidates.get(event)
        if found is None:
            found = tuple(
                tuple(
                    transition
                    for node in (atomic, *atomic.ancestors)
                    for transition in node.transitions
                    if (
                        transition.trigger == ""
                        if event == ""
                        else matches(transition.trigger, event)
                    )
                )
                for atomic in self.atomic
            )
            if len(self._candidates) < 1_000:  # event names come from outside
                self._candidates[event] = found
        return found

    def transitions(self) -> list[Transition]:
        """Return every transition from an active state, innermost first, each once."""
        found = {
            id(transition): transition
            for atomic in self.atomic
            for node in (atomic, *atomic.ancestors)
            for transition in node.transitions
        }
        return list(found.values())


def select(
    configuration: Configuration, event: str, holds: Holds, memory: Memory
) -> tuple[Transition, ...]:
    """Return the transitions that are taken: SCXML's selectTransitions.

    Args:
        configuration: The active states.
        event: The event's name; "" for the transitions without a trigger.
        holds: Whether a transition's condition holds.
        memory: The states that history states restore.
    """
    chosen: list[Transition] = []
    for candidates in configuration.candidates(event):
        for transition in candidates:
            if transition in chosen:
                break
            if transition.condition is None or holds(transition):
                chosen.append(transition)
                break
    if len(chosen) < 2:
        return tuple(chosen)
    return _without_conflicts(chosen, configuration, memory)


def _without_conflicts(
    chosen: list[Transition], configuration: Configuration, memory: Memory
) -> tuple[Transition, ...]:
    """SCXML's removeConflictingTransitions: the inner one wins, then document order."""
    kept: list[Transition] = []
    for transition in chosen:
        left = exits(transition, configuration, memory)
        rivals = [other for other in kept if left & exits(other, configuration, memory)]
        if any(not transition.source.is_within(other.source) for other in rivals):
            continue
        kept = [other for other in kept if other not in rivals]
        kept.append(transition)
    return tuple(kept)


def exits(transition: Transition, configuration: Configuration, memory: Memory) -> set[Node]:
    """Return the states that a transition leaves; none when it has no targets."""
    if not transition.targets:
        return set()
    staying = domain(transition, memory)
    return {node for node in configuration.nodes if node.is_within(staying)}


def effective_targets(transition: Transition, memory: Memory) -> list[Node]:
    """Return a transition's targets, with each history state replaced by those it restores."""
    found: list[Node] = []
    for target in transition.targets:
        if not target.is_history:
            found.append(target)
        elif target.name in memory:
            found.extend(memory[target.name])
        else:
            found.extend(target.initials)
    return found


def domain(transition: Transition, memory: Memory) -> Node:
    """Return the innermost state that stays active: SCXML's getTransitionDomain."""
    return inside(transition, effective_targets(transition, memory))


def inside(transition: Transition, targets: Sequence[Node]) -> Node:
    """Return the innermost state that stays active when a transition has these targets."""
    source = transition.source
    within = all(target.is_within(source) for target in targets)
    if within and source.kind == "compound" and (transition.internal or source.parent is None):
        return source
    for ancestor in source.ancestors:
        compound = ancestor.kind == "compound"
        if compound and all(target.is_within(ancestor) for target in targets):
            return ancestor
    return source
