"""Markdown, by markdown-it-py (CommonMark with tables): the text without its marks."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_builtin_plugins.documents.formats.plain import decode
from qtforge_sdk.messages import Table

__all__ = ["extract", "find_headings"]

# Static site generators put properties there; CommonMark would read them as a heading.
_FRONT_MATTER: Final = re.compile(
    r"\A(---|\+\+\+)[ \t]*\r?\n(.{0,20000}?)\r?\n\1[ \t]*(?:\r?\n|\Z)", re.S
)
# "title: A report" of YAML, or "title = 'A report'" of TOML; values on lines of their own are not.
_PROPERTY: Final = re.compile(r"^(title|author|date)[ \t]*[:=][ \t]*(\S.*?)[ \t]*$", re.M | re.I)
_BLOCK_ENDS: Final = frozenset(
    {"paragraph_close", "heading_close", "table_close", "bullet_list_close",
     "ordered_list_close", "blockquote_close"}
)  # fmt: skip


def extract(source: Source) -> Extracted:
    """Return the text, with code blocks unchanged.

    Title, author and date are those of the front matter; else the first heading is the title.

    Raises:
        OperationError: ``document.undecodable``.
    """
    decoded = decode(source.data, source.encoding, source.name)
    front, tokens = _parse(decoded.text)
    body = "".join(_pieces(tokens))
    headings = list(_headings(tokens))
    properties = _properties(front or "")
    return Extracted(
        text=f"{front}\n\n{body}" if front else body,
        title=properties.get("title") or (headings[0][1] if headings else None),
        author=properties.get("author"),
        created=_iso(properties.get("date")),
        encoding=decoded.encoding,
        warnings=decoded.warnings,
        headings=headings,
        tables=_tables(tokens),
    )


def find_headings(source: Source) -> list[tuple[int, str]]:
    """Return each heading's level, 1 to 6, and its text on one line.

    Raises:
        OperationError: ``document.undecodable``.
    """
    decoded = decode(source.data, source.encoding, source.name)
    return list(_headings(_parse(decoded.text)[1]))


def _parse(text: str) -> tuple[str | None, Sequence[Token]]:
    """Return the front matter, None without one, and the tokens of the rest."""
    front = _FRONT_MATTER.match(text)
    tokens = MarkdownIt("commonmark").enable("table").parse(text[front.end() :] if front else text)
    return (front.group(2) if front else None), tokens


def _properties(front: str) -> dict[str, str]:
    found = {}
    for match in _PROPERTY.finditer(front):
        text = match[2]
        if text[0] in "\"'" and text.endswith(text[0]):
            text = text[1:-1]
        elif text[0] in "[{|>&*!":
            continue  # a list, a block and the like
        found[match[1].lower()] = text.strip()
    return found


def _iso(text: str | None) -> str | None:
    try:
        return datetime.datetime.fromisoformat(text).isoformat() if text else None
    except ValueError:
        return None


def _tables(tokens: Sequence[Token]) -> list[Table]:
    found: list[Table] = []
    rows: list[tuple[str, ...]] = []
    cells: list[str] = []
    for token, following in itertools.pairwise(tokens):
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            cells = []
        elif token.type in ("th_open", "td_open"):
            cells.append(" ".join(_inline_text(following).split()))
        elif token.type == "tr_close":
            rows.append(tuple(cells))
        if following.type == "table_close":
            found.append(Table(rows=tuple(rows)))
    return found


def _pieces(tokens: Sequence[Token]) -> list[str]:
    pieces: list[str] = []
    for token in tokens:
        if token.type == "inline":
            pieces.append(_inline_text(token))
        elif token.type in ("fence", "code_block"):
            pieces.append(f"{token.content}\n")
        elif token.type == "html_block":
            pieces.append(f"{_html_text(token.content)}\n\n")
        elif token.type == "list_item_open":
            pieces.append(f"{token.info}{token.markup} " if token.info else "- ")
        elif token.type in ("th_close", "td_close"):
            pieces.append("\t")
        elif token.type == "tr_close" or (
            # The paragraph in the item has ended its line already.
            token.type == "list_item_close" and not pieces[-1].endswith("\n")
        ):
            pieces.append("\n")
        elif token.type in _BLOCK_ENDS:
            # In a tight list the paragraphs are hidden, and the items one line each.
            pieces.append("\n" if token.hidden else "\n\n")
    return pieces


def _inline_text(token: Token) -> str:
    pieces: list[str] = []
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            pieces.append("\n")
        elif child.type != "html_inline":
            pieces.append(child.content)
    return "".join(pieces)


def _html_text(markup: str) -> str:
    from selectolax.lexbor import LexborHTMLParser  # few Markdown files have blocks of HTML

    from qtforge_builtin_plugins.documents.formats.html import to_text

    return to_text(LexborHTMLParser(markup))


def _headings(tokens: Sequence[Token]) -> Iterator[tuple[int, str]]:
    for opening, content in itertools.pairwise(tokens):
        if opening.type == "heading_open" and (text := " ".join(_inline_text(content).split())):
            yield int(opening.tag[1:]), text
