"""Graphs as SVG that takes its colours from the page; each layout is made once."""

from __future__ import annotations

import asyncio
import hashlib
import html
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from markupsafe import Markup
from msgspec.structs import replace

from qtforge_host.api.drawing import draw
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.graphs import Edge, Graph, Group, Node

__all__ = ["Pictures", "marks_of"]

_KEPT: Final = 200
_AT_ONCE: Final = 4
_PATIENCE_S: Final = 0.1
_LARGEST: Final = 400  # nodes and edges; the layout of more takes seconds
_COLOURS: Final = re.compile(r' (?:fill|stroke|font-family|font-weight|xml:space)="[^"]*"')
_NODE: Final = re.compile(
    r'<g id="(node|clust)\d+" class="(?:node|cluster)">\s*<title>(.*?)</title>'
)
_START: Final = re.compile(r"<svg[^>]*viewBox=\"([^\"]*)\"[^>]*>")
_BACKGROUND: Final = re.compile(r"<polygon [^>]*/>")
_BOX: Final = re.compile(r'<polygon points="([^"]*)"/>(?=\s*<text)')
_UNDO: Final = "undo "
_ROUND: Final = frozenset({"start", "end"})


class Pictures:
    """Draws graphs, in a thread; those that were drawn last are kept.

    The first one takes seconds, in which Graphviz is loaded: no page waits for that.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._drawing: dict[str, asyncio.Task[str]] = {}
        self._renderer = asyncio.Lock()  # there is one Graphviz

    async def draw(self, graph: Graph, marks: Mapping[str, str]) -> tuple[Markup, bool]:
        """Return a graph as SVG for a page, or in a line why there is none yet, or at all.

        Args:
            graph: The graph.
            marks: The class of each node that has one, such as ``st-failed``, by its id.

        Returns:
            What is shown, and whether that is all: else the graph is still being drawn.
        """
        plain = _plain(graph)
        size = len(plain.nodes) + len(plain.edges)
        if size > _LARGEST:
            return _none(f"it has {size} nodes and edges, too many to be drawn here"), True
        key = hashlib.sha256(msgspec.json.encode(plain)).hexdigest()
        drawn = self._kept.get(key)
        if drawn is None:
            if key not in self._drawing:
                if len(self._drawing) >= _AT_ONCE:
                    return _none("the graph is being drawn"), False
                self._drawing[key] = asyncio.create_task(self._drawn(key, plain))
            task = self._drawing[key]
            await asyncio.wait([task], timeout=_PATIENCE_S)
            if not task.done():
                return _none("the graph is being drawn"), False
            drawn = task.result()
        else:
            self._kept.move_to_end(key)
        if not drawn.startswith("<svg"):
            return _none(drawn), True
        kinds = {each.id: each.kind for each in _all_nodes(graph)}

        def marked(found: re.Match[str]) -> str:
            name = html.unescape(found[2])
            name = name.removeprefix("cluster_") if found[1] == "clust" else name
            look = "node" if found[1] == "node" else "cluster"
            if kinds.get(name) in _ROUND:
                look += " dot"
            if mark := marks.get(name):
                look += f" st {mark}"
            return f'<g class="{html.escape(look)}">'

        return Markup(_NODE.sub(marked, drawn)), True  # noqa: S704 - Graphviz escapes all texts

    async def _drawn(self, key: str, graph: Graph) -> str:
        """Return a drawing, or why there is none."""
        try:
            async with self._renderer:
                drawn = _cleaned(await asyncio.to_thread(draw, graph, "svg"))
        except QtForgeError as error:
            drawn = f"{error.what}: {error.why}" if error.why else error.what
        finally:
            del self._drawing[key]
        self._kept[key] = drawn
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return drawn


def marks_of(graph: Graph) -> dict[str, str]:
    """Return the classes of the nodes and groups that a run has visited, or is in."""
    names = {"current": "st-running current", "visited": "visited"}
    found = {each.id: names[each.mark] for each in _all_nodes(graph) if each.mark}
    return found | {each.id: names[each.mark] for each in _all_groups(graph.groups) if each.mark}


def _none(why: str) -> Markup:
    return Markup('<p class="muted none">{}</p>').format(why[:1].upper() + why[1:])


def _cleaned(svg: str) -> str:
    """Return a drawing without its own colours and fonts, and without its background."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = _BACKGROUND.sub("", svg, count=1)
    svg = _COLOURS.sub("", svg)
    box = _START.match(svg)
    if box is not None:
        width, height = (round(float(each)) for each in box[1].split()[2:])
        head = f'<svg role="img" aria-label="Graph" width="{width}" height="{height}"'
        svg = f'{head} viewBox="{box[1]}">{svg[box.end() :]}'
    svg = _BOX.sub(_rounded, svg)
    # The ids of edges and of the whole are of no use, and may be in the page twice.
    svg = re.sub(r'<g id="(graph|edge)\d+"', "<g", svg)
    return re.sub(r'(<g class="(?:edge|graph)"[^>]*>\s*)<title>.*?</title>', r"\1", svg)


def _rounded(found: re.Match[str]) -> str:
    """Return a box with round corners in place of one without; any other shape stays."""
    corners = {tuple(map(float, each.split(","))) for each in found[1].split()}
    across, down = ({each[axis] for each in corners} for axis in (0, 1))
    if len(corners) != 4 or len(across) != 2 or len(down) != 2:  # no box
        return found[0]
    x, y = min(across), min(down)
    size = f'width="{max(across) - x:g}" height="{max(down) - y:g}"'
    return f'<rect x="{x:g}" y="{y:g}" {size} rx="7"/>'


def _plain(graph: Graph) -> Graph:
    """Return a graph without marks, and without what a page needs not be told."""
    # Of a state machine the names alone: its conditions and actions are in its definition.
    is_machine = any(each.kind in ("state", "final") for each in _all_nodes(graph))
    sources = {each.source for each in graph.edges if each.label or each.dashed}
    gone = {
        each.id
        for each in graph.nodes
        if each.kind in _ROUND and each.id not in sources and not is_machine
    }
    edges = tuple(
        replace(each, mark="", label=_edge_text(each, is_machine))
        for each in graph.edges
        if each.source not in gone and each.target not in gone
    )
    nodes = _plain_nodes(each for each in graph.nodes if each.id not in gone)
    return replace(graph, nodes=nodes, edges=edges, groups=_plain_groups(graph.groups))


def _edge_text(edge: Edge, is_machine: bool) -> str:
    if edge.target.startswith(_UNDO):
        return ""
    return edge.label.partition("\n")[0].replace("_", " ") if is_machine else edge.label


def _plain_nodes(nodes: Iterable[Node]) -> tuple[Node, ...]:
    return tuple(replace(each, mark="", label=_node_text(each)) for each in nodes)


def _node_text(node: Node) -> str:
    if node.kind in _ROUND:
        return ""
    is_state = node.kind in ("state", "final")
    return (node.label.partition("\n")[0] if is_state else node.label).replace("_", " ")


def _plain_groups(groups: Iterable[Group]) -> tuple[Group, ...]:
    return tuple(
        replace(each, mark="", nodes=_plain_nodes(each.nodes), groups=_plain_groups(each.groups))
        for each in groups
    )


def _all_nodes(graph: Graph) -> Iterator[Node]:
    yield from graph.nodes
    for group in _all_groups(graph.groups):
        yield from group.nodes


def _all_groups(groups: Iterable[Group]) -> Iterator[Group]:
    for group in groups:
        yield group
        yield from _all_groups(group.groups)
