"""document-workflows: the workflow definitions of the document plugins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qtforge_sdk import Plugin, hookimpl

__all__ = ["DocumentWorkflows"]


class DocumentWorkflows(Plugin):
    """Contributes ``document-processing`` and ``document-routing``.

    The first parses, analyzes, enriches and stores; the second determines the kind of a
    document and runs the pipeline for it.
    """

    @hookimpl
    def qtforge_workflows(self) -> Iterable[Path | str]:
        """Return the definitions' paths."""
        names = ("document-processing.toml", "document-routing.toml")
        return tuple(Path(__file__).with_name(name) for name in names)
