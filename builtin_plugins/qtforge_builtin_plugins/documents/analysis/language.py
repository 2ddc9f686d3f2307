"""Detect a text's language with py3langid."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

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
_NORWEGIAN: Final = re.compile(
    r"\b(?:mva|bel\u00f8p|utstedt|etter|kj\u00f8p\w*|gate|mengde|ytelse|av|mellom|oppdrag|ut)\b"
)
# The model takes short texts of names and figures for a small neighbour of their language, which
# is believed only with some of its own words or letters.
_NEIGHBOURS: Final[Mapping[str, tuple[str, re.Pattern[str]]]] = MappingProxyType({
    "lb": ("de", re.compile(r"\b(?:ass|vun|d\u00e9i|fir|mat|awer|ech|datt|sinn|gouf|d\u00ebs)\b")),
    "an": ("es", re.compile(r"\b(?:ye|d'os?|d'as?|t'o|tami\u00e9n|dica|yera|n'o|y-o|fueron)\b")),
    "oc": ("fr", re.compile(r"\b(?:amb|aqu\u00f2|dins|tanben|\u00f2c|qu'es|aqueste|dels)\b")),
    "wa": ("fr", re.compile(r"\b(?:ey|dins|d\u00e8l|esteut|avou|po|nén|sacw\u00e8)\b")),
    "af": ("nl", re.compile(r"\b(?:nie|hulle|baie|vir|hierdie|sal|gewees|ook nie|'n)\b")),
    "gl": ("es", re.compile(r"\b(?:unha?|pola?s?|m\u00e1is|coas?|non|d\u00faas|xa|onde|seu)\b")),
    "pcm": ("en", re.compile(r"\b(?:dey|wetin|dem|una|sabi|abi|don|wey|na)\b")),
    "nn": ("da", re.compile(r"\b(?:ikkje|eit|ein|vere|fr\u00e5|kva|nokon|desse|h\u00e5|mva)\b")),
    "no": ("da", _NORWEGIAN),
    "nb": ("da", _NORWEGIAN),
    "az": ("tr", re.compile("\u0259")),
})  # fmt: skip
_LEAST_MARKS: Final = 3


class Language(msgspec.Struct, frozen=True, kw_only=True):
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
        neighbour = _NEIGHBOURS.get(str(code))
        if neighbour is not None and len(neighbour[1].findall(prose.lower())) < _LEAST_MARKS:
            code = neighbour[0]
        return Language(code=str(code), confidence=round(float(probability), 4))

    return identify
