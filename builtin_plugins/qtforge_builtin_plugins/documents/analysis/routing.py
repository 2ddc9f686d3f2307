"""The inputs of routing rules: a document's own keywords, features and category."""

# ruff: noqa: RUF001 - it has words in Russian

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from qtforge_builtin_plugins.documents.analysis.kinds import Kind
from qtforge_builtin_plugins.documents.facts import invoices
from qtforge_sdk.messages import DocumentMetadata

__all__ = ["categorize", "measure_features", "own_keywords"]

_GENERAL: Final = "general"
_MAIL: Final = "message/rfc822"
_MOST_CHARACTERS: Final = 400_000
# Names of kinds of documents. A rule with `keywords.contains('contract')` means a contract,
# but an article on "design by contract" has the word often, too.
_GENRES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ["contract", "contracts", "agreement", "agreements", "vertrag", "verträge",
             "vereinbarung", "vereinbarungen", "договор", "договора", "договоры", "контракт",
             "соглашение", "соглашения"],
            "legal",
        ),
        **dict.fromkeys(
            ["invoice", "invoices", "receipt", "receipts", "rechnung", "rechnungen", "quittung",
             "quittungen", "счет", "счёт", "счета", "счет-фактура", "счёт-фактура", "квитанция",
             "квитанции", "чек"],
            "financial",
        ),
    }
)  # fmt: skip
# A short document has too little text for the classifier, but its title names its kind.
_TITLE_LINES: Final = 3
_TITLE_WORDS: Final = 8
_LEAST_SCORE: Final = 2.0
_PHRASE_WORDS: Final = frozenset(
    ["a", "an", "the", "to", "on", "about", "how", "why", "what", "when", "your", "my", "our",
     "ein", "eine", "der", "die", "das", "wie", "warum", "über", "zum", "mein", "dein",
     "как", "что", "почему", "о", "об", "про", "мой", "ваш"]
)  # fmt: skip
_WORD: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_NUMBER: Final = re.compile(r"(?<!\w)\d[\d.,]*")
_CATEGORIES: Final[Mapping[str, str]] = MappingProxyType(
    {"legal": "contracts", "technical": "engineering", "financial": "finance"}
)


def own_keywords(keywords: Sequence[str], text: str, kind: Kind) -> list[str]:
    """Return the keywords without names of kinds of documents that this one is not.

    Args:
        keywords: Lower case, most significant first.
        text: The document's text.
        kind: Its kind.
    """
    own = {kind.name} if kind.name != _GENERAL else _titled_kinds(text, kind)
    return [keyword for keyword in keywords if _GENRES.get(keyword, _GENERAL) in {_GENERAL, *own}]


def measure_features(text: str, metadata: DocumentMetadata | None, kind: Kind) -> dict[str, float]:
    """Return numbers that conditions may use: sizes, and the score of each kind."""
    text = text[:_MOST_CHARACTERS]
    lines = [line for line in text.split("\n") if line.strip()]
    words = len(text.split())
    features = {
        "characters": float(len(text)),
        "lines": float(len(lines)),
        "words": float(words),
        "numbers_per_100_words": round(100 * len(_NUMBER.findall(text)) / max(words, 1), 2),
    }
    if metadata is not None:
        features["size_bytes"] = float(metadata.size_bytes)
        if metadata.pages is not None:
            features["pages"] = float(metadata.pages)
    features.update({f"{name}_score": score for name, score in sorted(kind.scores.items())})
    return features


def categorize(text: str, metadata: DocumentMetadata | None, kind: Kind) -> str:
    """Return the subject of a document; see `RoutingAnalysis.category`."""
    if kind.name == "financial" and invoices.looks_like_invoice(text):
        return "accounting"
    if kind.name in _CATEGORIES:
        return _CATEGORIES[kind.name]
    is_mail = metadata is not None and metadata.media_type == _MAIL
    return "correspondence" if is_mail else _GENERAL


def _titled_kinds(text: str, kind: Kind) -> set[str]:
    """Return the kinds that the first lines name as the document's own."""
    lines = [line for line in text[:4000].split("\n") if line.strip()][:_TITLE_LINES]
    found = set()
    for line in lines:
        words = _WORD.findall(line.lower())
        # "Invoice 2026-17" and "Lease agreement", not "How to read a contract": a phrase is a
        # title about such documents.
        if 0 < len(words) <= _TITLE_WORDS and not _PHRASE_WORDS & set(words):
            found |= {_GENRES[word] for word in (words[0], words[-1]) if word in _GENRES}
    return {each for each in found if kind.scores.get(each, 0.0) >= _LEAST_SCORE}
