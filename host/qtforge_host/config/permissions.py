"""Which files of the configuration other users can change or read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from qtforge_host.config.toml_files import managed_path

__all__ = ["changeable_by_others", "others_may_write", "readable_by_others"]

_WRITERS: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def changeable_by_others(config_path: Path) -> Iterator[Path]:
    """Give what the host takes its configuration from and other users can change.

    That is the configuration, the file that commands manage, the folder of both, in which others
    could make or replace them, and the folder ``workflows`` with its files.

    Args:
        config_path: The configuration; it need not exist.
    """
    workflows = config_path.parent / "workflows"
    try:
        definitions = sorted(workflows.glob("*.toml"))
    except OSError:
        definitions = []
    for path in (config_path, managed_path(config_path), workflows, *definitions):
        if _others_may_write(path):
            yield path
    folder = config_path.parent
    # In a folder such as /tmp others can't replace what is not theirs.
    if _others_may_write(folder) and not _status(folder).st_mode & stat.S_ISVTX:
        yield folder


def readable_by_others(path: Path) -> bool:
    """Return whether other users have any permission for a file."""
    return os.name == "posix" and path.exists() and bool(_status(path).st_mode & _OTHERS)


def _others_may_write(path: Path) -> bool:
    return others_may_write(_status(path))


def others_may_write(status: os.stat_result) -> bool:
    """Return whether other users can change a file or folder, by its status."""
    if os.name != "posix" or not status.st_mode:
        return False
    return bool(status.st_mode & _WRITERS) or status.st_uid not in (0, os.geteuid())


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError:
        return os.stat_result((0,) * 10)  # it is not there
