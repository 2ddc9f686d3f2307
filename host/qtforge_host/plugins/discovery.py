"""Find plugins in the metadata of installed distributions, without importing them.

This follows the entry points and core metadata specifications of packaging.python.org. Most
distributions have no entry point for this host; of those only ``entry_points.txt`` is read, and
METADATA is parsed only where there is one.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import email
import hashlib
import importlib
import importlib.metadata
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import Distribution
from importlib.metadata import EntryPoint as InstalledEntryPoint
from pathlib import Path, PurePath
from typing import Final, NamedTuple

from qtforge_host.plugins.candidates import (
    GROUPS,
    HOST_DISTRIBUTION,
    PLUGIN_GROUP,
    Candidate,
    EntryPoint,
    Scan,
    ScanProblem,
    Status,
    canonical_name,
)

__all__ = ["Candidate", "Scan", "ScanProblem", "installed_version", "scan", "scan_distribution"]

_MODULES: Final = 1000  # of a distribution that are compared with its RECORD


def scan(path: Sequence[str] | None = None) -> Scan:
    """Find every candidate on the path, as it is on the disk now.

    Of several distributions with one canonical name the first on the path is used, as an
    import would.

    Args:
        path: Folders and zip files to search; None means ``sys.path``.
    """
    # A reinstall within the clock's resolution does not change a folder's mtime. Called on an
    # instance, because it is not a classmethod in Python 3.11.
    importlib.metadata.MetadataPathFinder().invalidate_caches()
    importlib.invalidate_caches()
    installed: dict[str, Distribution] = {}
    candidates: list[Candidate] = []
    problems: list[ScanProblem] = []
    for found in _distributions(path):
        if isinstance(found, ScanProblem):
            problems.append(found)
            continue
        try:
            name = _distribution_name(found)
            if not name or name.startswith("~"):
                continue  # pip leaves a "~" name after an interrupted uninstall
            if name in installed:
                if not _is_leftover(installed[name]) and not _is_newer_beside(
                    found, installed[name]
                ):
                    continue
                left = str(getattr(installed[name], "_path", ""))
                candidates = [each for each in candidates if each.metadata_path != left]
            installed[name] = found
            text = found.read_text("entry_points.txt")
            if text is not None and "qtforge." in text:
                candidates.extend(_candidates(name, found, text))
        except Exception as error:  # noqa: BLE001  foreign metadata; the others are still read
            problems.append(_unreadable(found, error))
    candidates.sort(key=lambda candidate: (candidate.name, candidate.distribution, candidate.group))
    return Scan(
        candidates=tuple(candidates),
        distributions=_InstalledVersions(installed),
        problems=tuple(problems),
    )


class _InstalledVersions(Mapping[str, str]):
    """Canonical name to version; a version is read on first access."""

    def __init__(self, distributions: Mapping[str, Distribution]) -> None:
        self._distributions = distributions
        self._known: dict[str, str] = {}  # many plugins ask for the same ones

    def __getitem__(self, name: str) -> str:
        version = self._known.get(name)
        if version is None:
            try:
                version = _headers(self._distributions[name]).version
            except (OSError, ValueError):
                version = ""
            self._known[name] = version
        return version

    def __contains__(self, name: object) -> bool:
        return name in self._distributions

    def __iter__(self) -> Iterator[str]:
        return iter(self._distributions)

    def __len__(self) -> int:
        return len(self._distributions)


class _Headers(NamedTuple):
    """The fields of METADATA that are used here."""

    name: str
    version: str
    requires_dist: tuple[str, ...]


def _distributions(path: Sequence[str] | None) -> Iterator[Distribution | ScanProblem]:
    """Yield distributions; an exception of a finder becomes a problem."""
    found = iter(
        importlib.metadata.distributions()
        if path is None
        else importlib.metadata.distributions(path=list(path))
    )
    failed_before = False
    while True:
        try:
            distribution = next(found)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001  a foreign finder on sys.meta_path
            yield ScanProblem(
                where="sys.meta_path",
                reason=f"a metadata finder raised {type(error).__name__}: {error}",
                fix="remove or fix the package that installs the finder",
            )
            if failed_before:  # it would fail again
                return
            failed_before = True
            continue
        failed_before = False
        yield distribution


def scan_distribution(name: str) -> tuple[Candidate, ...]:
    """Return the candidates of one installed distribution, and look at no other.

    Args:
        name: The distribution's canonical name.

    Raises:
        importlib.metadata.PackageNotFoundError: It is not installed.
    """
    found = _installed(name)
    return tuple(_candidates(name, found, found.read_text("entry_points.txt") or ""))


def installed_version(name: str) -> str:
    """Return the version of an installed distribution; a leftover of an uninstall is none.

    Args:
        name: The distribution's name.

    Raises:
        importlib.metadata.PackageNotFoundError: It is not installed.
    """
    return _headers(_installed(name)).version


def _installed(name: str) -> Distribution:
    chosen: Distribution | None = None
    for found in importlib.metadata.distributions(name=name):
        if not _is_leftover(found) and (chosen is None or _is_newer_beside(found, chosen)):
            chosen = found
    if chosen is None:
        raise importlib.metadata.PackageNotFoundError(name)
    return chosen


def _distribution_name(distribution: Distribution) -> str:
    # Taken from the folder's name where possible, without parsing METADATA.
    name = getattr(distribution, "_normalized_name", None)
    stem = PurePath(str(getattr(distribution, "_path", ""))).stem
    # A name in a folder's name has no "-": an installer that leaves it cuts the name short.
    if not isinstance(name, str) or stem.count("-") > 1:
        name = _headers(distribution).name
    return canonical_name(name)


def _is_leftover(distribution: Distribution) -> bool:
    """Return whether an uninstall has left only the folder: another of the name counts."""
    return distribution.read_text("METADATA") is None and (
        distribution.read_text("PKG-INFO") is None
    )


def _is_newer_beside(one: Distribution, other: Distribution) -> bool:
    """Return whether a distribution has taken the place of another of its name, in one folder.

    pip's ``--target`` leaves the metadata of the version before beside the new. With
    ``--upgrade`` it replaces the modules, without it does not: RECORD tells whose they are.
    """
    path, before = getattr(one, "_path", None), getattr(other, "_path", None)
    if not isinstance(path, Path) or not isinstance(before, Path) or path.parent != before.parent:
        return False
    if _is_leftover(one):
        return False
    return (_has_its_modules(path), _installed_at(path)) > (
        _has_its_modules(before),
        _installed_at(before),
    )


def _has_its_modules(metadata: Path) -> bool:
    """Return whether the modules beside a distribution's metadata are those of its RECORD."""
    try:
        lines = (metadata / "RECORD").read_text(encoding="utf-8").splitlines()
        for file, digest, *_ in itertools.islice(csv.reader(lines), _MODULES):
            if file.endswith(".py") and digest.startswith("sha256="):
                found = hashlib.sha256((metadata.parent / file).read_bytes()).digest()
                if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != digest[7:]:
                    return False
    except (OSError, ValueError, csv.Error):
        return False
    return True


def _installed_at(metadata: Path) -> int:
    """Return when a distribution was installed, in nanoseconds; 0 where that is not known."""
    times = []
    for name in ("RECORD", "METADATA", "PKG-INFO"):
        with contextlib.suppress(OSError):
            times.append((metadata / name).stat().st_mtime_ns)
    return max(times, default=0)


def _headers(distribution: Distribution) -> _Headers:
    """Read METADATA (or an egg's PKG-INFO).

    Raises:
        FileNotFoundError: There is neither.
        ValueError: It has no name or no version, or is not UTF-8.
    """
    text = distribution.read_text("METADATA")
    if text is not None:
        # The long description follows the first blank line and is not needed.
        headers = email.message_from_string(text.replace("\r\n", "\n").split("\n\n", 1)[0])
        requires = headers.get_all("Requires-Dist", [])
    else:
        text = distribution.read_text("PKG-INFO")
        if text is None:
            raise FileNotFoundError("METADATA is missing")
        headers = email.message_from_string(text)
        requires = distribution.requires or []
    name, version = headers["Name"], headers["Version"]
    if not name or not version:
        raise ValueError(f"METADATA has no {'Version' if name else 'Name'}")
    return _Headers(str(name), str(version), tuple(str(line) for line in requires))


def _candidates(name: str, distribution: Distribution, text: str) -> Iterator[Candidate]:
    location = str(distribution.locate_file(""))
    metadata_path = str(getattr(distribution, "_path", ""))
    headers, problem = _headers_or_problem(name, distribution)
    if headers is not None:
        name = canonical_name(headers.name)
    try:
        entry_points = _own_entry_points(distribution)
    except Exception as error:  # foreign text; importlib may raise anything
        if not any(f"[{group}]" in text for group in GROUPS):
            raise  # groups of another host: a problem of the scan, not of a plugin
        entry_points = (EntryPoint(name=name, value="", group=PLUGIN_GROUP),)
        problem = Status(
            state="broken",
            code="plugin.invalid_entry_points",
            reason=f"the entry_points.txt of {name} can't be read: {error}",
            fix=f"pip install --force-reinstall {name}, or tell its author",
        )
    for entry_point in entry_points:
        yield Candidate(
            name=entry_point.name,
            group=entry_point.group,
            entry_point=entry_point,
            distribution=name,
            version=headers.version if headers else "",
            requires_dist=headers.requires_dist if headers else (),
            location=location,
            metadata_path=metadata_path,
            builtin=name == HOST_DISTRIBUTION,
            problem=problem or _entry_point_problem(name, entry_point),
            extras=_extras(entry_point),
        )


def _own_entry_points(distribution: Distribution) -> tuple[EntryPoint, ...]:
    unique: dict[tuple[str, str], EntryPoint] = {}
    for each in distribution.entry_points:
        if each.group in GROUPS:
            found = EntryPoint(each.name, each.value, each.group)
            unique.setdefault((each.group, each.name), found)
    return tuple(unique.values())


def _headers_or_problem(
    name: str, distribution: Distribution
) -> tuple[_Headers | None, Status | None]:
    try:
        return _headers(distribution), None
    except FileNotFoundError:
        code, reason = "plugin.missing_metadata", f"the METADATA of {name} is missing"
    except (OSError, ValueError) as error:
        code, reason = "plugin.invalid_metadata", f"the METADATA of {name} can't be read: {error}"
    return None, Status(
        state="broken", code=code, reason=reason, fix=f"pip install --force-reinstall {name}"
    )


def _entry_point_problem(name: str, entry_point: EntryPoint) -> Status | None:
    match = InstalledEntryPoint.pattern.match(entry_point.value)
    if match is not None and match.group("attr"):
        return None
    return Status(
        state="broken",
        code="plugin.invalid_entry_points",
        reason=f"'{entry_point.name} = {entry_point.value}' does not name a class as module:Class",
        fix=f"fix the entry point in the pyproject.toml of {name}",
    )


def _extras(entry_point: EntryPoint) -> tuple[str, ...]:
    # EntryPoint.extras splits "a-b" in two before Python 3.12.
    _, bracket, rest = entry_point.value.partition("[")
    if not bracket:
        return ()
    names = rest.partition("]")[0].split(",")
    return tuple(canonical_name(name.strip()) for name in names if name.strip())


def _unreadable(distribution: Distribution, error: Exception) -> ScanProblem:
    where = PurePath(os.fspath(str(getattr(distribution, "_path", distribution)))).name
    return ScanProblem(
        where=where,
        reason=f"its metadata can't be read: {type(error).__name__}: {error}",
        fix="reinstall that distribution; it is not used by the host",
    )
