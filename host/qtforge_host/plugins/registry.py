"""Every plugin found: its state with reason and fix, its lifecycle phase, its object.

Phases change only as `qtforge_host.plugins.candidates.PHASE_TRANSITIONS` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from packaging.requirements import InvalidRequirement, Requirement

from qtforge_host.config.settings import Settings, plugin_config
from qtforge_host.plugins.candidates import (
    ACTIVE,
    PLUGIN_GROUP,
    READY,
    Candidate,
    Phase,
    Status,
    change_phase,
)
from qtforge_host.plugins.load_outcome import LoadOutcome
from qtforge_host.plugins.quarantine import FailureMemory
from qtforge_host.plugins.resolution import Resolution, revise
from qtforge_sdk.errors import ConfigError

__all__ = ["Entry", "Registry", "Unmet", "unmet"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin as it is now.

    Attributes:
        candidate: Where it is from.
        status: Its state, reason and fix.
        phase: Where it is in its life.
        plugin: The object; None unless ``loaded`` or later.
    """

    candidate: Candidate
    status: Status
    phase: Phase = "unloaded"
    plugin: Any = None


class Registry:
    """Knows every plugin.

    Args:
        resolution: What may load.
        settings: The host's.
    """

    def __init__(self, resolution: Resolution, settings: Settings) -> None:
        self._resolution = resolution
        self._settings = settings
        self._failed: dict[str, Status] = {}  # in this start
        self._entries = {
            candidate.key: Entry(candidate=candidate, status=resolution.statuses[candidate.key])
            for candidate in resolution.candidates
            if candidate.group == PLUGIN_GROUP
        }

    def __getitem__(self, key: str) -> Entry:
        return self._entries[key]

    def __iter__(self) -> Iterator[Entry]:
        """Yield those that may start, requirements first, then the others by key."""
        in_order = [candidate.key for candidate in self._resolution.accepted]
        for key in in_order:
            yield self._entries[key]
        for key in sorted(self._entries.keys() - set(in_order)):
            yield self._entries[key]

    def named(self, name: str) -> tuple[Entry, ...]:
        """Return the entries of that plugin name, by distribution; several in a conflict."""
        return tuple(
            self._entries[key]
            for key in sorted(self._entries)
            if self._entries[key].candidate.name == name
        )

    @property
    def accepted(self) -> tuple[Candidate, ...]:
        """What may load, requirements first."""
        return self._resolution.accepted

    def absorb(self, outcome: LoadOutcome) -> tuple[str, ...]:
        """Take over what loading gave; what requires a failed plugin is unloaded again.

        Returns:
            The keys of the plugins to start, requirements first.
        """
        for loaded in outcome.loaded:
            key = loaded.candidate.key
            self._move(key, "loaded", READY, plugin=loaded.plugin)
        for key, status in outcome.failed.items():
            self._failed[key] = status
            self._move(key, "error", status)
        declarations = {one.candidate.key: one.declarations for one in outcome.loaded}
        self._resolution = revise(
            self._resolution, declarations=declarations, failed=outcome.failed
        )
        self._reject_unstarted()
        return tuple(one.key for one in self.accepted if self._entries[one.key].phase == "loaded")

    def configure(self, key: str) -> None:
        """Give a loaded plugin its validated configuration.

        Raises:
            ConfigError: It is not valid; the plugin is ``broken`` now.
        """
        entry = self._entries[key]
        try:
            config_type = getattr(entry.plugin, "Config", None)
            config = plugin_config(entry.candidate.name, config_type, self._settings)
        except ConfigError as error:
            reason = f"{error.where}: {error.why}"
            self.fail(key, _broken("plugin.invalid_config", reason, error.fix))
            raise
        if config is not None:
            entry.plugin.config = config
        self._move(key, "initialized", READY, plugin=entry.plugin)

    def start_succeeded(self, key: str) -> None:
        """Note that an initialized plugin runs."""
        self._move(key, "running", ACTIVE, plugin=self._entries[key].plugin)

    def stopped(self, key: str) -> None:
        """Note that a running plugin has stopped."""
        self._move(key, "initialized", READY, plugin=self._entries[key].plugin)

    def fail(self, key: str, status: Status) -> tuple[str, ...]:
        """Note that a plugin failed to start or to go on.

        What requires it and has not started is ``unmet`` now, and unloaded.

        Returns:
            The keys of the running plugins that require it; the caller stops them.
        """
        self._failed[key] = status
        self._move(key, "error", status)
        self._resolution = revise(self._resolution, declarations={}, failed={key: status})
        return self._reject_unstarted()

    def remember(self, failures: FailureMemory) -> None:
        """Write what this start has shown to the memory of failures."""
        failures.update(
            failed=[(self._entries[key].candidate, one) for key, one in self._failed.items()],
            succeeded=[one.candidate for one in self._entries.values() if one.phase == "running"],
        )

    def _reject_unstarted(self) -> tuple[str, ...]:
        """Apply the resolution to what is loaded; return what runs although rejected now."""
        running: list[str] = []
        for key, entry in self._entries.items():
            status = self._resolution.statuses[key]
            if entry.phase == "running" and key in self._resolution.rejected:
                running.append(key)
            elif entry.phase == "unloaded":
                self._entries[key] = msgspec.structs.replace(entry, status=status)
            elif entry.phase in ("loaded", "initialized") and key in self._resolution.rejected:
                self._move(key, "unloaded", status)
        return tuple(running)

    def _move(self, key: str, phase: Phase, status: Status, *, plugin: Any = None) -> None:
        entry = self._entries[key]
        self._entries[key] = msgspec.structs.replace(
            entry,
            phase=change_phase(entry.candidate.name, entry.phase, phase),
            status=status,
            plugin=plugin,
        )


def _broken(code: str, reason: str, fix: str) -> Status:
    return Status(state="broken", code=code, reason=reason, fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """A requirement that is not met: its position and text, why, and what would meet it."""

    position: int
    text: str
    why: str
    fix: str


def unmet(requires: Iterable[str], registry: Registry) -> list[Unmet]:
    """Return the requirements that are not met, in the order in which they are written."""
    found = []
    for position, text in enumerate(requires):
        reason = _reason(text, registry)
        if reason is not None:
            found.append(Unmet(position=position, text=text, why=reason[0], fix=reason[1]))
    return found


def _reason(text: str, registry: Registry) -> tuple[str, str] | None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        return f"it is not a requirement: {error}", "write it as 'document-parser >= 1.0.0'"
    entries = registry.named(requirement.name)
    if not entries:
        return f"no plugin '{requirement.name}' is installed", "pip install what provides it"
    for entry in entries:
        if entry.status.state == "active":
            version = entry.candidate.version
            if requirement.specifier.contains(version, prereleases=True):
                return None
            specifier = f"{entry.candidate.distribution}{requirement.specifier}"
            return f"'{requirement.name}' is {version}", f"pip install '{specifier}'"
    status = entries[0].status
    return f"'{requirement.name}' is {status.state}: {status.reason}", status.fix
