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
        roots: Folders that files are read from; by default the working directory.
        limit: The most rows of a source without a limit of its own.
        max_bytes: The most bytes of a source's files together, uncompressed.
        max_whole_bytes: The same for formats that are read whole: JSON, TOML, Excel.
        max_files: The most files that a pattern may match.
        readers: The most sources at once; others wait.
        memory_limit_bytes: For CSV and Parquet; further data goes to the disk.
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
        format: The files' format; by default it follows from their suffix.
        delimiter: CSV: the separator of values; detected by default.
        quote: CSV: the character around values, or "" for none; detected by default.
        decimal: CSV: the decimal mark of numbers; detected by default.
        ragged: CSV: what happens to a row with too few or too many values: it is an error, is
            completed with nulls (and further columns for values without one), or is left out.
        header: CSV and Excel: whether the first row has the columns' names; by default
            detected in CSV, and true in Excel.
        encoding: CSV, JSON, JSON Lines: Python's name of the encoding.
        types: CSV: ``detect`` converts columns that have only numbers.
        path: JSON and TOML: the keys that lead to the rows, such as ``data.items``.
        sheet: Excel: the sheet's name; by default the first one.
        source_file: Whether to add the column ``source_file`` with the file of each row.
        limit: The most rows; with more the answer is ``truncated``.
    """

    format: FileFormat | None = None
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] | None = None
    quote: Annotated[str, msgspec.Meta(max_length=1)] | None = None
    decimal: Literal[".", ","] | None = None
    ragged: Literal["error", "pad", "skip"] = "error"
    header: bool | None = None
    encoding: str | None = None
    types: Literal["detect", "text"] = "detect"
    path: str | None = None
    sheet: str | None = None
    source_file: bool = False
    limit: _Positive | None = None
