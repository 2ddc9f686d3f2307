"""Which of several functions of one name continues a run that was started with another version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qtforge_host.major_versions import major
from qtforge_host.workflows.definitions import Workflow

if TYPE_CHECKING:  # packaging is slow to import, and few workflows have several versions
    from packaging.version import Version

__all__ = ["newest_first", "resumable_versions", "resuming", "specifier_problem"]


def newest_first(workflows: Iterable[Workflow]) -> list[Workflow]:
    """Sort workflows by their versions; one that is no version is the oldest."""
    found = list(workflows)
    return sorted(found, key=_version_of, reverse=True) if len(found) > 1 else found


def resuming(workflows: Sequence[Workflow], version: str) -> Workflow | None:
    """Return the workflow that continues a run; None where there is none.

    That is the one of the run's version; else the newest that says so.

    Args:
        workflows: Those of one name.
        version: With which the run was started.
    """
    found = newest_first(workflows)
    same = [each for each in found if each.definition.version == version]
    return next(iter([*same, *(each for each in found if _resumes(each, version))]), None)


def resumable_versions(workflow: Workflow) -> str:
    """Return in words which versions a workflow continues."""
    specifier = _specifier_of(workflow)
    version = workflow.definition.version
    return f"{version} (resumes {specifier or f'{major(version)}.*'})"


def specifier_problem(specifier: str) -> str:
    """Return why ``resumes`` of a workflow can't be read, or ""."""
    if not specifier:
        return ""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(specifier)
    except InvalidSpecifier as error:
        return str(error)
    return ""


def _resumes(workflow: Workflow, version: str) -> bool:
    specifier = _specifier_of(workflow)
    if not specifier:
        return major(workflow.definition.version) == major(version)
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def _specifier_of(workflow: Workflow) -> str:
    return str(getattr(workflow.orchestrator, "resumes", ""))


def _version_of(workflow: Workflow) -> Version:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(workflow.definition.version)
    except InvalidVersion:
        return Version("0.dev0")
