"""technical-pipeline: the workflow ``technical_processing_pipeline``."""

from __future__ import annotations

from qtforge_sdk import Plugin

__all__ = ["TechnicalPipeline"]


class TechnicalPipeline(Plugin):
    """Contributes ``technical_processing_pipeline``: code, diagrams, store."""

    workflows = ("technical_processing_pipeline.toml",)
