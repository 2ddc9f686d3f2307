"""The files that sources may read: regular ones below the configured folders, links resolved."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from qtforge_sdk.errors import OperationError

__all__ = ["AllowedPaths"]

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# They show the system as files; a root such as / does not include them.
_SYSTEM: Final = (Path("/proc"), Path("/sys"))


class AllowedPaths:
    """The folders that files are read from.

    Args:
        folders: Their paths, relative to the working directory; ``~`` is the home.
        plugin: The plugin that they are configured for, for error texts.
    """

    def __init__(self, folders: Sequence[str], plugin: str) -> None:
        self.folders = tuple(Path(each).expanduser().resolve() for each in folders)
        self._plugin = plugin

    def absolute(self, path: str) -> Path:
        """Return an absolute path; a relative one is below the first root.

        Links and ``..`` are not resolved.

        Raises:
            OperationError: ``file.not_found``: no file can have this path.
        """
        if not path or "\0" in path:
            raise _not_found(path, "it is not the path of a file")
        return self.folders[0] / Path(path).expanduser()

    def file(self, path: Path) -> Path:
        """Return the resolved path of a regular file below the roots.

        Args:
            path: From `absolute`, or found below one.

        Raises:
            OperationError: ``file.outside_roots``, ``file.not_found``, ``file.not_regular``
                or ``file.unreadable``.
        """
        try:
            # Links are resolved before the file is examined, so that nothing is revealed
            # about files outside, not even whether they exist.
            real = path.resolve()
            self._check_below(path, real)
            mode = real.stat().st_mode
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _not_found(str(path), "no file has this path") from error
        except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
            raise _unreadable(path, error) from error
        if not stat.S_ISREG(mode):
            kind = next((name for test, name in _KINDS if test(mode)), "no regular file")
            raise OperationError(
                "file.not_regular",
                f"{path} can't be read as a file",
                f"it is {kind}",
                "name a file, or files by a pattern such as data/*.csv",
                retryable=False,
            )
        if not os.access(real, os.R_OK):
            raise _unreadable(path, PermissionError("this user may not read it"))
        return real

    def check(self, folder: Path) -> None:
        """Check that a folder, with its links resolved, is below the roots.

        Raises:
            OperationError: ``file.outside_roots``.
        """
        self._check_below(folder, folder.resolve())

    def name_of(self, path: Path) -> str:
        """Return a file's name for display: its path relative to its root, if it has one."""
        for folder in self.folders:
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return str(path)

    def _check_below(self, path: Path, real: Path) -> None:
        below = any(real.is_relative_to(folder) for folder in self.folders)
        system = any(real.is_relative_to(each) for each in _SYSTEM)
        if below and not system:
            return
        shown = ", ".join(map(str, self.folders))
        why = f"it is not below {shown}" if not below else "it belongs to the system"
        raise OperationError(
            "file.outside_roots",
            f"{path} may not be read",
            why,
            f"add its folder to roots in [plugins.{self._plugin}.config]",
            retryable=False,
        )


def _not_found(path: str, why: str) -> OperationError:
    fix = "check the path's spelling; a relative one is below the first root"
    return OperationError("file.not_found", f"{path} does not exist", why, fix, retryable=False)


def _unreadable(path: Path, error: Exception) -> OperationError:
    why = getattr(error, "strerror", None) or str(error)
    fix = "check the permissions of the file and its folders"
    return OperationError("file.unreadable", f"{path} can't be read", why, fix, retryable=False)
