"""The registry of plugins: state with reason and fix, lifecycle phase, object.

Phases change only as `qtforge_host.plugins.candidates.PHASE_TRANSITIONS` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from qtforge_host.config.settings import Settings, plugin_config
from qtforge_host.plugin_code import describe, is_interruption
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
from qtforge_host.plugins.requirements import satisfies
from qtforge_host.plugins.resolution import Resolution, revise
from qtforge_host.workflows.definitions import UnmetRequirement
from qtforge_sdk.errors import ConfigError

__all__ = ["Entry", "Registry"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin as it is now.

    Attributes:
        candidate: Its entry point and distribution.
        status: Its state, reason and fix.
        phase: Its lifecycle phase.
        plugin: The object; None before ``loaded``.
    """

    candidate: Candidate
    status: Status
    phase: Phase = "unloaded"
    plugin: Any = None


class Registry:
    """State and phase of every plugin.

    Args:
        resolution: Which plugins may load.
        settings: The configuration.
    """

    def __init__(self, resolution: Resolution, settings: Settings) -> None:
        self._resolution = resolution
        self._settings = settings
        self._failed: dict[str, Status] = {}  # and not remembered yet
        self._entries = {
            candidate.key: Entry(candidate=candidate, status=resolution.statuses[candidate.key])
            for candidate in resolution.candidates
            if candidate.group == PLUGIN_GROUP
        }

    def __getitem__(self, key: str) -> Entry:
        return self._entries[key]

    def __iter__(self) -> Iterator[Entry]:
        """Yield the plugins that may start, requirements first, then the others by key."""
        in_order = [candidate.key for candidate in self._resolution.accepted]
        for key in in_order:
            yield self._entries[key]
        for key in sorted(self._entries.keys() - set(in_order)):
            yield self._entries[key]

    def is_waiting(self, key: str) -> bool:
        """Return whether a plugin may start, and was not needed until now."""
        return self._entries[key].phase == "unloaded" and key in self._resolution.needs

    def named(self, name: str) -> tuple[Entry, ...]:
        """Return the entries with a plugin name, by distribution; several in a conflict."""
        return tuple(
            self._entries[key]
            for key in sorted(self._entries)
            if self._entries[key].candidate.name == name
        )

    @property
    def resolution(self) -> Resolution:
        """Which plugins may load, as far as that is known now."""
        return self._resolution

    @property
    def accepted(self) -> tuple[Candidate, ...]:
        """The plugins that may load, requirements first."""
        return self._resolution.accepted

    def absorb(self, outcome: LoadOutcome) -> tuple[str, ...]:
        """Record the outcome of loading; plugins that require a failed one are unloaded.

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
        """Set the validated configuration of a loaded plugin.

        Raises:
            ConfigError: It is not valid; the plugin is now ``broken``.
        """
        entry = self._entries[key]
        try:
            config_type = getattr(entry.plugin, "Config", None)
            config = plugin_config(entry.candidate.name, config_type, self._settings)
            if config is not None:
                entry.plugin.config = config
        except ConfigError as error:
            reason = f"{error.where}: {error.why}"
            self.fail(key, _broken("plugin.invalid_config", reason, error.fix))
            raise
        except BaseException as error:  # a `Config` of the plugin, or what it has for one
            if is_interruption(error):
                raise
            where, why = f"plugins.{entry.candidate.name}.config", describe(error)
            fix = f"report it to the author of {entry.candidate.distribution}"
            self.fail(key, _broken("plugin.invalid_config", f"{where}: {why}", fix))
            raise ConfigError(where, why, fix) from error
        self._move(key, "initialized", READY, plugin=entry.plugin)

    def start_succeeded(self, key: str) -> None:
        """Mark an initialized plugin as running."""
        self._move(key, "running", ACTIVE, plugin=self._entries[key].plugin)

    def stopped(self, key: str) -> None:
        """Mark a running plugin as stopped."""
        self._move(key, "initialized", READY, plugin=self._entries[key].plugin)

    def fail(self, key: str, status: Status) -> tuple[str, ...]:
        """Mark a plugin as failed.

        Plugins that require it and are not running become ``unmet`` and are unloaded.

        Returns:
            The keys of the running plugins that require it; the caller stops them.
        """
        self._failed[key] = status
        self._move(key, "error", status)
        self._resolution = revise(self._resolution, declarations={}, failed={key: status})
        return self._reject_unstarted()

    def unmet(self, requires: Iterable[str]) -> list[UnmetRequirement]:
        """Return the requirements of a workflow that are not met, in their order."""
        found = []
        for position, text in enumerate(requires):
            reason = self._why_unmet(text)
            if reason is not None:
                why, fix = reason
                found.append(UnmetRequirement(position=position, text=text, why=why, fix=fix))
        return found

    def remember(self, failures: FailureMemory) -> None:
        """Write the failures since the last call, and the successes, to the memory of failures."""
        failed, self._failed = self._failed, {}
        failures.update(
            failed=[(self._entries[key].candidate, one) for key, one in failed.items()],
            succeeded=[one.candidate for one in self._entries.values() if one.phase == "running"],
        )

    def _why_unmet(self, text: str) -> tuple[str, str] | None:
        from packaging.requirements import InvalidRequirement, Requirement  # slow to import

        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            return f"it is not a requirement: {error}", "write it as 'document-parser >= 1.0.0'"
        entries = self.named(requirement.name)
        if not entries:
            return f"no plugin '{requirement.name}' is installed", "pip install what provides it"
        for entry in entries:
            if entry.status.state == "active" or self.is_waiting(entry.candidate.key):
                version = entry.candidate.version
                if satisfies(version, requirement):
                    return None
                specifier = f"{entry.candidate.distribution}{requirement.specifier}"
                return f"'{requirement.name}' is {version}", f"pip install '{specifier}'"
        status = entries[0].status
        return f"'{requirement.name}' is {status.state}: {status.reason}", status.fix

    def _reject_unstarted(self) -> tuple[str, ...]:
        """Apply the resolution to loaded plugins; return the running ones that it rejects."""
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
