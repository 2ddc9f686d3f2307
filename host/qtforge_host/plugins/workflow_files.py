"""The files of the workflows that plugins declare by ``workflows = ("*.toml",)``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from qtforge_host.plugins.declarations import declared_by
from qtforge_host.workflows.catalog import folder_of

__all__ = ["declared_files", "files_in"]

_WILD: Final = frozenset("*?[")


def files_in(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files that names and patterns stand for, in their order, each once.

    Args:
        folder: The folder of the plugin's module.
        patterns: Names, which need not exist, and patterns, such as ``*.toml``; of one pattern
            the files are sorted.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        if _WILD.isdisjoint(pattern) or Path(pattern).is_absolute():
            found[folder / pattern] = None
        else:
            found.update(dict.fromkeys(sorted(folder.glob(pattern))))
    return list(found)


def declared_files(plugin: object) -> Sequence[Path]:
    """Return the files of the workflows that an imported plugin declares."""
    folder = folder_of(plugin)
    return () if folder is None else files_in(folder, declared_by(type(plugin)).workflows)
