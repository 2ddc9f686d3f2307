"""The state of a file on the disk, by which a later change of it is noticed."""

from __future__ import annotations

import os

import msgspec

__all__ = ["FileState"]


class FileState(msgspec.Struct, frozen=True, array_like=True):
    """A file or a folder as it was at a time.

    The time of the last change of its inode (ctime) can't be set back, as that of its content can.

    Attributes:
        path: Its path.
        inode: Its number; 0 for a file that is not there, as the following.
        size: In bytes.
        mtime_ns: The last change of the content, in nanoseconds.
        ctime_ns: The last change of the inode, in nanoseconds.
    """

    path: str
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0

    @classmethod
    def of(cls, path: str) -> FileState:
        """Return the state of a file now."""
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return cls(path)
        return cls(path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def is_current(self) -> bool:
        """Return whether the file is as it was."""
        return FileState.of(self.path) == self
