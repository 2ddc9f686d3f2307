"""Extract an invoice's main values, by the labels that invoices of all issuers use."""
# ruff: noqa: RUF001 - it has labels in Russian

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from qtforge_builtin_plugins.documents.facts.amounts import (
    NUMBER,
    iterate_amounts,
    main_currencies,
    value_of,
)
from qtforge_builtin_plugins.documents.facts.dates import date_order, iterate_dates
from qtforge_builtin_plugins.documents.messages import Amount, Invoice

__all__ = ["find_invoice", "looks_like_invoice"]

# Number and date are at the beginning, the total often at the end.
_HEAD_CHARACTERS: Final = 60_000
_TAIL_CHARACTERS: Final = 60_000
_MOST_LINE_CHARACTERS: Final = 400
_GAP: Final = 40  # the most characters between a label and its amount, such as a date

_TITLE: Final = re.compile(
    r"\b(?:invoice|receipt|bill to|rechnung|quittung|facture|factura|fattura|сч[её]т(?:-фактура)?)"
    r"\b",
    re.IGNORECASE,
)
# Each tuple is ordered: an earlier label wins over a later one.
_TOTAL_LABELS: Final = tuple(
    re.compile(rf"(?<![\w-])(?:{labels})\b", re.IGNORECASE)
    for labels in (
        r"(?:total )?amount (?:due|payable)|balance due|total due|total payable|grand total"
        r"|invoice total|amount to pay|gesamtbetrag|rechnungsbetrag|endbetrag|zahlbetrag"
        r"|zu zahlen(?:der betrag)?|(?:итого|всего|сумма) к оплате|net à payer|total ttc"
        r"|total a pagar|totale da pagare",
        r"total (?:for this|of this|amount|incl\.?|including|with|inkl\.?)|gesamtsumme|gesamt"
        r"|summe brutto|(?:итого|всего) с ндс",
        r"total(?! (?:tax|vat|net|discount|excl|without|savings|paid|items|qty|quantity|hours"
        r"|weight|pages))|summe|итого|всего",
    )
)
_NUMBER_LABELS: Final = tuple(
    re.compile(labels, re.IGNORECASE)
    for labels in (
        r"\b(?:tax )?invoice (?:no|number|num|nr|id|ref)\b\.?|\binvoice ?[#№]"
        r"|\brechnungs-?\s?(?:nr\b\.?|nummer\b)|\brechnung nr\b\.?"
        r"|\bfacture n[°o]|\bfactura n[º°o]\.?"
        r"|\bсч[её]т(?:-фактура)?(?: на оплату)? ?(?:№|n\b)",
        r"\b(?:receipt|bill|voucher|document|credit note) (?:no|number|nr|id)\b\.?"
        r"|\b(?:receipt|bill|voucher) ?[#№]",
        r"^\W{0,3}(?:tax )?(?:invoice|rechnung|receipt)\b",
        r"\b(?:booking|order|reference|ref) (?:no|number|nr|id)\b\.?|\bbooking ?[#№]",
    )
)
_DATE_LABELS: Final = tuple(
    re.compile(labels, re.IGNORECASE)
    for labels in (
        r"\binvoice date\b|\b(?:date of issue|issue date|issued on|date issued)\b"
        r"|\brechnungsdatum\b|\bдата сч[её]та\b|\bсч[её]т\b.{0,40}\bот\b",
        r"(?<!due )(?<!delivery )\b(?:date|datum|дата)\b",
    )
)
_TOKEN: Final = re.compile(
    r"[\s:#№.]{0,6}(?P<token>[A-Za-z0-9А-Яа-я](?:[\w/.-]{0,29}[\w])?)(?![\w/])"
)
_COLUMN_GAP: Final = re.compile(r"\t+|\s{3,}")
_BARE_NUMBER: Final = re.compile(rf"(?<![\w.,/-])(?:{NUMBER})(?![\w/-]|[.,]\d|\s?%)")


def looks_like_invoice(text: str) -> bool:
    """Return whether a text names itself an invoice or a receipt at its beginning."""
    return _TITLE.search(text[:2_000]) is not None


def find_invoice(text: str, language: str | None) -> Invoice | None:
    """Return number, date and total; None when there is none of number and total.

    Args:
        text: Only its first and last 60,000 characters are used.
        language: ISO 639-1, or None; for the date.
    """
    if len(text) > _HEAD_CHARACTERS + _TAIL_CHARACTERS:
        text = f"{text[:_HEAD_CHARACTERS]}\n{text[-_TAIL_CHARACTERS:]}"
    lines = [line[:_MOST_LINE_CHARACTERS] for line in text.split("\n") if line.strip()]
    total = _total(lines, text, language)
    number = _number(lines, language)
    if total is None and number is None:
        return None
    return Invoice(number=number, date=_date(lines, text, language), total=total)


def _places(lines: Sequence[str], label: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Yield the text after each label on its line, and the value in the line below it.

    In a table the value below is the one in the label's column.
    """
    for index, line in enumerate(lines):
        for match in label.finditer(line):
            below = lines[index + 1] if index + 1 < len(lines) else ""
            columns, values = _COLUMN_GAP.split(line.strip()), _COLUMN_GAP.split(below.strip())
            if len(columns) == len(values) > 1:
                at = next((i for i, column in enumerate(columns) if label.search(column)), 0)
                below = values[at]
            yield line[match.end() :], below


def _total(lines: Sequence[str], text: str, language: str | None) -> Amount | None:
    currencies = main_currencies(text)
    currency = currencies[0] if currencies else None
    free: Amount | None = None
    for label in _TOTAL_LABELS:
        found = [
            amount
            for after, below in _places(lines, label)
            if (amount := _amount_at(after, below, currency, language)) is not None
        ]
        if found:
            # "Total" also occurs at each page's or section's end: the greatest includes them.
            best = max(found, key=lambda amount: Decimal(amount.value))
            if Decimal(best.value):
                return best
            free = free or best  # already paid: the sum itself may have a weaker label
    return free


def _amount_at(after: str, below: str, currency: str | None, language: str | None) -> Amount | None:
    amount = _amount_in(after, currency, language)
    if amount is None and len(after.strip(" \t:*()")) <= len("in EUR"):
        amount = _amount_in(below, currency, language)
    return amount


def _amount_in(text: str, currency: str | None, language: str | None) -> Amount | None:
    """Return the last amount of a line whose first amount begins near the label.

    The last, because the columns of a table of totals end with the gross sum.
    """
    masked = list(text)
    for placed in iterate_dates(text, language):
        masked[placed.start : placed.end] = " " * (placed.end - placed.start)
    line = "".join(masked)
    amounts = [(placed.start, placed.amount) for placed in iterate_amounts(line)]
    if not amounts:
        for match in _BARE_NUMBER.finditer(line):
            value = value_of(match.group())
            if value is not None:
                bare = Amount(text=match.group(), value=format(value, "f"), currency=currency)
                amounts.append((match.start(), bare))
    return amounts[-1][1] if amounts and amounts[0][0] <= _GAP else None


def _number(lines: Sequence[str], language: str | None) -> str | None:
    for label in _NUMBER_LABELS:
        for after, below in _places(lines, label):
            for place in (after, below) if _is_bare(after) else (after,):
                token = _TOKEN.match(place)
                if token and _is_number(token["token"], language):
                    return token["token"]
    return None


def _is_bare(after: str) -> bool:
    """Return whether a line has only labels, so that the value is on the line below."""
    return not any(map(str.isdigit, after))


def _is_number(token: str, language: str | None) -> bool:
    if not any(map(str.isdigit, token)) or token.count(".") > 2:
        return False
    return next(iterate_dates(token, language), None) is None


def _date(lines: Sequence[str], text: str, language: str | None) -> str | None:
    order = date_order(text, language)
    for label in _DATE_LABELS:
        for after, below in _places(lines, label):
            for place in (after, below) if _is_bare(after) else (after,):
                for placed in iterate_dates(place, language, order=order):
                    return placed.date.date
    return None
