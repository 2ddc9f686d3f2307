"""Check the requirements of a candidate's distribution: the SDK, Requires-Dist, extras.

Specifiers and markers have the meaning that packaging defines. Prereleases always count, so
that ``2.0rc1`` satisfies ``>= 1.0``: it was installed on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from qtforge_host.plugins.candidates import (
    HOST_DISTRIBUTION,
    SDK_DISTRIBUTION,
    Candidate,
    Status,
    canonical_name,
)

if TYPE_CHECKING:  # slow to import; a process that needs no requirement does without it
    from packaging.requirements import Requirement
    from packaging.version import Version

__all__ = [
    "DistributionChecker",
    "applies",
    "is_met",
    "newest_versions",
    "required_name",
    "satisfies",
]

_NO_EXTRA: Final = ""


def satisfies(version: str, requirement: Requirement) -> bool:
    """Return whether a version is in a requirement's range; a malformed version never is."""
    if not requirement.specifier:
        return True
    from packaging.version import InvalidVersion, Version

    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def applies(requirement: Requirement, extra: str = "") -> bool:
    """Return whether a requirement's marker holds here.

    Args:
        requirement: The requirement.
        extra: The extra that is asked for; "" for none.

    Raises:
        InvalidRequirement: The marker compares what can't be compared.
    """
    from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
    from packaging.requirements import InvalidRequirement

    if requirement.marker is None:
        return True
    try:
        return requirement.marker.evaluate({"extra": extra})
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        raise InvalidRequirement(f"its marker '{requirement.marker}' can't be evaluated") from error


def is_met(text: str, versions: Mapping[str, Iterable[str]]) -> bool:
    """Return whether a plugin of some versions meets a requirement.

    Args:
        text: The requirement.
        versions: The versions of each plugin.

    >>> is_met("gpu-ocr >= 2", {"gpu-ocr": ["1.9.0", "2.1.0"]})
    True
    """
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return False
    return any(satisfies(each, requirement) for each in versions.get(requirement.name, ()))


def required_name(text: str) -> str:
    """Return the plugin that a requirement names; "" for what is no requirement.

    >>> required_name("gpu-ocr >= 2")
    'gpu-ocr'
    """
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text).name
    except InvalidRequirement:
        return ""


def newest_versions(versions: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the newest version of each plugin; a malformed one is older than all others.

    >>> newest_versions({"gpu-ocr": ["1.10.0", "1.9.0", "nightly"]})
    {'gpu-ocr': '1.10.0'}
    """
    return {name: max(each, key=_age) for name, each in versions.items()}


def _age(version: str) -> tuple[Version, str]:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version), version
    except InvalidVersion:
        return Version("0.dev0"), version


class _Line:
    """A line of Requires-Dist; its marker is evaluated once for each extra.

    Many plugins of one distribution share its lines.

    Raises:
        InvalidRequirement: It is not a requirement, or its marker can't be evaluated.
    """

    def __init__(self, text: str) -> None:
        from packaging.requirements import Requirement

        self.requirement: Final = Requirement(text)
        self.name: Final = canonical_name(self.requirement.name)
        self._applies: dict[str, bool] = {_NO_EXTRA: applies(self.requirement)}

    def __str__(self) -> str:
        return f"{self.requirement.name}{self.requirement.specifier}"

    def applies(self, extra: str) -> bool:
        """Return whether it is required with an extra; "" for none."""
        found = self._applies.get(extra)
        if found is None:
            found = self._applies[extra] = applies(self.requirement, extra)
        return found


class DistributionChecker:
    """Checks candidates against the installed distributions; parses each line once.

    Args:
        installed: Canonical name to version of every installed distribution.
        providers: Canonical names of the distributions that provide plugins.
        sdk_version: The version of the SDK that the host runs with.
    """

    def __init__(
        self, installed: Mapping[str, str], providers: frozenset[str], sdk_version: str
    ) -> None:
        self._installed = installed
        self._providers = providers
        self._sdk_version = sdk_version
        self._parsed: dict[str, _Line] = {}

    def check(self, candidate: Candidate) -> Status | None:
        """Return why the candidate can't be used, or None."""
        from packaging.requirements import InvalidRequirement
        from packaging.version import InvalidVersion, Version

        try:
            Version(candidate.version)
            requirements = [self._parse(line) for line in candidate.requires_dist]
            return self._check_all(candidate, requirements)
        except InvalidVersion as error:
            return _broken(candidate, "plugin.invalid_metadata", str(error))
        except InvalidRequirement as error:
            reason = f"a Requires-Dist can't be read: {str(error).splitlines()[0]}"
            return _broken(candidate, "plugin.invalid_requirement", reason)

    def _check_all(self, candidate: Candidate, requirements: list[_Line]) -> Status | None:
        plain = [one for one in requirements if one.applies(_NO_EXTRA)]
        for requirement in plain:
            status = self._check_one(candidate, requirement)
            if status is not None:
                return status
        return self._check_extras(candidate, requirements)

    def providers_required_by(self, candidate: Candidate) -> tuple[str, ...]:
        """Return the other plugin distributions that the candidate's distribution requires.

        The host's distribution is left out: it is always there.
        """
        from packaging.requirements import InvalidRequirement

        try:
            requirements = [self._parse(line) for line in candidate.requires_dist]
        except InvalidRequirement:
            return ()
        names = {one.name for one in requirements if one.applies(_NO_EXTRA)}
        own = {candidate.distribution, HOST_DISTRIBUTION}
        return tuple(sorted((names & self._providers) - own))

    def _parse(self, text: str) -> _Line:
        line = self._parsed.get(text)
        if line is None:
            line = self._parsed[text] = _Line(text)
        return line

    def _check_one(self, candidate: Candidate, line: _Line) -> Status | None:
        name, requirement, wanted = line.name, line.requirement, str(line)
        if name == SDK_DISTRIBUTION:
            if satisfies(self._sdk_version, requirement):
                return None
            return Status(
                state="incompatible",
                code="plugin.incompatible",
                reason=f"it was made for {wanted}; this host has {self._sdk_version}",
                fix=f"pip install --upgrade {candidate.distribution} (one made for"
                f" {SDK_DISTRIBUTION} {self._sdk_version}), or pip install --upgrade"
                f" {HOST_DISTRIBUTION} '{wanted}'",
            )
        if name not in self._installed:
            return _unmet(f"it requires {wanted}, which is not installed", wanted)
        # pip checks the range of other libraries; at the latest the plugin's import fails.
        if name in self._providers and not satisfies(self._installed[name], requirement):
            reason = f"it requires {wanted}; {self._installed[name]} is installed"
            return _unmet(reason, wanted)
        return None

    def _check_extras(self, candidate: Candidate, requirements: list[_Line]) -> Status | None:
        for extra in candidate.extras:
            missing = [
                str(one)
                for one in _of_extra(requirements, extra, candidate.distribution)
                if one.name not in self._installed
                or not satisfies(self._installed[one.name], one.requirement)
            ]
            if missing:
                return Status(
                    state="unmet",
                    code="plugin.missing_extra",
                    reason=f"the extra '{extra}' is not complete: {', '.join(missing)}",
                    fix=f"pip install '{candidate.distribution}[{extra}]'",
                )
        return None


def _of_extra(requirements: list[_Line], extra: str, distribution: str) -> Iterator[_Line]:
    """Yield the lines that an extra adds, including ``itself[other]``, as setuptools allows."""
    waiting, seen = [extra], set[str]()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for one in requirements:
            if one.applies(_NO_EXTRA) or not one.applies(current):
                continue
            if one.name == distribution:
                waiting.extend(canonical_name(name) for name in one.requirement.extras)
            else:
                yield one


def _unmet(reason: str, wanted: str) -> Status:
    return Status(state="unmet", code="plugin.unmet", reason=reason, fix=f"pip install '{wanted}'")


def _broken(candidate: Candidate, code: str, reason: str) -> Status:
    fix = f"tell the author of {candidate.distribution}, or pip uninstall {candidate.distribution}"
    return Status(state="broken", code=code, reason=reason, fix=fix)
