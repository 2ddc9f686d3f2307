"""What is installed and how it fits together, found without importing any of it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass

from qtforge_host.candidates import SDK_DISTRIBUTION, ScanProblem
from qtforge_host.compatibility import Resolution, resolve
from qtforge_host.config import Settings
from qtforge_host.discovery import scan
from qtforge_host.failures import FailureMemory

__all__ = ["Installed", "resolve_installed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Every candidate with its status, what could not be read, and the memory of failures."""

    resolution: Resolution
    problems: Sequence[ScanProblem]
    memory: FailureMemory


def resolve_installed(settings: Settings) -> Installed:
    """Find what is installed and check what fits."""
    memory = FailureMemory(settings.state_dir)
    found = scan()
    sdk_version = importlib.metadata.version(SDK_DISTRIBUTION)
    resolution = resolve(found, settings, sdk_version=sdk_version, failures=memory)
    return Installed(resolution=resolution, problems=found.problems, memory=memory)
