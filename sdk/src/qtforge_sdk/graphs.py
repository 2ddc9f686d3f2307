"""A workflow as a graph: nodes, edges and groups, in no particular drawing language."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Edge", "Graph", "Group", "Node", "NodeKind"]

NodeKind = Literal["start", "step", "each", "decision", "workflow", "state", "final", "end"]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a graph.

    Attributes:
        id: Unique in the graph; any text.
        label: Its text; lines are separated by line breaks.
        kind: What it stands for, which decides its shape; ``each`` is a step for each item.
        mark: ``current`` or ``visited`` in the graph of a run, else "".
    """

    id: str
    label: str
    kind: NodeKind = "step"
    mark: Literal["", "visited", "current"] = ""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """An edge from one node to another.

    Attributes:
        source: A node's id.
        target: A node's id.
        label: Its text.
        dashed: Whether it is followed only after a failure, or in addition to others.
        mark: ``visited`` where a run followed it, else "".
    """

    source: str
    target: str
    label: str = ""
    dashed: bool = False
    mark: Literal["", "visited"] = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A frame around nodes and other groups.

    Attributes:
        id: Unique in the graph.
        label: Its title.
        nodes: Its nodes, in order.
        groups: The groups within it, in order.
        mark: As of a `Node`.
    """

    id: str
    label: str
    nodes: tuple[Node, ...] = ()
    groups: tuple[Group, ...] = ()
    mark: Literal["", "visited", "current"] = ""


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """A graph.

    Attributes:
        title: The graph's title.
        nodes: The nodes outside all groups, in order.
        edges: The edges, in order.
        groups: The groups, in order.
        downward: Whether it is drawn from top to bottom; otherwise from left to right.
    """

    title: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    groups: tuple[Group, ...] = ()
    downward: bool = True
