"""The items of an invoice: rows whose quantity times price is their amount."""

# ruff: noqa: RUF001 - it has typographic marks

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from qtforge_builtin_plugins.documents.facts.page import Page
from qtforge_builtin_plugins.documents.facts.sum_lines import Money, SumLine
from qtforge_builtin_plugins.documents.facts.sums import (
    RATE_AFTER,
    decimal_mark,
    find_money,
)

__all__ = ["Row", "find_rows", "find_sum_of_rows"]

_MOST_LINES: Final = 2_000
_DISCOUNT: Final = re.compile(r"\(?[-–]\s?(\d{1,2}(?:[.,]\d{1,2})?) ?%\)?")
_ENDING: Final = re.compile(r"[\s|;.*)]{0,6}(?:[a-z]{1,2}(?![a-z]))?[\s|*.]*")
_SPLIT: Final = re.compile(r"(?<=\d) (?=\d{3})")
_HALF: Final = Decimal("0.005")
_MOST_NUMBERS: Final = 12
_PERCENT: Final = re.compile(RATE_AFTER)
_MOST_TAX: Final = Decimal("1.31")  # of an amount with tax, as a share of that without
_MOST_DISCOUNT: Final = 60  # per cent
_CENTS: Final = 2
_MOST_BEFORE: Final = 2  # lines of a description before its numbers
_MOST_BELOW: Final = 40  # amounts below the items
_STACKED: Final = 3  # lines before the amount: name, quantity and price
_SUMS: Final = frozenset({"net", "tax", "total", "total_weak", "amount_due", "paid"})


@dataclass(frozen=True, slots=True)
class _Line:
    index: int
    start: int
    end: int
    numbers: Sequence[Money]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An item.

    Attributes:
        line: The index of its line.
        description: Its words.
        quantity: How many; None for an item that has only an amount.
        price: The price of one; None as for ``quantity``.
        amount: The price of all.
        evidence: Its line.
    """

    line: int
    description: str
    quantity: Decimal | None
    price: Decimal | None
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
    before: list[_Line] = []  # the lines since the last row, which may begin the next one
    lines = page.lines[:_MOST_LINES]
    numbers = [find_money(page, start, end, mark, language) for start, end in lines]
    for index, (start, end) in enumerate(lines):
        line = _Line(index, start, end, numbers[index])
        following = None
        if index + 1 < len(lines):
            following = _Line(index + 1, *lines[index + 1], numbers[index + 1])
        row = _row(page, line, before[-_MOST_BEFORE:], following, mark)
        row = row or _stacked(page, line, before[-_STACKED:])
        if row is None:
            before.append(line)
            continue
        if not re.search(r"[^\W\d_]{3,}", row.description) and before:
            words = [page.text[each.start : each.end] for each in before[-3:]]
            row = replace(row, description=_joined(words, page))
        found.append(row)
        before = []
    return found


def find_sum_of_rows(page: Page, language: str | None, rows: Sequence[Row]) -> SumLine | None:
    """Return the amount below the items that is their sum, or with one more amount below them.

    It is the total whose label is of no list.

    Args:
        page: The text.
        language: ISO 639-1, or None.
        rows: The items.
    """
    if not rows:
        return None
    mark = decimal_mark(page.text)
    whole = sum((row.amount.value for row in rows), Decimal(0))
    last = max(row.line for row in rows)
    below = [
        (index, amount)
        for index, (start, end) in enumerate(page.lines[last + 1 : _MOST_LINES], last + 1)
        for amount in find_money(page, start, end, mark, language)
        if amount.looks_like_money
    ][:_MOST_BELOW]
    others = {Decimal(0), *(amount.value for _, amount in below if amount.value < whole)}
    fitting = [(index, amount) for index, amount in below if amount.value - whole in others]
    if not fitting:
        return None
    index, amount = max(fitting, key=lambda each: each[1].value)
    start, end = page.lines[index]
    return SumLine(
        kind="total", label=page.folded[start : amount.start], amount=amount, rate=None, base=None,
        line=index, evidence=page.spans([(start, end)]), plain=False,
    )  # fmt: skip


def _joined(words: Sequence[str], page: Page) -> str:
    return " ".join(word.strip() for word in words[-2:] if not word.rstrip().endswith(":"))


def _row(
    page: Page, line: _Line, before: Sequence[_Line], following: _Line | None, mark: str | None
) -> Row | None:
    """Return the item whose amount is at the end of a line."""
    numbers = line.numbers
    if not numbers or not numbers[-1].looks_like_money:
        return None
    if not _ENDING.fullmatch(page.folded[numbers[-1].end : line.end]):
        return None
    if len(numbers) > 1:
        discounts = _discounts(page, [line])
        for reading in _readings(page, numbers[-_MOST_NUMBERS:], mark):
            made = _factors(reading, discounts) if len(reading) > 2 else None
            made = made or _with_per_cent(reading)
            if made is not None:
                return _made(page, line, made, reading[-1])
        with_tax = _before_tax(page, line, discounts)
        if with_tax is not None:
            return with_tax
        columns = [Decimal(match[1].replace(",", ".")) / 100
                   for match in _PERCENT.finditer(page.folded, line.start, line.end)]  # fmt: skip
        made = _factors(numbers, columns) if columns and len(numbers) > 2 else None
        if made is not None:
            return _made(page, line, made, numbers[-1])
        # The description is on two lines, and the quantity on the first of them.
        for first in reversed(before):
            if _is_part(page, first) and first.numbers and _is_price(numbers[-2]):
                made = _factors([*first.numbers[:3], *numbers[-2:]], discounts)
                if made is not None:
                    return _made(page, first, made, numbers[-1], [line])
    elif not re.search(r"[^\W\d_]{4,}", page.folded[line.start : line.end]):
        # The amount alone is below the row: 10 pcs 109.49 (- / 5%) / 1,040.16.
        for first in reversed(before):
            if _is_part(page, first) and len(first.numbers) > 1:
                whole = _Line(first.index, first.start, line.end, ())
                made = _factors([*first.numbers[:4], numbers[-1]], _discounts(page, [whole]))
                if made is not None:
                    return _made(page, first, made, numbers[-1], [line])
    # Quantity and price are below the description: 10 pcs x 4.90.
    if following is not None and len(following.numbers) > 1 and len(numbers) < _MOST_NUMBERS:
        made = _factors([*following.numbers[:3], numbers[-1]], _discounts(page, [line, following]))
        if made is not None and _is_part(page, following):
            return Row(
                line=line.index,
                description=_description(page, line.start, numbers[-1].start),
                quantity=made[0].value,
                price=made[1].value,
                amount=numbers[-1],
                evidence=page.spans([(line.start, line.end), (following.start, following.end)]),
            )
    return None


def _stacked(page: Page, amount: _Line, before: Sequence[_Line]) -> Row | None:
    """Return the item whose name, quantity, price and amount each have a line of their own."""
    if len(before) < _STACKED:
        return None
    name, *factors = before
    if any(
        len(line.numbers) != 1 or re.search(r"[^\W\d_]{4,}", page.folded[line.start : line.end])
        for line in (*factors, amount)
    ):
        return None
    quantity, price, whole = (line.numbers[0] for line in (*factors, amount))
    is_price = _is_price(price) and whole.looks_like_money and quantity.currency is None
    if not is_price or not _is_part(page, name) or not _is_product(
        quantity.value, price, whole, ()
    ):  # fmt: skip
        return None
    return Row(
        line=amount.index,
        description=page.text[name.start : name.end].strip(),
        quantity=quantity.value,
        price=price.value,
        amount=whole,
        evidence=page.spans([(line.start, line.end) for line in (*before, amount)]),
    )


def _with_per_cent(numbers: Sequence[Money]) -> tuple[Money, Money] | None:
    """Return quantity and price if another number of the row is the per cent of a discount."""
    *others, amount = numbers
    for each in others:
        if each.places or each.currency is not None or not 0 < each.value <= _MOST_DISCOUNT:
            continue
        rest = [other for other in others if other is not each]
        for price in rest:
            for quantity in rest:
                if quantity is price or price.places != _CENTS or quantity.currency is not None:
                    continue
                product = quantity.value * price.value * (1 - each.value / 100)
                if abs(abs(product) - abs(amount.value)) <= _HALF:
                    return quantity, price
    return None


def _before_tax(page: Page, line: _Line, discounts: Sequence[Decimal]) -> Row | None:
    """Return an item whose amount is followed by its tax, or by the amount with tax."""
    hits = page.hits_between(line.start, line.start + 1)
    if any(_SUMS & set(hit.kinds) for hit in hits):
        return None
    for size in (1, 2):
        numbers = line.numbers[:-size]
        if len(numbers) < 3 or not numbers[-1].looks_like_money or not numbers[-1].value:
            return None
        if not 1 < line.numbers[-1].value / numbers[-1].value <= _MOST_TAX:
            continue
        made = _factors(numbers, discounts)
        if made is not None:
            return _made(page, line, made, numbers[-1])
    return None


def _is_price(number: Money) -> bool:
    return number.looks_like_money or number.places > 0


def _is_part(page: Page, line: _Line) -> bool:
    """Return whether a line may be a part of an item: it has no label of a sum and no amount."""
    hits = page.hits_between(line.start, line.start + 1)
    return not any(_SUMS & set(hit.kinds) for hit in hits)


def _discounts(page: Page, lines: Sequence[_Line]) -> list[Decimal]:
    return [
        Decimal(match[1].replace(",", ".")) / 100
        for line in lines
        for match in _DISCOUNT.finditer(page.folded, line.start, line.end)
    ]


def _factors(
    numbers: Sequence[Money], discounts: Sequence[Decimal]
) -> tuple[Money, Money] | None:  # fmt: skip
    """Return quantity and price among the numbers of a row whose product is the last of them."""
    *others, amount = numbers
    for price in reversed(others):
        for quantity in reversed(others):
            if quantity is price or quantity.currency is not None:
                continue
            if price.places == 0 and quantity.places == 0 and price.currency is None:
                continue
            if _is_product(quantity.value, price, amount, discounts):
                return quantity, price
    return None


def _made(
    page: Page, line: _Line, factors: tuple[Money, Money], amount: Money,
    further: Sequence[_Line] = (),
) -> Row:  # fmt: skip
    quantity, price = factors
    until = min(quantity.start, price.start)
    description = _description(page, line.start, until)
    if not re.search(r"[^\W\d_]{3,}", description):
        # The quantity is before the description: 9 box Printer paper 27.70.
        after = next((number.start for number in sorted((quantity, price), key=_start)
                      if number.start > until), amount.start)  # fmt: skip
        words = page.text[min(quantity.end, price.end) : after].replace("\t", " ").strip(" -–|")
        description = words if re.search(r"[^\W\d_]{3,}", words) else description
    return Row(
        line=line.index,
        description=description,
        quantity=quantity.value,
        price=price.value,
        amount=amount,
        evidence=page.spans([(each.start, each.end) for each in (line, *further)]),
    )


def _start(number: Money) -> int:
    return number.start


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
    from price_parser import Price  # slow to import, and many texts have none

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
