"""Draw a machine as a graph, with the position of an instance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from qtforge_builtin_plugins.orchestrators.drawing import START, start_node
from qtforge_builtin_plugins.orchestrators.reactive.actions import (
    Action,
    ForeachAction,
    IfAction,
    SendAction,
)
from qtforge_builtin_plugins.orchestrators.reactive.chart import Chart, Transition, matches
from qtforge_builtin_plugins.orchestrators.reactive.chart import Node as StateNode
from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_sdk.graphs import Edge, Graph, Group, Node

__all__ = ["draw"]

Mark = Literal["", "visited", "current"]
_ANY: Final = "any"
_DEEPEST: Final = 3  # actions within actions that a label shows


def draw(
    definition: ReactiveDefinition, active: Iterable[str] = (), taken: Iterable[str] = ()
) -> Graph:
    """Return a machine's graph: a compound state is a frame, a timeout is dashed.

    Args:
        definition: A valid machine.
        active: The names of an instance's active atomic states; none without an instance.
        taken: The names of the transitions that the instance took, in order.
    """
    chart = Chart(definition)
    path = _Path(chart, frozenset(active), taken)
    builder = _GraphBuilder(path, definition.actions)
    nodes, groups = builder.inside(chart.root)
    edges = [*builder.starts(chart.root)]
    for state in chart.nodes.values():
        edges += builder.starts(state)
        edges += builder.transitions(state)
        edges += builder.timeouts(state)
    if any(transition.targets for transition in chart.root.transitions):
        nodes.append(Node(id=_ANY, label="any state", kind="step"))
        edges += builder.transitions(chart.root)
    return Graph(
        title=definition.name, nodes=tuple(nodes), edges=tuple(edges), groups=tuple(groups)
    )


class _Path:
    """The current and visited states of an instance."""

    def __init__(self, chart: Chart, active: frozenset[str], taken: Iterable[str]) -> None:
        self.current: set[StateNode] = set()
        self.visited: set[StateNode] = set()
        self.transitions: set[Transition] = set()
        for name in active:
            node = chart.nodes[name]
            self.current |= {node, *node.ancestors}
        if self.current:
            self._enter(chart.root)
        sources = (chart.root, *chart.nodes.values())
        transitions = [transition for node in sources for transition in node.transitions]
        for name in taken:
            # Of a transition with many sources, those from a visited state.
            for transition in transitions:
                if transition.name == name and transition.source in self.visited:
                    self.transitions.add(transition)
                    for target in transition.targets:
                        self._enter(target)

    def mark(self, node: StateNode) -> Mark:
        return "current" if node in self.current else "visited" if node in self.visited else ""

    def _enter(self, node: StateNode) -> None:
        self.visited |= {node, *node.ancestors}
        if node.kind == "parallel":
            for region in node.children:
                self._enter(region)
        for initial in node.initials:
            if initial not in self.visited:
                self._enter(initial)


class _GraphBuilder:
    """Make nodes and edges of states and transitions."""

    def __init__(self, path: _Path, actions: Mapping[str, Action]) -> None:
        self._path = path
        self._actions = actions

    def inside(self, parent: StateNode) -> tuple[list[Node], list[Group]]:
        nodes: list[Node] = []
        groups: list[Group] = []
        if parent.parent is None:
            nodes.append(start_node())
        elif parent.kind == "compound":
            nodes.append(Node(id=_start_of(parent), label="", kind="start"))
        for state in (*parent.children, *parent.histories):
            if not state.children:
                nodes.append(self._node(state))
                continue
            inner_nodes, inner_groups = self.inside(state)
            groups.append(
                Group(
                    id=_id(state),
                    label=_label(state, self._actions),
                    nodes=tuple(inner_nodes),
                    groups=tuple(inner_groups),
                    mark=self._path.mark(state),
                )
            )
        return nodes, groups

    def starts(self, state: StateNode) -> Iterator[Edge]:
        """Yield the edge to the state that is entered first."""
        source = _id(state) if state.is_history else _start_of(state)
        label = "at first" if state.is_history else ""
        for initial in state.initials:
            went = state in self._path.visited and initial in self._path.visited
            mark: Literal["", "visited"] = "visited" if went and not state.is_history else ""
            yield Edge(source=source, target=_id(initial), label=label, mark=mark)

    def transitions(self, state: StateNode) -> Iterator[Edge]:
        """Yield the edges of a state's transitions, except those in its label."""
        for transition in state.transitions:
            if not _is_in_label(transition):
                timeout = state.timeout
                due = timeout is not None and matches(transition.trigger, timeout.event)
                after = f"after {timeout.after}" if timeout is not None and due else ""
                yield from self._edges(state, transition, after)

    def timeouts(self, state: StateNode) -> Iterator[Edge]:
        """Yield the edges of a state's timeout where an ancestor has the transition."""
        timeout = state.timeout
        if timeout is None:
            return
        for node in (state, *state.ancestors):
            fitting = [
                transition
                for transition in node.transitions
                if matches(transition.trigger, timeout.event)
            ]
            if fitting and node is state:
                return
            for transition in fitting:
                yield from self._edges(state, transition, f"after {timeout.after}")

    def _edges(self, source: StateNode, transition: Transition, after: str) -> Iterator[Edge]:
        taken = transition in self._path.transitions and source in self._path.visited
        for target in transition.targets or (source,):
            yield Edge(
                source=_ANY if source.parent is None else _id(source),
                target=_id(target),
                label="\n".join(filter(None, (transition.name, after, *_when(transition)))),
                dashed=bool(after),
                mark="visited" if taken else "",
            )

    def _node(self, state: StateNode) -> Node:
        mark = self._path.mark(state)
        if state.is_history:
            letter = "H" if state.kind == "shallow" else "H*"
            return Node(id=_id(state), label=letter, kind="start", mark=mark)
        kind: Literal["state", "final"] = "final" if state.kind == "final" else "state"
        return Node(id=_id(state), label=_label(state, self._actions), kind=kind, mark=mark)


def _id(state: StateNode) -> str:
    return f"state {state.name}"


def _start_of(state: StateNode) -> str:
    return START if state.parent is None else f"start of {state.name}"


def _label(state: StateNode, actions: Mapping[str, Action]) -> str:
    assert state.state is not None  # noqa: S101 - only the root has none
    lines = [state.name + (" (all at once)" if state.kind == "parallel" else "")]
    lines += _doing("entry", state.state.entry, actions)
    lines += _doing("exit", state.state.exit, actions)
    if state.state.fail is not None:
        lines.append(f"fails: {state.state.fail.code}")
    for transition in state.transitions:
        if _is_in_label(transition):
            how = "again: " if transition.targets else ""
            lines.append(f"{how}{transition.name} ({', '.join(_when(transition)) or 'always'})")
    return "\n".join(lines)


def _is_in_label(transition: Transition) -> bool:
    """Whether it is a transition of a frame to itself, which no language draws well."""
    return bool(transition.source.children) and transition.targets in ((), (transition.source,))


def _when(transition: Transition) -> list[str]:
    lines = [f"on {transition.trigger}"] if transition.trigger else []
    if transition.condition is not None:
        lines.append(f"when {transition.condition}")
    return lines


def _doing(what: str, names: Sequence[str], actions: Mapping[str, Action]) -> list[str]:
    return [f"{what}: {_done(names, actions)}"] if names else []


def _done(names: Sequence[str], actions: Mapping[str, Action], depth: int = 0) -> str:
    """Return actions in a line, those that do others with what they do."""
    return ", ".join(_action(name, actions, depth + 1) for name in names)


def _action(name: str, actions: Mapping[str, Action], depth: int) -> str:
    action = actions.get(name)
    if depth > _DEEPEST:
        return name
    if isinstance(action, IfAction):
        then = _done(action.then, actions, depth) or "nothing"
        rest = f", else {_done(action.otherwise, actions, depth)}" if action.otherwise else ""
        return f"{name} (if {action.condition}: {then}{rest})"
    if isinstance(action, ForeachAction):
        return f"{name} (for each: {_done(action.actions, actions, depth)})"
    if isinstance(action, SendAction):
        return f"{name} (sends {action.event} to {action.target})"
    return name
