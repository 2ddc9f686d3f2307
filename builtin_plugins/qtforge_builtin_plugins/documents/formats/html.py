"""HTML, by selectolax: the text that a browser shows, with its paragraphs and tables."""

from __future__ import annotations

import datetime
import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_builtin_plugins.documents.formats.plain import decode

__all__ = ["declared_encoding", "extract", "find_headings", "to_text"]

_HIDDEN: Final = frozenset({"head", "script", "style", "noscript", "template", "svg", "iframe"})
_BLOCKS: Final = frozenset(
    {"address", "article", "aside", "blockquote", "dd", "details", "div", "dl", "dt", "fieldset",
     "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
     "main", "nav", "ol", "p", "pre", "section", "table", "ul"}
)  # fmt: skip
_LINES: Final = frozenset({"br", "li", "tr", "option", "caption"})
_CELLS: Final = frozenset({"td", "th"})
_SPACE: Final = re.compile(r"[ \t\n\r\f]+")
# The HTML standard looks for the declaration in the first 1024 bytes.
_CHARSET: Final = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.I
)
_CREATED: Final = (
    'meta[property="article:published_time"]', 'meta[name="dcterms.created"]',
    'meta[name="date"]', 'meta[itemprop="datePublished"]',
)  # fmt: skip


def extract(source: Source) -> Extracted:
    """Return the visible text, the title, the author and the date of publication.

    Raises:
        OperationError: ``document.undecodable``.
    """
    decoded = decode(source.data, source.encoding or declared_encoding(source.data), source.name)
    tree = LexborHTMLParser(decoded.text)
    title = tree.css_first("title") or tree.css_first("h1")
    return Extracted(
        text=to_text(tree),
        title=_SPACE.sub(" ", title.text()).strip() or None if title else None,
        author=_meta(tree, 'meta[name="author"]'),
        created=_created(tree),
        encoding=decoded.encoding,
        warnings=decoded.warnings,
        headings=_headings(tree),
    )


def find_headings(source: Source) -> list[tuple[int, str]]:
    """Return each heading's level, 1 to 6, and its text on one line.

    Raises:
        OperationError: ``document.undecodable``.
    """
    decoded = decode(source.data, source.encoding or declared_encoding(source.data), source.name)
    return _headings(LexborHTMLParser(decoded.text))


def _headings(tree: LexborHTMLParser) -> list[tuple[int, str]]:
    found = []
    for node in tree.css("h1, h2, h3, h4, h5, h6"):
        heading = " ".join(node.text().split())
        if heading:
            found.append((int((node.tag or "h1")[1:]), heading))
    return found


def to_text(tree: LexborHTMLParser) -> str:
    """Return the text that a browser shows, with blocks and rows on lines, and tabs for cells."""
    pieces: list[str] = []
    # An explicit stack, since the nesting of an untrusted document is not limited.
    pending: list[tuple[LexborNode | str, bool]] = [(tree.root, False)] if tree.root else []
    while pending:
        node, preformatted = pending.pop()
        if isinstance(node, str):
            pieces.append(node)
        elif node.is_text_node:
            content = node.text_content or ""
            if not preformatted:
                content = _SPACE.sub(" ", content)
                if not pieces or pieces[-1].endswith(("\n", "\t", " ")):
                    content = content.lstrip(" ")
            if content:
                pieces.append(content)
        elif node.tag not in _HIDDEN and node.is_element_node:
            before, after = _breaks(node.tag or "")
            preformatted = preformatted or node.tag in {"pre", "textarea"}
            if before:
                pieces.append(before)
            if after:
                pending.append((after, False))
            children = list(node.iter(include_text=True))
            pending.extend((child, preformatted) for child in reversed(children))
    return "".join(pieces)


def _breaks(tag: str) -> tuple[str, str]:
    if tag in _BLOCKS:
        return "\n\n", "\n\n"
    if tag in _LINES:
        return "\n", ""
    if tag in _CELLS:
        return "", "\t"
    return "", ""


def declared_encoding(data: bytes) -> str | None:
    """Return the encoding that a page declares, if it can be that; else None."""
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return None
    found = _CHARSET.search(data[:1024])
    if found is None:
        return None
    name = found.group(1).decode("ascii").lower()
    try:
        "".encode(name)
        data.decode(name)
    except (LookupError, UnicodeError):
        return None  # wrong declarations are common; detection is more reliable
    # The WHATWG standard: pages that say Latin-1 or ASCII mean windows-1252.
    return "windows-1252" if name in {"iso-8859-1", "latin1", "ascii", "us-ascii"} else name


def _meta(tree: LexborHTMLParser, selector: str) -> str | None:
    node = tree.css_first(selector)
    return ((node.attributes.get("content") or "").strip() or None) if node else None


def _created(tree: LexborHTMLParser) -> str | None:
    for selector in _CREATED:
        try:
            return datetime.datetime.fromisoformat(_meta(tree, selector) or "").isoformat()
        except ValueError:
            continue
    return None
