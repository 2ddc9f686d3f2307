"""Whether the plugins that a workflow requires are active."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement

from qtforge_host.registry import Registry

__all__ = ["Unmet", "unmet"]


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
