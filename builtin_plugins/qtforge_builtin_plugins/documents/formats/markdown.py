"""Markdown, by markdown-it-py (CommonMark with tables): the text without its marks."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_builtin_plugins.documents.formats.plain import decode

__all__ = ["extract", "find_headings"]

# Static site generators put properties there; CommonMark would read them as a heading.
_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\r?\n(.{0,20000}?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.S)
_BLOCK_ENDS: Final = frozenset(
    {"paragraph_close", "heading_close", "table_close", "bullet_list_close",
     "ordered_list_close", "blockquote_close"}
)  # fmt: skip


def extract(source: Source) -> Extracted:
    """Return the text, with code blocks unchanged; the first heading is the title.

    Raises:
        OperationError: ``document.undecodable``.
    """
    decoded = decode(source.data, source.encoding, source.name)
    front, tokens = _parse(decoded.text)
    body = "".join(_pieces(tokens))
    headings = list(_headings(tokens))
    return Extracted(
        text=f"{front}\n\n{body}" if front else body,
        title=headings[0][1] if headings else None,
        encoding=decoded.encoding,
        warnings=decoded.warnings,
        headings=headings,
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
    return (front.group(1) if front else None), tokens


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
