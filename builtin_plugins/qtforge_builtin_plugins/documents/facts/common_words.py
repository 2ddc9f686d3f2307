"""Words that contracts write with capitals and that are hardly ever names of people.

The words and the endings of abstract nouns are data, ``common_words.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from qtforge_builtin_plugins.documents.facts.given_names import is_given, stem
from qtforge_builtin_plugins.documents.facts.labels import fold

__all__ = ["is_common"]

_DATA: Final = Path(__file__).with_suffix(".toml")
_LEAST_BEFORE_ENDING: Final = 3  # letters


def is_common(word: str, language: str | None) -> bool:
    """Return whether a word is a common one of contracts, and so hardly a person's name.

    >>> is_common("Schedules", "en"), is_common("Insolvency", "en"), is_common("Price", "en")
    (True, False, False)

    Args:
        word: A word, in whatever case.
        language: ISO 639-1; False for one without such words.
    """
    words, endings, names = _words(language)
    folded, lower = fold(word), word.lower()
    if folded in names or is_given(word, language):
        return False
    return (stem(folded) if language == "ru" else folded) in words or any(
        lower.endswith(ending) and len(lower) - len(ending) >= _LEAST_BEFORE_ENDING
        for ending in endings
    )


@cache
def _words(language: str | None) -> tuple[frozenset[str], tuple[str, ...], frozenset[str]]:
    data: Mapping[str, Mapping[str, str | Sequence[str]]] = tomllib.loads(_DATA.read_text("utf-8"))
    own = data.get(language or "", {})
    words, names = (fold(str(own.get(kind, ""))).split() for kind in ("words", "names"))
    stems = map(stem, words) if language == "ru" else words
    return frozenset(stems), tuple(own.get("endings", ())), frozenset(names)
