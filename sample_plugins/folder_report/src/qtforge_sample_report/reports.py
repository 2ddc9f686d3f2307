"""Reports as files: written whole or not at all, and removed again."""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from qtforge_sample_report.messages import FoundFile
from qtforge_sdk import OperationError

__all__ = ["by_kind", "in_words", "remove", "render", "write"]

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#])")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def write(folder: Path, report_id: str, text: str) -> Path:
    """Write a report and return its path; one of this id is replaced.

    Raises:
        OperationError: ``report.bad_id``, ``report.not_written``.
    """
    path = _path(folder, report_id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{report_id}-", dir=folder)
        try:
            with open(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OperationError(
            "report.not_written", f"the report {path} can't be written", str(error),
            "check the folder's permissions, or set reports in the configuration of folder-report",
        ) from error  # fmt: skip
    return path


def remove(folder: Path, report_id: str) -> bool:
    """Remove a report and return whether it was there.

    Raises:
        OperationError: ``report.bad_id``, ``report.not_removed``.
    """
    path = _path(folder, report_id)
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise OperationError(
            "report.not_removed", f"the report {path} can't be removed", str(error),
            "remove it by hand",
        ) from error  # fmt: skip
    return True


def render(folder: str, files: Sequence[FoundFile], largest: int) -> str:
    """Return a report as Markdown.

    Args:
        folder: For the title.
        files: What it is about.
        largest: How many of the largest files to list.
    """
    total_bytes = sum(file.size_bytes for file in files)
    lines = [
        f"# {_escaped(folder)}", "", f"{in_words(len(files))}, {total_bytes:,} bytes", "",
        "| kind | files | bytes |", "|---|---:|---:|",
    ]  # fmt: skip
    lines += [
        f"| {_escaped(kind)} | {count:,} | {size_bytes:,} |"
        for kind, count, size_bytes in by_kind(files)
    ]
    lines += ["", "| largest | bytes |", "|---|---:|"]
    lines += [
        f"| {_escaped(file.path)} | {file.size_bytes:,} |"
        for file in sorted(files, key=lambda file: (-file.size_bytes, file.path))[:largest]
    ]
    return "\n".join(lines) + "\n"


def by_kind(files: Sequence[FoundFile]) -> list[tuple[str, int, int]]:
    """Return kind, number of files and bytes, the most bytes first."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for file in files:
        kind = PurePosixPath(file.path).suffix.lower() or "(none)"
        counts[kind] += 1
        sizes[kind] += file.size_bytes
    return sorted(
        ((kind, counts[kind], sizes[kind]) for kind in counts), key=lambda row: (-row[2], row[0])
    )


def in_words(files: int) -> str:
    """Return a number of files for people.

    >>> in_words(1), in_words(1200)
    ('1 file', '1,200 files')
    """
    return "1 file" if files == 1 else f"{files:,} files"


def _path(folder: Path, report_id: str) -> Path:
    # It becomes a file's name, so it must not be able to leave the folder.
    if _ID.fullmatch(report_id) is None:
        raise OperationError(
            "report.bad_id", f"'{report_id}' can't name a report", "it becomes a file's name",
            "use letters, digits, '_' and '-', at most 100",
        )  # fmt: skip
    return folder / f"{report_id}.md"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))
