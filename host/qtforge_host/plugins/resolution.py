"""Decide which candidates may load: configuration, conflicts, versions, requirements.

Nothing is imported. Each candidate gets one status, from the first rule that rejects it: the
configuration, its own faults, conflicts, versions, failures of earlier starts, and finally the
plugins that it requires.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from qtforge_host.config.settings import Settings
from qtforge_host.file_states import FileState
from qtforge_host.plugins.candidates import (
    HOST_DISTRIBUTION,
    JOURNAL_GROUP,
    ORCHESTRATOR_GROUP,
    PLUGIN_GROUP,
    READY,
    SDK_DISTRIBUTION,
    Candidate,
    Scan,
    ScanProblem,
    Status,
    canonical_name,
    is_plugin_name,
)
from qtforge_host.plugins.declarations import Declarations, find_class, read_declarations
from qtforge_host.plugins.dependency_graph import resolve_dependencies
from qtforge_host.plugins.found_cache import Found, FoundCache, Listing
from qtforge_host.plugins.offers import Offers, kind_in, offers_in
from qtforge_host.plugins.quarantine import FailureMemory
from qtforge_host.plugins.requirements import DistributionChecker
from qtforge_host.workflows.file_names import NamedFile

__all__ = [
    "Installed",
    "Resolution",
    "resolve",
    "resolve_installed",
    "revise",
]


class _Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a resolution, so that it can be computed again."""

    plugins: tuple[Candidate, ...]
    rejected: Mapping[str, Status]
    remembered: Mapping[str, Status]
    declarations: Mapping[str, Declarations]
    providers: Mapping[str, Sequence[str]]


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """Which candidates may load, and why not the others.

    Attributes:
        candidates: Every candidate of every group, in the order of the scan.
        accepted: The plugins that may load, requirements first. A plugin whose last start
            failed is included, because a start tries it again.
        others: The accepted candidates of the other groups, by name.
        rejected: Key to status of every candidate, of any group, that may not load.
        statuses: Key to the status in listings, of every candidate of every group. Here a
            plugin whose last start failed is ``broken``, and plugins that require it ``unmet``.
        needs: Key of each accepted plugin to the keys of those that start before it.
    """

    candidates: tuple[Candidate, ...]
    accepted: tuple[Candidate, ...]
    others: tuple[Candidate, ...]
    rejected: Mapping[str, Status]
    statuses: Mapping[str, Status]
    needs: Mapping[str, Sequence[str]]
    _inputs: _Inputs

    @property
    def declarations(self) -> Mapping[str, Declarations]:
        """Key to what each plugin declares that was not rejected before its source was read."""
        return self._inputs.declarations

    @property
    def remembered(self) -> Mapping[str, Status]:
        """Key to the failure of each accepted plugin whose last start failed."""
        return self._inputs.remembered


def resolve(
    scan: Scan, settings: Settings, *, sdk_version: str, failures: FailureMemory
) -> Resolution:
    """Decide the status of every candidate, and the order of the accepted plugins.

    Args:
        scan: The installed candidates and distributions.
        settings: The configuration.
        sdk_version: The version of qtforge-sdk that the host uses.
        failures: The failures of earlier starts.
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
    """Resolve again with the results of loading.

    Args:
        resolution: The previous resolution.
        declarations: Key to the declarations of an imported class.
        failed: Key to the status of plugins that failed to load or start.
    """
    before = resolution._inputs
    if not failed and all(
        before.declarations.get(key) == one and key not in before.remembered
        for key, one in declarations.items()
    ):
        return resolution  # it is known already
    tried = {*declarations, *failed}
    inputs = msgspec.structs.replace(
        before,
        rejected={**before.rejected, **failed},
        remembered={key: one for key, one in before.remembered.items() if key not in tried},
        declarations={**before.declarations, **declarations},
    )
    return _resolution(resolution.candidates, inputs)


def _resolution(candidates: tuple[Candidate, ...], inputs: _Inputs) -> Resolution:
    actual = resolve_dependencies(
        inputs.plugins,
        rejected=inputs.rejected,
        declarations=inputs.declarations,
        providers=inputs.providers,
    )
    shown = actual
    if inputs.remembered:
        shown = resolve_dependencies(
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
        needs=actual.needs,
        _inputs=inputs,
    )


def _policy_rejections(candidates: Sequence[Candidate], settings: Settings) -> dict[str, Status]:
    """Reject candidates for the configuration, then for their own faults."""
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


def _blocked(candidate: Candidate, settings: Settings) -> Status | None:
    for pattern in settings.block:
        if fnmatch.fnmatchcase(candidate.name, pattern) or fnmatch.fnmatchcase(
            candidate.distribution, pattern
        ):
            return Status(
                state="blocked",
                code="plugin.blocked",
                reason=f"the configuration blocks '{pattern}'",
                fix="remove it from [host] block",
            )
    return None


def _disabled(candidate: Candidate, settings: Settings) -> Status | None:
    policy = settings.plugin(candidate.name)
    if not policy.enabled:
        return Status(
            state="disabled",
            code="plugin.disabled",
            reason="the configuration disables it",
            fix=f"qtforge-host plugins enable {candidate.name}",
        )
    others = settings.only is not None and candidate.name not in settings.only
    if others and candidate.group == PLUGIN_GROUP:
        return Status(
            state="disabled",
            code="plugin.not_named",
            reason="the process was started for other plugins alone",
            fix=f"start it with --plugins {candidate.name}",
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
    if is_plugin_name(candidate.name):
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
            if claimant.builtin and claimant.group == JOURNAL_GROUP:
                continue  # runs stay with the host's own journals: see `journals`
            conflicts[claimant.key] = Status(
                state="conflict",
                code="plugin.conflict",
                reason=f"{names} claim the one name '{name}'",
                fix=f"qtforge-host plugins prefer {name} {claimant.distribution}",
            )
    return conflicts


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """What is installed.

    Attributes:
        resolution: The status of every candidate.
        offers: What each accepted plugin offers, by its key.
        problems: Metadata that could not be read.
        memory: The failures of earlier starts.
        host_version: The version of qtforge-host.
        kinds: The kind that each orchestrator executes, by its key, where its source tells.
        loaded: The keys of candidates that have been loaded before as they are installed.
        workflows: Files of definitions that were read before, by their paths.
        add: Keeps further ones of both, and what commands list.
    """

    resolution: Resolution
    offers: Mapping[str, Offers]
    problems: Sequence[ScanProblem]
    memory: FailureMemory
    host_version: str
    kinds: Mapping[str, str]
    loaded: frozenset[str]
    workflows: Mapping[str, NamedFile]
    add: Callable[[Iterable[str], Iterable[NamedFile], Mapping[str, Listing]], None]


def resolve_installed(settings: Settings, *, fresh: bool = False) -> Installed:
    """Scan the installed distributions, and resolve their candidates.

    What was found before is used while nothing has changed; see `found_cache`.

    Args:
        settings: The configuration.
        fresh: Whether to look at everything in any case.
    """
    cache = FoundCache(settings)
    memory = FailureMemory(settings.state_dir)
    found = None if fresh else cache.read()
    if found is None:
        found, resolution = _look(settings, memory, cache)
    else:
        resolution = _as_found(found)
    return Installed(
        resolution=resolution,
        offers=found.offers,
        problems=found.problems,
        memory=memory,
        host_version=found.host_version,
        kinds=found.kinds,
        loaded=found.loaded,
        workflows=found.workflows,
        add=functools.partial(cache.add, found),
    )


def _look(settings: Settings, memory: FailureMemory, cache: FoundCache) -> tuple[Found, Resolution]:
    """Look at everything that is installed, and keep what was found."""
    from qtforge_host.plugins.discovery import installed_version, scan  # slow to import

    scanned = scan()
    sdk_version = installed_version(SDK_DISTRIBUTION)
    resolution = resolve(scanned, settings, sdk_version=sdk_version, failures=memory)
    inputs, files, offers = resolution._inputs, list[FileState](), dict[str, Offers]()
    sources = {one.key: find_class(one) for one in inputs.plugins if one.key in inputs.declarations}
    for key in resolution.needs:
        offers[key] = offers_in(sources[key])
    orchestrators = [one for one in resolution.others if one.group == ORCHESTRATOR_GROUP]
    classes = {one.key: find_class(one) for one in orchestrators}
    for source in [*sources.values(), *classes.values()]:
        files += () if source is None else source.files
    found = Found(
        candidates=resolution.candidates,
        accepted=tuple(one.key for one in resolution.accepted),
        others=tuple(one.key for one in resolution.others),
        rejected=resolution.rejected,
        refused=inputs.rejected,
        remembered=inputs.remembered,
        statuses=resolution.statuses,
        needs=resolution.needs,
        declarations=inputs.declarations,
        providers=inputs.providers,
        offers=offers,
        kinds={key: kind for key, each in classes.items() if (kind := kind_in(each))},
        problems=tuple(scanned.problems),
        host_version=installed_version(HOST_DISTRIBUTION),
    )
    if None not in sources.values():  # a source that is not there is not noticed when it comes
        cache.write(found, files)
    return found, resolution


def _as_found(found: Found) -> Resolution:
    by_key = {one.key: one for one in found.candidates}
    return Resolution(
        candidates=found.candidates,
        accepted=tuple(by_key[key] for key in found.accepted),
        others=tuple(by_key[key] for key in found.others),
        rejected=found.rejected,
        statuses=found.statuses,
        needs=found.needs,
        _inputs=_Inputs(
            plugins=tuple(one for one in found.candidates if one.group == PLUGIN_GROUP),
            rejected=found.refused,
            remembered=found.remembered,
            declarations=found.declarations,
            providers=found.providers,
        ),
    )
