"""Plugins as documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtforge_host.api.documents import PluginRow, Plugins

if TYPE_CHECKING:  # a listing imports nothing that runs a plugin
    from qtforge_host.app import Host
    from qtforge_host.plugins.candidates import Candidate, Status

__all__ = ["plugin_row", "plugins_of"]


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
