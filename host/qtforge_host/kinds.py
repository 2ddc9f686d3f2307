"""The kinds of workflows that are installed, without starting a host."""

from __future__ import annotations

import logging

from qtforge_host.compatibility import Resolution
from qtforge_host.config import Settings
from qtforge_host.loading import PluginLoader
from qtforge_sdk import Orchestrator

__all__ = ["load_kinds"]

_LOG = logging.getLogger("qtforge.host")
_GROUP = "qtforge.orchestrators"


def load_kinds(
    resolution: Resolution, loader: PluginLoader, settings: Settings, *, only: str | None = None
) -> dict[str, Orchestrator]:
    """Make the orchestrators of the entry points, and return them by their kind.

    Args:
        resolution: What is installed.
        loader: Imports them.
        settings: The configuration.
        only: The entry point of that name alone; None for all.
    """
    found = [
        one
        for one in resolution.others
        if one.group == _GROUP and (only is None or one.name == only)
    ]
    outcome = loader.load(found, import_timeout_s=settings.import_timeout_s)
    for key, status in outcome.failed.items():
        _LOG.warning("%s is %s: %s", key, status.state, status.reason)
    return {one.plugin.kind: one.plugin for one in outcome.loaded if hasattr(one.plugin, "kind")}
