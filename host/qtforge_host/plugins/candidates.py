"""What a scan finds: candidates that are not yet imported, and the distributions around them."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from qtforge_sdk.errors import PluginError

__all__ = [
    "ACTIVE",
    "GROUPS",
    "HOST_DISTRIBUTION",
    "ORCHESTRATOR_GROUP",
    "PHASE_TRANSITIONS",
    "PLUGIN_GROUP",
    "READY",
    "SDK_DISTRIBUTION",
    "Candidate",
    "Phase",
    "PluginState",
    "Scan",
    "ScanProblem",
    "Status",
    "canonical_name",
    "change_phase",
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


"""Where each phase may lead; a stopped plugin is ``initialized`` again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What state a plugin is in, and why.

    Attributes:
        state: One of the nine.
        code: A stable reason code, such as ``plugin.unmet``; "" for ready and active.
        reason: What is wrong, in a line; "" for ready and active.
        fix: What the reader can do, as a command where there is one; "" likewise.
    """

    state: PluginState
    code: str
    reason: str
    fix: str


READY: Final = Status(state="ready", code="", reason="", fix="")


ACTIVE: Final = Status(state="active", code="", reason="", fix="")


def change_phase(plugin: str, before: Phase, after: Phase) -> Phase:
    """Return the new phase when the table leads there.

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


PLUGIN_GROUP: Final = "qtforge.plugins"


ORCHESTRATOR_GROUP: Final = "qtforge.orchestrators"


GROUPS: Final = (PLUGIN_GROUP, ORCHESTRATOR_GROUP, "qtforge.journals", "qtforge.transports")


HOST_DISTRIBUTION: Final = "qtforge-host"


SDK_DISTRIBUTION: Final = "qtforge-sdk"


_SEPARATORS = re.compile(r"[-_.]+")


def canonical_name(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it.

    >>> canonical_name("Acme_Parser.extra")
    'acme-parser-extra'
    """
    return _SEPARATORS.sub("-", name).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An entry point in one of the host's groups; nothing of it has been imported.

    Attributes:
        name: The entry point's name. Foreign text: never a path.
        group: One of `GROUPS`.
        entry_point: Where it points.
        distribution: The canonical name of the distribution that declares it.
        version: That distribution's version, as written; "" when it can't be read.
        requires_dist: Its Requires-Dist lines, as written.
        location: The folder (or zip file) that it is installed in.
        metadata_path: Its ``.dist-info`` or ``.egg-info``.
        builtin: Whether it comes with the host.
        problem: Why it can't be used whatever else holds, or None.
        extras: The canonical extras that the entry point asks for.
    """

    name: str
    group: str
    entry_point: importlib.metadata.EntryPoint
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
        """``<distribution>:<name>``, with the group between them for what is not a plugin."""
        if self.group == PLUGIN_GROUP:
            return f"{self.distribution}:{self.name}"
        return f"{self.distribution}:{self.group}:{self.name}"


class ScanProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be read; it costs only itself.

    Attributes:
        where: The distribution, or the metadata folder.
        reason: What is wrong.
        fix: What would mend it.
    """

    where: str
    reason: str
    fix: str


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything found, in no order that matters but sorted by name, then distribution.

    Attributes:
        candidates: Of every group.
        distributions: Canonical name to version, of every installed distribution; a
            version is read when it is asked for.
        problems: What could not be read.
    """

    candidates: tuple[Candidate, ...]
    distributions: Mapping[str, str]
    problems: tuple[ScanProblem, ...]
