"""Determine the tone of an English text with VADER's lexicon and rules."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Final

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from qtforge_builtin_plugins.documents.messages import Sentiment

__all__ = ["LANGUAGES", "load_scorer"]

LANGUAGES: Final = frozenset({"en"})
# VADER's own threshold between neutral and the rest.
_THRESHOLD: Final = 0.05


def load_scorer() -> Callable[[Sequence[str]], Sentiment | None]:
    """Load the lexicon and return a function that determines the tone of English sentences.

    The score is the mean over the sentences: VADER is made for single sentences, and
    saturates on whole texts.
    """
    analyzer = SentimentIntensityAnalyzer()

    def has_tone(sentence: str) -> bool:
        """Return whether VADER knows a word or a sign of it; without one its score is 0."""
        if not sentence.isascii():
            return True  # it may have an emoji
        words = sentence.lower().split()
        return any(
            word in analyzer.lexicon or word.strip(string.punctuation) in analyzer.lexicon
            for word in words
        )

    def score(sentences: Sequence[str]) -> Sentiment | None:
        if not sentences:
            return None
        scores = [
            analyzer.polarity_scores(sentence)["compound"] if has_tone(sentence) else 0.0
            for sentence in sentences
        ]
        mean = round(sum(scores) / len(scores), 4)
        if mean >= _THRESHOLD:
            return Sentiment(label="positive", score=mean)
        return Sentiment(label="negative" if mean <= -_THRESHOLD else "neutral", score=mean)

    return score
