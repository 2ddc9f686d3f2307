"""document-workflows: the workflow definitions that come with the document plugins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qtforge_sdk import Plugin, hookimpl

__all__ = ["DocumentWorkflows"]


class DocumentWorkflows(Plugin):
    """Contributes ``document-processing`` and ``document-routing``.

    The first parses, analyzes, enriches and stores; the second finds out what a document is
    and sends it to the pipeline for such documents.
    """

    @hookimpl
    def qtforge_workflows(self) -> Iterable[Path | str]:
        """Return the definitions' paths."""
        names = ("document-processing.toml", "document-routing.toml")
        return tuple(Path(__file__).with_name(name) for name in names)
