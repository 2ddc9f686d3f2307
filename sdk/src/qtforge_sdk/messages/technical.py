"""What the technical pipeline's topics are asked and answer."""

from __future__ import annotations

from typing import Literal

import msgspec

from qtforge_sdk.messages.parsing import Document, DocumentMetadata

__all__ = [
    "CodeBlock",
    "CodeFunction",
    "CodeRequest",
    "CodeResponse",
    "Diagram",
    "DiagramRequest",
    "DiagramResponse",
    "Image",
    "LineCounts",
]


class CodeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the code in a document.

    Attributes:
        document: The document itself; Markdown and HTML mark code in ways that text has not.
            None to look at the text alone.
        parsed_content: The text, for other formats.
        metadata: Of the document; a document that has changed since is refused.
        request_id: The caller's name for this work.
    """

    parsed_content: str
    metadata: DocumentMetadata
    document: Document | None = None
    request_id: str | None = None


class LineCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of code.

    Attributes:
        code: Lines with code, also beside a comment.
        comment: Lines with comments or documentation alone.
        blank: Lines with white space alone.
    """

    code: int
    comment: int
    blank: int


class CodeFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function in a block of code.

    Attributes:
        name: As written.
        line: In its block; 1 is the first.
        complexity: McCabe's cyclomatic complexity; 1 for code without branches.
        parameters: How many it takes.
    """

    name: str
    line: int
    complexity: int
    parameters: int


class CodeBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A block of code.

    Attributes:
        source: How the document marks it: ``fence``, ``indent``, ``pre``, or ``file`` when
            the whole document is code.
        line: Of its first line in the document, 1 is the first; None where it is not known.
        language: Lower case, such as ``python``; None when unknown.
        language_source: ``given`` by the document, ``parsed`` when the code is valid in that
            language, ``guessed`` from its looks, or ``unknown``.
        lines: Comments are told from code only where the language is known.
        functions: Empty where there are none, or none can be told.
        complexity: The highest of its functions; None without functions.
        excerpt: Its beginning.
    """

    source: Literal["fence", "indent", "pre", "file"]
    language_source: Literal["given", "parsed", "guessed", "unknown"]
    lines: LineCounts
    excerpt: str
    line: int | None = None
    language: str | None = None
    functions: list[CodeFunction] = []
    complexity: int | None = None


class CodeResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The code in a document.

    Attributes:
        blocks: In the document's order.
        languages: Lines of code by language, most first; ``unknown`` for the rest.
        lines: Of all blocks.
        complexity: The highest of all; None without functions.
        unchecked: What was not looked at, and why.
    """

    blocks: list[CodeBlock]
    languages: dict[str, int]
    lines: LineCounts
    complexity: int | None = None
    unchecked: list[str] = []


class DiagramRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the diagrams and images in a document.

    Attributes:
        document: As for `CodeRequest`.
        parsed_content: The text, for other formats.
        metadata: Of the document; a document that has changed since is refused.
        request_id: The caller's name for this work.
    """

    parsed_content: str
    metadata: DocumentMetadata
    document: Document | None = None
    request_id: str | None = None


class Diagram(msgspec.Struct, frozen=True, kw_only=True):
    """A diagram written as text.

    Attributes:
        notation: ``mermaid``, ``plantuml`` or ``graphviz``.
        kind: Such as ``flowchart`` or ``sequence``; None when it does not say.
        line: Of its first line in the document, 1 is the first; None where it is not known.
        title: Or None.
        nodes: None where they can't be counted with certainty.
        edges: None as for ``nodes``.
        source: The diagram's text.
    """

    notation: Literal["mermaid", "plantuml", "graphviz"]
    source: str
    kind: str | None = None
    line: int | None = None
    title: str | None = None
    nodes: int | None = None
    edges: int | None = None


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image that a document shows.

    Attributes:
        alt: What it shows, in words; may be empty.
        target: As written; of a ``data:`` address only the beginning.
        line: In the document, 1 is the first; None where it is not known.
        width_px: Of a local file in the document's folder or below it; else None.
        height_px: As for ``width_px``.
        note: Why there is no size, or None.
    """

    alt: str
    target: str
    line: int | None = None
    width_px: int | None = None
    height_px: int | None = None
    note: str | None = None


class DiagramResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The diagrams and images in a document.

    Attributes:
        diagrams: In the document's order.
        images: In the document's order.
        unchecked: What was not looked at, and why.
    """

    diagrams: list[Diagram]
    images: list[Image]
    unchecked: list[str] = []
