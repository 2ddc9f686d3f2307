"""Graphs of stages, for the kinds of workflow that have them."""

from __future__ import annotations

from collections.abc import Sequence

from qtforge_builtin_plugins.orchestrators.stages import Stage
from qtforge_sdk.graphs import Edge, Node, NodeKind

__all__ = ["END", "START", "chain", "start_node"]

START = "start"
END = "end"


def start_node() -> Node:
    """Return the node where a graph starts."""
    return Node(id=START, label="start", kind="start")


def chain(stages: Sequence[Stage]) -> tuple[list[Node], list[Edge], str]:
    """Return stages in a row after the start.

    Returns:
        Nodes, edges, and the id of the last node.
    """
    nodes, edges = [start_node()], []
    last = START
    for stage in stages:
        identity = f"stage {stage.name}"
        nodes.append(_stage(stage, identity))
        label = "" if stage.when is None else f"when {stage.when}"
        edges.append(Edge(source=last, target=identity, label=label))
        if stage.compensation is not None:
            undo = f"undo {stage.name}"
            nodes.append(Node(id=undo, label=stage.compensation.operation))
            edges.append(Edge(source=identity, target=undo, label="undone by", dashed=True))
        last = identity
    return nodes, edges, last


def _stage(stage: Stage, identity: str) -> Node:
    lines = [stage.name, stage.workflow or stage.operation or ""]
    if stage.foreach is not None:
        lines.append(f"for each of {stage.foreach}")
    if not stage.required:
        lines.append("(optional)")
    kind: NodeKind = "step" if stage.workflow is None else "workflow"
    return Node(id=identity, label="\n".join(lines), kind=kind)
