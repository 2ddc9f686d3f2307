"""The pages, one module for each."""

from __future__ import annotations

from typing import Final

from qtforge_host.serving.web.pages import inbox, plugins, run, runs, schedules, workflows
from qtforge_host.serving.web.visit import Page

__all__ = ["PAGES"]

PAGES: Final[tuple[Page, ...]] = (
    *runs.PAGES,
    *run.PAGES,
    *inbox.PAGES,
    *schedules.PAGES,
    *workflows.PAGES,
    *plugins.PAGES,
)
"""Every page beneath ``/ui``; the first whose path fits answers."""
