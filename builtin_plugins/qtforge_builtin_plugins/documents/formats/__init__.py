"""The formats that the parser reads, one module each, loaded when first needed.

Each module has ``extract(source: Source) -> Extracted``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from qtforge_sdk.messages import Table

__all__ = [
    "CSV",
    "DOCX",
    "EML",
    "HTML",
    "IMAGES",
    "MARKDOWN",
    "MBOX",
    "MODULES",
    "MSG",
    "PDF",
    "PPTX",
    "RTF",
    "SVG",
    "TEXT",
    "XLS",
    "XLSB",
    "XLSX",
    "XML",
    "Extracted",
    "Part",
    "Source",
]

_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
_OPEN_DOCUMENT: Final = "application/vnd.oasis.opendocument"
PDF: Final = "application/pdf"
DOCX: Final = f"{_OFFICE}.wordprocessingml.document"
XLSX: Final = f"{_OFFICE}.spreadsheetml.sheet"
XLSB: Final = "application/vnd.ms-excel.sheet.binary.macroenabled.12"
XLS: Final = "application/vnd.ms-excel"
PPTX: Final = f"{_OFFICE}.presentationml.presentation"
HTML: Final = "text/html"
MARKDOWN: Final = "text/markdown"
EML: Final = "message/rfc822"
MBOX: Final = "application/mbox"
MSG: Final = "application/vnd.ms-outlook"
RTF: Final = "application/rtf"
SVG: Final = "image/svg+xml"
XML: Final = "application/xml"
CSV: Final = "text/csv"
TEXT: Final = "text/plain"
IMAGES: Final = ("image/png", "image/jpeg", "image/tiff", "image/webp")
"""The types of pictures that document-ocr reads; no module here does."""

MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        PDF: "pdf",
        DOCX: "docx",
        XLSX: "sheets",
        XLSB: "sheets",
        XLS: "sheets",
        f"{_OPEN_DOCUMENT}.spreadsheet": "sheets",
        f"{_OPEN_DOCUMENT}.spreadsheet-template": "sheets",
        PPTX: "slides",
        f"{_OPEN_DOCUMENT}.text": "odf",
        f"{_OPEN_DOCUMENT}.text-template": "odf",
        f"{_OPEN_DOCUMENT}.text-web": "odf",
        f"{_OPEN_DOCUMENT}.text-master": "odf",
        f"{_OPEN_DOCUMENT}.graphics": "odf",
        f"{_OPEN_DOCUMENT}.presentation": "odf",
        f"{_OPEN_DOCUMENT}.presentation-template": "odf",
        "application/epub+zip": "epub",
        HTML: "html",
        "application/xhtml+xml": "html",
        MARKDOWN: "markdown",
        EML: "mail",
        MBOX: "mbox",
        MSG: "outlook",
        RTF: "rtf",
        SVG: "xml",
        XML: "xml",
        CSV: "table",
        TEXT: "plain",
    }
)
"""Media type to the name of the module in this package."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a format.

    Attributes:
        name: The file's name, for errors.
        data: The file's bytes.
        encoding: The text's encoding given by the caller, or None.
        max_unpacked_bytes: The largest uncompressed size of a compressed format.
        progress: Called with the number of pages read and the number of all pages.
    """

    name: str
    data: bytes
    encoding: str | None
    max_unpacked_bytes: int
    progress: Callable[[int, int], None]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A document within a document.

    Attributes:
        name: The file's name.
        data: Its bytes.
        media_type: A known type, or None to detect it.
    """

    name: str
    data: bytes
    media_type: str | None = None


class Extracted(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a format.

    Attributes:
        text: The text; the parser normalises its white space.
        title: From the document, or None.
        author: From the document, or None.
        pages: The number of pages of a paged format, or None.
        created: ISO 8601, or None.
        encoding: The encoding that was used, or None for binary formats.
        recipients: The names of those whom a mail is addressed to.
        warnings: The code of each warning, with a text for the log.
        headings: The level of each heading, from 1, and its text on one line.
        tables: The tables of formats that mark them.
        parts: The documents within this one.
        unread_pages: The pages that are pictures: the number of each, from 1, and the number of
            characters of the text before the place of its own, which is between paragraphs.
    """

    text: str
    title: str | None = None
    author: str | None = None
    pages: int | None = None
    created: str | None = None
    encoding: str | None = None
    recipients: Sequence[str] = ()
    warnings: Mapping[str, str] = msgspec.field(default_factory=dict)
    headings: Sequence[tuple[int, str]] = ()
    tables: Sequence[Table] = ()
    parts: Sequence[Part] = ()
    unread_pages: Sequence[tuple[int, int]] = ()
