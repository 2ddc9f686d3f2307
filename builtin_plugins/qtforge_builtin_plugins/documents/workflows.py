"""document-workflows: the workflow definitions of the document plugins."""

from __future__ import annotations

from qtforge_sdk import Plugin

__all__ = ["DocumentWorkflows"]


class DocumentWorkflows(Plugin):
    """Contributes ``document-processing`` and ``document-routing``.

    The first parses, analyzes, enriches and stores; the second determines the kind of a
    document and runs the pipeline for it.
    """

    workflows = ("document-processing.toml", "document-routing.toml")
