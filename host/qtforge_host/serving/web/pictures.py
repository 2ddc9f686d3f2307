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
from qtforge_sdk.graphs import Graph, Group, Node

__all__ = ["Pictures", "marks_of"]

_KEPT: Final = 200
_LARGEST: Final = 400  # nodes and edges; the layout of more takes seconds
_COLOURS: Final = re.compile(r' (?:fill|stroke|font-family|font-weight|xml:space)="[^"]*"')
_NODE: Final = re.compile(
    r'<g id="(node|clust)\d+" class="(?:node|cluster)">\s*<title>(.*?)</title>'
)
_START: Final = re.compile(r"<svg[^>]*viewBox=\"([^\"]*)\"[^>]*>")
_BACKGROUND: Final = re.compile(r"<polygon [^>]*/>")
_ROUND: Final = frozenset({"start", "end"})


class Pictures:
    """Draws graphs; those that were drawn last are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, str] = OrderedDict()

    async def draw(self, graph: Graph, marks: Mapping[str, str]) -> Markup:
        """Return a graph as SVG for a page, or in a line why there is none.

        Args:
            graph: The graph.
            marks: The class of each node that has one, such as ``st-failed``, by its id.
        """
        plain = replace(graph, nodes=_plain_nodes(graph.nodes), groups=_plain_groups(graph.groups))
        size = len(plain.nodes) + len(plain.edges)
        if size > _LARGEST:
            return _none(f"the graph has {size} nodes and edges, too many to be drawn here")
        key = hashlib.sha256(msgspec.json.encode(plain)).hexdigest()
        drawn = self._kept.get(key)
        if drawn is None:
            try:
                drawn = _cleaned(await asyncio.to_thread(draw, plain, "svg"))
            except QtForgeError as error:
                return _none(f"{error.what}: {error.why}" if error.why else error.what)
            self._kept[key] = drawn
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
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

        return Markup(_NODE.sub(marked, drawn))  # noqa: S704 - Graphviz has escaped all texts


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
    # The ids of edges and of the whole are of no use, and may be in the page twice.
    svg = re.sub(r'<g id="(graph|edge)\d+"', "<g", svg)
    return re.sub(r'(<g class="(?:edge|graph)"[^>]*>\s*)<title>.*?</title>', r"\1", svg)


def _plain_nodes(nodes: Iterable[Node]) -> tuple[Node, ...]:
    return tuple(
        replace(each, mark="", label="" if each.kind in _ROUND else each.label.replace("_", " "))
        for each in nodes
    )


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
