"""What a text is about, by YAKE (unsupervised, works for any language with stop words)."""

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
    """Return at most ten keywords in lower case, the most telling first.

    Args:
        text: Only its first 200,000 characters count.
        language: ISO 639-1; chooses the stop words.
    """
    extractor = yake.KeywordExtractor(
        lan=language, n=_WORDS_PER_KEYWORD, top=4 * _MOST_KEYWORDS, dedup_lim=0.8
    )
    found = extractor.extract_keywords(text[:_MOST_CHARACTERS])
    # Equal scores are put in alphabetical order, so that the same text always gives the same.
    ranked = sorted((round(float(score), 9), keyword.lower()) for keyword, score in found)
    unique = dict.fromkeys(keyword for _, keyword in ranked if _WORD.search(keyword))
    return list(unique)[:_MOST_KEYWORDS]
