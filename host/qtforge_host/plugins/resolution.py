"""Decides which candidates fit each other, the host and its configuration.

Nothing is imported. Each candidate gets one status; the first rule that rejects it
names the reason: the user's will, then faults of its own, conflicts, versions, failures
of earlier starts, and at last what other plugins it requires.
"""

from __future__ import annotations

import fnmatch
import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from qtforge_host.config.settings import Settings
from qtforge_host.plugins.candidates import (
    PLUGIN_GROUP,
    READY,
    SDK_DISTRIBUTION,
    Candidate,
    Scan,
    ScanProblem,
    Status,
    canonical_name,
)
from qtforge_host.plugins.declarations import Declarations, read_declarations
from qtforge_host.plugins.dependency_graph import relate
from qtforge_host.plugins.discovery import scan
from qtforge_host.plugins.quarantine import FailureMemory
from qtforge_host.plugins.requirements import DistributionChecker

__all__ = [
    "Failures",
    "Installed",
    "Policy",
    "PolicyOfPlugin",
    "Resolution",
    "resolve",
    "resolve_installed",
    "revise",
]

_NAME: Final = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")


class PolicyOfPlugin(Protocol):
    """What the configuration says of one plugin."""

    @property
    def enabled(self) -> bool:
        """Whether it may load."""

    @property
    def distribution(self) -> str | None:
        """The only distribution that may provide it, or None for any."""


class Policy(Protocol):
    """What the configuration says of plugins."""

    @property
    def safe_mode(self) -> bool:
        """Whether only built-ins may load."""

    @property
    def block(self) -> Sequence[str]:
        """Patterns (fnmatch) of plugin or distribution names that never load."""

    @property
    def quarantine_after(self) -> int:
        """How many failures in a row quarantine a plugin."""

    def plugin(self, name: str, /) -> PolicyOfPlugin:
        """Return what is said of one plugin."""


class Failures(Protocol):
    """What is remembered of earlier starts."""

    def recall(self, candidate: Candidate, quarantine_after: int, /) -> Status | None:
        """Return ``broken`` or ``quarantined`` when its last starts failed, else None."""


class _Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a resolution was computed from, so that it can be computed again."""

    plugins: tuple[Candidate, ...]
    rejected: Mapping[str, Status]
    remembered: Mapping[str, Status]
    declarations: Mapping[str, Declarations]
    providers: Mapping[str, Sequence[str]]


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """What may load, and what may not.

    Attributes:
        candidates: Every candidate of every group, as the scan gave them.
        accepted: Plugins that may load, requirements first. A plugin whose last start
            failed is among them, since a start tries again.
        others: Accepted candidates of the other groups, by name.
        rejected: Key to status of every candidate, of any group, that may not load.
        statuses: Key to what a listing shows, for every candidate of every group. Here a
            plugin whose last start failed is ``broken``, and what requires it ``unmet``.
    """

    candidates: tuple[Candidate, ...]
    accepted: tuple[Candidate, ...]
    others: tuple[Candidate, ...]
    rejected: Mapping[str, Status]
    statuses: Mapping[str, Status]
    _inputs: _Inputs


def resolve(scan: Scan, settings: Policy, *, sdk_version: str, failures: Failures) -> Resolution:
    """Give every candidate its status, and put the accepted plugins in order.

    Args:
        scan: What is installed.
        settings: What the configuration allows.
        sdk_version: The version of qtforge-sdk that the host runs with.
        failures: What is remembered of earlier starts.
    """
    rejected = _policy_rejections(scan.candidates, settings)
    rejected.update(_conflicts(scan.candidates, rejected))
    providers = frozenset(candidate.distribution for candidate in scan.candidates)
    checker = DistributionChecker(scan.distributions, providers, sdk_version)
    remembered: dict[str, Status] = {}
    for candidate in scan.candidates:
        if candidate.key in rejected:
            continue
        status = checker.check(candidate)
        memory = None if status else failures.recall(candidate, settings.quarantine_after)
        if memory is not None and memory.state != "quarantined":
            remembered[candidate.key] = memory
            memory = None
        status = status or memory
        if status is not None:
            rejected[candidate.key] = status
    plugins = [one for one in scan.candidates if one.group == PLUGIN_GROUP]
    open_plugins = [one for one in plugins if one.key not in rejected]
    inputs = _Inputs(
        plugins=tuple(plugins),
        rejected=rejected,
        remembered=remembered,
        declarations={one.key: read_declarations(one) for one in open_plugins},
        providers={one.key: checker.providers_required_by(one) for one in open_plugins},
    )
    return _resolution(scan.candidates, inputs)


def revise(
    resolution: Resolution,
    *,
    declarations: Mapping[str, Declarations],
    failed: Mapping[str, Status],
) -> Resolution:
    """Resolve again with what loading has shown.

    Args:
        resolution: The one before.
        declarations: Key to what an imported class really declares.
        failed: Key to the status of those that did not load or start.
    """
    before = resolution._inputs
    tried = {*declarations, *failed}
    inputs = msgspec.structs.replace(
        before,
        rejected={**before.rejected, **failed},
        remembered={key: one for key, one in before.remembered.items() if key not in tried},
        declarations={**before.declarations, **declarations},
    )
    return _resolution(resolution.candidates, inputs)


def _resolution(candidates: tuple[Candidate, ...], inputs: _Inputs) -> Resolution:
    actual = relate(
        inputs.plugins,
        rejected=inputs.rejected,
        declarations=inputs.declarations,
        providers=inputs.providers,
    )
    shown = actual
    if inputs.remembered:
        shown = relate(
            inputs.plugins,
            rejected={**inputs.remembered, **inputs.rejected},
            declarations=inputs.declarations,
            providers=inputs.providers,
        )
    by_key = {candidate.key: candidate for candidate in candidates}
    return Resolution(
        candidates=candidates,
        accepted=tuple(by_key[key] for key in actual.order),
        others=tuple(
            one
            for one in candidates
            if one.group != PLUGIN_GROUP and one.key not in inputs.rejected
        ),
        rejected=actual.rejected,
        statuses={key: shown.rejected.get(key, READY) for key in by_key},
        _inputs=inputs,
    )


def _policy_rejections(candidates: Sequence[Candidate], settings: Policy) -> dict[str, Status]:
    """Apply what concerns one candidate alone: the user's will first, then its own faults."""
    rejected: dict[str, Status] = {}
    for candidate in candidates:
        status = (
            _blocked(candidate, settings)
            or _disabled(candidate, settings)
            or candidate.problem
            or _misnamed(candidate)
        )
        if status is not None:
            rejected[candidate.key] = status
    return rejected


def _blocked(candidate: Candidate, settings: Policy) -> Status | None:
    for pattern in settings.block:
        if fnmatch.fnmatchcase(candidate.name, pattern) or fnmatch.fnmatchcase(
            candidate.distribution, pattern
        ):
            return Status(
                state="blocked",
                code="plugin.blocked",
                reason=f"the configuration blocks '{pattern}'",
                fix="take it out of [host] block",
            )
    return None


def _disabled(candidate: Candidate, settings: Policy) -> Status | None:
    policy = settings.plugin(candidate.name)
    if not policy.enabled:
        return Status(
            state="disabled",
            code="plugin.disabled",
            reason="the configuration disables it",
            fix=f"qtforge-host plugins enable {candidate.name}",
        )
    if settings.safe_mode and not candidate.builtin:
        return Status(
            state="disabled",
            code="plugin.safe_mode",
            reason="the host runs in safe mode, with built-ins alone",
            fix="start without --safe-mode",
        )
    preferred = None if policy.distribution is None else canonical_name(policy.distribution)
    if preferred not in (None, candidate.distribution):
        return Status(
            state="disabled",
            code="plugin.not_preferred",
            reason=f"the configuration prefers {preferred} for this name",
            fix=f"qtforge-host plugins prefer {candidate.name} {candidate.distribution}",
        )
    return None


def _misnamed(candidate: Candidate) -> Status | None:
    if _NAME.fullmatch(candidate.name):
        return None
    return Status(
        state="broken",
        code="plugin.invalid_name",
        reason=f"{candidate.name!r} is not a plugin name: lower-case words joined by - _ or .",
        fix=f"tell the author of {candidate.distribution}, or pip uninstall"
        f" {candidate.distribution}",
    )


def _conflicts(
    candidates: Sequence[Candidate], rejected: Mapping[str, Status]
) -> dict[str, Status]:
    claims: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in candidates:
        if candidate.key not in rejected:
            claims.setdefault((candidate.group, candidate.name), []).append(candidate)
    conflicts: dict[str, Status] = {}
    for (_, name), claimants in claims.items():
        if len(claimants) < 2:
            continue
        names = " and ".join(f"{one.distribution} {one.version}" for one in claimants)
        for claimant in claimants:
            conflicts[claimant.key] = Status(
                state="conflict",
                code="plugin.conflict",
                reason=f"{names} claim the one name '{name}'",
                fix=f"qtforge-host plugins prefer {name} {claimant.distribution}",
            )
    return conflicts


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
