"""financial-pipeline: the workflow ``financial_processing_pipeline``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qtforge_sdk import Plugin, hookimpl

__all__ = ["FinancialPipeline"]


class FinancialPipeline(Plugin):
    """Contributes ``financial_processing_pipeline``: check, store, record in the audit trail."""

    @hookimpl
    def qtforge_workflows(self) -> Iterable[Path | str]:
        """Return the definition's path."""
        return (Path(__file__).with_name("financial_processing_pipeline.toml"),)
