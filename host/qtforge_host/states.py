"""The states that a plugin can be in, with reason and fix, and the lifecycle beneath them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from qtforge_sdk.errors import PluginError

__all__ = ["ACTIVE", "PHASE_TRANSITIONS", "READY", "Phase", "PluginState", "Status", "change_phase"]

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
