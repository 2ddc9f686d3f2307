"""A workflow as a picture: nodes, edges and groups, in no particular drawing language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from qtforge_sdk.records import CheckpointSaved

__all__ = ["Drawable", "Edge", "Graph", "Group", "Node", "NodeKind", "RunDrawable"]

NodeKind = Literal["start", "step", "decision", "workflow", "state", "final", "end"]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a graph.

    Attributes:
        id: Unique in the graph; any text.
        label: What is written in it; its lines are separated by line breaks.
        kind: Says how it looks.
        mark: ``current`` or ``visited`` in the picture of a run, else "".
    """

    id: str
    label: str
    kind: NodeKind = "step"
    mark: Literal["", "visited", "current"] = ""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A way from a node to another.

    Attributes:
        source: A node's id.
        target: A node's id.
        label: What is written at it.
        dashed: Whether it is taken only when something failed, or besides.
        mark: ``visited`` where a run went this way, else "".
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
        nodes: In order.
        groups: Within it, in order.
        mark: As a node's.
    """

    id: str
    label: str
    nodes: tuple[Node, ...] = ()
    groups: tuple[Group, ...] = ()
    mark: Literal["", "visited", "current"] = ""


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """A picture.

    Attributes:
        title: Its name.
        nodes: Those in no group, in order.
        edges: In order.
        groups: In order.
        downward: Whether it goes from top to bottom; else from left to right.
    """

    title: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    groups: tuple[Group, ...] = ()
    downward: bool = True


class Drawable(Protocol):
    """What an orchestrator has besides, when its workflows can be drawn."""

    def graph(self, definition: Any) -> Graph:
        """Return a definition's picture."""


class RunDrawable(Protocol):
    """What an orchestrator has besides, when a picture can show where a run is."""

    def graph_of_run(self, definition: Any, kept: Sequence[CheckpointSaved]) -> Graph:
        """Return a definition's picture, marked with where a run is and how it came there.

        Args:
            definition: The run's.
            kept: All that the run kept, oldest first.
        """
