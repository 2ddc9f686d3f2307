"""Measure readability: Flesch's reading ease and its versions for other languages."""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Final

import msgspec

from qtforge_builtin_plugins.documents.messages import Readability

__all__ = ["LANGUAGES", "measure_readability"]

_LEAST_WORDS: Final = 30
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_RUSSIAN_VOWEL: Final = re.compile("[аеёиоуыэюя]", re.IGNORECASE)


class _Formula(msgspec.Struct, frozen=True, kw_only=True):
    """``constant - per_sentence * words/sentences - per_word * syllables/words``."""

    name: str
    constant: float
    per_sentence: float
    per_word: float
    hyphenation: str | None


_FORMULAS: Final[Mapping[str, _Formula]] = MappingProxyType(
    {
        # R. Flesch, A new readability yardstick, 1948.
        "en": _Formula(
            name="flesch", constant=206.835, per_sentence=1.015, per_word=84.6, hyphenation="en_US"
        ),
        # T. Amstad, Wie verständlich sind unsere Zeitungen?, 1978.
        "de": _Formula(
            name="amstad", constant=180.0, per_sentence=1.0, per_word=58.5, hyphenation="de_DE"
        ),
        # I. V. Oborneva, 2006. In Russian a syllable is a vowel.
        "ru": _Formula(
            name="oborneva", constant=206.835, per_sentence=1.3, per_word=60.1, hyphenation=None
        ),
    }
)
LANGUAGES: Final = frozenset(_FORMULAS)


def measure_readability(sentences: Iterable[str], language: str) -> Readability | None:
    """Return the reading ease; higher is easier.

    None when there is no formula for the language, or fewer than 30 words.

    Args:
        sentences: The text's, see `sentences.split_sentences`.
        language: ISO 639-1.
    """
    formula = _FORMULAS.get(language)
    if formula is None:
        return None
    found = [words for sentence in sentences if (words := _WORD.findall(sentence))]
    words = [word for sentence in found for word in sentence]
    if len(words) < _LEAST_WORDS:
        return None
    per_sentence = len(words) / len(found)
    per_word = _syllables(words, formula.hyphenation) / len(words)
    score = formula.constant - formula.per_sentence * per_sentence - formula.per_word * per_word
    return Readability(
        formula=formula.name,
        score=round(score, 2),
        sentences=len(found),
        words_per_sentence=round(per_sentence, 2),
    )


def _syllables(words: Sequence[str], hyphenation: str | None) -> int:
    if hyphenation is None:
        return sum(max(1, len(_RUSSIAN_VOWEL.findall(word))) for word in words)
    count = _load_syllables(hyphenation)
    return sum(count(word) * times for word, times in Counter(words).items())


@cache
def _load_syllables(hyphenation: str) -> Callable[[str], int]:
    # Russian needs none of its dictionaries.
    from qtforge_builtin_plugins.documents.analysis.syllables import load_counter

    return load_counter(hyphenation)
