"""Which of a document's numbers is its own, when no label of the lists says it.

Every text that may be a number of a series is a candidate: letters, digits and separators that
are no date, amount, phone, account or postal code. Each has features: what the words beside or
above it say, where it stands, how it looks, and whether it is repeated. One sum of weights decides,
so that a label of words that nobody has listed needs only a place that is usual.
"""

# ruff: noqa: RUF001 - it has letters in Russian and typographic marks

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Final

from qtforge_builtin_plugins.documents.facts.labels import Hit
from qtforge_builtin_plugins.documents.facts.page import Page

__all__ = ["Candidate", "find_label", "find_number", "iterate_candidates"]

_CODE: Final = re.compile(
    r"(?<![\w@/.,+&'’-])(?:(?P<series>[A-ZА-ЯŞÖÄÜ]{1,4}) (?=(?:[A-Z]{1,3}/)?\d+(?:[/-]\d|\d\d)))?"
    r"(?=[^\s\d]{0,12}\d)"
    r"[^\W_](?:[\w&]|[/.-](?=\w)|:(?=\d{2,}(?!\d)))*(?![\w@]|[,.’']\d|:\d)"
)
_TIME: Final = re.compile(r"\d\d?:\d\d")
_AMOUNT: Final = re.compile(r"\d{1,3}(?:[.’']\d{3})*(?:[.,]\d\d)?|\d+[.,]\d\d")
_MEASURE: Final = re.compile(
    r" ?(?:[%€$£°]|(?:eur|chf|zł|usd|gbp|sek|dkk|pln|kr|руб|р|pcs|szt|stk|uds|man|mnd|mes|gun|ads"
    r"|adet|min|kg|km|kwh|[мm][³²23]|st|шт|g|h|mb|gb)(?!\w))"
)
_MONEY_BEFORE: Final = re.compile(r"(?:[€$£]|R\$|(?<!\w)(?:EUR|CHF|DKK|SEK|PLN|USD|GBP|TL|kr)) ?$")
_DIGITS_BEFORE: Final = re.compile(r"\d[ \u00a0]$|\+$|\(\d*\) ?$")
_DIGITS_AFTER: Final = re.compile(r"[ \u00a0]\d{2}")
_YEAR: Final = re.compile(r"(?:19|20)\d\d")
_REGISTERED: Final = re.compile(
    r"(?:HR ?[AB]|FN|CHE?|KvK|REA|ATU|[A-Z]{2}\d{2}(?:[A-Z0-9]{4}){2}) ?[-.]?\d"
)
_NAME: Final = re.compile(r",? [^\W\d_a-zß-öø-ÿа-я][^\W\d_]{2}")  # 8010 Graz
_WORD_BREAK: Final = re.compile(r"[,;.!?)] |[|]| [–-] |\d[^\W\d_]?[\s,;]")
_MOST_LINES: Final = 120
_MOST_CANDIDATES: Final = 200
_MOST_LABEL: Final = 60  # characters
_HEAD_LINES: Final = 8
_TOP_LINES: Final = 28
_LONG_LINE: Final = 90
_LEAST_LONG: Final = 5  # digits
_LEAST_DIGITS: Final = 3
_FEW_WORDS: Final = 3
_OTHER_ROLES: Final = frozenset({
    "customer", "order", "delivery", "vat", "register", "terms", "original", "service", "due",
})  # fmt: skip
_OWN: Final = frozenset({"number", "number_weak"})
_NEUTRAL: Final = frozenset({"date", "date_weak", "issuer", "customer", "total_weak", "tax"})
_WEIGHTS: Final[Mapping[str, float]] = {
    "document": 1.4,
    "number": 1.6,
    "document number": 1.6,
    "title": 1.6,
    "direct": 0.8,
    "other role": -2.9,
    "other label": -4.0,
    "unknown word": -0.25,
    "pair": 0.6,
    "no label": -0.5,
    "head": 0.5,
    "top": 0.6,
    "in a sentence": -0.7,
    "letters": 0.3,
    "separator": 1.0,
    "year": 1.0,
    "long": 1.4,
    "short": -2.2,
    "repeated": 0.4,
    "before a name": -1.6,
}
_SAID: Final = 2.0
_LEAST: Final = 1.2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may be the document's number.

    Attributes:
        value: As written.
        start: Its position.
        label: The position of the words that may be its label; its own position without any.
        features: Each with how often it is true.
    """

    value: str
    start: int
    label: int
    features: Mapping[str, float]

    @property
    def score(self) -> float:
        """The sum of the weights of its features."""
        return sum(_WEIGHTS[name] * count for name, count in self.features.items())

    @property
    def is_named(self) -> bool:
        """Whether a word for an invoice or another document is near it."""
        return bool(self.features["document"] or self.features["title"])


def find_number(
    page: Page, is_date: Callable[[str], bool], taken: Set[str], said: Set[str] = frozenset()
) -> Candidate | None:
    """Return the candidate that is most like the document's number; None without a likely one.

    Args:
        page: The text.
        is_date: Returns whether a text is a date.
        taken: The values that have another meaning.
        said: The values that a label may mean, but not for certain.
    """
    best: Candidate | None = None
    most = _LEAST
    for each in iterate_candidates(page, is_date, taken):
        score = each.score + _SAID * (each.value in said)
        if score > most:
            best, most = each, score
    return best


def iterate_candidates(
    page: Page, is_date: Callable[[str], bool], taken: Set[str]
) -> Iterator[Candidate]:
    """Yield the candidates of the first lines in order, at most 200; see `find_number`."""
    count = 0
    titles = [
        (start, end) for _, start, end in page.labels.find_titles(page.folded, page.tokens[:600])
    ]
    for index, (line_start, line_end) in enumerate(page.lines[:_MOST_LINES]):
        for match in _CODE.finditer(page.text, line_start, line_end):
            start, value = match.start(), match[0].rstrip(".-/&")
            series = page.folded[start : match.end("series")] if match["series"] else ""
            if "number" in page.labels.roles_of(series):
                value = value[len(match["series"]) + 1 :]  # the word is a label: REF 078/03/2024
                start = match.end("series") + 1
            if value in taken or not _is_code(page, value, start, line_end, is_date):
                continue
            yield _candidate(page, index, start, value, titles)
            count += 1
            if count == _MOST_CANDIDATES:
                return


def _is_code(
    page: Page, value: str, start: int, line_end: int, is_date: Callable[[str], bool]
) -> bool:
    end = start + len(value)
    digits = sum(map(str.isdigit, value))
    if digits < 2 or len(value) > 30 or (digits == len(value) and digits >= 18):
        return False
    before = page.text[max(0, start - 6) : start].rpartition("\n")[2]
    if _MONEY_BEFORE.search(before) or (value.isdigit() and _DIGITS_BEFORE.search(before)):
        return False
    if (
        _TIME.fullmatch(value)
        or _YEAR.fullmatch(value)
        or (not value.isdigit() and _AMOUNT.fullmatch(value.rpartition(" ")[2]))
    ):
        return False
    if _DIGITS_AFTER.match(page.text, end, line_end) and value.isdigit():
        return False
    if _MEASURE.match(page.folded, end, line_end) and value.isdigit():
        return False
    return not _REGISTERED.match(value) and not is_date(value)


def _candidate(
    page: Page,
    index: int,
    start: int,
    value: str,
    titles: list[tuple[int, int]],
) -> Candidate:
    end = start + len(value)
    label_start, label_end, is_pair = find_label(page, index, start, end)
    features: dict[str, float] = {}
    words = page.labels.words_of(page.folded[label_start:label_end])
    roles = [page.labels.roles_of(word) for word in words]
    # Another thing may be named before the document: about your order of 2 May, our invoice 17.
    own = max((at for at, each in enumerate(roles) if "document" in each), default=0)
    said = frozenset().union(*roles[max(0, own - 1) :])
    has_document = "document" in said
    has_title = any(
        title_start < label_end and title_end > label_start for title_start, title_end in titles
    )
    features["document"] = has_document
    features["number"] = "number" in said
    features["document number"] = (has_document or has_title) and "number" in said
    features["title"] = has_title
    features["other role"] = bool(_OTHER_ROLES & said) and not has_title
    hits = page.hits_between(start, end)  # with a name before its digits: BIK 044525383
    if not has_title:
        hits += page.hits_between(label_start, label_end)
    features["other label"] = any(map(_is_other, hits))
    last = roles[-1] if roles else frozenset[str]()
    is_direct = bool({"document", "number"} & last) or any(
        title_end >= label_end - _FEW_WORDS and title_end <= label_end + 1
        for _, title_end in titles
    )
    features["direct"] = is_direct
    features["unknown word"] = sum(
        not role and len(word) > _FEW_WORDS for word, role in zip(words, roles, strict=True)
    )
    features["pair"] = is_pair
    features["no label"] = not words
    features["head"] = index < _HEAD_LINES
    features["top"] = index < _TOP_LINES
    line_start, line_end = page.lines[index]
    features["in a sentence"] = line_end - line_start > _LONG_LINE
    digits = sum(map(str.isdigit, value))
    features["letters"] = any(map(str.isalpha, value))
    features["separator"] = any(mark in value for mark in "/-.")
    features["year"] = _YEAR.search(value) is not None
    features["long"] = digits >= _LEAST_LONG
    features["short"] = digits < _LEAST_DIGITS or (len(value) == _LEAST_DIGITS and not is_direct)
    features["repeated"] = page.text.count(value) > 1 and digits >= _LEAST_DIGITS
    features["before a name"] = _NAME.match(page.text, end, line_end) is not None
    return Candidate(value, start, label_start, features)


def _is_other(hit: Hit) -> bool:
    kinds = set(hit.kinds)
    return not kinds & _OWN and not kinds <= _NEUTRAL


def find_label(page: Page, index: int, start: int, end: int) -> tuple[int, int, bool]:
    """Return the part of the text that may be the label, and whether both are a pair."""
    cells = page.cells[index]
    number = max((at for at, cell in enumerate(cells) if cell.start <= start), default=0)
    cell = cells[number]
    is_whole = end >= cell.end - 1
    before = page.text[cell.start : start]
    breaks = [match.end() for match in _WORD_BREAK.finditer(before)]
    # The full stop of "no. 17" ends no sentence.
    begin = next((at for at in reversed(breaks) if len(before) - at > _FEW_WORDS + 1), 0)
    own = before[begin:]
    if any(map(str.isalpha, own)) or "#" in own or "№" in own:
        return max(cell.start + begin, start - _MOST_LABEL), start, is_whole and begin == 0
    if number:
        other = cells[number - 1]
        # A cell with digits is a value, which may have a label of its own.
        if not any(map(str.isdigit, page.text[other.start : other.end])):
            return other.start, other.end, is_whole
    if not index:
        return start, start, False
    above_start, above_end = page.lines[index - 1]
    if any(map(str.isdigit, page.text[above_start:above_end])):
        return start, start, False
    if is_whole and len(cells) == 1 and not before:
        is_short = above_end - above_start <= _MOST_LABEL
        return (above_start, above_end, True) if is_short else (start, start, False)
    above = page.cells[index - 1]
    if len(above) == len(cells) > 1:
        return above[number].start, above[number].end, True
    # Columns with single spaces: the words above the same part of the line.
    line_start, line_end = page.lines[index]
    scale = (above_end - above_start) / max(1, line_end - line_start)
    first = above_start + int((start - line_start) * scale)
    last = above_start + int((end - line_start) * scale)
    tokens = [
        token
        for token in page.tokens_between(above_start, above_end)
        if first <= (token.start + token.end) / 2 <= last
    ]
    return (tokens[0].start, tokens[-1].end, False) if tokens else (start, start, False)
