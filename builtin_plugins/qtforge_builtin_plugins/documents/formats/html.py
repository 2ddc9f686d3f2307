"""HTML, by selectolax: the text that a browser shows, with its paragraphs and tables."""

from __future__ import annotations

import datetime
import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_builtin_plugins.documents.formats.plain import decode
from qtforge_sdk.messages import Table

__all__ = [
    "declared_encoding",
    "extract",
    "find_headings",
    "find_headings_in",
    "find_tables_in",
    "to_text",
]

_HIDDEN: Final = frozenset({"head", "script", "style", "noscript", "template", "svg", "iframe"})
_BLOCKS: Final = frozenset(
    {"address", "article", "aside", "blockquote", "dd", "details", "div", "dl", "dt", "fieldset",
     "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
     "main", "nav", "ol", "p", "pre", "section", "table", "ul"}
)  # fmt: skip
_LINES: Final = frozenset({"br", "li", "tr", "option", "caption"})
_CELLS: Final = frozenset({"td", "th"})
_MAYBE_HIDDEN: Final = (
    '[hidden], [style*="display" i], [style*="visibility" i], [style*="mso-hide" i],'
    " dialog:not([open])"
)
_HIDING_STYLE: Final = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|mso-hide\s*:\s*all)\b",
    re.IGNORECASE,
)
_MOST_SPANNED: Final = 1000
# What a form shows of what was typed in.
_TYPED: Final = frozenset(
    {"text", "email", "tel", "url", "number", "date", "time", "datetime-local", "month", "week",
     "search", "submit", "button", "reset"}
)  # fmt: skip
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
        headings=find_headings_in(tree),
        tables=find_tables_in(tree),
    )


def find_headings(source: Source) -> list[tuple[int, str]]:
    """Return each heading's level, 1 to 6, and its text on one line.

    Raises:
        OperationError: ``document.undecodable``.
    """
    decoded = decode(source.data, source.encoding or declared_encoding(source.data), source.name)
    return find_headings_in(LexborHTMLParser(decoded.text))


def find_headings_in(tree: LexborHTMLParser) -> list[tuple[int, str]]:
    """Return the headings of a page, as `find_headings` does."""
    found = []
    for node in tree.css("h1, h2, h3, h4, h5, h6"):
        heading = " ".join(node.text().split())
        if heading:
            found.append((int((node.tag or "h1")[1:]), heading))
    return found


def find_tables_in(tree: LexborHTMLParser) -> list[Table]:
    """Return the tables that have no table within them, as those that lay out a page have."""
    found = []
    left_out = _hidden(tree) | _outer_tables(tree)
    for table in tree.css("table"):
        if table.mem_id in left_out:
            continue
        rows: list[tuple[str, ...]] = []
        spanned: dict[int, int] = {}  # a column to the number of rows that a cell above reaches
        for row in table.css("tr"):
            cells: list[str] = []
            for cell in row.css("td, th"):
                _fill(cells, spanned)
                columns = _span(cell, "colspan")
                below = _span(cell, "rowspan") - 1
                for column in range(len(cells), len(cells) + columns):
                    if below > 0:
                        spanned[column] = below
                cells += [" ".join(cell.text().split()), *[""] * (columns - 1)]
            _fill(cells, spanned)
            rows.append(tuple(cells))
        if any(len(row) > 1 for row in rows):
            found.append(Table(rows=tuple(rows)))
    return found


def _outer_tables(tree: LexborHTMLParser) -> frozenset[int]:
    """Return the ids of the tables that have a table within them."""
    if tree.root is None or tree.css_first("table table") is None:
        return frozenset()
    found = set()
    # One walk: to look for the tables in each table would take quadratic time.
    pending: list[tuple[LexborNode, int | None]] = [(tree.root, None)]
    while pending:
        node, table = pending.pop()
        if node.tag == "table":
            if table is not None:
                found.add(table)
            table = node.mem_id
        pending.extend((child, table) for child in node.iter())
    return frozenset(found)


def _fill(cells: list[str], spanned: dict[int, int]) -> None:
    """Append the empty cells into which cells of rows above reach."""
    while spanned.get(len(cells), 0) > 0:
        spanned[len(cells)] -= 1
        cells.append("")


def _span(cell: LexborNode, name: str) -> int:
    text = cell.attributes.get(name) or ""
    return min(max(int(text), 1), _MOST_SPANNED) if text.isdecimal() and len(text) < 6 else 1


def to_text(tree: LexborHTMLParser) -> str:
    """Return the text that a browser shows, with blocks and rows on lines, and tabs for cells."""
    pieces: list[str] = []
    # An explicit stack, since the nesting of an untrusted document is not limited.
    pending: list[tuple[LexborNode | str, bool]] = [(tree.root, False)] if tree.root else []
    hidden = _hidden(tree)
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
        elif node.tag == "input":
            if node.attributes.get("type", "text") in _TYPED:
                pieces.append(node.attributes.get("value") or "")
        elif node.tag not in _HIDDEN and node.is_element_node and node.mem_id not in hidden:
            before, after = _breaks(node.tag or "")
            preformatted = preformatted or node.tag in {"pre", "textarea"}
            if before:
                pieces.append(before)
            if after:
                pending.append((after, False))
            children = list(node.iter(include_text=True))
            pending.extend((child, preformatted) for child in reversed(children))
    return "".join(pieces)


def _hidden(tree: LexborHTMLParser) -> frozenset[int]:
    """Return the ids of the elements that a browser does not show, by their own attributes."""
    found = {
        node.mem_id
        for node in tree.css(_MAYBE_HIDDEN)
        if "hidden" in node.attributes
        or node.tag == "dialog"
        or _HIDING_STYLE.search(node.attributes.get("style") or "")
    }
    for choice in tree.css("select:not([multiple])"):
        options = choice.css("option")
        chosen = next((each for each in options if "selected" in each.attributes), None)
        shown = (chosen or options[0]).mem_id if options else None
        found |= {each.mem_id for each in options if each.mem_id != shown}
    return frozenset(found)


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
