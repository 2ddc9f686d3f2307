"""Messages of the general pipeline: ``document.summarize``, ``.outline`` and ``.tag``."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qtforge_sdk.messages import Document, DocumentMetadata

__all__ = [
    "Heading",
    "Outline",
    "OutlineRequest",
    "SummarizeRequest",
    "Summary",
    "TagRequest",
    "Tags",
]


class SummarizeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request a summary made of a few of the text's own sentences.

    Attributes:
        parsed_content: The text.
        sentences: The most sentences to return.
        request_id: The caller's name for this request.
    """

    parsed_content: str
    sentences: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3
    request_id: str | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A summary in the text's own words.

    Attributes:
        text: At most 600 characters, in the text's order; empty when the text has no sentence.
    """

    text: str


class OutlineRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request a text's headings.

    Attributes:
        parsed_content: The text that the line numbers of the answer refer to.
        document: The text's document, or None; the headings of Markdown, HTML, DOCX and PDF
            are read from it, unless it has changed since it was parsed.
        metadata: The document's, or None; it has the format and the checksum.
        request_id: The caller's name for this request.
    """

    parsed_content: str
    document: Document | None = None
    metadata: DocumentMetadata | None = None
    request_id: str | None = None


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """A heading.

    Attributes:
        level: From 1, the highest.
        text: On one line.
        line: The line of the parsed text, from 1.
    """

    level: int
    text: str
    line: int


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """A text's headings.

    Attributes:
        headings: In the text's order, at most 1000.
        source: ``document`` when the format marks headings, ``text`` when they were
            recognised in the lines of the text.
    """

    headings: list[Heading]
    source: str


class TagRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request a few tags for a document.

    Attributes:
        parsed_content: The text.
        language: ISO 639-1, or None to detect it.
        document_type: As in `AnalysisResults`, or None.
        category: As in `RoutingAnalysis`, or None.
        limit: The most tags to return.
        request_id: The caller's name for this request.
    """

    parsed_content: str
    language: str | None = None
    document_type: str | None = None
    category: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=50)] = 8
    request_id: str | None = None


class Tags(msgspec.Struct, frozen=True, kw_only=True):
    """The tags of a document.

    Attributes:
        tags: Lower case, words joined by ``-``, without repeats, most significant first.
    """

    tags: list[str]
