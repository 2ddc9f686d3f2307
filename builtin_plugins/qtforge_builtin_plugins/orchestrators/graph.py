"""``kind = "graph"``: stages that begin as soon as the stages that they need have ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec

from qtforge_builtin_plugins.orchestrators.needs import GraphBlock, GraphStage, by_needs
from qtforge_builtin_plugins.orchestrators.stage_runner import Execute
from qtforge_builtin_plugins.orchestrators.staged import StagedOrchestrator
from qtforge_builtin_plugins.orchestrators.stages import StagedDefinition

__all__ = ["GraphDefinition", "GraphOrchestrator"]


class GraphDefinition(StagedDefinition, frozen=True, kw_only=True):
    """A workflow of stages, each with those that it needs.

    Attributes:
        stages: The stages, in any order.
        blocks: The blocks by their names.
        concurrency: The most stages at once, of the run or of one block.
    """

    stages: tuple[GraphStage, ...]
    blocks: Mapping[str, GraphBlock] = msgspec.field(default_factory=dict)
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32


class GraphOrchestrator(StagedOrchestrator[GraphDefinition]):
    """Run each stage when the stages that it needs have ended; undo the last ended first."""

    kind: ClassVar[str] = "graph"

    def order(self, definition: GraphDefinition) -> Execute:
        """Return what runs the stages of a scope by their needs."""
        return by_needs(definition.concurrency)
