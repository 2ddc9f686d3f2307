"""Split a text into sentences with segtok, which needs no model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from segtok.segmenter import split_multi

__all__ = ["first_sentences", "split_sentences"]

_LIST_MARK: Final = re.compile(
    r"^(?:[-*•†]|\(?[0-9a-zа-я]{1,3}(?:\.\d{1,3})*[.)]|\d{1,2}(?:\.\d{1,3})+)\s+"  # noqa: RUF001
)
_LIST_ITEM: Final = re.compile(r"\s{0,20}(?:[-*•†]|\d{1,3}[.)]|\d{1,2}(?:\.\d{1,3}){1,3})\s")
# A shorter line was not broken at the margin: it is a heading, a row or a paragraph's end.
_LEAST_BROKEN_LINE: Final = 40
# A longer paragraph without an end is a table or code; the splitter is not made for it.
_MOST_CHARACTERS: Final = 10_000
_MOST_FIRST_CHARACTERS: Final = 400_000
_MOST_FIRST_SENTENCES: Final = 2_000


def split_sentences(text: str) -> Iterator[str]:
    """Yield the text's sentences in order, on one line each, without list marks."""
    for paragraph in _paragraphs(text):
        for start in range(0, len(paragraph), _MOST_CHARACTERS):
            for sentence in split_multi(paragraph[start : start + _MOST_CHARACTERS]):
                stripped = _LIST_MARK.sub("", sentence.strip())
                if stripped:
                    yield stripped


def first_sentences(text: str) -> list[str]:
    """Return the first 2,000 sentences of the first 400,000 characters."""
    return list(islice(split_sentences(text[:_MOST_FIRST_CHARACTERS]), _MOST_FIRST_SENTENCES))


def _paragraphs(text: str) -> Iterator[str]:
    """Yield runs of lines that belong together, each as one line."""
    lines: list[str] = []
    for line in text.split("\n"):
        words = " ".join(line.split())
        if lines and (not words or _LIST_ITEM.match(line) or len(lines[-1]) < _LEAST_BROKEN_LINE):
            yield " ".join(lines)
            lines = []
        if words:
            lines.append(words)
    if lines:
        yield " ".join(lines)
