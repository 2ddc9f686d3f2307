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
from typing import Any, Final

import numpy as np

from qtforge_builtin_plugins.documents.analysis.sentences import split_sentences

__all__ = ["summarize"]

MOST_CHARACTERS: Final = 200_000
MOST_SENTENCES: Final = 400  # the matrix has its square
_LEAST_WORDS: Final = 6
_MOST_WORDS: Final = 60
_MOST_SUMMARY_CHARACTERS: Final = 600
_DAMPING: Final = 0.15
_ROUNDS: Final = 50
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_SENTENCE_END: Final = re.compile(r"[.!?…][\"'»”)]?$")


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
    """Return each sentence's share of a random walk along the similarities."""
    similarities = _similarities(counts)
    walk = similarities / similarities.sum(axis=1, keepdims=True)
    size = len(counts)
    ranks = np.full(size, 1 / size)
    for _ in range(_ROUNDS):
        ranks = _DAMPING / size + (1 - _DAMPING) * (walk.T @ ranks)
    return [float(rank) for rank in ranks]


def _similarities(counts: Sequence[Counter[str]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the cosines between the sentences' words, weighted by their rarity."""
    frequency = Counter(word for words in counts for word in words)
    columns = {word: column for column, word in enumerate(frequency)}
    vectors = np.zeros((len(counts), len(columns)))
    for row, words in enumerate(counts):
        for word, count in words.items():
            rarity = 1 + math.log(len(counts) / frequency[word])
            vectors[row, columns[word]] = count * rarity
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    product: np.ndarray[Any, np.dtype[np.float64]] = vectors @ vectors.T
    return product
