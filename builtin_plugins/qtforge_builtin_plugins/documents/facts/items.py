"""The items of an invoice: rows whose quantity times price is their amount."""

# ruff: noqa: RUF001 - it has typographic marks

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from price_parser import Price

from qtforge_builtin_plugins.documents.facts.page import Page
from qtforge_builtin_plugins.documents.facts.sums import Money, decimal_mark, find_money

__all__ = ["Row", "find_rows"]

_MOST_LINES: Final = 2_000
_DISCOUNT: Final = re.compile(r"\(?[-–] ?(\d{1,2}(?:[.,]\d{1,2})?) ?%\)?")
_ENDING: Final = re.compile(r"[\s|;.*)]{0,6}(?:[a-z]{1,2}(?![a-z]))?[\s|*.]*")
_SPLIT: Final = re.compile(r"(?<=\d) (?=\d{3})")
_HALF: Final = Decimal("0.005")
_MOST_NUMBERS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An item.

    Attributes:
        line: The index of its line.
        description: Its words.
        quantity: How many.
        price: The price of one.
        amount: The price of all.
        evidence: Its line.
    """

    line: int
    description: str
    quantity: Decimal
    price: Decimal
    amount: Money
    evidence: str


def find_rows(page: Page, language: str | None) -> list[Row]:
    """Return the items in the text's order.

    Args:
        page: The text.
        language: ISO 639-1, or None.
    """
    mark = decimal_mark(page.text)
    found: list[Row] = []
    words: list[str] = []  # the lines before a row's numbers, which may be its description
    for index, (start, end) in enumerate(page.lines[:_MOST_LINES]):
        row = _row(page, index, start, end, mark, language)
        if row is None:
            words = [*words[-2:], page.text[start:end]]
            continue
        if not re.search(r"[^\W\d_]{3,}", row.description) and words:
            row = replace(row, description=_joined(words, page))
        found.append(row)
        words = []
    return found


def _joined(words: Sequence[str], page: Page) -> str:
    return " ".join(word.strip() for word in words[-2:] if not word.rstrip().endswith(":"))


def _row(
    page: Page, index: int, start: int, end: int, mark: str | None, language: str | None
) -> Row | None:
    numbers = find_money(page, start, end, mark, language)
    if len(numbers) < 2 or not numbers[-1].looks_like_money:
        return None
    if not _ENDING.fullmatch(page.folded[numbers[-1].end : end]):
        return None
    discounts = [Decimal(match[1].replace(",", ".")) / 100
                 for match in _DISCOUNT.finditer(page.folded[start:end])]  # fmt: skip
    for reading in _readings(page, numbers[-_MOST_NUMBERS:], mark):
        if len(reading) < 3:
            continue
        quantity, price, amount = reading[-3:]
        if price.places == 0 and quantity.places == 0 and price.currency is None:
            continue
        if _is_product(quantity.value, price, amount, discounts):
            return Row(
                line=index,
                description=_description(page, start, quantity.start),
                quantity=quantity.value,
                price=price.value,
                amount=amount,
                evidence=" ".join(page.text[start:end].split()),
            )
    return None


def _readings(page: Page, numbers: Sequence[Money], mark: str | None) -> Iterator[list[Money]]:
    """Yield the numbers, then with a space that separates two of them instead of thousands."""
    yield list(numbers)
    for index, number in enumerate(numbers):
        written = page.folded[number.start : number.end]
        for gap in _SPLIT.finditer(written):
            left, right = written[: gap.start()], written[gap.end() :]
            parts = [
                _part(left, number.start, None),
                _part(right, number.start + gap.end(), number),
            ]
            if all(parts):
                kept = [part for part in parts if part is not None]
                yield [*numbers[:index], *kept, *numbers[index + 1 :]]


def _part(written: str, start: int, original: Money | None) -> Money | None:
    value = Price.fromstring(written).amount
    if value is None:
        return None
    places = re.search(r"[.,](\d{1,4})\b", written)
    return Money(start=start, end=start + len(written), text=written, value=value,
                 currency=original.currency if original else None,
                 places=len(places[1]) if places else 0)  # fmt: skip


def _is_product(
    quantity: Decimal, price: Money, amount: Money, discounts: Sequence[Decimal]
) -> bool:
    if not amount.value:
        return False
    tolerance = _HALF * (abs(quantity) + 3) if price.places <= 2 else _HALF * 3
    tolerance = min(tolerance, abs(amount.value) / 50 + _HALF)
    product = quantity * price.value
    return any(
        abs(abs(product * factor) - abs(amount.value)) <= tolerance
        for factor in (Decimal(1), *(1 - discount for discount in discounts))
    )


def _description(page: Page, start: int, end: int) -> str:
    """Return the words before the quantity, without the row's number."""
    text = page.text[start:end].replace("\t", " ")
    return re.sub(r"^\s*\d{1,3}[.)]?\s+(?=\D)", "", text).strip(" -–|\t")
