"""The results of discovery: candidates, their states, and installed distributions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from qtforge_sdk.errors import PluginError

__all__ = [
    "ACTIVE",
    "GROUPS",
    "HOST_DISTRIBUTION",
    "JOURNAL_GROUP",
    "NAME_RULE",
    "ORCHESTRATOR_GROUP",
    "PHASE_TRANSITIONS",
    "PLUGIN_GROUP",
    "READY",
    "SDK_DISTRIBUTION",
    "TRANSPORT_GROUP",
    "Candidate",
    "EntryPoint",
    "Phase",
    "PluginState",
    "Scan",
    "ScanProblem",
    "Status",
    "canonical_name",
    "change_phase",
    "is_plugin_name",
]

PluginState = Literal[
    "active",
    "ready",
    "disabled",
    "blocked",
    "unmet",
    "incompatible",
    "conflict",
    "broken",
    "quarantined",
]
Phase = Literal["unloaded", "loaded", "initialized", "running", "error"]
"""The original system's lifecycle: imported, made and configured, started."""

PHASE_TRANSITIONS: Final[Mapping[Phase, frozenset[Phase]]] = MappingProxyType(
    {
        "unloaded": frozenset[Phase]({"loaded", "error"}),
        "loaded": frozenset[Phase]({"initialized", "unloaded", "error"}),
        "initialized": frozenset[Phase]({"running", "unloaded", "error"}),
        "running": frozenset[Phase]({"initialized", "unloaded", "error"}),
        "error": frozenset[Phase]({"unloaded"}),
    }
)
"""The phases that may follow each phase; a stopped plugin is ``initialized`` again."""

PLUGIN_GROUP: Final = "qtforge.plugins"
ORCHESTRATOR_GROUP: Final = "qtforge.orchestrators"
JOURNAL_GROUP: Final = "qtforge.journals"
TRANSPORT_GROUP: Final = "qtforge.transports"
GROUPS: Final = (PLUGIN_GROUP, ORCHESTRATOR_GROUP, JOURNAL_GROUP, TRANSPORT_GROUP)
"""The entry-point groups of the host."""

HOST_DISTRIBUTION: Final = "qtforge-host"
SDK_DISTRIBUTION: Final = "qtforge-sdk"
NAME_RULE: Final = "a name has lower-case words, of letters and digits, joined by - _ or ."
_SEPARATORS: Final = re.compile(r"[-_.]+")
_NAME: Final = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a plugin, and why it is in that state.

    Attributes:
        state: One of the nine states.
        code: A stable reason code, such as ``plugin.unmet``; "" for ready and active.
        reason: What is wrong, in one line; "" for ready and active.
        fix: How to fix it, as a command where there is one; "" for ready and active.
    """

    state: PluginState
    code: str
    reason: str
    fix: str


READY: Final = Status(state="ready", code="", reason="", fix="")
ACTIVE: Final = Status(state="active", code="", reason="", fix="")


class EntryPoint(msgspec.Struct, frozen=True):
    """An entry point as ``entry_points.txt`` has it; `importlib.metadata` takes long to import.

    Attributes:
        name: Its name.
        value: What it names, as ``module:attribute [extra]``.
        group: Its group.
    """

    name: str
    value: str
    group: str

    @property
    def module(self) -> str:
        """The module of what it names."""
        return self._reference.partition(":")[0].strip()

    @property
    def attr(self) -> str:
        """What it names in the module, as words joined by dots; "" for the module."""
        return self._reference.partition(":")[2].strip()

    @property
    def _reference(self) -> str:
        return self.value.partition("[")[0]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An entry point in one of the host's groups; it is not imported.

    Attributes:
        name: The entry point's name. It is untrusted text: never use it as a path unchecked.
        group: One of `GROUPS`.
        entry_point: The entry point.
        distribution: The canonical name of the distribution that declares it.
        version: That distribution's version, as written; "" when it can't be read.
        requires_dist: That distribution's Requires-Dist lines, as written.
        location: The folder or zip file where it is installed.
        metadata_path: Its ``.dist-info`` or ``.egg-info``.
        builtin: Whether it is part of the host's distribution.
        problem: Why it can't be used in any case, or None.
        extras: The canonical extras that the entry point asks for.
    """

    name: str
    group: str
    entry_point: EntryPoint
    distribution: str
    version: str
    requires_dist: tuple[str, ...] = ()
    location: str
    metadata_path: str = ""
    builtin: bool = False
    problem: Status | None = None
    extras: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """``<distribution>:<name>``, with the group in between when it is not a plugin."""
        if self.group == PLUGIN_GROUP:
            return f"{self.distribution}:{self.name}"
        return f"{self.distribution}:{self.group}:{self.name}"


class ScanProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Metadata that could not be read; other distributions are not affected.

    Attributes:
        where: The distribution, or the metadata folder.
        reason: What is wrong.
        fix: How to fix it.
    """

    where: str
    reason: str
    fix: str


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a scan.

    Attributes:
        candidates: The candidates of all groups, sorted by name, then distribution.
        distributions: Canonical name to version, of every installed distribution; a version
            is read on first access.
        problems: What could not be read.
    """

    candidates: tuple[Candidate, ...]
    distributions: Mapping[str, str]
    problems: tuple[ScanProblem, ...]


def change_phase(plugin: str, before: Phase, after: Phase) -> Phase:
    """Return the new phase, if the transition is allowed.

    Raises:
        PluginError: ``plugin.invalid_transition``.

    >>> change_phase("greeter", "unloaded", "loaded")
    'loaded'
    """
    allowed = PHASE_TRANSITIONS[before]
    if after not in allowed:
        raise PluginError(
            plugin,
            "plugin.invalid_transition",
            f"it is {before} and can't become {after}",
            f"from {before} it can become {', '.join(sorted(allowed))}",
        )
    return after


def canonical_name(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it.

    >>> canonical_name("Acme_Parser.extra")
    'acme-parser-extra'
    """
    return _SEPARATORS.sub("-", name).lower()


def is_plugin_name(name: str) -> bool:
    """Return whether a text can be a plugin's name; see `NAME_RULE`.

    >>> is_plugin_name("acme-greeter"), is_plugin_name("Acme Greeter")
    (True, False)
    """
    return _NAME.fullmatch(name) is not None
