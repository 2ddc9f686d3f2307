"""What is installed, looked up only when a test names it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec
from packaging.requirements import InvalidRequirement, Requirement

from qtforge_host.config.settings import Settings
from qtforge_host.plugins.candidates import (
    HOST_DISTRIBUTION,
    ORCHESTRATOR_GROUP,
    PLUGIN_GROUP,
    Candidate,
)
from qtforge_host.plugins.discovery import scan_distribution
from qtforge_host.plugins.hooks import Hooks
from qtforge_host.plugins.load_outcome import Loaded
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.resolution import Resolution, resolve_installed
from qtforge_host.plugins.workflow_files import declared_files
from qtforge_host.workflows.catalog import Catalog, Contribution, located
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Orchestrator
from qtforge_sdk.errors import PluginError
from qtforge_sdk.validation import did_you_mean
from qtforge_sdk.workflows import PythonWorkflow

__all__ = ["InstalledPlugin", "InstalledPlugins"]


class InstalledPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that was found and imported: its name, version and instance."""

    name: str
    version: str
    plugin: Any


class InstalledPlugins:
    """Finds plugins as the host's discovery does, and imports those that are asked for.

    Args:
        settings: The configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loader = PluginLoader()

    def kinds(self) -> dict[str, Orchestrator[Any]]:
        """Return the orchestrators that come with the host, by kind; nothing else is looked at."""
        own = [
            candidate
            for candidate in scan_distribution(HOST_DISTRIBUTION)
            if candidate.group == ORCHESTRATOR_GROUP
        ]
        return {loaded.plugin.kind: loaded.plugin for loaded in self._load(own)}

    def find(self, name: str) -> list[InstalledPlugin]:
        """Return an installed plugin, or the one that contributes a workflow, after what it needs.

        A plugin needs what it ``requires``, and a workflow what its definition ``requires``.

        Args:
            name: The plugin's, or the workflow's.

        Raises:
            PluginError: ``plugin.not_found``, or why a plugin can't be used.
        """
        resolution = resolve_installed(self._settings).resolution
        plugins = [one for one in resolution.candidates if one.group == PLUGIN_GROUP]
        names = {candidate.name for candidate in plugins}
        wanted = {name} if name in names else self._of_workflow(name, resolution, names)
        loaded: dict[str, Loaded] = {}
        while missing := wanted - loaded.keys():
            found = self._load(_accepted(each, resolution, plugins) for each in sorted(missing))
            for each in found:
                loaded[each.candidate.name] = each
                wanted = wanted | _named(each.declarations.requires)
        return [
            InstalledPlugin(
                name=candidate.name,
                version=candidate.version,
                plugin=loaded[candidate.name].plugin,
            )
            for candidate in resolution.accepted
            if candidate.name in loaded
        ]

    def _of_workflow(self, name: str, resolution: Resolution, names: Collection[str]) -> set[str]:
        """Return the plugin that contributes a workflow, and those that the workflow requires.

        Every installed plugin is imported to find it, and none is started.

        Raises:
            PluginError: ``plugin.not_found``.
        """
        known = set(names)
        kinds = self.kinds()
        outcome = self._loader.load(
            resolution.accepted, import_timeout_s=self._settings.import_timeout_s
        )
        for loaded in outcome.loaded:
            for workflow in _workflows(loaded, kinds):
                if workflow.definition.name == name:
                    return {loaded.candidate.name, *_named(workflow.definition.requires)}
                known.add(workflow.definition.name)
        raise PluginError(
            name,
            "plugin.not_found",
            "no plugin and no workflow of that name is installed",
            did_you_mean(name, known, "pip install what provides it"),
        )

    def _load(self, candidates: Iterable[Candidate]) -> tuple[Loaded, ...]:
        """Import candidates.

        Raises:
            PluginError: One of them can't be imported.
        """
        timeout_s = self._settings.import_timeout_s
        outcome = self._loader.load(candidates, import_timeout_s=timeout_s)
        for key, status in outcome.failed.items():
            raise PluginError(key, status.code, status.reason, status.fix)
        return outcome.loaded


def _accepted(name: str, resolution: Resolution, plugins: Iterable[Candidate]) -> Candidate:
    """Return the candidate of a name that may load.

    Raises:
        PluginError: There is none; with its state, the reason and the fix.
    """
    for candidate in resolution.accepted:
        if candidate.name == name:
            return candidate
    for candidate in plugins:
        if candidate.name == name:
            status = resolution.statuses[candidate.key]
            why = f"it is {status.state}: {status.reason}"
            raise PluginError(name, status.code, why, status.fix)
    raise PluginError(
        name, "plugin.not_found", "it is required and not installed", f"pip install {name}"
    )


def _named(requires: Iterable[str]) -> set[str]:
    """Return the names of requirements; what is no requirement is the resolution's to report."""
    names = set()
    for text in requires:
        try:
            names.add(Requirement(text).name)
        except InvalidRequirement:
            continue
    return names


def _workflows(loaded: Loaded, kinds: dict[str, Orchestrator[Any]]) -> list[Workflow]:
    """Return the workflows that a plugin contributes and that can be read."""
    hooks = Hooks()
    hooks.register(loaded.plugin, loaded.candidate.key)
    catalog = Catalog(kinds)
    catalog.add(
        Contribution(content=located(content, loaded.plugin), contributor=loaded.candidate.name)
        for content in (
            *declared_files(loaded.plugin),
            *(hooks.call_one(loaded.plugin, "qtforge_workflows") or ()),
        )
        if isinstance(content, str | Path | PythonWorkflow)
    )
    return [parsed.workflow for parsed in catalog.all() if parsed.workflow is not None]
