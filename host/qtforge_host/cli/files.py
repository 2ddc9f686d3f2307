"""The files that a command's paths name; folders are walked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

__all__ = ["MOST_FILES", "files_of"]

MOST_FILES: Final = 10_000


def files_of(paths: Iterable[str], most: int = MOST_FILES) -> list[str]:
    """Return the paths, each folder replaced by the files in it and below, sorted by name.

    Hidden files and folders, links to folders and what is no regular file are left out of a
    folder. A folder that can't be listed stands for itself, so that whoever reads it says why.

    Args:
        paths: Of files and folders; what does not exist is kept.
        most: At most so many files.

    Returns:
        Each once, in the order of the paths.

    Raises:
        click.UsageError: There are none, or too many.
    """
    found: dict[str, None] = {}
    for path in paths:
        for file in _walk(path) if Path(path).is_dir() else (path,):
            found[file] = None
            if len(found) > most:
                raise click.UsageError(f"there are more than {most:,} files; name fewer at a time")
    if not found:
        raise click.UsageError(f"there is no file in {', '.join(paths)}")
    return list(found)


def _walk(folder: str) -> Iterator[str]:
    unlisted: list[str] = []
    walked = os.walk(folder, onerror=lambda error: unlisted.append(str(error.filename)))
    for place, folders, names in walked:
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(place, name).is_file():
                yield os.path.join(place, name)
    yield from unlisted
