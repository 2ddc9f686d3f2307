"""approval-workflows: the workflow definition of the approval plugins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qtforge_sdk import Plugin, hookimpl

__all__ = ["ApprovalWorkflows"]


class ApprovalWorkflows(Plugin):
    """Contributes ``document-approval``."""

    @hookimpl
    def qtforge_workflows(self) -> Iterable[Path | str]:
        """Return the definition's path."""
        return (Path(__file__).with_name("document-approval.toml"),)
