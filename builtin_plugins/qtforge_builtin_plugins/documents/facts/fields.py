"""The values that stand beside, below or before their labels: numbers, dates, references."""

# ruff: noqa: RUF001 - it has letters in Russian

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from qtforge_builtin_plugins.documents.facts.dates import date_order, iterate_dates
from qtforge_builtin_plugins.documents.facts.labels import Hit
from qtforge_builtin_plugins.documents.facts.page import Page

__all__ = ["DATES", "REFERENCES", "Field", "find_fields", "find_stamp"]

DATES: Final = ("date", "due_date", "service_date")
REFERENCES: Final = (
    "number", "order_reference", "payment_reference", "customer_number", "delivery_note",
    "original_number",
)  # fmt: skip
_WEAK: Final = {"number_weak": "number", "date_weak": "date"}
_KINDS: Final = frozenset({*DATES, *REFERENCES, *_WEAK})
_BANK: Final = frozenset({"bank", "iban", "bic", "account", "bank_code"})
_LEAD: Final = re.compile(r"[\s:#№.=·_–-]{0,80}")
_VALUE: Final = re.compile(
    r"\+{3}[\d/ ]{10,16}\+{3}|RF\d\d(?: ?[A-Z0-9]{4}){2,5}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
    # RE 2024-001, and 2024 / 17, which have spaces.
    r"|[A-ZА-ЯŞÖÄÜ]{1,5} ?[-/]? ?\d[\w/.-]*(?: / ?\w+)*(?: \d{3,8}(?![\w.,/]))?(?=\s|$)"
    r"|\d+ / \w+(?: / \w+)*|[^\W_][\w/.&-]{0,40}"
)
_ROW_VALUE: Final = re.compile(r"[^\W_][\w/.&-]{0,40}")
_LINK: Final = re.compile(r"[\s:.,=()·–-]*(?:[^\W\d_]{1,12}\.?[\s:.,]+){0,2}")
_DATE_GAP: Final = 24
# The beginnings of words for paying, and the words before a last day, folded.
_PAY: Final = re.compile(
    r"(?<!\w)(?:pay|paid|transfer|remit|settle|zahl|uberweis|begleich|entricht|betal|overmak|voldoe"
    r"|pag|abon|regl|acquitt|virement|salda|versa|bonific|plat|zaplac|uregul|przelew|inbetal|indbetal"
    r"|liquid|transfer|оплат|уплат|перечисл|ode)\w*"
)
_UNTIL: Final = re.compile(
    r"(?<!\w)(?:by|until|before|no later than|bis|spatestens|am|avant|au plus tard|jusqu'au|pour le"
    r"|antes|hasta|entro|per il|voor|tegen|uiterlijk|tot|ate|do|do dnia|senast|fore|senest|inden|до"
    r"|не позднее|en gec|kadar)(?!\w)[^.]{0,24}$"
)
_PAY_REACH: Final = 90
_STAMP_LINES: Final = 15
_TIME: Final = re.compile(r"[\s,-]*(?:\d{1,2}[:.]\d\d(?:[:.]\d\d)?(?: ?[AaPp]\.?[Mm]\.?)?)?\s*")
_MOST_BELOW: Final = 16
_LEAST_COLUMN: Final = 3  # labels in a column of their own
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
        for placed in iterate_dates(text[: gap + 40], self._language, order=self._order):
            if placed.start > gap:
                return None
            return placed.start, placed.end, placed.date.date
        return None

    def all(self, text: str) -> list[tuple[int, int, str]]:
        return [
            (placed.start, placed.end, placed.date.date)
            for placed in iterate_dates(text, self._language, order=self._order)
        ]


def find_fields(page: Page, language: str | None) -> list[Field]:
    """Return the labelled values in the text's order; several of a kind are possible.

    Args:
        page: The text.
        language: ISO 639-1, or None; for dates.
    """
    dates = _Dates(page, language)
    found: list[Field] = list(_from_title(page, dates))
    in_runs: set[int] = set()
    for run in _runs(page):
        fields = list(_below_run(page, run, dates))
        if fields:
            found += fields
            in_runs |= {hit.start for hit in run}
    found += _before_labels(page, dates, in_runs)
    for hit in page.hits:
        if hit.start not in in_runs:
            found += _beside(page, hit, dates)
    if not any(each.kind == "due_date" for each in found):
        found += _in_sentences(page, dates, {each.value for each in found})
    return found


def _in_sentences(page: Page, dates: _Dates, known: set[str]) -> Iterator[Field]:
    """Yield the day until which a sentence asks to pay: Please transfer it by 3 May 2026."""
    for match in _PAY.finditer(page.folded):
        end = min(page.lines[page.line_at(match.start())][1] + 40, match.end() + _PAY_REACH)
        for placed in dates.all(page.text[match.end() : end].replace("\n", " ")):
            before = page.folded[match.end() : match.end() + placed[0]]
            if _UNTIL.search(before) and placed[2] not in known:
                yield _field(page, "due_date", placed[2], match.start(), match.end() + placed[1],
                             0.4)  # fmt: skip
                return


def find_stamp(page: Page, language: str | None) -> Field | None:
    """Return the date alone in one of the first lines, as on a till receipt, with its time.

    Args:
        page: The text.
        language: ISO 639-1, or None.
    """
    dates = _Dates(page, language)
    for index in range(min(_STAMP_LINES, len(page.lines))):
        line = page.line(index)
        dated = dates.at(line, 0) if len(line) < 40 else None
        if dated and _TIME.fullmatch(line[dated[1] :]):
            start = page.lines[index][0]
            return _field(page, "date", dated[2], start, start + len(line), 0.4)
    return None


def _from_title(page: Page, dates: _Dates) -> Iterator[Field]:
    """Yield number and date after the document's name: Invoice 17 of 3 March 2026."""
    for kind, start, end in page.labels.find_titles(page.folded, page.tokens[:400]):
        index, _, cell = page.cell_of(start)
        before = page.text[cell.start : start]
        if len(re.findall(r"\w+", before)) > 2 or any(map(str.isdigit, before)):
            continue
        rest = page.text[end : cell.end]
        if len(rest) > 120:
            continue
        number = re.match(r"[\s:#№.–-]{0,6}(?:n[.°ºo]{1,3}|nr\.?|no\.?|num\.?|№)?[\s:.]{0,3}"
                          r"(?P<value>[^\W_][\w/.-]{0,40})", rest, re.IGNORECASE)  # fmt: skip
        at = 0
        if number and _is_number(number["value"], dates):
            at = number.end()
            value = number["value"].rstrip(".-/")
            yield _field(page, "number", value, start, end + number.end("value"), 0.75)
        elif number and not _is_link(page, end, end + number.end("value")):
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
        word in page.labels.links or word == "#" for word in words
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
    colon = text.lstrip()[:1] == ":"
    # "For the invoice no. 17 we thank you" names it as well, but less certainly.
    if not anchored and not colon and not {"number", "date", "due_date"} & set(kinds):
        return
    for kind in kinds:
        strength = (0.9 if colon else 0.85) if anchored else (0.7 if colon else 0.45)
        strength -= 0.0 if hit.strong else 0.05
        target = _WEAK.get(kind, kind)
        if kind in _WEAK:
            strength -= 0.3
        value = _value_in(target, text, dates)
        if value:
            yield _field(page, target, value[2], hit.start, start + value[1], strength,
                         at=start + value[0])  # fmt: skip
            continue
        if target in DATES and _has_words(text):
            # The date may go on in the next line: 5 de fevereiro de / 2025.
            following = page.line(page.line_at(hit.end - 1) + 1)
            value = _value_in(target, f"{text} {following}", dates)
            if value and value[0] < len(text):
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


def _value_in(kind: str, text: str, dates: _Dates) -> tuple[int, int, str] | None:
    """Return start, end and value of the kind at the beginning of a text."""
    if kind in DATES:
        dated = dates.at(text, _DATE_GAP)
        return dated if dated and _LINK.fullmatch(text[: dated[0]]) else None
    lead = _LEAD.match(text)
    match = _VALUE.match(text, lead.end() if lead else 0)
    if match is None:
        return None
    value = match[0].rstrip(".-/&")
    if not _is_number(value, dates):
        return None
    return match.start(), match.start() + len(value), value


def _is_number(value: str, dates: _Dates) -> bool:
    value = value.rstrip(".-/")
    if not any(map(str.isdigit, value)) or len(value) > 36:
        return False
    dated = dates.at(value, 0)
    return dated is None or dated[1] < len(value)


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
        if value and not _begins_with_label(page, beside.start):
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
    if _name_of(page, hit) in page.labels.titles:
        strength -= 0.35  # the line below a title is rather another thing
    if value and _LEAD.fullmatch(text[: value[0]]):
        yield _field(page, kind, value[2], hit.start, below.start + value[1], strength - 0.1,
                     at=below.start + value[0])  # fmt: skip


def _name_of(page: Page, hit: Hit) -> str:
    return " ".join(token.text for token in page.tokens_between(hit.start, hit.end))


def _begins_with_label(page: Page, position: int) -> bool:
    return any(hit.start == position for hit in page.hits_between(position, position + 1))


def _runs(page: Page) -> Iterator[list[Hit]]:
    """Yield the groups of labels that stand directly one after the other."""
    run: list[Hit] = []
    for hit in page.hits:
        if run and not any(map(str.isalnum, page.text[run[-1].end : hit.start])):
            run.append(hit)
            continue
        if len(run) > 1:
            yield run
        run = [hit]
    if len(run) > 1:
        yield run


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
