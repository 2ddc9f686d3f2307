"""The files that a listing of topics or workflows depends on, besides what was found of plugins.

What may change without a file, such as another node's plugins, is not kept; neither is what
plugins contribute by code.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import qtforge_host
import qtforge_sdk
from qtforge_host.config.settings import Settings
from qtforge_host.config.toml_files import managed_path
from qtforge_host.file_states import FileState
from qtforge_host.plugins.candidates import ORCHESTRATOR_GROUP, Candidate
from qtforge_host.plugins.declarations import source_folder
from qtforge_host.plugins.found_cache import Listing
from qtforge_host.plugins.listings import environment_of, is_kept_for
from qtforge_host.plugins.resolution import Installed
from qtforge_host.plugins.start_reasons import reasons_to_start
from qtforge_host.plugins.workflow_files import WILD, files_in

__all__ = ["make_listing"]

_MOST_FILES: Final = 5_000


def make_listing(settings: Settings, installed: Installed, content: bytes) -> Listing | None:
    """Return a listing with what it depends on; None where that is not only files.

    Args:
        settings: The configuration.
        installed: What is installed.
        content: The listing.
    """
    if not is_kept_for(settings):
        return None
    if reasons_to_start(installed.resolution, installed.offers, "asked"):
        return None  # what such plugins contribute is known to their code alone
    paths: dict[Path, None] = {}
    try:
        for each in _paths(settings, installed):
            paths[each] = None
            if len(paths) > _MOST_FILES:
                return None
    except _UnknownError:
        return None
    files = tuple(FileState.of(str(each)) for each in paths)
    return Listing(files=files, environment=environment_of(settings), content=content)


class _UnknownError(Exception):
    """It can't be told on which files something depends."""


def _paths(settings: Settings, installed: Installed) -> Iterator[Path]:
    """Give the files and folders whose change may change a listing.

    Raises:
        _UnknownError: They are not known.
    """
    yield from (settings.config_path, managed_path(settings.config_path))
    yield from map(Path, filter(None, os.environ.get("PATH", "").split(os.pathsep)))
    own = settings.config_path.parent / "workflows"
    yield own
    yield from own.glob("*.toml")
    resolution = installed.resolution
    for one in resolution.accepted:
        patterns = resolution.declarations[one.key].workflows
        yield from _definitions(Path(installed.offers[one.key].folder), patterns)
    orchestrators = [one for one in resolution.others if one.group == ORCHESTRATOR_GROUP]
    seen: set[Path] = set()
    for one in [*resolution.accepted, *orchestrators]:
        yield from _sources_of(one, seen)
        if one.builtin:
            for package in (qtforge_host, qtforge_sdk):
                yield from _sources(Path(str(package.__file__)).parent, one, seen)


def _definitions(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        parent = (folder / pattern).parent
        if not WILD.isdisjoint(str(parent)):
            raise _UnknownError
        yield parent
    yield from files_in(folder, patterns)


def _sources_of(one: Candidate, seen: set[Path]) -> Iterator[Path]:
    folder = source_folder(one)
    if folder is None:
        raise _UnknownError
    yield from _sources(folder, one, seen)


def _sources(folder: Path, one: Candidate, seen: set[Path]) -> Iterator[Path]:
    """Give the sources in a folder, unless the distribution's metadata changes with them."""
    metadata = Path(one.metadata_path)
    is_copied = metadata.suffix == ".dist-info" and folder.is_relative_to(metadata.parent)
    if folder in seen or is_copied:
        return
    seen.add(folder)
    if folder.is_file():  # a module, which may import those beside it
        yield folder.parent
        yield from folder.parent.glob("*.py")
        return
    yield folder
    for path in folder.rglob("*"):
        if path.suffix == ".py" or path.is_dir():
            yield path
