"""A machine as a picture, and where an instance is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from qtforge_builtin_plugins.orchestrators.drawing import START, start_node
from qtforge_builtin_plugins.orchestrators.reactive.chart import Arrow, Chart, matches
from qtforge_builtin_plugins.orchestrators.reactive.chart import Node as StateNode
from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_sdk.graphs import Edge, Graph, Group, Node

__all__ = ["draw"]

Mark = Literal["", "visited", "current"]
_ANY: Final = "any"


def draw(
    definition: ReactiveDefinition, active: Iterable[str] = (), taken: Iterable[str] = ()
) -> Graph:
    """Return a machine's picture: a state with others in it is a frame, a timeout is dashed.

    Args:
        definition: A valid machine.
        active: The names of the atomic states that an instance is in; none for no instance.
        taken: The names of the transitions that it took, in order.
    """
    chart = Chart(definition)
    path = _Path(chart, frozenset(active), taken)
    picture = _Picture(path)
    nodes, groups = picture.inside(chart.root)
    edges = [*picture.starts(chart.root)]
    for state in chart.nodes.values():
        edges += picture.starts(state)
        edges += picture.ways(state)
        edges += picture.timeouts(state)
    if any(arrow.targets for arrow in chart.root.arrows):
        nodes.append(Node(id=_ANY, label="any state", kind="step"))
        edges += picture.ways(chart.root)
    return Graph(
        title=definition.name, nodes=tuple(nodes), edges=tuple(edges), groups=tuple(groups)
    )


class _Path:
    """Where an instance is and was."""

    def __init__(self, chart: Chart, active: frozenset[str], taken: Iterable[str]) -> None:
        self.current: set[StateNode] = set()
        self.visited: set[StateNode] = set()
        self.arrows: set[Arrow] = set()
        for name in active:
            node = chart.nodes[name]
            self.current |= {node, *node.ancestors}
        if self.current:
            self._enter(chart.root)
        sources = (chart.root, *chart.nodes.values())
        arrows = [arrow for node in sources for arrow in node.arrows]
        for name in taken:
            # Of one with many sources, those that the instance has come by.
            for arrow in arrows:
                if arrow.name == name and arrow.source in self.visited:
                    self.arrows.add(arrow)
                    for target in arrow.targets:
                        self._enter(target)

    def mark(self, node: StateNode) -> Mark:
        return "current" if node in self.current else "visited" if node in self.visited else ""

    def _enter(self, node: StateNode) -> None:
        self.visited |= {node, *node.ancestors}
        if node.kind == "parallel":
            for region in node.children:
                self._enter(region)
        elif node.initial is not None and node.initial not in self.visited:
            self._enter(node.initial)


class _Picture:
    """Makes nodes and edges of states and arrows."""

    def __init__(self, path: _Path) -> None:
        self._path = path

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
                    label=_label(state),
                    nodes=tuple(inner_nodes),
                    groups=tuple(inner_groups),
                    mark=self._path.mark(state),
                )
            )
        return nodes, groups

    def starts(self, state: StateNode) -> Iterator[Edge]:
        """Give the arrow to the state that is entered first."""
        if state.initial is None:
            return
        source = _id(state) if state.is_history else _start_of(state)
        went = state in self._path.visited and state.initial in self._path.visited
        label = "at first" if state.is_history else ""
        mark: Literal["", "visited"] = "visited" if went and not state.is_history else ""
        yield Edge(source=source, target=_id(state.initial), label=label, mark=mark)

    def ways(self, state: StateNode) -> Iterator[Edge]:
        """Give the arrows that start at a state, but for those that its label tells."""
        for arrow in state.arrows:
            if not _is_told(arrow):
                timeout = state.timeout
                due = timeout is not None and matches(arrow.trigger, timeout.event)
                after = f"after {timeout.after}" if timeout is not None and due else ""
                yield from self._edges(state, arrow, after)

    def timeouts(self, state: StateNode) -> Iterator[Edge]:
        """Give the ways that a state's timeout takes where a state around it has the arrow."""
        timeout = state.timeout
        if timeout is None:
            return
        for node in (state, *state.ancestors):
            fitting = [arrow for arrow in node.arrows if matches(arrow.trigger, timeout.event)]
            if fitting and node is state:
                return
            for arrow in fitting:
                yield from self._edges(state, arrow, f"after {timeout.after}")

    def _edges(self, source: StateNode, arrow: Arrow, after: str) -> Iterator[Edge]:
        taken = arrow in self._path.arrows and source in self._path.visited
        for target in arrow.targets or (source,):
            yield Edge(
                source=_ANY if source.parent is None else _id(source),
                target=_id(target),
                label="\n".join(filter(None, (arrow.name, after, *_when(arrow)))),
                dashed=bool(after),
                mark="visited" if taken else "",
            )

    def _node(self, state: StateNode) -> Node:
        mark = self._path.mark(state)
        if state.is_history:
            letter = "H" if state.kind == "shallow" else "H*"
            return Node(id=_id(state), label=letter, kind="start", mark=mark)
        kind: Literal["state", "final"] = "final" if state.kind == "final" else "state"
        return Node(id=_id(state), label=_label(state), kind=kind, mark=mark)


def _id(state: StateNode) -> str:
    return f"state {state.name}"


def _start_of(state: StateNode) -> str:
    return START if state.parent is None else f"start of {state.name}"


def _label(state: StateNode) -> str:
    assert state.state is not None  # noqa: S101 - only the root has none
    lines = [state.name + (" (all at once)" if state.kind == "parallel" else "")]
    lines += _doing("entry", state.state.entry)
    lines += _doing("exit", state.state.exit)
    for arrow in state.arrows:
        if _is_told(arrow):
            how = "again: " if arrow.targets else ""
            lines.append(f"{how}{arrow.name} ({', '.join(_when(arrow)) or 'always'})")
    return "\n".join(lines)


def _is_told(arrow: Arrow) -> bool:
    """Whether a frame would have an arrow to itself, which no language draws well."""
    return bool(arrow.source.children) and arrow.targets in ((), (arrow.source,))


def _when(arrow: Arrow) -> list[str]:
    lines = [f"on {arrow.trigger}"] if arrow.trigger else []
    if arrow.condition is not None:
        lines.append(f"when {arrow.condition}")
    return lines


def _doing(what: str, actions: Sequence[str]) -> list[str]:
    return [f"{what}: {', '.join(actions)}"] if actions else []
