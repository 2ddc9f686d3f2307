"""Find a text's keywords: by YAKE's scores, or by frequency in languages without spaces."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from qtforge_builtin_plugins.documents.analysis.keyword_scores import (
    find_stop_words,
    score_keywords,
)

__all__ = ["find_keywords"]

# The cost grows with the text; 200,000 characters take about half a second.
_MOST_CHARACTERS: Final = 200_000
_MOST_KEYWORDS: Final = 10
_MOST_CANDIDATES: Final = 4 * _MOST_KEYWORDS
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_LEAST_WORDS: Final = 3
# Chinese, Japanese, Thai, Lao, Khmer and Burmese are written without spaces.
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
)
_RUN: Final = re.compile(f"{_UNSPACED.pattern}{{2,}}")
_KANA: Final = re.compile("[\u3040-\u309f]+")  # the endings and small words of Japanese
_PART_LENGTHS: Final = (6, 5, 4, 3, 2)
_LEAST_COUNT: Final = 2
_MOST_PART_CHARACTERS: Final = 20_000


def find_keywords(text: str, language: str) -> list[str]:
    """Return at most ten keywords in lower case, most significant first.

    Args:
        text: Only its first 200,000 characters are used.
        language: ISO 639-1; chooses the stop words.
    """
    text = text[:_MOST_CHARACTERS]
    if sum(1 for _ in _WORD.finditer(text)) < _LEAST_WORDS and not _UNSPACED.search(text):
        return []  # such as the few marks that are left of a scanned page
    if len(_UNSPACED.findall(text)) * 2 > sum(map(str.isalpha, text)):
        return _frequent_parts(text)
    found = score_keywords(text, find_stop_words(language), _MOST_CANDIDATES)
    # Equal scores are sorted by the alphabet, so that the result is deterministic.
    ranked = sorted((round(score, 9), keyword) for keyword, score in found)
    return [keyword for _, keyword in ranked if _WORD.search(keyword)][:_MOST_KEYWORDS]


def _frequent_parts(text: str) -> list[str]:
    """Return the most frequent runs of characters, longer ones before their own parts."""
    runs = [
        part for run in _RUN.findall(text[:_MOST_PART_CHARACTERS]) for part in _KANA.split(run)
    ]  # fmt: skip
    counts = Counter(
        run[start : start + length]
        for run in runs
        for length in _PART_LENGTHS
        for start in range(len(run) - length + 1)
    )
    ranked = sorted(
        (part for part, count in counts.items() if count >= _LEAST_COUNT),
        key=lambda part: (-counts[part] * (len(part) - 1), part),
    )
    found: list[str] = []
    for part in ranked:
        if len(found) == _MOST_KEYWORDS:
            break
        if not any(part in other or other in part for other in found):
            found.append(part)
    return found
