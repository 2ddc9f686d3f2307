from __future__ import annotations

from qtforge_host.workflows.mermaid import mermaid
from qtforge_sdk.graphs import Edge, Graph, Group, Node


def test_nodes_edges_and_groups_are_drawn_by_their_kind() -> None:
    graph = Graph(
        title="t",
        nodes=(Node(id="a", label="one\ntwo", kind="start"),),
        groups=(Group(id="g", label="frame", nodes=(Node(id="b", label="b", kind="state"),)),),
        edges=(
            Edge(source="a", target="b", label="go"),
            Edge(source="b", target="a", dashed=True),
            Edge(source="a", target="g", mark="visited"),
        ),
    )
    assert mermaid(graph).splitlines() == [
        "flowchart TD",
        '  n0(("one<br>two"))',
        '  subgraph n1 ["frame"]',
        '    n2("b")',
        "  end",
        '  n0 -->|"go"| n2',
        "  n2 -.-> n0",
        "  n0 ==> n1",
    ]


def test_text_of_a_definition_can_not_break_out_of_its_place() -> None:
    label = 'x"] --> evil["<script>alert(1)</script>;#|`'
    lines = mermaid(Graph(title="t", nodes=(Node(id="a", label=label),))).splitlines()
    assert len(lines) == 2
    inside = lines[1].removeprefix('  n0["').removesuffix('"]')
    assert not set(inside) & set('"<>|`')


def test_where_a_run_is_and_was_is_marked() -> None:
    nodes = (Node(id="a", label="a", mark="visited"), Node(id="b", label="b", mark="current"))
    drawn = mermaid(Graph(title="t", nodes=nodes, downward=False))
    assert drawn.startswith("flowchart LR\n")
    assert "class n0 visited" in drawn
    assert "class n1 current" in drawn
