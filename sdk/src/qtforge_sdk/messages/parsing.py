"""Messages of ``document.parse``."""

from __future__ import annotations

import msgspec

__all__ = [
    "Attachment",
    "Document",
    "DocumentMetadata",
    "ParseOptions",
    "ParseRequest",
    "ParseResponse",
    "Section",
    "Table",
    "UnreadPage",
]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document: a file by its path, or content in memory.

    Attributes:
        name: The file's name, for display and as a hint; never used as a path.
        path: The path of the file, or None when ``content`` is given.
        content: The bytes, or None when ``path`` is given.
        media_type: Such as ``application/pdf``; None until it has been detected.
    """

    name: str
    path: str | None = None
    content: bytes | None = None
    media_type: str | None = None


class ParseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of parsing.

    Attributes:
        max_bytes: Refuse larger files; None for the limit in the plugin's configuration.
        encoding: The text's encoding, or None to detect it.
        attachments: Whether to parse the documents in it, such as the attachments of a mail.
    """

    max_bytes: int | None = None
    encoding: str | None = None
    attachments: bool = True


class ParseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request a document's text and metadata.

    Attributes:
        document: The document.
        options: None for the defaults.
        request_id: The caller's name for this request, for the log.
    """

    document: Document
    options: ParseOptions | None = None
    request_id: str | None = None


class DocumentMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a document besides its text.

    Attributes:
        name: The file's name.
        media_type: Detected from the content.
        size_bytes: The file's size.
        sha256: The SHA-256 of the file's bytes, 64 hexadecimal digits.
        words: The number of words in the text.
        title: From the document, or None.
        author: From the document, or None.
        pages: The number of pages of a paged format, or None.
        created: ISO 8601, from the document, or None.
        encoding: The encoding of a text format, or None.
        recipients: The names of those whom a mail is addressed to; empty for other documents.
    """

    name: str
    media_type: str
    size_bytes: int
    sha256: str
    words: int
    title: str | None = None
    author: str | None = None
    pages: int | None = None
    created: str | None = None
    encoding: str | None = None
    recipients: tuple[str, ...] = ()


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A heading that the document's format marks as one.

    Attributes:
        level: The level, from 1.
        text: The heading on one line.
        line: Its line in the parsed text, from 1.
    """

    level: int
    text: str
    line: int


class UnreadPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page that is a picture, whose text was not read.

    Attributes:
        page: Its number, from 1.
        line: The line of the parsed text after which its text belongs; 0 for the beginning.
    """

    page: int
    line: int


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table that the document's format marks as one.

    Attributes:
        rows: The rows with the texts of their cells; rows may differ in length.
        name: Such as the name of a sheet, or None.
    """

    rows: tuple[tuple[str, ...], ...]
    name: str | None = None


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A document within a document, such as an attachment of a mail.

    A parser gives ``content``; the host then has it parsed by ``document.parse``, and replaces
    ``content`` by ``response`` or ``error``.

    Attributes:
        name: The file's name; never used as a path.
        size_bytes: The size of its content.
        media_type: Detected, or None until it has been detected.
        content: The bytes, or None when they have been parsed or are left out.
        response: Its text and metadata, or None.
        error: The reason why it has no ``response``, or None.
    """

    name: str
    size_bytes: int
    media_type: str | None = None
    content: bytes | None = None
    response: ParseResponse | None = None
    error: str | None = None


class ParseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A document's text and metadata.

    Attributes:
        parsed_content: The text, with a blank line between paragraphs; may be empty.
        metadata: The document's other properties.
        warnings: Codes of what may be missing or wrong in the text, such as ``scan``; empty
            for a complete text.
        sections: The headings, in the order of the text.
        tables: The tables, in the order of the text.
        attachments: The documents within this one.
        confidence: Of text that was recognised in pictures (the warning ``ocr``): the mean over
            its words, 0 to 1. None for text that was read.
        unread_pages: The pages that are pictures and were not read, in the order of the pages.
    """

    parsed_content: str
    metadata: DocumentMetadata
    warnings: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    tables: tuple[Table, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    confidence: float | None = None
    unread_pages: tuple[UnreadPage, ...] = ()
