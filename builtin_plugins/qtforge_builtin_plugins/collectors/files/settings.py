"""The configuration of file-collector, and the parameters of its sources."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = ["FileConfig", "FileFormat", "FileParameters"]

FileFormat = Literal["csv", "json", "jsonl", "parquet", "excel", "toml"]
_Positive = Annotated[int, msgspec.Meta(ge=1)]


class FileConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of file-collector.

    Attributes:
        roots: Folders that files are read from; the working directory when silent.
        limit: How many rows a source gives at most where it says nothing.
        max_bytes: Refuse more than so many bytes in all, unpacked.
        max_whole_bytes: The same for formats that are read whole: JSON, TOML, Excel.
        max_files: Refuse a pattern that more files match.
        readers: How many sources are read at once; more wait.
        memory_limit_bytes: For CSV and Parquet; what does not fit goes to the disk.
    """

    roots: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = (".",)
    limit: _Positive = 10_000_000
    max_bytes: _Positive = 16 * 2**30
    max_whole_bytes: _Positive = 256 * 2**20
    max_files: _Positive = 10_000
    readers: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    memory_limit_bytes: Annotated[int, msgspec.Meta(ge=64 * 2**20)] = 512 * 2**20


class FileParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a source of type ``file``.

    Attributes:
        format: Of the files; found by their suffix when silent.
        delimiter: CSV: what stands between two values; found when silent.
        header: CSV and Excel: whether the first row has the columns' names.
        encoding: CSV, JSON, JSON Lines: Python's name of it.
        types: CSV: ``detect`` makes columns of nothing but numbers numbers.
        path: JSON and TOML: the keys that lead to the rows, such as ``data.items``.
        sheet: Excel: its name; the first one when silent.
        source_file: Add the column ``source_file`` with the file that each row is from.
        limit: How many rows at most; more make the answer ``truncated``.
    """

    format: FileFormat | None = None
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] | None = None
    header: bool = True
    encoding: str | None = None
    types: Literal["detect", "text"] = "detect"
    path: str | None = None
    sheet: str | None = None
    source_file: bool = False
    limit: _Positive | None = None
