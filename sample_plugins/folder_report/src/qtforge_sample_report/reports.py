"""Reports as files: written whole or not at all, and removed again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from qtforge_sample_report.messages import FoundFile
from qtforge_sdk import OperationError
from qtforge_sdk.plugin_files import PluginFiles

__all__ = ["by_kind", "in_words", "remove", "render", "write"]

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#])")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


async def write(files: PluginFiles, report_id: str, text: str) -> str:
    """Write a report and return where it is; one of this id is replaced.

    Raises:
        OperationError: ``report.bad_id``, ``report.not_written``.
    """
    name = _name(report_id)
    try:
        await files.write(name, text.encode())
    except OperationError as error:
        raise OperationError(
            "report.not_written", f"the report {files.where}/{name} can't be written", str(error),
            "check the folder's permissions, or set reports in the configuration of folder-report",
            retryable=error.retryable,
        ) from error  # fmt: skip
    return f"{files.where}/{name}"


async def remove(files: PluginFiles, report_id: str) -> bool:
    """Remove a report and return whether it was there.

    Raises:
        OperationError: ``report.bad_id``, ``report.not_removed``.
    """
    name = _name(report_id)
    try:
        was_there = await files.exists(name)
        await files.delete(name)
    except OperationError as error:
        raise OperationError(
            "report.not_removed", f"the report {files.where}/{name} can't be removed", str(error),
            "remove it by hand", retryable=error.retryable,
        ) from error  # fmt: skip
    return was_there


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


def _name(report_id: str) -> str:
    if _ID.fullmatch(report_id) is None:
        raise OperationError(
            "report.bad_id", f"'{report_id}' can't name a report", "it becomes a file's name",
            "use letters, digits, '_' and '-', at most 100",
        )  # fmt: skip
    return f"{report_id}.md"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))
