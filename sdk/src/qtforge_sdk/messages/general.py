"""What `document.summarize`, `document.outline` and `document.tag` are asked and answer."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qtforge_sdk.messages.parsing import Document, DocumentMetadata

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
    """Asks for a few of a text's own sentences that say most of it.

    Attributes:
        parsed_content: The text.
        sentences: How many at the most.
        request_id: The caller's name for this work.
    """

    parsed_content: str
    sentences: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3
    request_id: str | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A text's own words in short.

    Attributes:
        text: At most 600 characters in the text's order; empty when it has no whole sentence.
    """

    text: str


class OutlineRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a text's headings.

    Attributes:
        parsed_content: The text; the answer's lines are of it.
        document: Where the text is from, or None; the headings of Markdown, HTML, DOCX and PDF
            are read from it, if it still is what was parsed.
        metadata: Of the document, or None; it tells the format and the check sum.
        request_id: The caller's name for this work.
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
        line: In the parsed text, from 1.
    """

    level: int
    text: str
    line: int


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """A text's headings.

    Attributes:
        headings: In the text's order, at most 1000.
        source: ``document`` when the format says what is a heading, ``text`` when it was told
            from the lines themselves.
    """

    headings: list[Heading]
    source: str


class TagRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a few words to file a document under.

    Attributes:
        parsed_content: The text.
        language: ISO 639-1, or None to find out.
        document_type: As in `AnalysisResults`, or None.
        category: As in `RoutingAnalysis`, or None.
        limit: How many at the most.
        request_id: The caller's name for this work.
    """

    parsed_content: str
    language: str | None = None
    document_type: str | None = None
    category: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=50)] = 8
    request_id: str | None = None


class Tags(msgspec.Struct, frozen=True, kw_only=True):
    """Words to file a document under.

    Attributes:
        tags: Lower case, words joined by ``-``, without repeats, most telling first.
    """

    tags: list[str]
