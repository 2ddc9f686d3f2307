"""A definition's states as a tree, with the relations that the semantics need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from qtforge_builtin_plugins.orchestrators.reactive.actions import (
    Action,
    WorkflowAction,
    nested_actions,
)
from qtforge_builtin_plugins.orchestrators.reactive.definition import (
    ANY,
    ReactiveDefinition,
    State,
    StateTimeout,
    TransitionDefinition,
)

__all__ = ["Chart", "Node", "Transition", "matches", "names_of"]

_STARTED: Final = "started"
NodeKind = Literal["atomic", "compound", "parallel", "final", "shallow", "deep"]


class Node(msgspec.Struct, eq=False):
    """A state in the tree; the root stands for the machine.

    Attributes:
        name: The state's name; "" for the root.
        position: Its place in document order, from 0 for the root.
        kind: ``shallow`` and ``deep`` are history pseudo-states.
        parent: None for the root.
        ancestors: From the parent up to the root.
        children: In document order, without history states.
        initials: The default target of a compound or history state, or one in each of several
            regions; none for the other kinds.
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
    children: list[Node] = msgspec.field(default_factory=list)
    histories: list[Node] = msgspec.field(default_factory=list)
    initials: tuple[Node, ...] = ()
    transitions: list[Transition] = msgspec.field(default_factory=list)
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


class Transition(msgspec.Struct, eq=False):
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
        self._starting = _starting(definition.actions)
        self.root: Final = self._node("", None, None)
        self.nodes: Final[dict[str, Node]] = {}
        self._grow(self.root, definition.states)
        self.root.initials = self._initials(definition)
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

    def _initials(self, definition: ReactiveDefinition) -> tuple[Node, ...]:
        if definition.initial is not None:
            return tuple(self.nodes[name] for name in names_of(definition.initial))
        return (self.nodes.get(_STARTED) or self.root.children[0],)

    def _set_initial(self, node: Node) -> None:
        assert node.state is not None  # noqa: S101 - only the root has none
        if node.state.initial is not None:
            node.initials = tuple(self.nodes[name] for name in names_of(node.state.initial))
        elif node.kind == "compound":
            node.initials = (node.children[0],)
        elif node.is_history and node.parent is not None:
            first = node.parent.initials
            leads = bool(first) and not any(each.is_history for each in first)  # else to itself
            node.initials = first if leads else (node.parent.children[0],)

    def _add_transition(self, position: int, written: TransitionDefinition) -> None:
        targets = tuple(self.nodes[name] for name in names_of(written.to))
        for name in names_of(written.source):
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


def names_of(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the names that a definition gives as one name, several or none."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else given


def _starting(actions: Mapping[str, Action]) -> set[str]:
    """Return the names of the actions that start workflows, by themselves or by others."""
    found = {
        name
        for name, action in actions.items()
        if isinstance(action, WorkflowAction) and not action.keep
    }
    while True:
        more = {
            name
            for name, action in actions.items()
            if any(not found.isdisjoint(inner) for inner in nested_actions(action).values())
        }
        if more <= found:
            return found
        found |= more


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
