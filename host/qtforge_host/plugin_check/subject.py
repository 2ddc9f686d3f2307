"""The plugins that a check is about, among all that are installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from qtforge_host.config.settings import Settings, load_settings
from qtforge_host.plugin_check.job import Job
from qtforge_host.plugins.candidates import (
    PLUGIN_GROUP,
    SDK_DISTRIBUTION,
    Candidate,
    canonical_name,
)
from qtforge_host.plugins.discovery import installed_version, scan
from qtforge_host.plugins.quarantine import FailureMemory
from qtforge_host.plugins.resolution import Resolution, resolve

__all__ = ["Subject", "settings_of"]


def settings_of(job: Job, named: tuple[str, ...] = ()) -> Settings:
    """Return the user's configuration, with runs and files in the folder of the check.

    Args:
        job: The step.
        named: Plugins that are enabled whatever the configuration says.
    """
    settings = load_settings(
        Path(job.config) if job.config else None,
        environ=os.environ,
        state_dir=Path(job.state_dir),
        journal="memory",
    )
    plugins = dict(settings.plugins)
    for name in named:
        plugins[name] = msgspec.structs.replace(settings.plugin(name), enabled=True)
    return msgspec.structs.replace(settings, plugins=plugins, block=(), bus="", files="")


class Subject:
    """What is checked.

    Args:
        job: The step; its site goes before everything on ``sys.path``.

    Attributes:
        settings: The configuration.
        resolution: The state of every plugin.
        plugins: The candidates of the target.
    """

    def __init__(self, job: Job) -> None:
        if job.site:
            sys.path.insert(0, job.site)
        self.site = job.site
        found = scan()
        self.plugins = tuple(each for each in found.candidates if _is_meant(each, job))
        self.settings = settings_of(job, tuple(each.name for each in self.plugins))
        self.resolution: Resolution = resolve(
            found,
            self.settings,
            sdk_version=installed_version(SDK_DISTRIBUTION),
            failures=FailureMemory(self.settings.state_dir),
        )

    def folder_of(self, candidate: Candidate) -> Path | None:
        """Return the folder of a plugin's package, or the file of its module."""
        from qtforge_host.plugins.declarations import source_folder

        return source_folder(candidate)

    def sources(self, candidate: Candidate) -> Iterator[Path]:
        """Yield the Python files of a plugin's package."""
        found = self.folder_of(candidate)
        if found is not None and found.is_file():
            yield found
        elif found is not None:
            yield from sorted(found.rglob("*.py"))


def _is_meant(candidate: Candidate, job: Job) -> bool:
    if job.site:
        return Path(candidate.location) == Path(job.site)
    if candidate.group == PLUGIN_GROUP and candidate.name == job.name:
        return True
    return candidate.distribution == canonical_name(job.name) and not candidate.builtin
