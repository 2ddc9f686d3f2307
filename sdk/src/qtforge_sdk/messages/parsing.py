"""What `document.parse` is asked and answers."""

from __future__ import annotations

import msgspec

__all__ = ["Document", "DocumentMetadata", "ParseOptions", "ParseRequest", "ParseResponse"]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document to be read: a file by its path, or content in memory.

    Attributes:
        name: The file's name, for people and as a hint; never trusted as a path.
        path: Where the file is, or None when ``content`` has it.
        content: The bytes themselves, or None when ``path`` names them.
        media_type: Such as ``application/pdf``; None until it has been found out.
    """

    name: str
    path: str | None = None
    content: bytes | None = None
    media_type: str | None = None


class ParseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to parse.

    Attributes:
        max_bytes: Refuse larger files; None means the plugin's own configuration.
        encoding: The text's encoding, or None to detect it.
    """

    max_bytes: int | None = None
    encoding: str | None = None


class ParseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a document's text and metadata.

    Attributes:
        document: What to parse.
        options: How; None for the defaults.
        request_id: The caller's name for this work, kept for the log.
    """

    document: Document
    options: ParseOptions | None = None
    request_id: str | None = None


class DocumentMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a document besides its text.

    Attributes:
        name: The file's name.
        media_type: Found from the content.
        size_bytes: The file's size.
        sha256: Of the file's bytes, 64 hexadecimal digits.
        words: How many words the text has.
        title: From the document, or None.
        author: From the document, or None.
        pages: Pages of a paged format, or None.
        created: ISO 8601, from the document, or None.
        encoding: The encoding of a text format, or None.
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


class ParseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A document's text and metadata.

    Attributes:
        parsed_content: The text, paragraphs apart by a blank line; may be empty.
        metadata: What else is known.
    """

    parsed_content: str
    metadata: DocumentMetadata
