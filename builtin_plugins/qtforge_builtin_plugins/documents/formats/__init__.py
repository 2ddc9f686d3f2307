"""The formats that the parser reads, one module each, loaded when first needed.

Each module has ``extract(source: Source) -> Extracted``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = [
    "DOCX",
    "EML",
    "HTML",
    "MARKDOWN",
    "MODULES",
    "PDF",
    "TEXT",
    "Extracted",
    "Source",
]

PDF: Final = "application/pdf"
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTML: Final = "text/html"
MARKDOWN: Final = "text/markdown"
EML: Final = "message/rfc822"
TEXT: Final = "text/plain"

MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        PDF: "pdf",
        DOCX: "docx",
        HTML: "html",
        "application/xhtml+xml": "html",
        MARKDOWN: "markdown",
        EML: "mail",
        TEXT: "plain",
    }
)
"""Media type to the name of the module in this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a format reads.

    Attributes:
        name: The file's name, for errors.
        data: The file's bytes.
        encoding: The text's encoding as the caller says, or None.
        max_unpacked_bytes: The most that a packed format may unpack to.
        progress: Told how many pages are done, and how many there are.
    """

    name: str
    data: bytes
    encoding: str | None
    max_unpacked_bytes: int
    progress: Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What a format gives.

    Attributes:
        text: As read; the parser tidies the white space.
        title: From the document, or None.
        author: From the document, or None.
        pages: Pages of a paged format, or None.
        created: ISO 8601, or None.
        encoding: The encoding that was used, or None for binary formats.
        warning: What the reader of the log should know, or None.
    """

    text: str
    title: str | None = None
    author: str | None = None
    pages: int | None = None
    created: str | None = None
    encoding: str | None = None
    warning: str | None = None
