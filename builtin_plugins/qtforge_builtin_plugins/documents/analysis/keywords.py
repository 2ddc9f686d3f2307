"""Find a text's keywords with YAKE (unsupervised, for any language with stop words)."""

from __future__ import annotations

import re
from typing import Final

import yake

__all__ = ["find_keywords"]

# The cost grows a little faster than the text; 200,000 characters take about a second.
_MOST_CHARACTERS: Final = 200_000
_MOST_KEYWORDS: Final = 10
_WORDS_PER_KEYWORD: Final = 2
_WORD: Final = re.compile(r"[^\W\d_]{3,}")


def find_keywords(text: str, language: str) -> list[str]:
    """Return at most ten keywords in lower case, most significant first.

    Args:
        text: Only its first 200,000 characters are used.
        language: ISO 639-1; chooses the stop words.
    """
    extractor = yake.KeywordExtractor(
        lan=language, n=_WORDS_PER_KEYWORD, top=4 * _MOST_KEYWORDS, dedup_lim=0.8
    )
    found = extractor.extract_keywords(text[:_MOST_CHARACTERS])
    # Equal scores are sorted by the alphabet, so that the result is deterministic.
    ranked = sorted((round(float(score), 9), keyword.lower()) for keyword, score in found)
    unique = dict.fromkeys(keyword for _, keyword in ranked if _WORD.search(keyword))
    return list(unique)[:_MOST_KEYWORDS]
