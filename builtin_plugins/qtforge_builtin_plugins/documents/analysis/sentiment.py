"""Determine the tone of an English text with VADER's lexicon and rules."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from qtforge_builtin_plugins.documents.analysis.sentences import split_sentences
from qtforge_builtin_plugins.documents.messages import Sentiment

__all__ = ["LANGUAGES", "load_scorer"]

LANGUAGES: Final = frozenset({"en"})
_MOST_SENTENCES: Final = 2_000
_MOST_CHARACTERS: Final = 400_000
# VADER's own threshold between neutral and the rest.
_THRESHOLD: Final = 0.05


def load_scorer() -> Callable[[str], Sentiment | None]:
    """Load the lexicon and return a function that determines an English text's tone.

    The score is the mean over the sentences: VADER is made for single sentences, and
    saturates on whole texts.
    """
    analyzer = SentimentIntensityAnalyzer()

    def score(text: str) -> Sentiment | None:
        sentences = list(islice(split_sentences(text[:_MOST_CHARACTERS]), _MOST_SENTENCES))
        if not sentences:
            return None
        scores = [analyzer.polarity_scores(sentence)["compound"] for sentence in sentences]
        mean = round(sum(scores) / len(scores), 4)
        if mean >= _THRESHOLD:
            return Sentiment(label="positive", score=mean)
        return Sentiment(label="negative" if mean <= -_THRESHOLD else "neutral", score=mean)

    return score
