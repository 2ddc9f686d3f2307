"""Messages of the sources of rows.

The topics are ``database.query``, ``http.request``, ``file.read`` and ``stream.read`` (the
original's names), and ``<type>.read`` for every other type of source: a plugin that answers
that topic adds the type.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = ["CollectRequest", "Collected", "Dataset", "SourceWarning"]


class CollectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request the rows of a source.

    Attributes:
        name: The source's name, for error texts.
        endpoint: Where the source is: a URL, a path, or what else the type of source takes.
        parameters: The parameters of the type of source. Only the plugin that uses a
            ``${secret.NAME}`` in them replaces it by the secret.
    """

    name: str = ""
    endpoint: str = ""
    parameters: dict[str, Any] = {}


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A file of rows, which is deleted with the run that collected it.

    Attributes:
        path: The file's absolute path.
        format: ``jsonl`` (a JSON object on each line) or ``parquet``.
        rows: The number of rows.
        size_bytes: The file's size.
        sha256: The SHA-256 of its content, in hexadecimal.
    """

    path: str
    format: Literal["jsonl", "parquet"]
    rows: int
    size_bytes: int
    sha256: str


class SourceWarning(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader of a source's rows should know although they could be read.

    Attributes:
        code: Says what it is about, such as ``rows.truncated``.
        message: A sentence for people, with the first place where it was seen.
        count: How often it was seen.
        source: The source, where the warnings of several are together; else "".
    """

    code: str
    message: str
    count: int = 1
    source: str = ""


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a source.

    Attributes:
        rows: The rows in the source's order, when there are few; their values are null, true
            and false, numbers, text, and lists and mappings of these. None when they are in
            ``dataset``.
        dataset: The file with the rows, when there are many.
        count: The number of rows.
        truncated: Whether the source had more rows than a limit allowed.
        details: Further facts, such as ``pages`` or ``status``.
        warnings: Values that are not what they are in the source, rows that are left out, and
            what else a reader should know.
    """

    rows: list[dict[str, Any]] | None = None
    dataset: Dataset | None = None
    count: int
    truncated: bool = False
    details: dict[str, Any] = {}
    warnings: tuple[SourceWarning, ...] = ()
