"""The files of the workflows that plugins declare by ``workflows = ("*.toml",)``."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from qtforge_host.plugin_code import folder_of
from qtforge_host.plugins.declarations import declared_by

__all__ = ["WILD", "declared_files", "files_in"]

logger = logging.getLogger(__name__)

WILD: Final = frozenset("*?[")
_ANY_DEPTH: Final = "**"
_MOST_ENTRIES: Final = 10_000  # files and folders that one pattern looks at


def files_in(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files that names and patterns stand for, in their order, each once.

    A pattern below which there are more than 10,000 files and folders stands for nothing, and a
    warning says so: nobody is to wait for it.

    Args:
        folder: The folder of the plugin's module.
        patterns: Names, which need not exist, and patterns, such as ``*.toml``; of one pattern
            the files are sorted.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        if WILD.isdisjoint(pattern) or Path(pattern).is_absolute():
            found[folder / pattern] = None
            continue
        try:
            found.update(dict.fromkeys(sorted(_matching(folder, Path(pattern).parts))))
        except _TooManyError:
            logger.warning(
                "no workflow is read by the pattern '%s' in %s: it looks at more than %d files;"
                " name their folder",
                pattern,
                folder,
                _MOST_ENTRIES,
            )
    return list(found)


def declared_files(plugin: object) -> Sequence[Path]:
    """Return the files of the workflows that an imported plugin declares."""
    folder = folder_of(plugin)
    return () if folder is None else files_in(folder, declared_by(type(plugin)).workflows)


class _TooManyError(Exception):
    """A pattern looks at too many files."""


def _matching(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield what a pattern stands for; links to folders are not followed by ``**``."""
    seen, left = 0, [(folder, tuple(parts))]
    while left:
        place, (first, *rest) = left.pop()
        if WILD.isdisjoint(first):
            if rest:
                left.append((place / first, tuple(rest)))
            elif os.path.lexists(place / first):
                yield place / first
            continue
        if first == _ANY_DEPTH and rest:
            left.append((place, tuple(rest)))
        try:
            with os.scandir(place) as found:
                entries = list(itertools.islice(found, _MOST_ENTRIES + 1))
        except (OSError, ValueError):  # no folder
            continue
        seen += len(entries)
        if seen > _MOST_ENTRIES:
            raise _TooManyError
        for entry in entries:
            if first == _ANY_DEPTH:
                if rest and entry.is_dir(follow_symlinks=False):
                    left.append((place / entry.name, (first, *rest)))
            elif fnmatchcase(entry.name, first):
                if not rest:
                    yield place / entry.name
                elif entry.is_dir():
                    left.append((place / entry.name, tuple(rest)))
