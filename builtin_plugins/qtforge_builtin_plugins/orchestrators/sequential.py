"""``kind = "sequential"``: one stage after the other, with compensation."""

from __future__ import annotations

from typing import ClassVar

from qtforge_builtin_plugins.orchestrators.staged import StagedOrchestrator
from qtforge_builtin_plugins.orchestrators.stages import Stage, StagedDefinition

__all__ = ["SequentialDefinition", "SequentialOrchestrator"]


class SequentialDefinition(StagedDefinition, frozen=True, kw_only=True):
    """A workflow of stages, in order."""

    stages: tuple[Stage, ...]


class SequentialOrchestrator(StagedOrchestrator[SequentialDefinition]):
    """Run stages in order; when a required one fails, compensate the earlier ones."""

    kind: ClassVar[str] = "sequential"
