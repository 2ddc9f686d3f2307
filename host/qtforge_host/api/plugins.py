"""Plugins as documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from qtforge_host.api.documents import PluginDetails, PluginProblem, PluginRow, Plugins
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.candidates import PLUGIN_GROUP, Candidate, Status
from qtforge_host.plugins.resolution import Resolution, resolve_installed

if TYPE_CHECKING:  # a listing imports nothing that runs a plugin
    from qtforge_host.app import Host

__all__ = ["installed_plugins", "plugin_details", "plugin_row", "plugins_in", "plugins_of"]


def installed_plugins(settings: Settings) -> Plugins:
    """Return every plugin found, and what is wrong beside them; no plugin is imported."""
    installed = resolve_installed(settings)
    statuses = installed.resolution.statuses
    found = plugins_in(installed.resolution)
    known = {candidate.name for candidate in found}
    problems = [
        PluginProblem(where=each.where, reason=each.reason, fix=each.fix)
        for each in installed.problems
    ]
    problems += [
        PluginProblem(
            where=f"plugins.{name}",
            reason=f"{said.file} configures a plugin that is not installed",
            fix="",
        )
        for name, said in sorted(settings.plugins.items())
        if name not in known
    ]
    return Plugins(
        plugins=[plugin_row(each, statuses[each.key]) for each in found], problems=problems
    )


def plugins_in(resolution: Resolution) -> list[Candidate]:
    """Return the plugins among all candidates, by name and distribution."""
    found = [one for one in resolution.candidates if one.group == PLUGIN_GROUP]
    return sorted(found, key=lambda one: (one.name, one.distribution))


def plugin_details(candidate: Candidate, status: Status, settings: Settings) -> PluginDetails:
    """Return a plugin with its place, its requirements and its configuration."""
    said = settings.plugin(candidate.name)
    return PluginDetails(
        **msgspec.structs.asdict(plugin_row(candidate, status)),
        entry_point=candidate.entry_point.value,
        location=str(candidate.location),
        requires=list(candidate.requires_dist),
        extras=list(candidate.extras),
        config_file=str(said.file) if said.config else "",
        config_keys=sorted(said.config),
    )


def plugin_row(candidate: Candidate, status: Status) -> PluginRow:
    """Return a plugin and its state."""
    return PluginRow(
        name=candidate.name,
        version=candidate.version,
        distribution=candidate.distribution,
        builtin=candidate.builtin,
        state=status.state,
        code=status.code,
        reason=status.reason,
        fix=status.fix,
    )


def plugins_of(host: Host) -> Plugins:
    """Return the plugins of a running host."""
    entries = sorted(host.registry, key=lambda entry: entry.candidate.key)
    return Plugins(
        plugins=[plugin_row(entry.candidate, entry.status) for entry in entries], problems=[]
    )
