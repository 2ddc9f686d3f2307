"""The names of the workflows in files, as they were read before, so that most need not be read.

To parse all definitions takes longer than a run of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from qtforge_host.file_states import FileState

__all__ = ["FileNames", "NamedFile"]


class NamedFile(msgspec.Struct, frozen=True, array_like=True):
    """A file with a workflow's definition.

    Attributes:
        state: The file as it was before it was read.
        name: The workflow's name.
    """

    state: FileState
    name: str


class FileNames:
    """Knows the names in files that are as they were.

    Args:
        known: Files that were read before, by their paths.

    Attributes:
        learnt: Files that were read now.
    """

    def __init__(self, known: Mapping[str, NamedFile] = {}) -> None:
        self._known = known
        self.learnt: list[NamedFile] = []

    def find(self, path: Path) -> str:
        """Return the name in a file; "" where it has to be read."""
        found = self._known.get(str(path))
        return found.name if found is not None and found.state.is_current() else ""

    def learn(self, state: FileState, name: str) -> None:
        """Note the name that was read in a file, with the file's state before."""
        if name and state.inode:
            self.learnt.append(NamedFile(state, name))
