"""Render a graph as a Mermaid flowchart, for Markdown pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from qtforge_sdk.graphs import Graph, Group, Node, NodeKind

__all__ = ["ids_of", "mermaid"]

_SHAPES: Final[Mapping[NodeKind, tuple[str, str]]] = MappingProxyType(
    {
        "start": ("((", "))"),
        "step": ("[", "]"),
        "each": ("@{ shape: st-rect, label: ", " }"),
        "decision": ("{", "}"),
        "workflow": ("[[", "]]"),
        "state": ("(", ")"),
        "final": ("([", "])"),
        "end": ("(((", ")))"),
    }
)
_ESCAPES: Final = MappingProxyType(
    # By their numbers: Mermaid reads "#quot;" but takes no backslash.
    {each: f"#{ord(each)};" for each in '"#;<>&|`'}
)


def mermaid(graph: Graph) -> str:
    """Return the flowchart; texts of the definition are escaped."""
    names = {name: f"n{place}" for place, name in enumerate(ids_of(graph))}
    lines = [f"flowchart {'TD' if graph.downward else 'LR'}"]
    lines += (f"  {line}" for line in _body(graph.nodes, graph.groups, names))
    for edge in graph.edges:
        arrow = "-.->" if edge.dashed else "==>" if edge.mark else "-->"
        label = f'|"{_text(edge.label)}"|' if edge.label else ""
        lines.append(f"  {names[edge.source]} {arrow}{label} {names[edge.target]}")
    marks = [(node.mark, names[node.id]) for node in _nodes(graph.nodes, graph.groups) if node.mark]
    if marks:
        lines.append("  classDef visited stroke-width:3px")
        lines.append("  classDef current fill:#ffd54f,color:#000,stroke-width:3px")
        lines += (f"  class {name} {mark}" for mark, name in marks)
    return "\n".join(lines) + "\n"


def _body(
    nodes: tuple[Node, ...], groups: tuple[Group, ...], names: Mapping[str, str]
) -> Iterator[str]:
    for node in nodes:
        left, right = _SHAPES[node.kind]
        yield f'{names[node.id]}{left}"{_text(node.label)}"{right}'
    for group in groups:
        yield f'subgraph {names[group.id]} ["{_text(group.label)}"]'
        for line in _body(group.nodes, group.groups, names):
            yield f"  {line}"
        yield "end"


def _nodes(nodes: tuple[Node, ...], groups: tuple[Group, ...]) -> Iterator[Node]:
    yield from nodes
    for group in groups:
        yield from _nodes(group.nodes, group.groups)


def ids_of(graph: Graph | Group) -> Iterator[str]:
    """Yield the ids of all nodes and groups."""
    for node in graph.nodes:
        yield node.id
    for group in graph.groups:
        yield group.id
        yield from ids_of(group)


def _text(text: str) -> str:
    escaped = "".join(_ESCAPES.get(each, each) for each in text)
    return "<br>".join(escaped.splitlines())
