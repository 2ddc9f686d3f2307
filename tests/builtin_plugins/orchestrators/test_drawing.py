"""The pictures of workflows, by their kind."""

from __future__ import annotations

from typing import Any

import msgspec

from qtforge_builtin_plugins.orchestrators.conditional import (
    ConditionalDefinition,
    ConditionalOrchestrator,
)
from qtforge_builtin_plugins.orchestrators.graph import GraphDefinition, GraphOrchestrator
from qtforge_builtin_plugins.orchestrators.parallel import (
    ParallelDefinition,
    ParallelOrchestrator,
)
from qtforge_builtin_plugins.orchestrators.sequential import (
    SequentialDefinition,
    SequentialOrchestrator,
)
from qtforge_sdk.graphs import Graph


def ways(graph: Graph) -> list[tuple[str, str, str]]:
    return [(edge.source, edge.target, edge.label) for edge in graph.edges]


def definition(type_: Any, kind: str, **fields: Any) -> Any:
    return msgspec.convert({"name": "w", "kind": kind, **fields}, type_)


def test_stages_stand_in_a_row_with_their_conditions_and_what_undoes_them() -> None:
    stages = [
        {"name": "a", "operation": "do.it", "compensation": {"operation": "do.undo"}},
        {"name": "b", "workflow": "other", "foreach": "${input.list}", "when": "input.wanted"},
    ]
    made = definition(SequentialDefinition, "sequential", stages=stages)
    graph = SequentialOrchestrator().graph(made)
    assert ways(graph) == [
        ("start", "stage a", ""),
        ("stage a", "undo a", "undone by"),
        ("stage a", "stage b", "when input.wanted"),
        ("stage b", "end", ""),
    ]
    labels = {node.id: (node.kind, node.label) for node in graph.nodes}
    assert labels["stage b"] == ("workflow", "b\nother\nfor each of ${input.list}")


def test_a_decision_leads_to_each_target_once_with_the_rule_of_the_highest_priority_first() -> None:
    rules = [
        {"name": "low", "condition": "true", "target": "x", "priority": 1},
        {"name": "high", "condition": "input.a", "target": "x", "priority": 2},
    ]
    made = definition(ConditionalDefinition, "conditional", rules=rules, default="y")
    graph = ConditionalOrchestrator().graph(made)
    decisions = [way for way in ways(graph) if way[0] == "routing_decision"]
    assert decisions == [
        ("routing_decision", "workflow x", "high\ninput.a"),
        ("routing_decision", "workflow x", "low\ntrue"),
        ("routing_decision", "workflow y", "no rule holds"),
    ]
    assert [node.id for node in graph.nodes].count("workflow x") == 1


def test_sources_stand_side_by_side_before_what_is_made_of_them() -> None:
    sources = [{"name": "a", "type": "database"}, {"name": "b", "workflow": "other"}]
    made = definition(
        ParallelDefinition, "parallel", sources=sources, aggregation={"method": "union"}
    )
    assert ways(ParallelOrchestrator().graph(made)) == [
        ("start", "source a", ""),
        ("start", "source b", ""),
        ("source a", "aggregate", ""),
        ("source b", "aggregate", ""),
        ("aggregate", "end", ""),
    ]


def test_sources_that_the_input_gives_are_one_box() -> None:
    made = definition(ParallelDefinition, "parallel", sources="${input.sources}")
    assert ways(ParallelOrchestrator().graph(made)) == [
        ("start", "sources", ""),
        ("sources", "end", ""),
    ]


def test_a_graph_has_an_edge_from_each_need_and_a_frame_around_each_block() -> None:
    stages = [
        {"name": "a", "operation": "do.it"},
        {"name": "b", "needs": ["a"], "block": "inner", "foreach": "${input.list}"},
        {"name": "c", "needs": ["a"], "switch": [{"when": "input.x", "block": "inner"},
                                                 {"workflow": "other"}]},
        {"name": "d", "needs": ["b", "c"], "fail": {"code": "it.failed", "message": ""}},
    ]  # fmt: skip
    blocks = {
        "inner": {
            "stages": [{"name": "x", "operation": "do.it"}, {"name": "y", "operation": "do.it"}]
        }
    }
    made = definition(GraphDefinition, "graph", stages=stages, blocks=blocks)
    graph = GraphOrchestrator().graph(made)
    assert ways(graph) == [
        ("start", "stage a", ""),
        ("stage a", "stage b", ""),
        ("stage b", "stage b.x", ""),
        ("stage b", "stage b.y", ""),
        ("stage a", "stage c", ""),
        ("stage c", "stage c.inner.x", "when input.x"),
        ("stage c", "stage c.inner.y", "when input.x"),
        ("stage c", "workflow c.other", "otherwise"),
        ("stage b", "stage d", ""),
        ("stage c", "stage d", ""),
        ("stage d", "end", ""),
    ]
    assert [(group.label, len(group.nodes)) for group in graph.groups] == [("inner", 2)] * 2
    kinds = {node.id: node.kind for node in graph.nodes}
    assert (kinds["stage b"], kinds["stage c"]) == ("each", "decision")
