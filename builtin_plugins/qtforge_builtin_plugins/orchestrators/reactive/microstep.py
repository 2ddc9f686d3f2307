"""One microstep: the states it leaves and enters, and the work between.

SCXML's microstep, exitStates and enterStates (appendix D of the recommendation), as a plan:
it changes nothing, so the plan of a transition without history is computed once and cached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from qtforge_builtin_plugins.orchestrators.reactive.chart import Chart, Node, Transition
from qtforge_builtin_plugins.orchestrators.reactive.configuration import (
    Configuration,
    Memory,
    domain,
    effective_targets,
    exits,
)

__all__ = ["Plan", "Planner", "Work"]

_MOST: Final = 4_096  # regions multiply: a machine can have too many configurations to cache
WorkKind = Literal["do", "next", "set_timeout", "clear_timeout", "cancel", "raise", "finish"]


class Work(NamedTuple):
    """One piece of work in a microstep.

    Attributes:
        kind: Run an action (``do``), do a ``foreach`` for its next item (``next``), set or clear
            a state's timeout, cancel the workflows that a state has started, raise an internal
            event, or finish.
        name: The name of the action, state or event.
        block: The number of the block of actions; when an action fails, the rest of its
            block is skipped (SCXML 4.9).
        state: The state whose entry it belongs to, or the final state whose result is the data of
            the event that is raised; "" for none.
    """

    kind: WorkKind
    name: str
    block: int
    state: str = ""


class Plan(msgspec.Struct, frozen=True):
    """The effects of a microstep.

    Attributes:
        transitions: Names of the transitions taken.
        exited: Names of the states left, in exit order.
        entered: Names of the states entered, in entry order.
        work: The work, in order.
        after: The active states after it.
        memory: The states that history states restore after it, by name.
        finished: The name of the final state that ends the machine, or None.
    """

    transitions: tuple[str, ...]
    exited: tuple[str, ...]
    entered: tuple[str, ...]
    work: tuple[Work, ...]
    after: Configuration
    memory: dict[str, tuple[str, ...]]
    finished: str | None


class Planner:
    """Compute plans, and cache them.

    Args:
        chart: The machine.
    """

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self._configurations: dict[frozenset[Node], Configuration] = {}
        self._by_names: dict[tuple[str, ...], Configuration] = {}
        self._plans: dict[tuple[Configuration, tuple[Transition, ...]], Plan] = {}
        self._nothing = self.configuration(())

    def configuration(self, nodes: Iterable[Node]) -> Configuration:
        """Return the configuration of these states; the same object for the same states."""
        key = frozenset(nodes)
        found = self._configurations.get(key)
        if found is None:
            if len(self._configurations) >= _MOST:
                self._forget()
            found = self._configurations[key] = Configuration(self.chart, key)
        return found

    def named(self, names: tuple[str, ...]) -> Configuration:
        """Return the configuration whose atomic states have these names.

        Raises:
            KeyError: There is no such state.
        """
        found = self._by_names.get(names)
        if found is None:
            atomic = [self.chart.nodes[name] for name in names]
            around = [each for node in atomic for each in node.ancestors if each.parent is not None]
            found = self._by_names[names] = self.configuration([*atomic, *around])
        return found

    def initial(self) -> Plan:
        """Return the plan that starts the machine."""
        entering = _Entering({}, frozenset())
        for initial in self.chart.root.initials:
            entering.descend(initial)
        for initial in self.chart.root.initials:
            entering.ascend(initial, self.chart.root)
        return self._plan((), [], self._nothing, entering.found, {}, ())

    def plan(
        self, configuration: Configuration, transitions: tuple[Transition, ...], memory: Memory
    ) -> Plan:
        """Return the plan of taking these transitions."""
        key = (configuration, transitions)
        known = self._plans.get(key)
        if known is not None:
            return known
        left: set[Node] = set()
        for transition in transitions:
            left |= exits(transition, configuration, memory)
        exited = self.chart.in_order(left)[::-1]
        remembered = _remember(exited, configuration)
        now_known = {**memory, **remembered}
        entering = _Entering(now_known, frozenset(configuration.nodes) - left)
        for transition in transitions:
            if transition.targets:
                inside = domain(transition, memory)
                for target in transition.targets:
                    entering.descend(target)
                for target in effective_targets(transition, now_known):
                    entering.ascend(target, inside)
        plan = self._plan(
            transitions, exited, configuration, entering.found, remembered, configuration.nodes
        )
        if not entering.used_history:  # else it is valid for this memory only
            if len(self._plans) >= _MOST:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    def _forget(self) -> None:
        self._configurations.clear()
        self._by_names.clear()
        self._plans.clear()

    def _plan(
        self,
        transitions: tuple[Transition, ...],
        exited: Sequence[Node],
        before: Configuration,
        entered: set[Node],
        remembered: dict[str, tuple[Node, ...]],
        active: Sequence[Node],
    ) -> Plan:
        order = self.chart.in_order(entered)
        staying = set(active) - set(exited)
        after = self.configuration([*staying, *order])
        work = [*_leaving(exited), *_taking(transitions, len(exited))]
        work += _entering(order, staying, len(exited) + len(transitions))
        final = next(
            (
                node.name
                for node in order
                if node.kind == "final" and node.parent is self.chart.root
            ),
            None,
        )
        return Plan(
            transitions=tuple(transition.name for transition in transitions),
            exited=tuple(node.name for node in exited),
            entered=tuple(node.name for node in order),
            work=tuple(work),
            after=after,
            memory={name: tuple(node.name for node in nodes) for name, nodes in remembered.items()},
            finished=final,
        )


class _Entering:
    """SCXML's addDescendantStatesToEnter and addAncestorStatesToEnter.

    Its appendix D enters the ancestors of the states that a history state restores even where
    they are active and were not left (a transition within a state to that state's own
    history). Here a state that stays active is not entered again.

    Attributes:
        found: The states to enter.
        used_history: Whether a history state was resolved.
    """

    def __init__(self, memory: Memory, staying: frozenset[Node]) -> None:
        self.found: set[Node] = set()
        self.used_history = False
        self._memory = memory
        self._staying = staying

    def descend(self, node: Node) -> None:
        if node.is_history:
            self.used_history = True
            assert node.parent is not None  # noqa: S101 - a history state is within one
            restored = self._memory.get(node.name) or node.initials
            for each in restored:
                self.descend(each)
            for each in restored:
                self.ascend(each, node.parent)
            return
        self.found.add(node)
        if node.kind == "compound":
            for initial in node.initials:
                self.descend(initial)
            for initial in node.initials:
                self.ascend(initial, node)
        elif node.kind == "parallel":
            self._regions(node)

    def ascend(self, node: Node, inside: Node) -> None:
        for ancestor in node.ancestors:
            if ancestor is inside or ancestor in self._staying:
                return
            self.found.add(ancestor)
            if ancestor.kind == "parallel":
                self._regions(ancestor)

    def _regions(self, parallel: Node) -> None:
        for region in parallel.children:
            if not any(each is region or each.is_within(region) for each in self.found):
                self.descend(region)


def _remember(exited: Sequence[Node], configuration: Configuration) -> dict[str, tuple[Node, ...]]:
    found = {}
    for node in exited:
        for history in node.histories:
            if history.kind == "deep":
                kept = [each for each in configuration.atomic if each.is_within(node)]
            else:
                kept = [each for each in configuration.nodes if each.parent is node]
            found[history.name] = tuple(kept)
    return found


def _leaving(exited: Sequence[Node]) -> Iterable[Work]:
    for place, node in enumerate(exited):
        for action in node.state.exit if node.state else ():
            yield Work("do", action, place)
        if node.timeout is not None:
            yield Work("clear_timeout", node.name, place)
        if node.starts:
            yield Work("cancel", node.name, place)


def _taking(transitions: Sequence[Transition], block: int) -> Iterable[Work]:
    for place, transition in enumerate(transitions, block):
        for action in transition.actions:
            yield Work("do", action, place)


def _entering(order: Sequence[Node], staying: set[Node], block: int) -> Iterable[Work]:
    active = set(staying)  # grows: a parallel state is done with the last of its regions
    for place, node in enumerate(order, block):
        active.add(node)
        if node.timeout is not None:
            yield Work("set_timeout", node.name, place)
        for action in node.state.entry if node.state else ():
            yield Work("do", action, place, node.name)
        if node.kind == "final" and node.parent is not None and node.parent.parent is not None:
            yield from _done(node, node.parent, active, place)


def _done(final: Node, parent: Node, active: set[Node], block: int) -> Iterable[Work]:
    has_result = final.state is not None and final.state.result is not None
    yield Work("raise", f"done.state.{parent.name}", block, final.name if has_result else "")
    around = parent.parent
    # Appendix D checks one parallel ancestor only; 3.4 requires the event for each.
    while around is not None and around.kind == "parallel" and _is_done(around, active):
        yield Work("raise", f"done.state.{around.name}", block)
        around = around.parent


def _is_done(node: Node, active: set[Node]) -> bool:
    """SCXML's isInFinalState."""
    if node.kind == "compound":
        return any(child.kind == "final" and child in active for child in node.children)
    if node.kind == "parallel":
        return all(_is_done(child, active) for child in node.children)
    return False
