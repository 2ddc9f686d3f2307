"""A definition's states as a tree, with the relations that the semantics need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from qtforge_builtin_plugins.orchestrators.reactive.actions import WorkflowAction
from qtforge_builtin_plugins.orchestrators.reactive.definition import (
    ANY,
    ReactiveDefinition,
    State,
    StateTimeout,
    TransitionDefinition,
)

__all__ = ["Chart", "Node", "Transition", "matches"]

NodeKind = Literal["atomic", "compound", "parallel", "final", "shallow", "deep"]


@dataclass(eq=False, slots=True)
class Node:
    """A state in the tree; the root stands for the machine.

    Attributes:
        name: The state's name; "" for the root.
        position: Its place in document order, from 0 for the root.
        kind: ``shallow`` and ``deep`` are history pseudo-states.
        parent: None for the root.
        ancestors: From the parent up to the root.
        children: In document order, without history states.
        initial: The default target of a compound or history state.
        state: The definition; None for the root.
        timeout: The timeout in its long form, or None.
        transitions: The transitions from this state, in the order in which they are tried.
        histories: The history states within it.
        starts: Whether its entry starts workflows that are cancelled when it is left.
    """

    name: str
    position: int
    kind: NodeKind
    parent: Node | None
    ancestors: tuple[Node, ...]
    state: State | None
    timeout: StateTimeout | None
    children: list[Node] = field(default_factory=list)
    histories: list[Node] = field(default_factory=list)
    initial: Node | None = None
    transitions: list[Transition] = field(default_factory=list)
    starts: bool = False

    @property
    def is_history(self) -> bool:
        """Whether it is a pseudo-state."""
        return self.kind in ("shallow", "deep")

    def is_within(self, other: Node) -> bool:
        """Whether it is a proper descendant of another."""
        return other in self.ancestors

    def is_beside(self, other: Node) -> bool:
        """Whether the two are in different regions of a parallel state."""
        if self is other or self.is_within(other) or other.is_within(self):
            return False
        shared = next(each for each in self.ancestors if each in other.ancestors)
        return shared.kind == "parallel"


@dataclass(eq=False, slots=True)
class Transition:
    """A transition from one state; a definition with several sources makes one for each.

    Attributes:
        name: The name in the definition.
        position: Its place in document order.
        source: The source state; the root for ``*``.
        targets: The target states; empty to stay.
        trigger: The event's first words; "" for none, ``*`` for every event.
        condition: CEL, or None.
        internal: Whether its source is not left when the targets are within it.
        actions: The names of its actions.
    """

    name: str
    position: int
    source: Node
    targets: tuple[Node, ...]
    trigger: str
    condition: str | None
    internal: bool
    actions: tuple[str, ...]


class Chart:
    """The tree of a definition that passed `validation`.

    Attributes:
        root: The machine itself.
        nodes: Every state by its name.
    """

    def __init__(self, definition: ReactiveDefinition) -> None:
        self._positions = iter(range(1_000_000))
        self._starting = {
            name
            for name, action in definition.actions.items()
            if isinstance(action, WorkflowAction) and not action.keep
        }
        self.root: Final = self._node("", None, None)
        self.nodes: Final[dict[str, Node]] = {}
        self._grow(self.root, definition.states)
        self.root.initial = self.nodes[definition.initial]
        for node in self.nodes.values():
            self._set_initial(node)
        for position, written in enumerate(definition.transitions):
            self._add_transition(position, written)
        ranks = {written.name: -written.priority for written in definition.transitions}
        for node in (self.root, *self.nodes.values()):
            node.transitions.sort(
                key=lambda transition: (ranks[transition.name], transition.position)
            )

    def in_order(self, nodes: Iterable[Node]) -> list[Node]:
        """Return states in document order."""
        return sorted(nodes, key=_position)

    def _grow(self, parent: Node, states: dict[str, State]) -> None:
        for name, state in states.items():
            node = self._node(name, state, parent)
            node.starts = not self._starting.isdisjoint(state.entry)
            self.nodes[name] = node
            (parent.histories if node.is_history else parent.children).append(node)
            self._grow(node, state.states)

    def _node(self, name: str, state: State | None, parent: Node | None) -> Node:
        ancestors = () if parent is None else (parent, *parent.ancestors)
        timeout = None if state is None else state.timeout
        if timeout is not None and not isinstance(timeout, StateTimeout):
            timeout = StateTimeout(after=timeout)
        position = next(self._positions)
        return Node(name, position, _kind(state), parent, ancestors, state, timeout)

    def _set_initial(self, node: Node) -> None:
        assert node.state is not None  # noqa: S101 - only the root has none
        if node.state.initial is not None:
            node.initial = self.nodes[node.state.initial]
        elif node.kind == "compound":
            node.initial = node.children[0]
        elif node.is_history and node.parent is not None:
            first = node.parent.initial
            leads = first is not None and not first.is_history  # else it would target itself
            node.initial = first if leads else node.parent.children[0]

    def _add_transition(self, position: int, written: TransitionDefinition) -> None:
        targets = tuple(self.nodes[name] for name in _names(written.to))
        for name in _names(written.source):
            source = self.root if name == ANY else self.nodes[name]
            transition = Transition(
                written.name,
                position,
                source,
                targets,
                written.trigger,
                written.condition,
                written.internal,
                written.actions,
            )
            source.transitions.append(transition)


def matches(trigger: str, event: str) -> bool:
    """Whether a trigger matches an event: equal words, or the first of them (SCXML 3.12.1).

    >>> matches("user", "user.action"), matches("user", "users"), matches("*", "x")
    (True, False, True)
    """
    return trigger in (event, ANY) or (trigger != "" and event.startswith(trigger + "."))


def _names(given: str | tuple[str, ...]) -> Iterator[str]:
    return iter((given,) if isinstance(given, str) else given)


def _kind(state: State | None) -> NodeKind:
    if state is None:
        return "compound"
    if state.history is not None:
        return state.history
    if state.parallel:
        return "parallel"
    if state.states:
        return "compound"
    return "final" if state.final else "atomic"


def _position(node: Node) -> int:
    return node.position
