"""Classify a text as legal, financial, technical, general or unknown.

The score of each kind is the sum of the weights of the terms (``kinds.toml``) and features
in the text, each scaled by its frequency per 1000 words. A kind is chosen only if several of
them are found, and if its score is clearly higher than that of the next kind. A text without
a kind is ``general`` if it has enough words to show one, and ``unknown`` otherwise.
"""

# ruff: noqa: RUF001 - it has units in Russian

from __future__ import annotations

import bisect
import fnmatch
import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.documents.facts.items import find_rows
from qtforge_builtin_plugins.documents.facts.labels import LANGUAGES, fold, load_labels
from qtforge_builtin_plugins.documents.facts.numbers import find_number
from qtforge_builtin_plugins.documents.facts.page import Page
from qtforge_builtin_plugins.documents.facts.sentences import (
    find_sentence_values,
    with_sentence_sums,
)
from qtforge_builtin_plugins.documents.facts.sum_lines import Sums
from qtforge_builtin_plugins.documents.facts.sums import read_lines

__all__ = ["Kind", "load_classifier"]

_DATA: Final = Path(__file__).with_name("kinds.toml")
_FALLBACK: Final = "en"  # its terms are used besides those of another language, or alone
_NONE: Final = "general"
_UNKNOWN: Final = "unknown"
_MOST_CHARACTERS: Final = 400_000
_LEAST_WORDS: Final = 300  # a shorter text counts as one of this length
_FEW_WORDS: Final = 20  # for a shorter text, the absence of a kind means little
_FULL_RATE: Final = 3.0  # so many per 1000 words give a term its full weight
_THRESHOLD: Final = 6.0
_MARGIN: Final = 1.25
_SURE: Final = 14.0
_MOST_CONFIDENCE: Final = 0.99  # a count of words is never certain
_MOST_EVIDENCE: Final = 8
_LEAST_FINDS: Final = 3  # distinct terms and features: one word often used makes no kind

# A title such as "Services Agreement" or "Rechnung" says what a document is.
_TITLE_LINES: Final = 4
_TITLE_WORDS: Final = 10
_TITLE_SCORE: Final = 4.0
_NO_TITLE: Final = frozenset(
    ["how", "why", "by", "smart", "what", "when", "about", "your", "my", "our", "wie", "warum",
     "was", "mein", "dein", "comment", "pourquoi", "como", "come", "perche", "hoe", "waarom",
     "nasil", "neden", "как",
     "почему", "что", "мой", "ваш", "jak", "dlaczego", "hur", "varfor", "hvordan", "hvorfor"]
)  # fmt: skip
_INVOICE_HEAD: Final = 5_000  # the characters in which an invoice has its name and its labels
_INVOICE_TAIL: Final = 3_000
_LABEL_SCORE: Final = 1.5
_SUM_SCORE: Final = 2.0
_MOST_LABEL_SCORE: Final = 9.0
_LABELS: Final = frozenset(
    {"number", "date", "due_date", "customer_number", "order_reference", "payment_reference",
     "vat_id", "iban", "bic", "delivery_note", "original_number"}
)  # fmt: skip
_MOST_MESSAGE: Final = 4_000  # the characters of a message that is an invoice by itself
_SENTENCE_SCORES: Final[Mapping[str, float]] = MappingProxyType(
    {"number": 2.5, "date": 1.5, "due_date": 2.0, "total": 2.5}
)
_ROW_SCORE: Final = 2.0
_DATE: Final = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{2,4}")
_FEW_LABELS: Final = 2
_SUMS: Final = frozenset({"net", "tax", "total", "total_weak", "amount_due"})

_WORD: Final = re.compile(r"§|[^\W_]+(?:[-'][^\W_]+)*")
_CLAUSE: Final = re.compile(
    r"^\s{0,8}(?:\d{1,2}\.\d{1,2}\.?(?:\d{1,2}\.?)?|§ ?\d{1,3}|\([a-z]\))\s", re.M
)
_SECTION: Final = re.compile(r"^[ \t]{0,8}(?:\d{1,2}[.)]?|[IVX]{1,4}[.)])[ \t]{1,8}[^\W\d_]", re.M)
_MONEY: Final = re.compile(
    r"(?:[$€£¥₽₹]|\b(?:USD|EUR|GBP|RUB|INR|CHF|Rs\.?))\s?\d|\d[.,]\d{2}\b(?![.,]?\d)(?!\s?%)"
)
_CODE_LINE: Final = re.compile(
    r"^.{0,300}(?:[{};]|\)\s?[:{]|=>|->)[ \t]{0,20}$"
    r"|^[ \t]{0,40}(?:\$ |>>> |def |class |import |from \S+ import |return\b|function |const |let |"
    r"var |#include|public |private |SELECT |sudo |curl |pip |docker |git )"
    r"|^[ \t]{2,40}[\w.-]{1,60}:(?:\s|$)|^[A-Z_]{3,60}=\S|^[ \t]{0,40}</?\w",
    re.M,
)
_IDENTIFIER: Final = re.compile(
    r"\b[a-z]+(?:_[a-z0-9]+)+\b|\b[a-z]{2,}[A-Z][a-z]\w*|\b\w{2,}\(\)"
    r"|(?<!\w)0x[0-9A-Fa-f]{2,16}\b|(?<![\w/.])/(?:dev|etc|usr|var|opt|home|mnt|sys|proc|api)/\w+"
    # Bounded: unbounded repetitions of dotted words take quadratic time on 1.1.1.1 and so on.
    r"|\b\w{1,60}(?:\.\w{1,60}){0,6}\.(?:py|js|toml|json|ya?ml|conf|sh|cpp|rs|go|sql)\b|(?<!\w)--[a-z][a-z-]+"
)

# A word in quotation marks that stands for something from there on: (the "Company").
_DEFINED: Final = re.compile(
    r"\((?:[^()\"“„«»\n]{0,40}\s)?[\"“„«]\s?[^\W\d_a-zß-öø-ÿа-яё][^\"“”„«»()\n]{1,40}[\"”“»]\)"
)
_MEASURE: Final = re.compile(
    r"(?<![\w.,])\d{1,6}(?:[.,]\d{1,3})?[ \u00a0]?(?:mA|[kM]?W|m?V|A|[kMG]?Hz|bar|°C|dB|Nm|Ω"
    r"|[kMG]i?B|[kMG]bit/s|ms|rpm|В|А|кВт|Вт|Гц|бар)(?![\w-])"
)


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of document.

    Attributes:
        name: ``legal``, ``financial``, ``technical``, ``general`` or ``unknown``.
        confidence: 0 to 1.
        evidence: The reasons, strongest first; empty for ``general`` and ``unknown``.
        scores: The score of each kind except ``general``; 6 and more is high.
    """

    name: str
    confidence: float
    evidence: tuple[str, ...]
    scores: Mapping[str, float]


class _Feature(msgspec.Struct, frozen=True, kw_only=True):
    """A feature found by a pattern; ``full_rate`` per 1000 words is its full weight."""

    name: str
    kind: str
    pattern: re.Pattern[str]
    weight: float
    full_rate: float


_FEATURES: Final = (
    _Feature(name="numbered clauses", kind="legal", pattern=_CLAUSE, weight=2, full_rate=15),
    _Feature(name="numbered sections", kind="legal", pattern=_SECTION, weight=1, full_rate=8),
    _Feature(name="defined terms", kind="legal", pattern=_DEFINED, weight=3, full_rate=6),
    _Feature(name="measures", kind="technical", pattern=_MEASURE, weight=2, full_rate=10),
    _Feature(name="amounts of money", kind="financial", pattern=_MONEY, weight=4, full_rate=30),
    _Feature(name="lines of code", kind="technical", pattern=_CODE_LINE, weight=5, full_rate=30),
    _Feature(name="identifiers", kind="technical", pattern=_IDENTIFIER, weight=4, full_rate=15),
)

_TITLES: Final = "titles"

Terms = Mapping[str, Mapping[str, float]]
"""Kind to term to weight."""


def load_classifier(folder: str | None = None) -> Callable[[str, str], Kind]:
    """Load the terms and return a function of a text and its language (ISO 639-1).

    Args:
        folder: A folder with labels of further languages, or None.
    """
    languages: Mapping[str, Mapping[str, Any]] = tomllib.loads(_DATA.read_text("utf-8"))

    def classify(text: str, language: str) -> Kind:
        text = text[:_MOST_CHARACTERS]
        own = languages.get(language, {})
        terms = {
            kind: {**languages[_FALLBACK][kind], **own.get(kind, {})}
            for kind in languages[_FALLBACK]
            if kind != _TITLES
        }
        found = _finds(text, terms)
        titles = [*languages[_FALLBACK][_TITLES]["legal"], *own.get(_TITLES, {}).get("legal", ())]
        found["legal"] += _titled(text, titles)
        found["financial"] += _invoice_finds(text, language, folder)
        kind = _decide(found)
        if kind.name == _NONE and len(text.split()) < _FEW_WORDS:
            return Kind(name=_UNKNOWN, confidence=0.5, evidence=(), scores=kind.scores)
        return kind

    return classify


def _titled(text: str, titles: Sequence[str]) -> list[tuple[float, str]]:
    """Return the find of a title of one of these forms among the first lines."""
    lines = (line.strip(" #*=_") for line in text[:4_000].split("\n"))
    for line in itertools.islice(filter(None, lines), _TITLE_LINES):
        folded = fold(line)
        words = folded.split()
        if len(words) > _TITLE_WORDS or _NO_TITLE & set(words) or line.endswith((".", ",", "?")):
            continue
        if any(fnmatch.fnmatchcase(folded, fold(title)) for title in titles):
            return [(_TITLE_SCORE, f"title '{line}'")]
    return []


def _invoice_finds(text: str, language: str, folder: str | None) -> list[tuple[float, str]]:
    """Return the finds of an invoice's title, its labels and its sums."""
    if len(text) > _INVOICE_HEAD + _INVOICE_TAIL:
        text = f"{text[:_INVOICE_HEAD]}\n{text[-_INVOICE_TAIL:]}"
    if not any(map(str.isdigit, text)):
        return []
    is_known = language in LANGUAGES or (folder and Path(folder, f"{language}.toml").is_file())
    page = Page(text, load_labels(language if is_known else None, folder))
    finds: list[tuple[float, str]] = []
    for _, start, end in page.labels.find_titles(page.folded, page.tokens):
        index, _, cell = page.cell_of(start)
        before = page.text[cell.start : start]
        line = page.text[cell.start : cell.end]
        if index > 40 or any(map(str.isalpha, before)) or len(line.split()) > _TITLE_WORDS:
            continue
        if not _NO_TITLE & set(fold(line).split()) and not line.rstrip().endswith((".", "?", "!")):
            finds.append((_TITLE_SCORE, f"title '{page.text[start:end]}'"))
            break
    labels = {
        kind for hit in page.hits if page.is_anchored(hit) and _has_value(page, hit.end)
        for kind in hit.kinds if kind in _LABELS
    }  # fmt: skip
    sums = {line.kind for line in read_lines(page, language) if line.kind in _SUMS}
    score = min(_MOST_LABEL_SCORE, _LABEL_SCORE * len(labels) + _SUM_SCORE * len(sums))
    if labels:
        finds.append((score * 0.5, "labels " + ", ".join(sorted(labels))))
    if sums:
        finds.append((score * 0.5, "sums " + ", ".join(sorted(filter(None, sums)))))
    is_open = bool(finds) and score < _THRESHOLD  # items decide only when the rest does not
    rows = find_rows(page, language) if is_open else []
    if rows:
        finds.append((_ROW_SCORE, f"items x{len(rows)}"))
    elif not sums and len(labels) <= _FEW_LABELS:
        finds = []
    if len(text) <= _MOST_MESSAGE and sum(find[0] for find in finds) < _THRESHOLD:
        finds += _sentence_finds(page, language)
    return finds


def _sentence_finds(page: Page, language: str) -> list[tuple[float, str]]:
    """Return the finds of a message whose sentences have an invoice's number, sum and days."""
    if next(page.labels.find_titles(page.folded, page.tokens), None) is None:
        return []
    kinds = {each.kind for each in find_sentence_values(page, language)}
    number = find_number(page, _is_date, set())
    if number is not None and number.is_named:
        kinds.add("number")
    if with_sentence_sums(page, language, Sums(), None).total is not None:
        kinds.add("total")
    found = sorted(kinds & _SENTENCE_SCORES.keys())
    if "number" not in found or len(found) < _LEAST_FINDS:
        return []
    return [(_SENTENCE_SCORES[kind], f"sentence with {kind}") for kind in found]


def _is_date(value: str) -> bool:
    return _DATE.fullmatch(value) is not None


def _has_value(page: Page, end: int) -> bool:
    """Return whether a digit follows on the line, or on the next one."""
    line = page.line_at(end - 1)
    return any(map(str.isdigit, page.text[end : page.lines[line][1]] + page.line(line + 1)))


def _finds(text: str, terms: Terms) -> dict[str, list[tuple[float, str]]]:
    """Return for each kind its finds: the score that each adds, and its description."""
    words = _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    per_1000 = 1000 / max(len(words), _LEAST_WORDS)
    phrases = _phrases(words)
    found: dict[str, list[tuple[float, str]]] = {}
    for kind, weights in terms.items():
        found[kind] = []
        for term, weight in weights.items():
            count = _count(term, phrases)
            if count:
                score = weight * min(1.0, count * per_1000 / _FULL_RATE)
                found[kind].append((score, f"'{term}' x{count}"))
    for feature in _FEATURES:
        count = sum(1 for _ in feature.pattern.finditer(text))
        if count > 1:
            score = feature.weight * min(1.0, count * per_1000 / feature.full_rate)
            found[feature.kind].append((score, f"{feature.name} x{count}"))
    return found


class _Phrases:
    """The frequency of each run of words of one length in a text."""

    def __init__(self, words: Sequence[str], length: int) -> None:
        self._counts = Counter(map(" ".join, _runs(words, length)))
        self._sorted = sorted(self._counts)

    def count(self, term: str) -> int:
        """Return how often a term occurs; ``*`` stands for any ending of a word."""
        if "*" not in term:
            return self._counts[term]
        stem = term.partition("*")[0]
        # Only the phrases that begin in the same way are compared.
        first = bisect.bisect_left(self._sorted, stem)
        last = bisect.bisect_left(self._sorted, f"{stem}\U0010ffff")
        pattern = _pattern(term)
        return sum(
            self._counts[phrase] for phrase in self._sorted[first:last] if pattern.fullmatch(phrase)
        )


@cache  # the terms are those of the file
def _pattern(term: str) -> re.Pattern[str]:
    return re.compile(re.escape(term).replace(r"\*", r"[^ ]*"))


def _phrases(words: Sequence[str]) -> Mapping[int, _Phrases]:
    """Return the runs of one, two and three words in the text."""
    return {length: _Phrases(words, length) for length in (1, 2, 3)}


def _runs(words: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return zip(*(itertools.islice(words, start, None) for start in range(length)), strict=False)


def _count(term: str, phrases: Mapping[int, _Phrases]) -> int:
    return phrases[term.count(" ") + 1].count(term)


def _decide(found: Mapping[str, Sequence[tuple[float, str]]]) -> Kind:
    scores = sorted(
        ((sum(score for score, _ in finds), kind) for kind, finds in found.items()), reverse=True
    )
    (best, name), (second, _) = scores[0], scores[1]
    by_kind = {kind: round(float(score), 2) for score, kind in scores}
    if best < _THRESHOLD or len(found[name]) < _LEAST_FINDS:
        confidence = max(0.5, min(1 - 0.5 * best / _THRESHOLD, _MOST_CONFIDENCE))
        return Kind(name=_NONE, confidence=round(confidence, 2), evidence=(), scores=by_kind)
    if best < _MARGIN * second:
        return Kind(name=_UNKNOWN, confidence=0.5, evidence=(), scores=by_kind)
    confidence = best / (best + second) * (0.5 + 0.5 * min(1.0, best / _SURE))
    strongest = sorted(found[name], key=lambda find: (-find[0], find[1]))
    return Kind(
        name=name,
        confidence=round(min(confidence, _MOST_CONFIDENCE), 2),
        evidence=tuple(description for _, description in strongest[:_MOST_EVIDENCE]),
        scores=by_kind,
    )
