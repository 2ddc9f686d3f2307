"""technical-pipeline: the workflow ``technical_processing_pipeline``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qtforge_sdk import Plugin, hookimpl

__all__ = ["TechnicalPipeline"]


class TechnicalPipeline(Plugin):
    """Contributes ``technical_processing_pipeline``: code, diagrams, store."""

    @hookimpl
    def qtforge_workflows(self) -> Iterable[Path | str]:
        """Return the definition's path."""
        return (Path(__file__).with_name("technical_processing_pipeline.toml"),)
