"""Which of a document's days is its own, and which is the last one to pay.

Every day is a candidate for both. What a label, a sentence and single words say of it, where and
how it stands, which other days are near it, and how far the two are from each other are evidence,
and one sum of weights over the pair decides.
"""

# ruff: noqa: RUF001 - it has typographic marks and words in Russian

from __future__ import annotations

import datetime
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from qtforge_builtin_plugins.documents.facts.numbers import find_label
from qtforge_builtin_plugins.documents.facts.page import Page

__all__ = ["Day", "Said", "choose_days"]

_AMOUNT: Final = re.compile(r"(?<![\d./-])\d+(?:[., ]\d{3})*[.,]\d\d(?![\d./-])|[€$£]")
_ACCOUNT: Final = re.compile(r"(?<!\w)[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){3}")
_RANGE_BETWEEN: Final = re.compile(
    r"\s*(?:[-–—]|to|bis(?: zum)?|au|al|a|à|tot(?: en met)?|t/m|til|till|do|até|hasta|по|ile)\s*"
)
# Leipzig, den 3. März 2026
_LETTERHEAD: Final = re.compile(r"[^\W\d_][^\d,:;]{1,30},? ?(?:,|·|-|–) ?(?:[^\W\d_]{1,4} )?")
_YEAR_AFTER: Final = re.compile(r" ?(?:г|r|р)?\.?\s*")
_TIME: Final = re.compile(r"[\s,·-]*\d{1,2}[:.]\d\d(?![\d.])")
_MOST_LINES: Final = 400
_MOST_CANDIDATES: Final = 60
_MOST_PAIRED: Final = 6
_TOP: Final = 15  # lines
_UPPER: Final = 30  # lines
_LONG_LINE: Final = 90
_MOST_ABOVE: Final = 4  # lines of a row of labels that wraps
_MOST_DAYS: Final = 200
_MOST_DIGITS: Final = 3
_LABELLED: Final = 0.6  # the confidence of a label beside its value
_USUAL_TERMS: Final = frozenset({7, 8, 10, 14, 15, 20, 21, 28, 29, 30, 31, 45, 60, 90})
_NEAR: Final = 40  # characters before a day whose words are about it
_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "label": 5.0,
        "label of another day": -3.5,
        "said of another": -2.0,
        "named": 1.0,
        "document": 0.8,
        "direct": 0.4,
        "due": -2.0,
        "other": -1.6,
        "letterhead": 1.6,
        "alone": 0.5,
        "top": 0.6,
        "upper": 0.3,
        "range": -2.2,
        "sentence": -0.6,
        "amount": -0.8,
        "again": 0.2,
        "doubtful": -0.8,
        "below its heading": 2.2,
        "below another heading": -2.0,
    }
)
_DUE_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "label": 5.0,
        "label of another day": -3.5,
        "said of another": -1.5,
        "due": 1.2,
        "until": 0.8,
        "in a line about payment": 0.9,
        "beside the sum": 0.7,
        "last": 0.5,
        "other": -1.5,
        "document": -1.0,
        "range": -2.2,
        "doubtful": -0.8,
        "below its heading": 2.2,
        "below another heading": -2.0,
    }
)
_AS_MANY_DAYS: Final = 2.2
_USUAL_TERM: Final = 0.3
_IN_A_ROW: Final = 0.6  # with a usual term between
_LEAST_TERM: Final = 5  # days; fewer are rather a quantity
_BEFORE: Final = -9.0
_FAR: Final = -2.0
_MOST_ALONE: Final = 3.0  # of a last day to pay in a document without a day of its own
_LEAST: Final = 0.4
_LEAST_DUE: Final = 1.3
_MARGIN: Final = 0.03  # of confidences
_OTHERS: Final = frozenset({"service", "order", "delivery", "original"})
_OF_DAYS: Final = frozenset({"date", "due", *_OTHERS})


@dataclass(frozen=True, slots=True)
class Said:
    """What a label or a sentence says of a day.

    Attributes:
        kind: ``date``, ``due_date``, or another one.
        value: ISO 8601.
        line: The index of the day's line, or None for wherever it stands.
        confidence: 0 to 1.
    """

    kind: str
    value: str
    line: int | None
    confidence: float


@dataclass(frozen=True, slots=True)
class Day:
    """A day with its place and what speaks for it.

    Attributes:
        value: ISO 8601.
        start: Its position.
        end: The position after it.
        label: The position of the words that are about it.
        score: What speaks for it.
    """

    value: str
    start: int
    end: int
    label: int
    score: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    value: str
    start: int
    end: int
    line: int
    label: int
    own: float
    due: float


def choose_days(
    page: Page,
    days: Iterable[tuple[int, int, str, bool]],
    said: Sequence[Said],
    numbers: Set[str] = frozenset(),
) -> tuple[Day | None, Day | None]:
    """Return the document's day and the last day of its payment, each None without evidence.

    Args:
        page: The text.
        days: Start, end and value of each day in it, in order, and whether it is one only with
            a label.
        said: What labels and sentences say of the days.
        numbers: Numbers of documents, which may look like a day: 7/08/2024.
    """
    labelled = {each.value for each in said if each.confidence >= _LABELLED}
    placed = [
        day
        for day in itertools.islice(days, _MOST_CANDIDATES)
        if day[2] in labelled or page.text[day[0] : day[1]] not in numbers
    ]
    candidates = list(_candidates(page, placed, said))
    if not candidates:
        return None, None
    firsts = sorted(candidates, key=lambda each: (-each.own, each.start))[:_MOST_PAIRED]
    lasts = sorted(candidates, key=lambda each: (-each.due, each.start))[:_MOST_PAIRED]
    terms = _numbers(page)
    best: tuple[float, _Candidate | None, _Candidate | None, float] = (0.0, None, None, 0.0)
    for first in [*firsts, None]:
        for last in [*lasts, None]:
            own = first.own - _LEAST if first else 0.0
            due = last.due - _LEAST_DUE if last else 0.0
            if first is not None and last is not None:
                if first.start == last.start:
                    continue
                due += _distance(first, last, terms)
            score = own + due if first else min(due, _MOST_ALONE)
            if (first is not None and own < 0) or (last is not None and due < 0):
                continue
            if score > best[0]:
                best = score, first, last, due
    _, first, last, due = best
    return (
        Day(first.value, first.start, first.end, first.label, first.own) if first else None,
        Day(last.value, last.start, last.end, last.label, due + _LEAST_DUE) if last else None,
    )


def _distance(first: _Candidate, last: _Candidate, terms: Mapping[int, Set[int]]) -> float:
    """Return what the days between the two say, and a term in days beside the last one."""
    days = (datetime.date.fromisoformat(last.value) - datetime.date.fromisoformat(first.value)).days
    if days < 0:
        return _BEFORE
    if days > _MOST_DAYS:
        return _FAR
    near = {last.line - 1, last.line, last.line + 1}
    is_said = days >= _LEAST_TERM and bool(near & terms.get(days, frozenset()))
    is_usual = days in _USUAL_TERMS
    return (
        _AS_MANY_DAYS * is_said
        + _USUAL_TERM * is_usual
        + _IN_A_ROW * (is_usual and first.line == last.line)
    )


def _numbers(page: Page) -> Mapping[int, Set[int]]:
    """Return the numbers that may be a term in days with their lines: payable in 30 days."""
    found: dict[int, set[int]] = {}
    for token in page.tokens:
        if not token.text.isdecimal() or len(token.text) > _MOST_DIGITS:
            continue
        before, after = (
            page.text[token.start - 1 : token.start],
            page.text[token.end : token.end + 1],
        )
        if not before.strip(" \n\t(:") and after in (" ", "-", "\n", ""):
            found.setdefault(int(token.text), set()).add(page.line_at(token.start))
    return found


def _candidates(
    page: Page, placed: Sequence[tuple[int, int, str, bool]], said: Sequence[Said]
) -> Iterator[_Candidate]:
    latest = max((value for _, _, value, _ in placed), default="")
    counts = Counter(value for _, _, value, _ in placed)
    by_line: dict[int, list[tuple[int, int, str, bool]]] = {}
    for each in placed:
        by_line.setdefault(page.line_at(each[0]), []).append(each)
    for index, some in by_line.items():
        if index >= _MOST_LINES:
            return
        headings = _headings(page, index, some)
        for number, (start, end, value, is_doubtful) in enumerate(some):
            label = find_label(page, index, start, end)
            features, due_features = _features(page, index, (start, end), label[:2], value, said)
            if _is_range(page, number, some):
                features["range"] = due_features["range"] = 1
            if headings is not None:
                heading = headings[number]
                name = "below its heading"
                other = "below another heading"
                features[name if heading == "date" else other] = 1
                due_features[name if heading == "due" else other] = 1
            features["again"] = counts[value] > 1
            due_features["last"] = value == latest
            features["doubtful"] = due_features["doubtful"] = is_doubtful
            yield _Candidate(
                value, start, end, index, label[0],
                sum(_WEIGHTS[name] * count for name, count in features.items()),
                sum(_DUE_WEIGHTS[name] * count for name, count in due_features.items()),
            )  # fmt: skip


def _features(
    page: Page,
    index: int,
    place: tuple[int, int],
    label: tuple[int, int],
    value: str,
    said: Sequence[Said],
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what speaks for a day's being the document's, and the last one to pay."""
    start, end = place
    label_start, label_end = label
    line_start, line_end = page.lines[index]
    words = page.labels.words_of(page.folded[label_start:label_end])
    roles = [page.labels.roles_of(word) for word in words]
    either = frozenset[str]().union(*roles)
    last = roles[-1] if roles else frozenset[str]()
    near = page.tokens_between(max(line_start, start - _NEAR), start)
    says = frozenset[str]().union(*(page.labels.says_of(token.text) for token in near))
    line = frozenset[str]().union(
        *(page.labels.roles_of(token.text) for token in page.tokens_between(line_start, line_end))
    )
    confidence: dict[str, float] = {}
    other = 0.0
    for each in said:
        if each.value == value and each.line in (None, index):
            if each.kind in ("date", "due_date"):
                confidence[each.kind] = max(confidence.get(each.kind, 0.0), each.confidence)
            else:
                other = max(other, each.confidence)
    own, due = confidence.get("date", 0.0), confidence.get("due_date", 0.0)
    is_due = "due" in either
    is_other = bool(_OTHERS & either)
    before, after = page.text[line_start:start], page.text[end:line_end]
    features: dict[str, float] = {
        "label": own,
        "label of another day": max(due, other) if max(due, other) > own + _MARGIN else 0.0,
        "named": "date" in either and not is_due and not is_other,
        "document": "document" in either and not is_due,
        "direct": bool({"date", "document"} & last) and not is_due,
        "due": is_due or "until" in says,
        "other": is_other and "document" not in either,
        "letterhead": _LETTERHEAD.fullmatch(before) is not None
        and _YEAR_AFTER.fullmatch(after) is not None,
        "alone": not before.strip() and (not after.strip() or _TIME.fullmatch(after) is not None),
        "top": index < _TOP,
        "upper": index < _UPPER,
        "sentence": line_end - line_start > _LONG_LINE,
        "amount": _AMOUNT.search(before + after) is not None and own == 0.0,
    }
    due_features: dict[str, float] = {
        "label": due,
        "label of another day": max(own, other) if max(own, other) > due + _MARGIN else 0.0,
        "due": is_due or "due" in says,
        "until": "until" in says,
        "in a line about payment": "due" in line,
        "beside the sum": _AMOUNT.search(before + after) is not None
        or _ACCOUNT.search(page.text, line_start, line_end) is not None,
        "other": is_other and not is_due and "due" not in says,
        "document": "document" in either and not is_due,
    }
    return features, due_features


def _is_range(page: Page, number: int, some: Sequence[tuple[int, int, str, bool]]) -> bool:
    """Return whether a day is the first or last one of a period: 1 May 2026 - 31 May 2026."""
    start, end, _, _ = some[number]
    if number + 1 < len(some) and _RANGE_BETWEEN.fullmatch(page.folded, end, some[number + 1][0]):
        return True
    return number > 0 and (
        _RANGE_BETWEEN.fullmatch(page.folded, some[number - 1][1], start) is not None
    )


def _headings(
    page: Page, index: int, some: Sequence[tuple[int, int, str, bool]]
) -> list[str] | None:
    """Return what the labels in the rows above a row of values say of its days, in order.

    Such a row may wrap: Date of the / document  Due  Order.
    """
    line_start, line_end = page.lines[index]
    if line_end - line_start > _LONG_LINE:
        return None
    rest = page.text[line_start : some[0][0]]
    if len([word for word in rest.split() if word.isalpha()]) > 1:
        return None  # words of a label or a sentence before the day
    top = index
    while top and index - top < _MOST_ABOVE:
        above_start, above_end = page.lines[top - 1]
        above = page.text[above_start:above_end]
        if len(above) > _LONG_LINE or above.endswith((".", ":")) or any(map(str.isdigit, above)):
            break
        top -= 1
    if top == index:
        return None
    tokens = page.tokens_between(page.lines[top][0], page.lines[index - 1][1])
    roles = [page.labels.roles_of(token.text) & _OF_DAYS for token in tokens]
    readings = {
        tuple(_heading(group) for group in _grouped(roles, joins) if group & {"date", "due"})
        for joins in (True, False)
    }
    fitting = [kinds for kinds in readings if len(kinds) == len(some)]
    return list(fitting[0]) if len(fitting) == 1 else None


def _grouped(roles: Sequence[Set[str]], joins: bool) -> list[set[str]]:
    """Return what each label of a row says: those of adjacent words may be of one label.

    Args:
        roles: What each word says.
        joins: Whether the word after that for a date belongs to it, as in "date of delivery".
    """
    groups: list[set[str]] = []
    before: Set[str] = frozenset()
    for each in roles:
        is_joined = bool(before) and (
            ("date" in each and "date" not in before)
            or (joins and "date" in before and "date" not in each)
        )
        if each and is_joined:
            groups[-1] |= each
        elif each:
            groups.append(set(each))
        before = each
    return groups


def _heading(roles: Set[str]) -> str:
    if "due" in roles:
        return "due"
    return "other" if roles & _OTHERS else "date"
