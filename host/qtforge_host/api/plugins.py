"""Plugins as documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from qtforge_host.api.documents import (
    PluginDetails,
    PluginProblem,
    PluginRow,
    Plugins,
)
from qtforge_host.api.errors import NotFoundError
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.candidates import PLUGIN_GROUP, Candidate, Status
from qtforge_host.plugins.declarations import UNKNOWN
from qtforge_host.plugins.offers import read_offers
from qtforge_host.plugins.resolution import Installed, Resolution, resolve_installed
from qtforge_host.plugins.start_reasons import reasons_to_start
from qtforge_sdk.validation import did_you_mean

if TYPE_CHECKING:  # a listing imports nothing that runs a plugin
    from qtforge_host.app import Host

__all__ = [
    "PluginOffers",
    "installed_plugins",
    "offers_of",
    "plugin_details",
    "plugin_row",
    "plugins_in",
    "plugins_named",
    "plugins_of",
]


class PluginOffers(NamedTuple):
    """How much a plugin offers.

    Attributes:
        topics: How many topics it answers or wraps.
        subscriptions: How many patterns it listens to.
        hooks: How many hooks of the host it implements.
        workflows: How many files or patterns of workflows it has.
    """

    topics: int
    subscriptions: int
    hooks: int
    workflows: int


def installed_plugins(settings: Settings) -> Plugins:
    """Return every plugin found, and what is wrong beside them; no plugin is imported."""
    installed = resolve_installed(settings)
    statuses = installed.resolution.statuses
    found = plugins_in(installed.resolution)
    return Plugins(
        plugins=[plugin_row(each, statuses[each.key]) for each in found],
        problems=_problems(installed, settings),
    )


def _problems(installed: Installed, settings: Settings) -> list[PluginProblem]:
    """Return what is wrong beside the plugins that were found."""
    known = {candidate.name for candidate in plugins_in(installed.resolution)}
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
    return problems


def plugins_in(resolution: Resolution) -> list[Candidate]:
    """Return the plugins among all candidates, by name and distribution."""
    found = [one for one in resolution.candidates if one.group == PLUGIN_GROUP]
    return sorted(found, key=lambda one: (one.name, one.distribution))


def plugins_named(resolution: Resolution, name: str) -> list[Candidate]:
    """Return the plugins of a name: several where distributions conflict.

    Raises:
        NotFoundError: There is none.
    """
    found = plugins_in(resolution)
    named = [candidate for candidate in found if candidate.name == name]
    if not named:
        otherwise = "qtforge-host plugins list shows them"
        fix = did_you_mean(name, [one.name for one in found], otherwise)
        raise NotFoundError(f"there is no plugin '{name}'", "", fix)
    return named


def plugin_details(candidate: Candidate, installed: Installed, settings: Settings) -> PluginDetails:
    """Return a plugin with its place, its requirements, its configuration and what it offers."""
    said, resolution = settings.plugin(candidate.name), installed.resolution
    offers = installed.offers.get(candidate.key) or read_offers(candidate)
    declared = resolution.declarations.get(candidate.key, UNKNOWN)
    return PluginDetails(
        **msgspec.structs.asdict(plugin_row(candidate, resolution.statuses[candidate.key])),
        entry_point=candidate.entry_point.value,
        location=str(candidate.location),
        requires=list(candidate.requires_dist),
        extras=list(candidate.extras),
        config_file=str(said.file) if said.config else "",
        config_keys=sorted(said.config),
        topics=sorted(offers.topics),
        subscriptions=sorted(offers.subscriptions),
        hooks=list(offers.hooks),
        workflows=list(declared.workflows),
        starts=_starts(candidate, installed, settings),
    )


def _starts(candidate: Candidate, installed: Installed, settings: Settings) -> str:
    """Return when a plugin starts, and why not later."""
    resolution, offers = installed.resolution, installed.offers
    if candidate.key not in resolution.needs:
        return ""
    if settings.bus:
        return "with the host: other nodes may ask it ([host] bus)"
    is_shared = settings.has_shared_journal
    asked = reasons_to_start(resolution, offers, "asked", is_shared=is_shared)
    if candidate.key in asked:
        return f"with the host: {asked[candidate.key]}"
    watching = reasons_to_start(resolution, offers, "watching", is_shared=is_shared)
    if candidate.key in watching:
        return f"with serve and worker: {watching[candidate.key]}; else when something needs it"
    return "when something needs it"


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
        plugins=[plugin_row(entry.candidate, entry.status) for entry in entries],
        problems=_problems(host.installed, host.settings),
    )


def offers_of(host: Host) -> Mapping[str, PluginOffers]:
    """Return how much each plugin of a running host offers, by name.

    One whose source does not tell is left out.
    """
    installed = host.installed
    found = dict[str, PluginOffers]()
    for key, offers in installed.offers.items():
        if offers.unread:
            continue
        candidate = host.registry[key].candidate
        declared = installed.resolution.declarations.get(key, UNKNOWN)
        found[candidate.name] = PluginOffers(
            topics=len(offers.topics),
            subscriptions=len(offers.subscriptions),
            hooks=len(offers.hooks),
            workflows=len(declared.workflows),
        )
    return found
