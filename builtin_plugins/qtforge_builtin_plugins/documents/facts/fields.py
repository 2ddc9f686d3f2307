"""The values that stand beside, below or before their labels: numbers, dates, references."""

# ruff: noqa: RUF001 - it has letters in Russian

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from stdnum import iso11649

from qtforge_builtin_plugins.documents.facts.dates import date_order, iterate_dates
from qtforge_builtin_plugins.documents.facts.days import Said, choose_days
from qtforge_builtin_plugins.documents.facts.headings import PlacedCell, align_headings
from qtforge_builtin_plugins.documents.facts.labels import Hit
from qtforge_builtin_plugins.documents.facts.numbers import find_number
from qtforge_builtin_plugins.documents.facts.page import Page
from qtforge_builtin_plugins.documents.facts.sentences import PlacedValue, find_sentence_values

__all__ = [
    "DATES",
    "GUESSED",
    "REFERENCES",
    "Field",
    "find_day_of_payment",
    "find_fields",
]

DATES: Final = ("date", "due_date", "service_date")
REFERENCES: Final = (
    "number", "order_reference", "payment_reference", "customer_number", "delivery_note",
    "original_number",
)  # fmt: skip
GUESSED: Final = 0.4
"""The confidence of a number that is the most likely one, beside no word for an invoice."""

_WEAK: Final = {"number_weak": "number", "date_weak": "date"}
_KINDS: Final = frozenset({*DATES, *REFERENCES, *_WEAK})
_LEAD: Final = re.compile(r"[\s:#№.=·_–-]{0,80}")
_VALUE: Final = re.compile(
    r"\+{3}[\d/ ]{10,16}\+{3}|RF\d\d(?: ?[A-Z0-9]{4}){2,5}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
    # RE 2024-001, and 2024 / 17, which have spaces.
    r"|[A-ZА-Я]{1,3} [A-ZА-Я]{1,3}/\d[\w/.-]*(?=\s|$)"
    r"|(?:19|20)\d\d \d{2,6}(?=\s*$| [^\W\d_]{1,4}\.? \d)"  # 2024 0017, the year before
    r"|[A-ZА-ЯŞÖÄÜ]{1,5} ?[-/]? ?\d[\w/.-]*(?: / ?\w+)*(?: \d{3,8}(?![\w.,/]))?(?=\s|$)"
    r"|\d+ / \w+(?: / \w+)*|[^\W_][\w/.&-]{0,40}"
)
# 21 78971 21705 02349: a reference of groups of digits, up to the end of its cell.
_GROUPS: Final = re.compile(r"\d{1,6}(?: \d{2,6}){1,8}(?=\s*$)")
# 7701 3344 1188: a number in groups of the same length, but for the first one.
_EVEN_GROUPS: Final = re.compile(r"[1-9]\d{0,3}(?:(?: \d{3}){2,4}|(?: \d{4}){2,3})(?=\s*$)")
_PHONE: Final = re.compile(r"0?\d{2,4}(?: \d{2,3}){2,3}(?!\d)")
_REST_OF_AMOUNT: Final = re.compile(r",\d\d(?!\d)")
_ROW_VALUE: Final = re.compile(r"[^\W_][\w/.&-]{0,40}")
_LINK: Final = re.compile(r"[\s:.,=()·–-]*(?:[^\W\d_]{1,12}\.?[\s:.,]+){0,2}")
_DATE_GAP: Final = 24
_LONG_YEAR: Final = re.compile(r"\d{4}")
# 5 de fevereiro de / 2025, and 5 / February 2025.
_OVER_LINES: Final = re.compile(
    r"(?<![\d.,/-])\d{1,2}\.?(?: (?:de|of))?"
    r"(?: [^\W\d_]{3,12}(?: del?)?\.?,? ?\n|\n[^\W\d_]{3,12}(?: del?)?\.?,? )\d{4}(?!\d)"
)
_OF_SENTENCES: Final[Mapping[str, float]] = MappingProxyType({"date": 0.5, "due_date": 0.5})
_OF_OTHERS: Final = 0.3
_CERTAIN: Final = 0.8
_LEAST_SURE: Final = 0.25
_SAID: Final = 0.6  # the least confidence of a value whose label is of the lists
_SURE: Final = 0.45  # the confidence of a label that is not in a sentence is greater
_BROKEN: Final = re.compile(r"\d[/-]\s*$")
_AMOUNT: Final = re.compile(r"\d[.,]\d\d(?![\d./-])|[€$£%]")
_LONGEST_OUR: Final = 10  # characters of a word such as "unsere", with its space
_SIGN_AFTER_DAY: Final = re.compile(r"[\s,;(]{0,3}(?:[Nn](?:[rRoO]\.?|[°º]|o?\.)|№|#)[ :]{0,2}")
_MONEY: Final = re.compile(r"(?:[A-Z]{3} ?)?\d[\d.,']*[.,:]\d\d")
_CREDITOR_REFERENCE: Final = re.compile(
    r"(?<!\w)RF\d\d(?:[A-Z0-9]{1,21}|(?: [A-Z0-9]{4}){1,5}(?: [A-Z0-9]{1,3})?)(?!\w)"
)
_BELGIAN_REFERENCE: Final = re.compile(r"\+{3} ?\d{3} ?/ ?\d{4} ?/ ?\d{5} ?\+{3}")
_TOKEN: Final = re.compile(r"\S+")
_MOST_SENTENCE: Final = 160
_LEAST_WORDS: Final = 3
_LEAST_REFERENCE: Final = 5  # digits
_OTHERS: Final = frozenset({"iban", "bic", "account", "bank_code", "phone", "vat_id", "total",
                            "company_number", "ignored", "customer_number", "number"})  # fmt: skip
_MOST_LINKS: Final = 3  # words between a number and its date
_BETWEEN_LABELS: Final = re.compile(r"[\W_]*(?:[^\W\d_]{1,2}[\W_]+)?")
_ACCOUNT: Final = 18  # digits of a bank account, which no invoice's number has
_LEAST_DIGITS: Final = 3
_MOST_DAYS: Final = 200  # from an invoice to the last day of its payment
_AFTER_TITLE: Final = re.compile(
    r"[\s:#№.–-]{0,6}(?:n[.°ºo]{1,3}|nr\.?|no\.?|n[uú]m\.?|№)?[\s:.]{0,3}"
    r"(?P<value>(?-i:[A-ZА-Я]{1,3} [A-ZА-Я]{1,3}/\d[\w/.-]*|[A-ZА-Я]{1,5} \d[\w/.-]{2,})"
    r"|(?:19|20)\d\d \d{2,6}(?=\s*$| [^\W\d_]{1,4}\.? \d)"
    r"|\d{2,6}(?: \d{2,6}){2,5}(?=\s*$|,| [^\W\d_]{1,4}\.? \d)"
    r"|(?=[^\s]*\d)[^\W_][\w/.-]{0,40})",
    re.IGNORECASE,
)
_MOST_CODE: Final = 3  # letters
_BY_MONTH: Final = re.compile(r"\d{1,4}/\d{1,2}/\d{4}")
# An invoice for heat no. 17: a few words before the sign of the number.
_AFTER_SIGN: Final = re.compile(
    r"(?: [^\W\d_]{2,20}){1,5} (?:№|[Nn][°º]|[Nn]r\.|[Nn]o\.) ?(?P<value>[^\W_][\w/.-]{0,40})"
)
_MOST_BELOW: Final = 16
_LEADERS: Final = re.compile(r"(?:\s*\.{3,}\s*|\s+[-–]{2,}\s*|\s{2,})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A value with its label.

    Attributes:
        kind: Such as ``due_date``.
        value: As written, or ISO 8601 for a date.
        start: The position of the value.
        evidence: Label and value, on one line.
        confidence: 0 to 1.
    """

    kind: str
    value: str
    start: int
    evidence: str
    confidence: float


class _Dates:
    """The dates of a page by their positions, read once."""

    def __init__(self, page: Page, language: str | None) -> None:
        self._language = language
        self._order = date_order(page.text, language)

    def at(self, text: str, gap: int) -> tuple[int, int, str] | None:
        """Return start, end and value of the first date that begins within ``gap``."""
        for placed in iterate_dates(
            text[: gap + 40], self._language, order=self._order, is_labelled=True
        ):
            if placed.start > gap:
                return None
            return placed.start, placed.end, placed.date.date
        return None

    def all(self, text: str, *, is_labelled: bool = False) -> list[tuple[int, int, str]]:
        return [
            (placed.start, placed.end, placed.date.date)
            for placed in iterate_dates(
                text, self._language, order=self._order, is_labelled=is_labelled
            )
        ]

    def in_text(self, page: Page) -> Iterator[tuple[int, int, str, bool]]:
        """Yield the days of a page, also over two lines, and whether each needs a label."""
        days = self.all(page.text, is_labelled=True)
        has_short = any(_LONG_YEAR.search(page.text, *day[:2]) is None for day in days)
        # Only a year of two digits may need a label.
        plain = {placed[0] for placed in (self.all(page.text) if has_short else days)}
        for match in _OVER_LINES.finditer(page.text):
            placed = self.at(match[0].replace("\n", " "), 0)
            if placed is not None:
                start = match.start()
                plain.add(start)
                days.append((start, start + placed[1], placed[2]))
        for start, end, value in sorted(days):
            yield start, end, value, start not in plain


def find_fields(page: Page, language: str | None) -> list[Field]:
    """Return the labelled values in the text's order; several of a kind are possible.

    Args:
        page: The text.
        language: ISO 639-1, or None; for dates.
    """
    dates = _Dates(page, language)
    found: list[Field] = list(_from_title(page, dates))
    in_runs: set[int] = set()
    for each, start in _below_headings(page, dates):
        found.append(each)
        in_runs.add(start)
    for run in _runs(page):
        if in_runs & {hit.start for hit in run}:
            continue
        fields = list(_below_run(page, run, dates))
        if fields:
            found += fields
            in_runs |= {hit.start for hit in run}
    found += _before_labels(page, dates, in_runs)
    for hit in page.hits:
        if hit.start not in in_runs:
            found += _beside(page, hit, dates)
    placed = find_sentence_values(page, language)
    said = {each.value: each.kind for each in placed}
    found = [each for each in found if not _is_of_another(each, said)]
    found += _in_running_text(page, placed, {each.kind for each in found})
    if not any(each.kind == "payment_reference" for each in found):
        known = {_surest(found, kind) for kind in ("number", "order_reference")}
        quoted = [each for each in _quoted(page, dates) if each.value not in known]
        found += quoted or _of_number(page, found)
    found = _with_likely_number(page, dates, found)
    found = [each for each in found if _may_be_reference(each, found)]
    return _with_days(page, dates, found, placed)


def _may_be_reference(field: Field, found: Sequence[Field]) -> bool:
    """Return whether an order's or payment's reference is no amount, count or invoice's number.

    A number that is the invoice's in another place may be asked for with its payment; one that is
    the invoice's at the same place has a label of several words, of which one says so.
    """
    if field.kind not in ("order_reference", "payment_reference"):
        return True
    if _MONEY.fullmatch(field.value) or (
        field.value.isdigit() and len(field.value) < _LEAST_DIGITS
    ):
        return False
    return not any(
        each.kind == "number" and each.value == field.value and each.start == field.start
        and each.confidence >= field.confidence
        for each in found
    )  # fmt: skip


def _with_days(
    page: Page, dates: _Dates, found: Sequence[Field], placed: Sequence[PlacedValue]
) -> list[Field]:
    """Return the values with the days that most speaks for, in place of all that may be them."""
    if _is_settled(found):
        return list(found)
    said = [
        Said(each.kind, each.value, None, each.confidence) for each in found if each.kind in DATES
    ]
    said += [
        Said(each.kind, each.value, None, _OF_SENTENCES.get(each.kind, _OF_OTHERS))
        for each in placed
    ]
    numbers = {each.value for each in found if each.kind in REFERENCES}
    own, last = choose_days(page, dates.in_text(page), said, numbers)
    kept = [each for each in found if each.kind not in ("date", "due_date")]
    for kind, day in (("date", own), ("due_date", last)):
        if day is None:
            continue
        labelled = [each for each in found if each.kind == kind and each.value == day.value]
        kept += labelled or [
            _field(page, kind, day.value, day.label, day.end, _sure_of(day.score), at=day.start)
        ]
    return kept


def _is_settled(found: Sequence[Field]) -> bool:
    """Return whether labels say one day of each kind for certain, in their order."""
    days = {
        kind: {each.value for each in found if each.kind == kind} for kind in ("date", "due_date")
    }
    own, last = days["date"], days["due_date"]
    return (
        len(own) == len(last) == 1
        and min(own) < min(last)
        and all(each.confidence >= _CERTAIN for each in found if each.kind in days)
    )


def _sure_of(score: float) -> float:
    """Return the confidence of a day that no label has, which is at most that of a guess."""
    return min(_SAID, _LEAST_SURE + score / 10)


def _is_of_another(field: Field, said: Mapping[str, str]) -> bool:
    """Return whether a sentence says that a number or day is not this invoice's.

    "issued, and due on 9 June" has a label before the day of payment, and "our last invoice 17"
    the name of an invoice before another one's number.
    """
    kind = said.get(field.value, field.kind)
    if kind == "earlier":
        return field.kind in ("number", "date")
    return field.kind == "date" and field.confidence <= _SURE and kind != "date"


def _in_running_text(page: Page, placed: Sequence[PlacedValue], known: set[str]) -> Iterator[Field]:
    """Yield the values of sentences of the kinds that no label has, if all say the same."""
    if {"number", "date", "due_date", "order_reference"} <= known:
        return
    for kind in ("number", "date", "due_date", "order_reference"):
        some = [each for each in placed if each.kind == kind]
        if kind not in known and len({each.value for each in some}) == 1:
            yield _field(page, kind, some[0].value, some[0].start, some[0].end, 0.5)


def _surest(found: Sequence[Field], kind: str) -> str | None:
    some = [each for each in found if each.kind == kind]
    return max(some, key=lambda each: each.confidence).value if some else None


def _with_likely_number(page: Page, dates: _Dates, found: list[Field]) -> list[Field]:
    """Return the values with the number that is most likely, unless a label says it."""
    numbers = [each for each in found if each.kind == "number"]
    if any(each.confidence >= _SAID for each in numbers):
        return found
    taken = {
        each.value
        for each in found
        if each.confidence >= _SAID and each.kind not in ("number", "payment_reference")
    }
    said = {each.value for each in numbers} - taken
    best = find_number(page, lambda value: not _is_number(value, dates), taken, said)
    if best is None:
        return found
    sure = max(
        GUESSED + (0.1 if best.is_named else 0),
        *(each.confidence for each in numbers if each.value == best.value),
        0,
    )
    field = _field(page, "number", best.value, best.label, best.start + len(best.value), sure)
    return [each for each in found if each.kind != "number"] + [field]


def _of_number(page: Page, found: Sequence[Field]) -> list[Field]:
    """Return the reference of a payment that is the invoice's number and another one: 17/C-81843.

    Its label may be any: who writes both numbers together wants them back.
    """
    numbers = [each for each in found if each.kind == "number" and _has_digits(each.value)]
    if not numbers:
        return []
    number = max(numbers, key=lambda each: each.confidence)
    others = {each.value for each in found}
    extended = re.compile(rf"(?<![\w/.-]){re.escape(number.value)}[/_–-][\w-]*\d(?![\w/.-]*\w)")
    return [
        _field(page, "payment_reference", match[0], page.lines[page.line_at(match.start())][0],
               match.end(), 0.4)
        for match in extended.finditer(page.text)
        if match[0] not in others
    ][:1]  # fmt: skip


def _quoted(page: Page, dates: _Dates) -> list[Field]:
    """Return the reference of a payment: one with check digits, or the only number of a sentence.

    Please quote 389/10/2025/K41245 with your payment.
    """
    belgian = _BELGIAN_REFERENCE.search(page.text)
    if belgian is not None:
        start, _ = page.lines[page.line_at(belgian.start())]
        return [_field(page, "payment_reference", belgian[0], start, belgian.end(), 0.7)]
    for match in _CREDITOR_REFERENCE.finditer(page.text):
        if iso11649.is_valid(match[0]):
            start, _ = page.lines[page.line_at(match.start())]
            return [_field(page, "payment_reference", match[0], start, match.end(), 0.6)]
    for start, end in page.lines:
        if not 12 < end - start < _MOST_SENTENCE or any(
            _OTHERS & set(hit.kinds) for hit in page.hits_between(start, end)
        ):
            continue
        line = page.text[start:end]
        numbers = [match for match in _TOKEN.finditer(line) if any(map(str.isdigit, match[0]))]
        if len(numbers) != 1 or dates.all(line):
            continue
        words = page.labels.words_of(page.folded[start:end])
        if len(words) < _LEAST_WORDS:
            continue
        value = numbers[0][0].rstrip(".,;:!)-/")
        if sum(map(str.isdigit, value)) < _LEAST_REFERENCE or _AMOUNT.search(value):
            continue
        roles = frozenset().union(*map(page.labels.roles_of, words))
        if "pay" in roles and not roles & {"register", "vat"}:
            return [_field(page, "payment_reference", value, start, end, 0.4)]
    return []


def find_day_of_payment(
    page: Page, language: str | None, day: str, payments: Sequence[str]
) -> Field | None:
    """Return the first day after the invoice's in a line with the sum or the account.

    Args:
        page: The text.
        language: ISO 639-1, or None.
        day: The invoice's, ISO 8601.
        payments: What is paid and where, as written.
    """
    dates = _Dates(page, language)
    first = datetime.date.fromisoformat(day)
    places = (
        match.start() for each in payments for match in re.finditer(re.escape(each), page.text)
    )
    for index in sorted({page.line_at(place) for place in places}):
        start, end = page.lines[index]
        for placed in dates.all(page.text[start:end]):
            days = (datetime.date.fromisoformat(placed[2]) - first).days
            if 0 < days <= _MOST_DAYS:
                return _field(page, "due_date", placed[2], start, start + placed[1], 0.4)
    return None


def _from_title(page: Page, dates: _Dates) -> Iterator[Field]:
    """Yield number and date after the document's name: Invoice 17 of 3 March 2026."""
    for kind, start, end in page.labels.find_titles(page.folded, page.tokens[:400]):
        index, _, cell = page.cell_of(start)
        before = page.text[cell.start : start]
        earlier = page.labels.words_of(page.folded[cell.start : start])
        if len(earlier) > 2 or any(map(str.isdigit, before)):
            continue
        if earlier and "original" in page.labels.roles_of(earlier[-1]):
            continue  # the credit note to invoice 17 has another number
        rest = page.text[end : cell.end]
        if len(rest) > 120:
            continue
        number = _AFTER_TITLE.match(rest) or _AFTER_SIGN.match(rest)
        if number and " " in number["value"] and dates.all(number["value"]):
            continue  # INVOICE OF 15.03.2026
        at = 0
        if number and _is_number(number["value"], dates):
            at = number.end()
            value = number["value"].rstrip(".-/")
            code = page.text[start:end]
            if code.isupper() and len(code) <= _MOST_CODE and page.text[end : end + 1] == " ":
                value = f"{code} {value}"  # FT 124/123049: the name of a series
            yield _field(page, "number", value, start, end + number.end("value"), 0.75,
                         at=end + number.start("value"))  # fmt: skip
        elif number and not _is_link(page, end, end + number.end("value")):
            if _BY_MONTH.fullmatch(number["value"]):
                # As Polish invoices are numbered: the seventh one of August 2024.
                yield _field(page, "number", number["value"], start, end + number.end("value"), 0.3,
                             at=end + number.start("value"))  # fmt: skip
            continue
        dated = dates.at(rest[at:], _DATE_GAP)
        if dated and _is_link(page, end + at, end + at + dated[0]):
            yield _field(page, "date", dated[2], start, end + at + dated[1], 0.8)
        if kind and index > 60:
            return


def _is_link(page: Page, start: int, end: int) -> bool:
    """Return whether the words between are such as "of" and "dated"."""
    words = [token.text for token in page.tokens_between(start, end)]
    return not words or " ".join(words) in page.labels.links or all(
        word in page.labels.links or word == "#" or "date" in page.labels.roles_of(word)
        for word in words
    )  # fmt: skip


def _field(
    page: Page,
    kind: str,
    value: str,
    start: int,
    end: int,
    confidence: float,
    at: int | None = None,
) -> Field:
    evidence = " ".join(page.text[start:end].split())
    return Field(kind=kind, value=value, start=start if at is None else at,
                 evidence=evidence[:200], confidence=confidence)  # fmt: skip


def _kinds(hit: Hit) -> list[str]:
    return [kind for kind in hit.kinds if kind in _KINDS]


def _beside(page: Page, hit: Hit, dates: _Dates) -> Iterator[Field]:
    """Yield the values after a label, in the cell beside it, or below it."""
    kinds = _kinds(hit)
    if not kinds:
        return
    anchored = page.is_anchored(hit)
    start, end = page.rest(hit)
    text = page.text[start:end]
    if _BROKEN.search(text) and end == page.lines[page.line_at(hit.end - 1)][1]:
        # Its number continues in the next line: 2024- / 00668.
        text = text.rstrip() + page.line(page.line_at(hit.end - 1) + 1).split(" ", 1)[0]
    colon = text.lstrip()[:1] == ":"
    # "For the invoice no. 17 we thank you" names it as well, but less certainly.
    if not anchored and not colon and not {"number", "date", "due_date"} & set(kinds):
        return
    for kind in kinds:
        strength = (0.9 if colon else 0.85) if anchored else (0.7 if colon else 0.45)
        strength -= 0.2 if hit.guessed else (0.0 if hit.strong else 0.05)
        target = _WEAK.get(kind, kind)
        if kind in _WEAK:
            strength -= 0.3
        if kind == "order_reference" and not _says_order(page, hit):
            strength -= 0.1  # "your reference" is rather another thing, if both are there
        if kind == "order_reference" and _is_ours(page, hit):
            strength -= 0.2  # the issuer's own number, if the customer's is there as well
        value = _value_in(target, text, dates)
        if value is None and kind == "order_reference":
            value = _after_day(text, dates)
        if value and hit.guessed and target in REFERENCES and not _has_digits(value[2]):
            continue
        if value:
            yield _field(page, target, value[2], hit.start, start + value[1], strength,
                         at=start + value[0])  # fmt: skip
            if target == "number":
                line_end = page.lines[page.line_at(hit.end - 1)][1]
                yield from _dated(page, hit, start + value[1], line_end, dates)
            continue
        if target in DATES and (_has_words(text) or not anchored):
            # The date may be or continue in the next line: 5 de fevereiro de / 2025.
            following = page.line(page.line_at(hit.end - 1) + 1)
            value = _value_in(target, f"{text} {following}", dates)
            if value and value[0] <= len(text) + (0 if _has_words(text) else 1):
                label = page.spans([(hit.start, hit.end)])
                yield Field(kind=target, value=value[2], start=start + value[0],
                            evidence=f"{label} {text.strip()} {following}"[:200],
                            confidence=strength - 0.05)  # fmt: skip
                continue
        if target in DATES and "".join(text.split()).strip(":.") == "":
            earlier = _before(page, hit, dates)
            if earlier is not None:
                yield earlier
                continue
        if _has_words(text) and target not in DATES:
            continue
        if anchored or colon:
            yield from _in_next_cells(page, hit, target, dates, strength)


def _says_order(page: Page, hit: Hit) -> bool:
    return any(
        "order" in page.labels.roles_of(token.text)
        for token in page.tokens_between(hit.start, hit.end)
    )


def _is_ours(page: Page, hit: Hit) -> bool:
    """Return whether a label or the word before it says that a number is the issuer's own."""
    words = page.tokens_between(hit.start - _LONGEST_OUR, hit.end)
    return any(
        "our" in page.labels.says_of(token.text)
        for token in words
        if token.end <= hit.end and "\n" not in page.text[token.start : hit.start]
    )


def _after_day(text: str, dates: _Dates) -> tuple[int, int, str] | None:
    """Return the number after the day of an order: your order of 3 March 2026, no. 118."""
    day = dates.at(text, _DATE_GAP)
    if day is None or _LINK.fullmatch(text[: day[0]]) is None:
        return None
    sign = _SIGN_AFTER_DAY.match(text, day[1])
    value = _value_in("order_reference", text[sign.end() :], dates) if sign else None
    if sign is None or value is None or value[0]:
        return None
    return sign.end(), sign.end() + value[1], value[2]


def _dated(page: Page, hit: Hit, start: int, end: int, dates: _Dates) -> Iterator[Field]:
    """Yield the date after the number: document no. 17, of 3 March 2026, to be paid by 2 April."""
    text = page.text[start:end]
    placed = dates.at(text, _DATE_GAP)
    if placed is None:
        return
    words = page.labels.words_of(page.folded[start : start + placed[0]])
    roles = frozenset().union(*map(page.labels.roles_of, words))
    if len(words) <= _MOST_LINKS and (not roles - {"terms"} or "date" in roles or words == []):
        yield _field(page, "date", placed[2], hit.start, start + placed[1], 0.5)


def _value_in(kind: str, text: str, dates: _Dates) -> tuple[int, int, str] | None:
    """Return start, end and value of the kind at the beginning of a text."""
    if kind in DATES:
        dated = dates.at(text, _DATE_GAP)
        return dated if dated and _LINK.fullmatch(text[: dated[0]]) else None
    lead = _LEAD.match(text)
    match = _VALUE.match(text, lead.end() if lead else 0)
    if match is None:
        return None
    written = {"payment_reference": _GROUPS, "number": _EVEN_GROUPS}.get(kind)
    groups = written.match(text, match.start()) if written else None
    if groups is not None:
        return groups.start(), groups.end(), groups[0]
    value = match[0].rstrip(".-/&")
    if kind == "number" and _BY_MONTH.fullmatch(value):
        return match.start(), match.start() + len(value), value
    if not _is_number(value, dates) or _REST_OF_AMOUNT.match(text, match.start() + len(value)):
        return None
    if kind == "number" and value.isdigit() and _PHONE.match(text, match.start()):
        return None
    return match.start(), match.start() + len(value), value


def _is_number(value: str, dates: _Dates) -> bool:
    value = value.rstrip(".-/")
    if not any(map(str.isdigit, value)) or len(value) > 36:
        return False
    if len(value) >= _ACCOUNT and value.isdigit():
        return False
    dated = dates.at(value, 0)
    return dated is None or dated[1] < len(value)


def _has_digits(value: str) -> bool:
    """Return whether a number is long enough to be one without a label of the lists."""
    return sum(map(str.isdigit, value)) >= _LEAST_DIGITS


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _before(page: Page, hit: Hit, dates: _Dates) -> Field | None:
    """Return the date before its label, with dots between: Aug 31, 2026 .......... Invoice date."""
    start, _ = page.lines[page.line_at(hit.start)]
    text = page.text[start : hit.start]
    leaders = _LEADERS.search(text)
    if leaders is None:
        return None
    placed = dates.all(text[: leaders.start()])
    if not placed or placed[-1][1] != leaders.start():
        return None
    kind = next(kind for kind in map(_target, _kinds(hit)) if kind in DATES)
    return _field(page, kind, placed[-1][2], start + placed[-1][0], hit.end, 0.8)


def _target(kind: str) -> str:
    return _WEAK.get(kind, kind)


def _in_next_cells(
    page: Page, hit: Hit, kind: str, dates: _Dates, strength: float
) -> Iterator[Field]:
    """Yield the value in the next cell of the line, or in the cell or line below."""
    index, number, cell = page.cell_of(hit.end - 1)
    cells = page.cells[index]
    if number + 1 < len(cells):
        beside = cells[number + 1]
        value = _value_in(kind, page.text[beside.start : beside.end], dates)
        is_short = hit.guessed and kind in REFERENCES and value and not _has_digits(value[2])
        if value and not is_short and not _begins_with_label(page, beside.start):
            yield _field(page, kind, value[2], hit.start, beside.start + value[1], strength,
                         at=beside.start + value[0])  # fmt: skip
            return
    below = page.below(index, cell.column, number, len(cells))
    if below is None or _begins_with_label(page, below.start):
        return
    text = page.text[below.start : below.end]
    if index + 2 < len(page.lines) and kind in DATES:
        text += " " + page.line(index + 2)
    value = _value_in(kind, text, dates)
    if value and hit.guessed and kind in REFERENCES and not _has_digits(value[2]):
        return
    if _name_of(page, hit) in page.labels.titles:
        strength -= 0.35  # the line below a title is rather another thing
    is_linked = kind in DATES and value and _is_link(page, below.start, below.start + value[0])
    if value and (is_linked or _LEAD.fullmatch(text[: value[0]])):
        yield _field(page, kind, value[2], hit.start, below.start + value[1], strength - 0.1,
                     at=below.start + value[0])  # fmt: skip


def _name_of(page: Page, hit: Hit) -> str:
    return " ".join(token.text for token in page.tokens_between(hit.start, hit.end))


def _begins_with_label(page: Page, position: int) -> bool:
    """Return whether a label is at a position; a small word such as "den" before a day is none."""
    return any(
        hit.start == position
        and not (page.text[position].islower() and _name_of(page, hit) in page.labels.links)
        for hit in page.hits_between(position, position + 1)
    )


def _runs(page: Page) -> Iterator[list[Hit]]:
    """Yield the groups of labels that stand directly one after the other."""
    run: list[Hit] = []
    for hit in page.hits:
        if run and _BETWEEN_LABELS.fullmatch(page.text, run[-1].end, hit.start):
            run.append(hit)
            continue
        if len(run) > 1:
            yield run
        run = [hit]
    if len(run) > 1:
        yield run


def _below_headings(page: Page, dates: _Dates) -> Iterator[tuple[Field, int]]:
    """Yield the values of the row below a row of labels, each with the place of its label."""

    def days(text: str) -> list[tuple[int, int, str]]:
        return dates.all(text, is_labelled=True)

    def fits(hit: Hit, cell: PlacedCell) -> bool:
        return not _kinds(hit) or _kind_of(hit, cell) is not None

    def _kind_of(hit: Hit, cell: PlacedCell) -> str | None:
        for kind in map(_target, _kinds(hit)):
            if (kind in DATES) == (cell.day is not None) and (
                kind in DATES or any(map(str.isdigit, cell.text))
            ):
                return kind
        return None

    for hit, cell in align_headings(page, days, fits, lambda hit: bool(_kinds(hit))):
        kind = _kind_of(hit, cell)
        if kind is not None:
            label = page.spans([(hit.start, hit.end)])
            value = cell.day or cell.text.rstrip(".-/&,;")
            yield Field(kind=kind, value=value, start=cell.start, confidence=0.82,
                        evidence=f"{label} {cell.text}"), hit.start  # fmt: skip


def _below_run(page: Page, run: Sequence[Hit], dates: _Dates) -> Iterator[Field]:
    """Yield the values of labels in a row, which are in the row below them."""
    kinds = [_kinds(hit) for hit in run]
    while kinds and not kinds[-1]:
        kinds.pop()
    first = next((index for index, each in enumerate(kinds) if each), len(kinds))
    run, kinds = run[first : len(kinds)], kinds[first:]
    # The document's name in the line above is no column.
    while len(run) > 1 and _name_of(page, run[0]) in page.labels.titles:
        run, kinds = run[1:], kinds[1:]
    if len(run) < 2 or not all(kinds):
        return
    if page.text[run[-1].end :].split("\n", 1)[0].strip(" :\t."):
        return
    index = page.line_at(run[-1].end - 1)
    lines = [page.line(at) for at in range(index + 1, index + 1 + _MOST_BELOW)]
    joined = re.sub(r"(?<=[\w])([-/])\n", r"\1", "\n".join(lines)).replace("\n", " ")
    joined = joined.replace("\t", " ")
    at = 0
    fields = []
    for hit, options in zip(run, kinds, strict=True):
        kind = _target(options[0])
        value = _next_value(kind, joined[at:], dates)
        if value is None:
            return
        fields.append(
            Field(
                kind=kind,
                value=value[1],
                start=hit.start,
                evidence=f"{page.spans([(hit.start, hit.end)])} {value[1]}",
                confidence=0.8 - (0.3 if options[0] in _WEAK else 0),
            )
        )
        at += value[0]
    yield from fields


def _next_value(kind: str, text: str, dates: _Dates) -> tuple[int, str] | None:
    """Return the end and the value of the next column of a row."""
    lead = len(text) - len(text.lstrip())
    if kind in DATES:
        dated = dates.at(text[lead:], 0)
        return (lead + dated[1], dated[2]) if dated else None
    match = _ROW_VALUE.match(text, lead)  # a space ends a column
    if match is None or not _is_number(match[0], dates):
        return None
    return match.end(), match[0].rstrip(".-/")


def _before_labels(page: Page, dates: _Dates, in_runs: set[int]) -> list[Field]:
    """Return the values of a column that was drawn before the column of their labels.

    The labels are lines of their own with colons; their values are as many lines in a row, each
    a number or a date, with the dates at the places of the labels of dates.
    """
    found: list[Field] = []
    for labels in _columns_of_labels(page):
        kinds = [
            next((kind for kind in map(_target, _kinds(hit)) if kind), None) if hit else None
            for hit in labels
        ]
        if sum(kind is not None for kind in kinds) < 2:
            continue
        for values in _columns_of_values(page, dates, page.line_at(_first(labels))):
            if len(values) < len(kinds):
                continue
            chosen = values[: len(kinds)]
            fits = all(
                (kind in DATES) == is_date
                for kind, (_, _, is_date) in zip(kinds, chosen, strict=True)
                if kind is not None
            )
            if not fits:
                continue
            for hit, kind, (index, value, _) in zip(labels, kinds, chosen, strict=True):
                if hit is not None and kind is not None:
                    in_runs.add(hit.start)
                    label = page.spans([(hit.start, hit.end)])
                    found.append(
                        Field(
                            kind=kind, value=value, start=page.lines[index][0],
                            evidence=f"{label} {page.line(index)}", confidence=0.7,
                        )
                    )  # fmt: skip
            break
    return found


def _first(labels: Sequence[Hit | None]) -> int:
    return next(hit.start for hit in labels if hit is not None)


def _columns_of_labels(page: Page) -> Iterator[list[Hit | None]]:
    """Yield the labels of consecutive lines that are nothing but a label with a colon."""
    column: list[Hit | None] = []
    for start, end in page.lines:
        line = page.text[start:end]
        hit = next(iter(page.hits_between(start, start + 1)), None)
        is_label = line.endswith(":") and not any(map(str.isdigit, line))
        other = hit is not None and not _kinds(hit)
        if is_label and not other:
            column.append(hit)
            continue
        if sum(each is not None for each in column) >= 2:
            yield column
        column = []
    if sum(each is not None for each in column) >= 2:
        yield column


def _columns_of_values(
    page: Page, dates: _Dates, before: int
) -> Iterator[list[tuple[int, str, bool]]]:
    """Yield the consecutive lines that are nothing but a number or a date."""
    column: list[tuple[int, str, bool]] = []
    for index in range(before):
        line = page.line(index).strip()
        dated = dates.at(line, 0) if len(line) <= 40 else None
        if dated and dated[0] == 0 and not any(map(str.isalnum, line[dated[1] :].strip("г. "))):
            column.append((index, dated[2], True))
        elif _VALUE.fullmatch(line) and any(map(str.isdigit, line)):
            column.append((index, line, False))
        else:
            if len(column) >= 2:
                yield column
            column = []
    if len(column) >= 2:
        yield column
