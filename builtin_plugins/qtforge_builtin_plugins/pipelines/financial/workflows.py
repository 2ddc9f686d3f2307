"""financial-pipeline: the workflow ``financial_processing_pipeline``."""

from __future__ import annotations

from qtforge_sdk import Plugin

__all__ = ["FinancialPipeline"]


class FinancialPipeline(Plugin):
    """Contributes ``financial_processing_pipeline``: check, store, record in the audit trail."""

    workflows = ("financial_processing_pipeline.toml",)
