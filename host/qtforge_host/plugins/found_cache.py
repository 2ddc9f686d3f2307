"""Keep what was found of the installed plugins, so that the next start need not look again.

The file is in the state directory. It counts only while everything is as it was that its content
was made from: the metadata of every distribution on ``sys.path``, the source of every plugin that
was read, the configuration, the failures of earlier starts, the Python, and this code. On any
doubt there is no cache: that costs time, and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from qtforge_host.config.permissions import others_may_write
from qtforge_host.config.settings import Settings
from qtforge_host.file_states import FileState
from qtforge_host.plugins.candidates import Candidate, EntryPoint, ScanProblem, Status
from qtforge_host.plugins.declarations import Declarations
from qtforge_host.plugins.offers import Offers
from qtforge_host.plugins.quarantine import FILE_NAME as FAILURES
from qtforge_host.workflows.file_names import NamedFile
from qtforge_sdk.files import write_atomically

__all__ = ["FILE_NAME", "Found", "FoundCache", "Listing"]

FILE_NAME: Final = "plugins-found.msgpack"
_FORMAT: Final = 3
_SEPARATORS: Final = re.compile(r"[-_.]+")
_MOST_BYTES: Final = 64 << 20
# A file that was changed so shortly before may be changed again without another time.
_SETTLED_NS: Final = 2_000_000_000
# There may be hundreds of distributions: no more files of each are looked at than tell a change.
# RECORD counts only where a distribution is there twice, of which nothing is kept.
_DIST_INFO: Final = ("", "/METADATA", "/entry_points.txt")
_EGG_INFO: Final = ("", "/PKG-INFO", "/requires.txt", "/entry_points.txt")
_NO_FILE: Final = (0, 0, 0, 0)


class _Candidate(msgspec.Struct, frozen=True, array_like=True):
    """A candidate, without what others of its distribution have as well."""

    name: str
    group: str
    value: str
    distribution: str
    version: str
    requires_dist: int  # the position of the lines in the document
    location: str
    metadata_path: str
    builtin: bool
    problem: Status | None
    extras: tuple[str, ...]


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a command has listed; see `listings`.

    Attributes:
        files: What it was made from besides what was found.
        environment: The same, of the environment.
        content: The listing.
    """

    files: tuple[FileState, ...]
    environment: str
    content: bytes


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of the installed plugins.

    Attributes:
        candidates: Every candidate of every group, in the order of the scan.
        accepted: The keys of the plugins that may load, requirements first.
        others: The keys of the accepted candidates of the other groups.
        rejected: Key to status of every candidate that may not load.
        refused: Those of them that no requirement has to do with.
        remembered: Key to the failure of each plugin whose last start failed.
        statuses: Key to the status in listings.
        needs: Key of each accepted plugin to the keys of those that start before it.
        declarations: What each plugin declares, by its key.
        providers: The other plugin distributions that each plugin's requires, by its key.
        offers: What each accepted plugin offers, by its key.
        kinds: The kind that each orchestrator executes, by its key, where its source tells.
        problems: Metadata that could not be read.
        host_version: The version of qtforge-host.
        loaded: The keys of candidates that have been loaded as they are installed.
        workflows: Files of definitions that were read, by their paths.
        listings: What commands have listed, by name.
    """

    candidates: tuple[Candidate, ...]
    accepted: tuple[str, ...]
    others: tuple[str, ...]
    rejected: Mapping[str, Status]
    refused: Mapping[str, Status]
    remembered: Mapping[str, Status]
    statuses: Mapping[str, Status]
    needs: Mapping[str, Sequence[str]]
    declarations: Mapping[str, Declarations]
    providers: Mapping[str, Sequence[str]]
    offers: Mapping[str, Offers]
    kinds: Mapping[str, str]
    problems: tuple[ScanProblem, ...]
    host_version: str
    loaded: frozenset[str] = frozenset()
    workflows: Mapping[str, NamedFile] = {}
    listings: Mapping[str, Listing] = {}


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file, after its format and the key.

    Attributes:
        files: The sources that were read, as they were before.
        requires_dist: The lines of each distribution.
        candidates: The candidates.
        found: What was found, without candidates.
    """

    files: tuple[FileState, ...]
    requires_dist: tuple[tuple[str, ...], ...]
    candidates: tuple[_Candidate, ...]
    found: Found


class FoundCache:
    """The file of one state directory, for one configuration.

    The key is taken when this is made: before anything is read that the cache is to stand for.

    Args:
        settings: The configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._path: Final = settings.state_dir / FILE_NAME
        self._began_ns: Final = time.time_ns()
        self._newest_ns = 0
        self._key: Final = self._make_key(settings)
        self._files: tuple[FileState, ...] = ()
        self._is_kept = False  # whether the file has what was found

    def read(self) -> Found | None:
        """Return what was found before; None where something has changed since, or on any doubt."""
        if self._key is None:
            return None
        try:
            with _opened(self._path) as file:
                head = file.read(len(_head(self._key)))
                if head != _head(self._key):
                    return None
                document = msgspec.msgpack.decode(file.read(_MOST_BYTES), type=_Document)
        except (OSError, ValueError, RecursionError):  # not there, or damaged
            return None
        if not all(each.is_current() for each in document.files):
            return None
        try:
            candidates = tuple(
                _restored(each, document.requires_dist) for each in document.candidates
            )
        except IndexError:
            return None
        self._files, self._is_kept = document.files, True
        return msgspec.structs.replace(document.found, candidates=candidates)

    def write(self, found: Found, files: Iterable[FileState]) -> None:
        """Keep what was found; nothing is kept where there is no state directory.

        Args:
            found: What was found.
            files: The sources that were read for it, as they were before.
        """
        self._files = tuple(dict.fromkeys(files))
        newest = max((each.ctime_ns for each in self._files), default=0)
        if max(newest, self._newest_ns) <= self._began_ns - _SETTLED_NS:
            self._write(found)

    def add(
        self,
        found: Found,
        loaded: Iterable[str],
        workflows: Iterable[NamedFile],
        listings: Mapping[str, Listing],
    ) -> None:
        """Keep what a process has learnt, besides what was found.

        Args:
            found: What was read or written.
            loaded: The keys of the candidates that it has loaded.
            workflows: The files of definitions that it has read, as they were before.
            listings: What it has listed, by name.
        """
        settled = self._began_ns - _SETTLED_NS
        named = {one.state.path: one for one in workflows if one.state.ctime_ns <= settled}
        listed = {
            name: each
            for name, each in listings.items()
            if all(file.ctime_ns <= settled for file in each.files)
        }
        learnt = msgspec.structs.replace(
            found,
            loaded=found.loaded | frozenset(loaded),
            workflows={**found.workflows, **named},
            listings={**found.listings, **listed},
        )
        if self._is_kept and learnt != found:
            self._write(learnt)

    def _write(self, found: Found) -> None:
        if self._key is None or not self._path.parent.is_dir():
            return
        lines = tuple(dict.fromkeys(each.requires_dist for each in found.candidates))
        document = _Document(
            files=self._files,
            requires_dist=lines,
            candidates=tuple(_stored(each, lines) for each in found.candidates),
            found=msgspec.structs.replace(found, candidates=()),
        )
        # Not written, the next start looks again: the disk may be full, a path may be no UTF-8.
        with contextlib.suppress(OSError, UnicodeError):
            write_atomically(self._path, _head(self._key) + msgspec.msgpack.encode(document))
            self._is_kept = True

    def _make_key(self, settings: Settings) -> bytes | None:
        """Return what stands for everything but the sources; None where it cannot be determined."""
        try:
            parts = [*self._parts(settings)]
        except _DoubtError:
            return None
        # Not a digest of it: hashlib takes longer to import than this takes to compare.
        return repr(parts).encode(errors="backslashreplace")

    def _parts(self, settings: Settings) -> Iterator[object]:
        yield sys.version, sys.platform, os.name, sys.prefix
        yield os.uname() if hasattr(os, "uname") else ""
        yield settings.block, settings.safe_mode, settings.quarantine_after
        yield None if settings.only is None else sorted(settings.only)
        for name, said in sorted(settings.plugins.items()):
            yield name, said.enabled, said.distribution
        yield _content(settings.state_dir / FAILURES)
        own = os.path.dirname(__file__)
        for file in sorted(os.listdir(own)):  # this code
            if file.endswith(".py"):
                yield self._state(f"{own}{os.sep}{file}")
        yield from self._finders()
        for place in sys.path:
            yield from self._distributions(place)

    def _finders(self) -> Iterator[object]:
        for finder in sys.meta_path:
            kind = finder if isinstance(finder, type) else type(finder)
            if kind.__module__.startswith("qtforge_host."):  # finds no plugin, and comes and goes
                continue
            if finder is not PathFinder and hasattr(finder, "find_distributions"):
                raise _DoubtError  # it knows distributions that nothing here looks at
            file = getattr(sys.modules.get(kind.__module__), "__file__", None)
            yield kind.__module__, kind.__qualname__, file and self._state(file)

    def _distributions(self, place: str) -> Iterator[object]:
        yield place
        folder = os.path.abspath(place or ".")
        try:
            names = sorted(os.listdir(folder))
        except OSError:  # a zip file, or nothing
            yield self._state(folder)
            return
        found: set[str] = set()
        for name in names:
            suffix = name[-9:].lower()
            if not suffix.endswith(("dist-info", "egg-info")):
                continue
            stem = name.partition("-")[0].lower()
            if not stem.isalnum():
                stem = _SEPARATORS.sub("-", stem)
            if stem in found:  # which of them counts depends on their modules
                raise _DoubtError
            found.add(stem)
            yield name
            path = f"{folder}{os.sep}{name}"
            for each in _DIST_INFO if suffix == "dist-info" else _EGG_INFO:
                yield self._state(path + each)

    def _state(self, path: str) -> tuple[int, int, int, int]:
        """Return a file's state, as a plain tuple: there are a thousand of them."""
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return _NO_FILE
        self._newest_ns = max(self._newest_ns, found.st_ctime_ns)
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _DoubtError(Exception):
    """What is installed cannot be determined without asking others."""


def _opened(path: Path) -> BinaryIO:
    """Open the file to read it, if nobody else can write it: it names code that is executed.

    Raises:
        OSError: It can't be opened, or others can change it.
    """
    # What is no file, such as a pipe, would wait for whoever writes it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    file = os.fdopen(descriptor, "rb")
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or others_may_write(status):
        file.close()
        raise PermissionError(errno.EPERM, "it is no file of this user alone", str(path))
    return file


def _head(key: bytes) -> bytes:
    """Return what the file begins with: what has changed is seen before the rest is read."""
    return b"%d %d\n%b\n" % (_FORMAT, len(key), key)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""


def _stored(candidate: Candidate, lines: Sequence[tuple[str, ...]]) -> _Candidate:
    return _Candidate(
        candidate.name,
        candidate.group,
        candidate.entry_point.value,
        candidate.distribution,
        candidate.version,
        lines.index(candidate.requires_dist),
        candidate.location,
        candidate.metadata_path,
        candidate.builtin,
        candidate.problem,
        candidate.extras,
    )


def _restored(stored: _Candidate, lines: Sequence[tuple[str, ...]]) -> Candidate:
    return Candidate(
        name=stored.name,
        group=stored.group,
        entry_point=EntryPoint(stored.name, stored.value, stored.group),
        distribution=stored.distribution,
        version=stored.version,
        requires_dist=lines[stored.requires_dist],
        location=stored.location,
        metadata_path=stored.metadata_path,
        builtin=stored.builtin,
        problem=stored.problem,
        extras=stored.extras,
    )
