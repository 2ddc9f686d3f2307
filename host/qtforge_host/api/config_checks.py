"""Check a configuration: its own keys, what it names, and the options of plugins."""

from __future__ import annotations

from typing import Final

from qtforge_host.api.doctor import configuration_findings
from qtforge_host.api.documents import ConfigChecked, ConfigProblem
from qtforge_host.app import Host
from qtforge_host.config.settings import Settings

__all__ = ["check_configuration"]

_INVALID: Final = "plugin.invalid_config"


async def check_configuration(settings: Settings) -> ConfigChecked:
    """Return the problems of a configuration that could be read; the plugins are started.

    Args:
        settings: The configuration.
    """
    problems = [
        ConfigProblem(where=str(settings.config_path), what=each.what, fix=each.fix)
        for each in await configuration_findings(settings)
        if not each.ok
    ]
    async with Host(settings) as host:
        await host.start_all()
        problems += [
            ConfigProblem(
                where=f"plugins.{entry.candidate.name}",
                what=entry.status.reason,
                fix=entry.status.fix,
            )
            for entry in host.registry
            if entry.status.code == _INVALID
        ]
    return ConfigChecked(file=str(settings.config_path), problems=problems)
