"""The marked blocks and images of a technical document.

The parser's text has lost the marks of Markdown and HTML, so the document is read again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token
from selectolax.lexbor import LexborHTMLParser, LexborNode

from qtforge_builtin_plugins.documents.formats import HTML, MARKDOWN
from qtforge_builtin_plugins.documents.formats.plain import decode
from qtforge_builtin_plugins.documents.reading import read
from qtforge_sdk import Document, OperationError
from qtforge_sdk.messages import DocumentMetadata

__all__ = ["Block", "Picture", "Source", "read_source"]

MOST_BLOCKS: Final = 1_000
MOST_BLOCK_CHARACTERS: Final = 200_000
_HTML_TYPES: Final = frozenset({HTML, "application/xhtml+xml"})
_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\r?\n.{0,20000}?\r?\n---[ \t]*(?:\r?\n|\Z)", re.S)
_LANGUAGE_CLASS: Final = re.compile(
    r"(?:^|\s)(?:lang(?:uage)?|highlight-source|brush:?)[- ]([\w+#.-]{1,30})"
)
_INFO: Final = re.compile(r"[{.\s]*([\w+#.-]{1,30})")


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A preformatted block.

    Attributes:
        kind: How it is marked.
        text: Its lines.
        language: The language named by the document, lower case, or None.
        line: The number of its first line in the document, from 1; None when unknown.
    """

    kind: Literal["fence", "indent", "pre", "file"]
    text: str
    language: str | None
    line: int | None


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """An image that a document shows."""

    alt: str
    target: str
    line: int | None


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The marked blocks and images of a document.

    Attributes:
        blocks: The blocks, in order.
        pictures: The images, in order.
        unchecked: What was not examined, and why.
    """

    blocks: tuple[Block, ...]
    pictures: tuple[Picture, ...]
    unchecked: tuple[str, ...]


def read_source(
    document: Document | None, text: str, metadata: DocumentMetadata, max_bytes: int
) -> Source:
    """Return the marked blocks and images of a document.

    Args:
        document: The document itself, or None.
        text: The parser's text, for formats other than Markdown and HTML.
        metadata: Its type, and the hash of its content when it was parsed.
        max_bytes: Refuse larger documents.

    Raises:
        OperationError: ``document.changed``, and those of `reading.read` and `decode`.
    """
    media_type = metadata.media_type
    is_markdown = media_type == MARKDOWN
    if document is None or not (is_markdown or media_type in _HTML_TYPES):
        note = _note(media_type, document is None)
        return _limited(list(_fences(text)), [], (note,) if note else ())
    data = read(document, max_bytes)
    if hashlib.sha256(data).hexdigest() != metadata.sha256:
        raise OperationError(
            "document.changed", f"{metadata.name} has changed since it was parsed",
            "its content has another hash", "run the workflow again",
        )  # fmt: skip
    decoded = decode(data, metadata.encoding, metadata.name).text
    if is_markdown:
        return _read_markdown(decoded)
    tree = LexborHTMLParser(decoded)
    return _limited(_html_blocks(tree), _html_pictures(tree), ())


def _note(media_type: str, without_document: bool) -> str | None:
    if without_document and (media_type == MARKDOWN or media_type in _HTML_TYPES):
        return "the document itself was not given: only fenced blocks are found in its text"
    if media_type.startswith("text/"):
        return None
    return f"the text of {media_type} does not mark code: only fenced blocks were searched for"


def _limited(
    blocks: Sequence[Block], pictures: Sequence[Picture], notes: tuple[str, ...]
) -> Source:
    if len(blocks) > MOST_BLOCKS or len(pictures) > MOST_BLOCKS:
        notes = (*notes, f"only the first {MOST_BLOCKS} blocks and images were examined")
    return Source(
        blocks=tuple(blocks[:MOST_BLOCKS]), pictures=tuple(pictures[:MOST_BLOCKS]), unchecked=notes
    )


def _read_markdown(text: str) -> Source:
    front = _FRONT_MATTER.match(text)
    start = text[: front.end()].count("\n") if front else 0
    tokens = MarkdownIt("commonmark").enable("table").parse(text[front.end() :] if front else text)
    blocks: list[Block] = []
    pictures: list[Picture] = []
    for token in tokens:
        line = start + token.map[0] + 1 if token.map else None
        if token.type == "fence":
            inside = line + 1 if line is not None else None
            blocks.append(_block("fence", token.content, _language(token.info), inside))
        elif token.type == "code_block":
            blocks.append(_block("indent", token.content, None, line))
        elif token.type == "html_block":
            tree = LexborHTMLParser(token.content)
            blocks += _html_blocks(tree)
            pictures += _html_pictures(tree, line)
        elif token.type == "inline":
            pictures += _inline_pictures(token, line)
    return _limited(blocks, pictures, ())


def _inline_pictures(token: Token, line: int | None) -> Iterator[Picture]:
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak") and line is not None:
            line += 1
        elif child.type == "image":
            alt = "".join(part.content for part in child.children or ())
            yield Picture(alt=alt, target=str(child.attrs.get("src", "")), line=line)
        elif child.type == "html_inline" and child.content[:4].lower() == "<img":
            yield from _html_pictures(LexborHTMLParser(child.content), line)


def _fences(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a plain text, in which indentation has no meaning."""
    parser = MarkdownIt("commonmark").disable(["code", "html_block"])
    for token in parser.parse(text):
        if token.type == "fence" and token.map:
            yield _block("fence", token.content, _language(token.info), token.map[0] + 2)


def _html_blocks(tree: LexborHTMLParser) -> list[Block]:
    blocks = []
    for node in tree.css("pre, div.mermaid"):
        inner = node.css_first("code")
        language = _class_language(inner) or _class_language(node)
        blocks.append(_block("pre", (node.text(deep=True) or "").strip("\n"), language, None))
    return [block for block in blocks if block.text.strip()]


def _html_pictures(tree: LexborHTMLParser, line: int | None = None) -> list[Picture]:
    return [
        Picture(
            alt=node.attributes.get("alt") or "",
            target=(node.attributes.get("src") or "").strip(),
            line=line,
        )
        for node in tree.css("img")
    ]


def _class_language(node: LexborNode | None) -> str | None:
    if node is None:
        return None
    given = node.attributes.get("data-lang") or node.attributes.get("data-language")
    classes = node.attributes.get("class") or ""
    if given is None and "mermaid" in classes.split():
        return "mermaid"
    match = _LANGUAGE_CLASS.search(classes)
    return _language(given or (match[1] if match else ""))


def _language(info: str) -> str | None:
    match = _INFO.match(info)
    return match[1].lower() if match else None


def _block(
    kind: Literal["fence", "indent", "pre"], text: str, language: str | None, line: int | None
) -> Block:
    return Block(kind=kind, text=text[:MOST_BLOCK_CHARACTERS], language=language, line=line)
