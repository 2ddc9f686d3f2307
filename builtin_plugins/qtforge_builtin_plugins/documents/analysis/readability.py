"""Measure readability: Flesch's reading ease and its versions for other languages."""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Final

from qtforge_builtin_plugins.documents.analysis.sentences import split_sentences
from qtforge_builtin_plugins.documents.messages import Readability

__all__ = ["LANGUAGES", "measure_readability"]

_MOST_SENTENCES: Final = 2_000
_MOST_CHARACTERS: Final = 400_000
_LEAST_WORDS: Final = 30
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_RUSSIAN_VOWEL: Final = re.compile("[аеёиоуыэюя]", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Formula:
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


def measure_readability(text: str, language: str) -> Readability | None:
    """Return the reading ease; higher is easier.

    None when there is no formula for the language, or fewer than 30 words. Only the first
    2,000 sentences are used.
    """
    formula = _FORMULAS.get(language)
    if formula is None:
        return None
    sentences = [
        words
        for sentence in islice(split_sentences(text[:_MOST_CHARACTERS]), _MOST_SENTENCES)
        if (words := _WORD.findall(sentence))
    ]
    words = [word for sentence in sentences for word in sentence]
    if len(words) < _LEAST_WORDS:
        return None
    per_sentence = len(words) / len(sentences)
    per_word = _syllables(words, formula.hyphenation) / len(words)
    score = formula.constant - formula.per_sentence * per_sentence - formula.per_word * per_word
    return Readability(
        formula=formula.name,
        score=round(score, 2),
        sentences=len(sentences),
        words_per_sentence=round(per_sentence, 2),
    )


def _syllables(words: list[str], hyphenation: str | None) -> int:
    if hyphenation is None:
        return sum(max(1, len(_RUSSIAN_VOWEL.findall(word))) for word in words)
    import pyphen  # Russian needs none of its dictionaries

    # left and right 1: syllables of one letter count, though nobody would hyphenate there
    dictionary = pyphen.Pyphen(lang=hyphenation, left=1, right=1)
    return sum(len(dictionary.positions(word)) + 1 for word in words)
