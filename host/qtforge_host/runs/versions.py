"""Decide whether a run may be resumed with the plugin versions that are active now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from qtforge_host.major_versions import major
from qtforge_sdk.records import ANY_VERSION, RunBlocked

__all__ = [
    "VersionPolicy",
    "VersionProblem",
    "majors",
    "needs_of",
    "stays_blocked",
    "version_problem",
]

_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")  # at the beginning of a requirement

VersionPolicy = Literal["same-major", "exact", "any"]
"""The versions with which a run may be resumed: of the same major version, equal, or any."""


class VersionProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions differ, and whether that must be accepted first."""

    text: str
    blocks: bool


def version_problem(
    served_by: Mapping[str, str], active: Mapping[str, str], policy: VersionPolicy
) -> VersionProblem | None:
    """Compare the plugins that served a run with those that are active.

    Args:
        served_by: Plugin to the version that answered the run's steps.
        active: Plugin to the version that is active now.
        policy: Which other versions are accepted.

    >>> version_problem({"a": "1.0"}, {"a": "1.2"}, "same-major").blocks
    False
    >>> version_problem({"a": "1.0"}, {"a": "2.0"}, "same-major").text
    'a was 1.0 and is 2.0'
    """
    changed = {
        name: (version, active.get(name))
        for name, version in sorted(served_by.items())
        if active.get(name) != version
    }
    if not changed:
        return None
    text = "; ".join(
        f"{name} was {before} and is {now or 'not active'}"
        for name, (before, now) in changed.items()
    )
    blocks = policy != "any" and any(
        policy == "exact" or not _same_major(before, now) for before, now in changed.values()
    )
    return VersionProblem(text=text, blocks=blocks)


def majors(versions: Mapping[str, str]) -> dict[str, str]:
    """Return the first number of each version, by name."""
    return {name: major(version) for name, version in versions.items()}


def needs_of(requires: Iterable[str], active: Mapping[str, str]) -> dict[str, str]:
    """Return what a queued run needs of the process that takes it; see `QueueEntry.needs`.

    Args:
        requires: The plugins that its workflow requires, with PEP 440 specifiers.
        active: The versions that are active in this process, which may not have all of them.

    >>> needs_of(["ocr>=2", "mail"], {"mail": "1.4"})
    {'ocr': '*', 'mail': '1'}
    """
    names = (match[0] for each in requires if (match := _NAME.match(each.strip())))
    return {name: major(active[name]) if name in active else ANY_VERSION for name in names}


def _same_major(before: str, now: str | None) -> bool:
    if now is None:
        return True  # if it is still needed, a request will report that it is missing
    return major(before) == major(now)


def stays_blocked(
    blocked: RunBlocked | None,
    served_by: Mapping[str, str],
    active: Mapping[str, str],
    policy: VersionPolicy,
) -> bool:
    """Return whether a run would be blocked again for the reason that its journal holds.

    Args:
        blocked: The record of that reason; None when the run is not blocked.
        served_by: The versions that served the run, by plugin.
        active: The versions that are active now, by plugin.
        policy: Which other versions are accepted.
    """
    if blocked is None or blocked.plugins != active:
        return False
    problem = version_problem(served_by, active, policy)
    return problem is not None and problem.blocks and problem.text == blocked.reason
