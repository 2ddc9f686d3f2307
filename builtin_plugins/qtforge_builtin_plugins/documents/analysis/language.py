"""Detect a text's language with py3langid."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from qtforge_builtin_plugins.documents.analysis.language_model import load_language_identifier

__all__ = ["UNDETERMINED", "Language", "load_identifier"]

UNDETERMINED: Final = "und"
# More text does not improve the result, and long texts take no longer than short ones.
_MOST_CHARACTERS: Final = 20_000
_LEAST_LETTERS: Final = 20
# Code, addresses and numbers are in no language, but the model assigns them one.
_NOT_PROSE: Final = re.compile(
    r"https?://\S{1,500}|\S{1,100}@\S{1,100}|\b\w*[\d_]\w*\b|[<>{}\[\]()=|/*#]+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language and the confidence in it.

    Attributes:
        code: ISO 639-1, or ``und``.
        confidence: 0 to 1.
    """

    code: str
    confidence: float


def load_identifier() -> Callable[[str], Language]:
    """Load the model and return a function that detects a text's language."""
    model = load_language_identifier()

    def identify(text: str) -> Language:
        prose = " ".join(_NOT_PROSE.sub(" ", text[:_MOST_CHARACTERS]).split())
        if sum(map(str.isalpha, prose)) < _LEAST_LETTERS:
            return Language(code=UNDETERMINED, confidence=0.0)
        code, probability = model.classify(prose)
        return Language(code=str(code), confidence=round(float(probability), 4))

    return identify
