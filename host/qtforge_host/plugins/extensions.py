"""Load the extensions of entry-point groups other than plugins: orchestrators and journals."""

from __future__ import annotations

import logging
from typing import Final

from qtforge_host.config.settings import Settings
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.resolution import Resolution
from qtforge_sdk import Orchestrator
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.journal import Journal
from qtforge_sdk.validation import did_you_mean

__all__ = ["load_journal", "load_orchestrators"]

_LOG = logging.getLogger("qtforge.host")
_JOURNALS: Final = "qtforge.journals"
_ORCHESTRATORS: Final = "qtforge.orchestrators"


def load_journal(
    name: str, resolution: Resolution, loader: PluginLoader, settings: Settings
) -> Journal:
    """Make the journal of that name; it is not opened.

    Raises:
        ConfigError: None of that name is installed, or it can't be loaded.
    """
    where = f"{settings.config_path}: host.journal"
    offered = {one.name: one for one in resolution.others if one.group == _JOURNALS}
    if name not in offered:
        fix = did_you_mean(name, sorted(offered))
        raise ConfigError(where, f"there is no journal '{name}'", fix)
    outcome = loader.load(
        [offered[name]], import_timeout_s=settings.import_timeout_s, construct=False
    )
    for status in outcome.failed.values():
        raise ConfigError(where, status.reason, status.fix)
    journal: Journal = outcome.loaded[0].plugin_class(settings.state_dir / "runs")
    return journal


def load_orchestrators(
    resolution: Resolution, loader: PluginLoader, settings: Settings, *, only: str | None = None
) -> dict[str, Orchestrator]:
    """Make the orchestrators of the entry points, and return them by the kind they execute.

    Args:
        resolution: What is installed.
        loader: Imports them.
        settings: The configuration.
        only: Load just the entry point of that name; None for all.
    """
    found = [
        one
        for one in resolution.others
        if one.group == _ORCHESTRATORS and (only is None or one.name == only)
    ]
    outcome = loader.load(found, import_timeout_s=settings.import_timeout_s)
    for key, status in outcome.failed.items():
        _LOG.warning("%s is %s: %s", key, status.state, status.reason)
    return {one.plugin.kind: one.plugin for one in outcome.loaded if hasattr(one.plugin, "kind")}
