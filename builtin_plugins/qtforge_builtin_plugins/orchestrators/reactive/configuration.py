"""Which states are active together, and what they take; each is computed once and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from qtforge_builtin_plugins.orchestrators.reactive.chart import Arrow, Chart, Node, matches

__all__ = ["Configuration", "Memory", "domain", "effective_targets", "exits", "inside", "select"]

Holds = Callable[[Arrow], bool]
Memory = Mapping[str, Sequence[Node]]
"""What was active beside each history state when the state around it was left."""


class Configuration:
    """A set of active states, with all their ancestors but the root.

    Attributes:
        nodes: In document order.
        atomic: Those without active children, in document order.
        names: Of the atomic ones.
    """

    __slots__ = ("_candidates", "_root", "atomic", "names", "nodes", "path")

    def __init__(self, chart: Chart, nodes: Iterable[Node]) -> None:
        self.nodes = tuple(chart.in_order(nodes))
        parents = {node.parent for node in self.nodes}
        self.atomic = tuple(node for node in self.nodes if node not in parents)
        self.names = tuple(node.name for node in self.atomic)
        self.path = tuple(node.name for node in self.nodes)
        self._root = chart.root
        self._candidates: dict[str, tuple[tuple[Arrow, ...], ...]] = {}

    def candidates(self, event: str) -> tuple[tuple[Arrow, ...], ...]:
        """Return, for each atomic state, the arrows that an event may take, innermost first.

        Args:
            event: Its name; "" for the arrows without a trigger.
        """
        found = self._candidates.get(event)
        if found is None:
            found = tuple(
                tuple(
                    arrow
                    for node in (atomic, *atomic.ancestors)
                    for arrow in node.arrows
                    if (arrow.trigger == "" if event == "" else matches(arrow.trigger, event))
                )
                for atomic in self.atomic
            )
            if len(self._candidates) < 1_000:  # event names come from outside
                self._candidates[event] = found
        return found

    def arrows(self) -> list[Arrow]:
        """Return every arrow that starts at an active state, innermost first, each once."""
        found = {
            id(arrow): arrow
            for atomic in self.atomic
            for node in (atomic, *atomic.ancestors)
            for arrow in node.arrows
        }
        return list(found.values())


def select(
    configuration: Configuration, event: str, holds: Holds, memory: Memory
) -> tuple[Arrow, ...]:
    """Return the arrows that are taken: SCXML's selectTransitions.

    Args:
        configuration: What is active.
        event: The event's name; "" for the arrows without a trigger.
        holds: Tells whether an arrow's condition holds.
        memory: What history states stand for.
    """
    chosen: list[Arrow] = []
    for candidates in configuration.candidates(event):
        for arrow in candidates:
            if arrow in chosen:
                break
            if arrow.condition is None or holds(arrow):
                chosen.append(arrow)
                break
    if len(chosen) < 2:
        return tuple(chosen)
    return _without_conflicts(chosen, configuration, memory)


def _without_conflicts(
    chosen: list[Arrow], configuration: Configuration, memory: Memory
) -> tuple[Arrow, ...]:
    """SCXML's removeConflictingTransitions: the inner one goes first, then document order."""
    kept: list[Arrow] = []
    for arrow in chosen:
        left = exits(arrow, configuration, memory)
        rivals = [other for other in kept if left & exits(other, configuration, memory)]
        if any(not arrow.source.is_within(other.source) for other in rivals):
            continue
        kept = [other for other in kept if other not in rivals]
        kept.append(arrow)
    return tuple(kept)


def exits(arrow: Arrow, configuration: Configuration, memory: Memory) -> set[Node]:
    """Return the states that an arrow leaves; none when it has no targets."""
    if not arrow.targets:
        return set()
    staying = domain(arrow, memory)
    return {node for node in configuration.nodes if node.is_within(staying)}


def effective_targets(arrow: Arrow, memory: Memory) -> list[Node]:
    """Return an arrow's targets, each history state replaced by what it stands for."""
    found: list[Node] = []
    for target in arrow.targets:
        if not target.is_history:
            found.append(target)
        elif target.name in memory:
            found.extend(memory[target.name])
        elif target.initial is not None:
            found.append(target.initial)
    return found


def domain(arrow: Arrow, memory: Memory) -> Node:
    """Return the innermost state that stays: SCXML's getTransitionDomain."""
    return inside(arrow, effective_targets(arrow, memory))


def inside(arrow: Arrow, targets: Sequence[Node]) -> Node:
    """Return the innermost state that stays when an arrow leads to these states."""
    source = arrow.source
    within = all(target.is_within(source) for target in targets)
    if within and source.kind == "compound" and (arrow.internal or source.parent is None):
        return source
    for ancestor in source.ancestors:
        compound = ancestor.kind == "compound"
        if compound and all(target.is_within(ancestor) for target in targets):
            return ancestor
    return source
