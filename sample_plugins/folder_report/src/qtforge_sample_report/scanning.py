"""Finding the files in a folder."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import Final

from qtforge_sample_report.messages import FoundFile, ScanResponse
from qtforge_sdk import OperationContext, OperationError

__all__ = ["scan"]

_PROGRESS_EVERY: Final = 100  # folders


def scan(path: Path, pattern: str, max_files: int, context: OperationContext) -> ScanResponse:
    """Return the files in a folder and below it, without following links.

    Args:
        path: The folder.
        pattern: Which names to take.
        max_files: The most that is accepted.
        context: Receives the progress, and has the deadline.

    Raises:
        OperationError: ``folder.not_found``, ``folder.not_a_folder``, ``folder.unreadable``,
            ``folder.too_many_files``, ``folder.out_of_time``.
    """
    root = _checked(path)
    files: list[FoundFile] = []
    waiting, skipped, seen = [root], 0, 0
    while waiting:
        folder = waiting.pop()
        try:
            below, found = _entries(folder, root, pattern)
        except OSError as error:
            if folder == root:
                raise _unreadable(root, error) from error
            skipped += 1
            continue
        waiting += below
        files += found
        seen += 1
        if len(files) > max_files:
            raise OperationError(
                "folder.too_many_files", f"{root} has more than {max_files} files", "",
                "name a smaller folder or a pattern, or raise max_files of folder-report",
            )  # fmt: skip
        if seen % _PROGRESS_EVERY == 0:
            context.progress(len(files), None, str(folder))
        if context.remaining_s() == 0:  # a thread can't be ended from outside
            raise OperationError("folder.out_of_time", f"{root} was not read to its end in time")
    return ScanResponse(
        folder=str(root), files=sorted(files, key=lambda file: file.path), skipped=skipped
    )


def _checked(path: Path) -> Path:
    try:
        root = path.resolve(strict=True)
    except FileNotFoundError as error:
        raise OperationError(
            "folder.not_found", f"{path} is not there", "no folder has this path",
            "check the path's spelling",
        ) from error  # fmt: skip
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not root.is_dir():
        raise OperationError(
            "folder.not_a_folder", f"{path} is not a folder", "a report is about a folder",
            f"name the folder that it is in: {root.parent}",
        )  # fmt: skip
    return root


def _entries(folder: Path, root: Path, pattern: str) -> tuple[list[Path], list[FoundFile]]:
    below: list[Path] = []
    found: list[FoundFile] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False) and fnmatch.fnmatch(entry.name, pattern):
                size_bytes = entry.stat(follow_symlinks=False).st_size
                # A name that is no text has no place in JSON or Markdown.
                name = os.fsencode(Path(entry.path).relative_to(root).as_posix())
                found.append(FoundFile(path=name.decode(errors="replace"), size_bytes=size_bytes))
    return below, found


def _unreadable(path: Path, error: Exception) -> OperationError:
    return OperationError(
        "folder.unreadable", f"{path} can't be read", str(error), "check its permissions"
    )
