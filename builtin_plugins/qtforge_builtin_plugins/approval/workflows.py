"""approval-workflows: the workflow definition of the approval plugins."""

from __future__ import annotations

from qtforge_sdk import Plugin

__all__ = ["ApprovalWorkflows"]


class ApprovalWorkflows(Plugin):
    """Contributes ``document-approval``."""

    workflows = ("document-approval.toml",)
