"""Find the files of a source, each below the roots and of a known format."""

from __future__ import annotations

import glob
import itertools
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from qtforge_builtin_plugins.collectors.allowed_paths import AllowedPaths
from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.files.settings import FileFormat
from qtforge_sdk.errors import OperationError

__all__ = ["FoundFile", "find", "invalid"]

SUFFIXES: Final[Mapping[str, FileFormat]] = MappingProxyType(
    {
        ".csv": "csv", ".tsv": "csv",
        ".json": "json",
        ".jsonl": "jsonl", ".ndjson": "jsonl",
        ".parquet": "parquet", ".pq": "parquet",
        ".xlsx": "excel", ".xlsm": "excel", ".xlsb": "excel", ".xls": "excel", ".ods": "excel",
        ".toml": "toml",
    }
)  # fmt: skip
_PACKABLE: Final = ("csv", "json", "jsonl")


class FoundFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a source.

    Attributes:
        path: The resolved path.
        name: The name in rows and errors: relative to its root if it has one.
        format: The format.
        packed: Whether it is compressed by gzip.
        tabs: Whether its suffix means that values are separated by tabs.
    """

    path: Path
    name: str
    format: FileFormat
    packed: bool
    tabs: bool


def find(
    endpoint: str, roots: AllowedPaths, wanted: FileFormat | None, most: int, interrupt: Interrupt
) -> list[FoundFile]:
    """Return the files that a path or a pattern names, in the order of their paths.

    Args:
        endpoint: A path, a pattern with ``*``, ``?``, ``[...]`` or ``**``, or a ``file:`` URL.
        roots: The paths that they may have.
        wanted: Their format; None to take it from the suffix.
        most: The most files that may match.
        interrupt: Cancels the search.

    Raises:
        OperationError: ``file.unknown_format``, ``file.too_many``; those of `AllowedPaths`.
    """
    text = _path_of(endpoint)
    path = roots.absolute(text)
    # A file's name may contain wildcards.
    if not glob.has_magic(text) or path.is_file():
        paths = [path]
    else:
        paths = _matching(Path(text).expanduser(), roots, most, interrupt)
    found = [_found(each, roots, wanted) for each in paths]
    formats = sorted({each.format for each in found})
    if len(formats) > 1:
        raise OperationError(
            "file.unknown_format",
            f"the files of {endpoint} are of different formats",
            f"they are {' and '.join(formats)}",
            f"make a source of each format, with a pattern such as *.{formats[0]}",
            retryable=False,
        )
    return found


def invalid(file: FoundFile, why: str, line: int | None = None, fix: str = "") -> OperationError:
    """Return the error of a file that does not match its format.

    Args:
        file: The file.
        why: What is wrong.
        line: The line, from 1, or None.
        fix: How to fix it.
    """
    where = file.name if line is None else f"{file.name}, line {line}"
    what = f"{where}: it is no valid {file.format}"
    return OperationError("file.invalid", what, why, fix, retryable=False)


def _path_of(endpoint: str) -> str:
    scheme, _, _ = endpoint.partition("://")
    if scheme == endpoint:
        return endpoint
    if scheme.lower() != "file":
        raise OperationError(
            "file.not_found", f"{endpoint} is not a file", f"it begins with {scheme}://",
            "write a path, or use another type of source", retryable=False,
        )  # fmt: skip
    return urllib.request.url2pathname(urllib.parse.urlsplit(endpoint).path)


def _matching(pattern: Path, roots: AllowedPaths, most: int, interrupt: Interrupt) -> list[Path]:
    # Not as one text: a root's own name may contain wildcards.
    tops = [*roots.folders, Path(pattern.anchor)] if pattern.is_absolute() else []
    top = next((each for each in tops if pattern.is_relative_to(each)), roots.folders[0])
    parts = (pattern.relative_to(top) if tops else pattern).parts
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), parts)
    roots.check(top.joinpath(*fixed))  # before listing it
    paths: list[Path] = []
    for match in glob.iglob(str(Path(*parts)), root_dir=top, recursive=True):
        interrupt.check()
        if (top / match).is_dir():
            continue
        paths.append(top / match)
        if len(paths) > most:
            raise OperationError(
                "file.too_many", f"more than {most} files match {pattern}", "",
                "write a narrower pattern, or raise max_files in the plugin's configuration",
                retryable=False,
            )  # fmt: skip
    if not paths:
        raise OperationError(
            "file.not_found", f"no file matches {pattern}", "",
            "check the pattern; a relative one is below the first root", retryable=False,
        )  # fmt: skip
    return sorted(paths)


def _found(path: Path, roots: AllowedPaths, wanted: FileFormat | None) -> FoundFile:
    real = roots.file(path)
    suffixes = [each.lower() for each in path.suffixes[-2:]]
    packed = suffixes[-1:] == [".gz"]
    suffix = "".join(suffixes[:-1] if packed else suffixes[-1:])
    known = wanted or SUFFIXES.get(suffix[suffix.rfind(".") :] if suffix else "")
    if known is None or (packed and known not in _PACKABLE):
        raise OperationError(
            "file.unknown_format",
            f"the format of {path} is not known",
            f"its suffix is '{''.join(suffixes)}'",
            f"set format, or use one of the suffixes {', '.join(SUFFIXES)}; for"
            f" {', '.join(_PACKABLE)} also with .gz",
            retryable=False,
        )
    return FoundFile(
        path=real, name=roots.name_of(path), format=known, packed=packed, tabs=suffix == ".tsv"
    )
