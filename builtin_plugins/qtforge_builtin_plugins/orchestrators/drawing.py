"""Pictures of stages, for the kinds of workflow that have them."""

from __future__ import annotations

from collections.abc import Sequence

from qtforge_builtin_plugins.orchestrators.needs import GraphStage, ends_of
from qtforge_builtin_plugins.orchestrators.stages import Block, Stage, StagedDefinition
from qtforge_sdk.graphs import Edge, Graph, Group, Node, NodeKind

__all__ = ["END", "START", "StageDrawing", "start_node"]

START = "start"
END = "end"


def start_node() -> Node:
    """Return the node where a graph starts."""
    return Node(id=START, label="start", kind="start")


class StageDrawing:
    """The nodes, edges and groups of a definition's stages, after the start.

    A block is a group beside the stage that does it; a ``switch`` is a decision with an edge to
    each way.

    Args:
        definition: The definition.

    Attributes:
        nodes: All nodes outside of blocks.
        edges: All edges.
        groups: A group for each block that a stage does.
        last: The nodes from which the end is reached.
    """

    def __init__(self, definition: StagedDefinition) -> None:
        self._blocks = definition.blocks
        self._definition = definition
        self.nodes: list[Node] = [start_node()]
        self.edges: list[Edge] = []
        self.groups: list[Group] = []
        self.last = self._row(definition.stages, "", START, self.nodes, self.groups)

    def graph(self, title: str) -> Graph:
        """Return the graph of a workflow that ends after its stages."""
        self.nodes.append(Node(id=END, label="end", kind="end"))
        self.edges += [Edge(source=each, target=END) for each in self.last]
        self.add_last()
        return Graph(
            title=title,
            nodes=tuple(self.nodes),
            edges=tuple(self.edges),
            groups=tuple(self.groups),
        )

    def add_last(self) -> None:
        """Draw the stages that are done last, after the end, however it is reached."""
        before = END
        for stage in self._definition.finally_:
            identity = f"finally {stage.name}"
            self.nodes.append(_node(stage, identity))
            self.edges.append(Edge(source=before, target=identity, label="finally", dashed=True))
            self._ways(stage, "finally/", identity, self.nodes, self.groups)
            before = identity

    def _row(
        self,
        stages: Sequence[Stage],
        prefix: str,
        start: str,
        nodes: list[Node],
        groups: list[Group],
    ) -> list[str]:
        """Draw stages, and return the nodes of those after which none comes."""
        before = start
        graph = [each for each in stages if isinstance(each, GraphStage)]
        for stage in stages:
            identity = f"stage {prefix}{stage.name}"
            nodes.append(_node(stage, identity))
            label = "" if stage.when is None else f"when {stage.when}"
            sources = [before]
            if isinstance(stage, GraphStage):
                sources = [f"stage {prefix}{need}" for need in stage.needs] or [start]
            self.edges += [
                Edge(source=each, target=identity, label=label) for each in sources if each
            ]
            if stage.compensation is not None:
                undo = f"undo {prefix}{stage.name}"
                nodes.append(Node(id=undo, label=stage.compensation.operation))
                self.edges.append(
                    Edge(source=identity, target=undo, label="undone by", dashed=True)
                )
            self._ways(stage, prefix, identity, nodes, groups)
            before = identity
        if graph:
            return [f"stage {prefix}{name}" for name in ends_of(graph)]
        return [before]

    def _ways(
        self, stage: Stage, prefix: str, identity: str, nodes: list[Node], groups: list[Group]
    ) -> None:
        """Draw the block of a stage, or the ways of a switch."""
        if stage.block is not None:
            self._block(stage.block, f"{prefix}{stage.name}.", identity, "", groups)
        drawn: dict[str, str] = {}
        for case in stage.switch:
            label = "otherwise" if case.when is None else f"when {case.when}"
            if case.block is not None:
                name, within = case.block, f"{prefix}{stage.name}.{case.block}."
                if name not in drawn:
                    drawn[name] = self._block(name, within, identity, label, groups)
                else:
                    self.edges.append(Edge(source=identity, target=drawn[name], label=label))
            else:
                target = f"workflow {prefix}{stage.name}.{case.workflow}"
                if target not in drawn:
                    nodes.append(Node(id=target, label=case.workflow or "", kind="workflow"))
                    drawn[target] = target
                self.edges.append(Edge(source=identity, target=target, label=label))

    def _block(self, name: str, prefix: str, source: str, label: str, groups: list[Group]) -> str:
        """Draw a block, and return a node where it begins."""
        block = self._blocks[name]
        nodes: list[Node] = []
        inner: list[Group] = []
        self._row(block.stages, prefix, "", nodes, inner)
        if not nodes:
            nodes.append(Node(id=f"nothing {prefix}", label="nothing"))
        graph = [each for each in block.stages if isinstance(each, GraphStage)]
        entries = [f"stage {prefix}{each.name}" for each in graph if not each.needs]
        groups.append(
            Group(
                id=f"block {prefix}",
                label=_block_label(name, block),
                nodes=tuple(nodes),
                groups=tuple(inner),
            )
        )
        for entry in (entries := entries or [nodes[0].id]):
            self.edges.append(Edge(source=source, target=entry, label=label, dashed=not label))
        return entries[0]


def _block_label(name: str, block: Block) -> str:
    first = getattr(block, "first", None)
    return name if first is None else f"{name}\nenough: {first}"


def _node(stage: Stage, identity: str) -> Node:
    what = stage.workflow or stage.operation or ""
    if stage.fail is not None:
        what = f"fails: {stage.fail.code}"
    lines = [stage.name, *([what] if what else [])]
    if stage.foreach is not None:
        lines.append(f"for each of {stage.foreach}")
    if stage.repeat is not None:
        every = "" if stage.repeat.every is None else f" every {stage.repeat.every}"
        lines.append(f"again{every} until {stage.repeat.until}")
    if not stage.required:
        lines.append("(optional)")
    kind: NodeKind = "step" if stage.workflow is None else "workflow"
    if stage.switch:
        kind = "decision"
    elif stage.foreach is not None and stage.workflow is None:
        kind = "each"
    return Node(id=identity, label="\n".join(lines), kind=kind)
