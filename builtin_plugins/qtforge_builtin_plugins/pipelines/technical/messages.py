"""Messages of the technical pipeline: ``code.analyze`` and ``diagram.extract``."""

from __future__ import annotations

from typing import Literal

import msgspec

from qtforge_sdk.messages import Document, DocumentMetadata

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
    """Request the code in a document.

    Attributes:
        document: The document itself, since Markdown and HTML mark code and plain text does
            not; None to search the text alone.
        parsed_content: The text, for other formats.
        metadata: The document's; a document that has changed since is refused.
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
        line: The line in its block; 1 is the first.
        complexity: McCabe's cyclomatic complexity; 1 for code without branches.
        parameters: The number of its parameters.
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
        line: The number of its first line in the document, from 1; None when unknown.
        language: Lower case, such as ``python``; None when unknown.
        language_source: ``given`` by the document, ``parsed`` when the code is valid in that
            language, ``guessed`` from its looks, or ``unknown``.
        lines: Comments are counted as code where the language is unknown.
        functions: Empty where there are none, or the language can't be parsed.
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
        lines: The sum over all blocks.
        complexity: The highest of all; None without functions.
        unchecked: What was not examined, and why.
    """

    blocks: list[CodeBlock]
    languages: dict[str, int]
    lines: LineCounts
    complexity: int | None = None
    unchecked: list[str] = []


class DiagramRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request the diagrams and images in a document.

    Attributes:
        document: As for `CodeRequest`.
        parsed_content: The text, for other formats.
        metadata: The document's; a document that has changed since is refused.
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
        kind: Such as ``flowchart`` or ``sequence``; None when the text does not name it.
        line: The number of its first line in the document, from 1; None when unknown.
        title: Or None.
        nodes: The number of nodes; None where they can't be counted with certainty.
        edges: The number of edges; None as for ``nodes``.
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
        alt: The alternative text; may be empty.
        target: The address as written; a ``data:`` address is shortened.
        line: The line in the document, from 1; None when unknown.
        width_px: The width of a local file in the document's folder or below; else None.
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
        unchecked: What was not examined, and why.
    """

    diagrams: list[Diagram]
    images: list[Image]
    unchecked: list[str] = []
