"""Split a text into sentences, by segtok, which needs no model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from segtok.segmenter import split_multi

__all__ = ["split_sentences"]

_PARAGRAPH_END: Final = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*•]|\d+[.)])\s)")
_LIST_MARK: Final = re.compile(r"^(?:[-*•]|\(?[0-9a-z]{1,3}(?:\.\d+)*[.)])\s+")
# A longer paragraph without an end is a table or code; the splitter is not made for it.
_MOST_CHARACTERS: Final = 10_000


def split_sentences(text: str) -> Iterator[str]:
    """Yield the text's sentences in order, on one line each, without list marks."""
    for paragraph in _PARAGRAPH_END.split(text):
        line = " ".join(paragraph.split())
        for start in range(0, len(line), _MOST_CHARACTERS):
            for sentence in split_multi(line[start : start + _MOST_CHARACTERS]):
                stripped = _LIST_MARK.sub("", sentence.strip())
                if stripped:
                    yield stripped
