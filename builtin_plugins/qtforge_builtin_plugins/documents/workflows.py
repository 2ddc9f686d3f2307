"""document-workflows: the workflow definitions that come with the document plugins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qtforge_sdk import Plugin, hookimpl

__all__ = ["DocumentWorkflows"]


class DocumentWorkflows(Plugin):
    """Contributes ``document-processing``: parse, analyze, enrich, store."""

    @hookimpl
    def qtforge_workflows(self) -> Iterable[Path | str]:
        """Return the definition's path."""
        return (Path(__file__).with_name("document-processing.toml"),)
