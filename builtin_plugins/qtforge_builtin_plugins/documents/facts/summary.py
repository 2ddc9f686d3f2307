"""Summarize a text by its most central sentences, with LexRank.

Erkan and Radev, LexRank: Graph-based lexical centrality as salience in text summarization,
2004, with continuous similarities. sumy has it too, but needs nltk, lxml, pycountry and a
downloaded tokenizer for it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Final

from qtforge_builtin_plugins.documents.analysis.sentences import split_sentences

__all__ = ["summarize"]

MOST_CHARACTERS: Final = 200_000
MOST_SENTENCES: Final = 400  # each similar to each
_LEAST_WORDS: Final = 6
_MOST_WORDS: Final = 60
_MOST_SUMMARY_CHARACTERS: Final = 600
_DAMPING: Final = 0.15
_ROUNDS: Final = 50
_SETTLED: Final = 1e-12  # ranks that change less are the same, to the digits that are compared
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_SENTENCE_END: Final = re.compile(r"[.!?…][\"'»”)]?$")

_Vector = Sequence[tuple[int, float]]
"""The numbers of the words that a sentence has, and their weights."""


def summarize(text: str, sentences: int) -> str:
    """Return the most central sentences in the text's order; empty when there are none.

    Args:
        text: Only its first 200,000 characters and 400 whole sentences are used.
        sentences: The most sentences; together they have at most 600 characters.
    """
    whole = filter(_is_whole, split_sentences(text[:MOST_CHARACTERS]))
    # Repetitions, such as a footer on each page, do not make a sentence more central.
    candidates = list(dict.fromkeys(islice(whole, MOST_SENTENCES)))
    if not candidates:
        return ""
    ranks = _ranks([Counter(_WORD.findall(sentence.lower())) for sentence in candidates])
    best = sorted(range(len(candidates)), key=lambda index: (-round(ranks[index], 9), index))
    chosen: list[int] = []
    length = 0
    for index in best:
        if len(chosen) == sentences:
            break
        if length + len(candidates[index]) <= _MOST_SUMMARY_CHARACTERS:
            chosen.append(index)
            length += len(candidates[index]) + 1
    return " ".join(candidates[index] for index in sorted(chosen))


def _is_whole(sentence: str) -> bool:
    """Return whether it is a sentence and not a heading, a table's row or a line of code."""
    words = _WORD.findall(sentence)
    letters = sum(map(str.isalpha, sentence))
    return (
        _LEAST_WORDS <= len(words) <= _MOST_WORDS
        and letters >= 0.65 * len(sentence)
        and _SENTENCE_END.search(sentence) is not None
    )


def _ranks(counts: Sequence[Counter[str]]) -> list[float]:
    """Return each sentence's share of a random walk along the similarities.

    Their matrix is never made: it is the product of the sentences' vectors, most of which is
    zero, so that a step of the walk goes from the sentences to their words and back.
    """
    vectors, words = _vectors(counts)
    size = len(vectors)
    sums = _along_similarities(vectors, words, [1.0] * size)
    ranks = [1 / size] * size
    for _ in range(_ROUNDS):
        shares = [rank / total for rank, total in zip(ranks, sums, strict=True)]
        walked = _along_similarities(vectors, words, shares)
        before, ranks = ranks, [_DAMPING / size + (1 - _DAMPING) * each for each in walked]
        if all(abs(new - old) < _SETTLED for new, old in zip(ranks, before, strict=True)):
            break
    return ranks


def _along_similarities(
    vectors: Sequence[_Vector], words: int, values: Sequence[float]
) -> list[float]:
    """Return the product of the matrix of similarities and a value for each sentence."""
    sums = [0.0] * words
    for vector, value in zip(vectors, values, strict=True):
        for word, weight in vector:
            sums[word] += weight * value
    return [sum([weight * sums[word] for word, weight in vector]) for vector in vectors]


def _vectors(counts: Sequence[Counter[str]]) -> tuple[list[_Vector], int]:
    """Return the weights of each sentence's words by their rarity, and how many words there are.

    A vector has the length 1: the product of two is the cosine between them, their similarity.
    """
    frequency = Counter(word for words in counts for word in words)
    numbers = {word: number for number, word in enumerate(frequency)}
    vectors: list[_Vector] = []
    for words in counts:
        weights = [
            (numbers[word], count * (1 + math.log(len(counts) / frequency[word])))
            for word, count in words.items()
        ]
        length = math.hypot(*(weight for _, weight in weights))
        vectors.append([(number, weight / length) for number, weight in weights])
    return vectors, len(numbers)
