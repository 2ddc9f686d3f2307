"""What sources of rows are asked, and what they answer.

The topics are ``database.query``, ``http.request``, ``file.read`` and ``stream.read`` (the
original's names), and ``<type>.read`` for every other type of source: whoever answers it
is one.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = ["CollectRequest", "Collected", "Dataset"]


class CollectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a source for its rows.

    Attributes:
        name: The source's name, for messages.
        endpoint: Where it is: a URL, a path, whatever the type of source takes.
        parameters: What the type of source takes; ``${secret.NAME}`` in it is revealed by
            the plugin that uses it, and by nobody before.
    """

    name: str = ""
    endpoint: str = ""
    parameters: dict[str, Any] = {}


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in a file that lives as long as the run that they were collected for.

    Attributes:
        path: The file's absolute path.
        format: ``jsonl``: a JSON object on each line; or ``parquet``.
        rows: How many.
        size_bytes: The file's size.
        sha256: Of its content, in hexadecimal.
    """

    path: str
    format: Literal["jsonl", "parquet"]
    rows: int
    size_bytes: int
    sha256: str


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What a source gave.

    Attributes:
        rows: In the source's order, when there are few; their values are null, true and
            false, numbers, text, and lists and mappings of these. None when they are in
            ``dataset``.
        dataset: The file with the rows, when there are many.
        count: How many rows.
        truncated: Whether the source had more, and a limit cut them off.
        details: What else is to be told of it, such as ``pages`` or ``status``.
    """

    rows: list[dict[str, Any]] | None = None
    dataset: Dataset | None = None
    count: int
    truncated: bool = False
    details: dict[str, Any] = {}
