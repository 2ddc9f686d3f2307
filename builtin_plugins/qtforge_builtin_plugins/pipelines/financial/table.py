"""Find the table of items in an invoice's text: columns by the header, rows by their numbers.

A text has no columns, so a row is trusted only if its numbers match the header's columns, and
the table only if all of its rows are.
"""

# ruff: noqa: RUF001 - it has labels in Russian

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from qtforge_builtin_plugins.pipelines.financial.numbers import (
    Number,
    TextLine,
    read_all_ways,
    read_numbers,
    without_dates,
)
from qtforge_builtin_plugins.pipelines.financial.totals import kind_of

__all__ = ["Item", "Table", "find_table"]

_COLUMNS: Final = tuple(
    (kind, re.compile(rf"(?<!\w)(?:{labels})(?![\w])", re.IGNORECASE))
    for kind, labels in (
        ("price", r"(?:unit|net|list|vk|einzel|stück|e)[ -]?(?:price|preis|cost)|price per \w+"
                  r"|price each|price|rate|unit cost|preis|prix unitaire|prix|pu ht|precio"
                  r"|цена(?: за (?:ед\.?|единицу|шт\.?))?"),
        ("amount", r"(?:line|item|net|total)[ -]?(?:total|amount|price)|amount|total|ext(?:ended)?"
                   r"\.? price|betrag|gesamt(?:preis|betrag)?|zeilenbetrag|summe|netto|montant"
                   r"(?: ht)?|total ht|importe|сумма|стоимость|всего"),
        ("quantity", r"quantity|qty\.?|hours|hrs\.?|days|nights|menge|anzahl|stunden|stück|qté"
                     r"|quantité|cantidad|кол-?во|количество"),
        ("discount", r"disc(?:ount)?\.? ?%?|rabatt ?%?|скидка ?%?|remise ?%?"),
        ("tax", r"tax(?:es)?(?: rate)? ?%?|vat(?: rate)? ?%?|gst ?%?|mwst\.?(?:-satz)? ?%?"
                r"|ust\.? ?%?"
                r"|tva ?%?|ндс ?%?"),
        ("text", r"(?:item )?description|items?|services?|products?|details|particulars"
                 r"|beschreibung|bezeichnung|leistung|artikel(?:bezeichnung)?|désignation|concepto"
                 r"|наименование(?: товаров?| работ| услуг|,)*|товары?|услуг[аи]|работы"),
        ("unit", r"units?|uom|einheit|ед\.?(?: ?изм\.?)?|unité"),
        ("position", r"pos\.?|no\.?|nr\.?|№(?: п/п)?|#|item no\.?|line"),
    )
)  # fmt: skip
_NUMERIC: Final = frozenset({"price", "amount", "quantity", "discount", "tax"})
_MOST_OTHER_LETTERS: Final = 8  # in a header, beside its labels, such as "(EUR)"
_LETTERS: Final = re.compile(r"[^\W\d_]")
_MOST_HEADER_CHARACTERS: Final = 160
# Between the numbers of two columns there may be a unit or a multiplication sign.
_BETWEEN: Final = re.compile(r"[\s|;]*(?:[x×*@]|à|[^\W\d_]{1,12}\.?)?[\s|;]*", re.IGNORECASE)
_PAGE: Final = re.compile(
    r"\b(?:page|seite|стр\.?|страница|p\.)\W{0,3}\d+\W*(?:\w+\W{0,3}\d+)?\W*$", re.I
)
_ENDING: Final = re.compile(r"[\s|;.)*]{0,4}(?:[A-Z*]{1,2})?[\s|]*")
_MOST_LINES: Final = 1_000
_PRICE_UNITS: Final = (10, 100, 1000)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A row.

    Attributes:
        line: Its line.
        amount: Its last column.
        quantity: None when it can't be identified.
        price: None as for ``quantity``.
        rates: The percentages in it, as factors: 0.15 for 15 %.
        product: Quantity times price; None when they can't be identified.
        holds: Whether the amount is that product, within rounding, discount, tax and prices
            per several units; None when there is no product.
        fits: Whether its numbers match the header's columns.
        firm: Whether its amount is certain too.
    """

    line: TextLine
    amount: Number
    quantity: Number | None
    price: Number | None
    rates: tuple[Decimal, ...]
    product: Decimal | None
    holds: bool | None
    fits: bool
    firm: bool


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The rows below a header.

    Attributes:
        header: Its line.
        items: The rows in order.
        odd: Lines among them that may be rows as well.
        has_products: Whether the header has a quantity and a price.
    """

    header: TextLine
    items: tuple[Item, ...]
    odd: tuple[TextLine, ...]
    has_products: bool

    @property
    def doubt(self) -> str | None:
        """Why the reading of the table is not certain, or None."""
        if self.odd:
            return f"line {self.odd[0].number} may be an item too: '{self.odd[0].text.strip()}'"
        loose = next((item for item in self.items if not item.firm), None)
        if loose is not None:
            shown = loose.line.text.strip()
            return f"line {loose.line.number} does not match the table's columns: '{shown}'"
        return None


def find_table(lines: Sequence[TextLine], language: str | None) -> Table | None:
    """Return the first table that has rows; None when there is none."""
    repeated = Counter(line.text.strip() for line in lines)
    for position, line in enumerate(lines):
        columns = _columns(line.text)
        if columns:
            table = _read(line, columns, lines[position + 1 :], repeated, language)
            if table.items:
                return table
    return None


def _columns(line: str) -> tuple[str, ...]:
    """Return a header's columns, left to right; none when the line is not a header."""
    if len(line) > _MOST_HEADER_CHARACTERS or any(map(str.isdigit, line)):
        return ()
    found: list[tuple[int, str]] = []
    rest = line
    for kind, labels in _COLUMNS:
        for match in labels.finditer(rest):
            found.append((match.start(), kind))
            rest = rest[: match.start()] + " " * len(match.group()) + rest[match.end() :]
    kinds = tuple(kind for _, kind in sorted(found))
    numeric = [kind for kind in kinds if kind in _NUMERIC]
    if len(_LETTERS.findall(rest)) > _MOST_OTHER_LETTERS or len(kinds) < 2 or not numeric:
        return ()
    # "VAT amount" and the like are read as two columns; such a header can't be used.
    if numeric[-1] != "amount" or max(Counter(numeric).values()) > 1:
        return ()
    return kinds


def _read(
    header: TextLine,
    columns: tuple[str, ...],
    lines: Sequence[TextLine],
    repeated: Counter[str],
    language: str | None,
) -> Table:
    items: list[Item] = []
    odd: list[TextLine] = []
    summed_at = 0
    for line in lines[:_MOST_LINES]:
        masked = without_dates(line.text, language)
        item = _item(line, masked, columns)
        kind = kind_of(masked)
        if kind is not None and not (item and item.holds):
            # Subtotals and page ends may be between rows; the sum of all may not.
            if kind in ("gross", "due") and read_numbers(masked):
                break
            summed_at = line.number
        elif item is not None:
            items.append(item)
        # Lines repeated on each page, such as a footer with the bank's numbers, are no rows.
        elif (
            repeated[line.text.strip()] == 1
            and _ends_with_number(masked)
            and not _PAGE.search(masked)
        ):
            odd.append(line)
    items = _without_adjustments(items, summed_at)
    last = items[-1].line.number if items else 0
    # A row that was not recognised may also be the last one.
    end = last if summed_at > last else last + 2
    return Table(
        header=header,
        items=tuple(items),
        odd=tuple(line for line in odd if line.number <= end),
        has_products={"quantity", "price"} <= set(columns),
    )


def _without_adjustments(items: Sequence[Item], summed_at: int) -> list[Item]:
    """Return the rows without those after the last subtotal that do not match the columns."""
    kept = list(items)
    while kept and kept[-1].line.number > summed_at > 0 and not kept[-1].firm:
        kept.pop()
    return kept


def _item(line: TextLine, masked: str, columns: tuple[str, ...]) -> Item | None:
    """Return the row in the best matching reading; None when it does not end in an amount."""
    best: Item | None = None
    ways = list(read_all_ways(masked))
    for numbers in ways:
        if not numbers or not numbers[-1].money or not _is_at_end(masked, numbers[-1]):
            continue
        for item in _readings(line, masked, numbers, columns):
            if best is None or _rank(item) > _rank(best):
                best = item
    if best is not None and len(ways) > 1 and not best.holds:
        # It is not known which of its spaces separate numbers.
        best = replace(best, firm=False)
    return best


def _rank(item: Item) -> tuple[bool, bool]:
    return (bool(item.holds), item.fits)


def _readings(
    line: TextLine, masked: str, numbers: Sequence[Number], columns: tuple[str, ...]
) -> Iterator[Item]:
    """Yield the row with the header's columns, and without those that may be empty."""
    text = columns.index("text") if "text" in columns else -1
    numeric = [(index, kind) for index, kind in enumerate(columns) if kind in _NUMERIC]
    tail = [kind for index, kind in numeric if index > text]
    lead = [kind for kind in columns[: max(text, 0)] if kind in _NUMERIC | {"position"}]
    first = _leading(masked, numbers, lead)
    run = _trailing(masked, numbers)
    rates = tuple(number.value / 100 for number in numbers if number.percent)
    for absent in ((), ("tax",), ("discount",), ("tax", "discount")):
        kinds = [kind for kind in tail if kind not in absent]
        if len(kinds) < len(tail) - len(absent) or len(run) < len(kinds):
            continue
        found = {**first, **dict(zip(kinds, run[len(run) - len(kinds) :], strict=True))}
        if _is_plausible(found):
            yield _made(line, found, rates, columns)
    yield Item(
        line=line, amount=numbers[-1], quantity=None, price=None, rates=rates,
        product=None, holds=None, fits=False,
        firm=False,
    )  # fmt: skip


def _leading(masked: str, numbers: Sequence[Number], lead: Sequence[str]) -> dict[str, Number]:
    """Return the numbers at the line's beginning, for the columns left of the description."""
    found: dict[str, Number] = {}
    end = 0
    for kind, number in zip(lead, numbers, strict=False):
        if masked[end : number.start].strip(" \t.|;)"):
            break
        found[kind] = number
        end = number.end
    return found


def _trailing(masked: str, numbers: Sequence[Number]) -> list[Number]:
    """Return the numbers at the line's end with only units between them."""
    run = [numbers[-1]]
    for number in reversed(numbers[:-1]):
        if not _BETWEEN.fullmatch(masked[number.end : run[0].start]):
            break
        run.insert(0, number)
    return run


def _is_plausible(found: dict[str, Number]) -> bool:
    if any(found[kind].percent for kind in ("quantity", "price", "amount") if kind in found):
        return False
    discount = found.get("discount")
    return discount is None or 0 <= discount.value <= max(Decimal(100), found["amount"].value)


def _made(
    line: TextLine, found: dict[str, Number], rates: tuple[Decimal, ...], columns: tuple[str, ...]
) -> Item:
    quantity, price, amount = found.get("quantity"), found.get("price"), found["amount"]
    product = holds = None
    if quantity is not None and price is not None:
        product = quantity.value * price.value
        extra = [found[kind] for kind in ("discount", "tax") if kind in found]
        holds = any(
            _is_product(one, other, amount, extra, rates)
            for one in quantity.values
            for other in price.values
        )
    wanted = {kind for kind in ("quantity", "price") if kind in columns}
    like_a_price = price is None or price.money or price.places >= 2
    fits = wanted <= set(found) and (like_a_price or bool(holds))
    return Item(
        line=line, amount=amount, quantity=quantity, price=price, rates=rates, product=product,
        holds=holds, fits=fits, firm=fits,
    )  # fmt: skip


def _is_product(
    quantity: Decimal,
    price: Decimal,
    amount: Number,
    extra: Sequence[Number],
    rates: Sequence[Decimal],
) -> bool:
    product = quantity * price
    factors = [Decimal(1), *(1 - rate for rate in rates), *(1 + rate for rate in rates)]
    factors += [1 - number.value / 100 for number in extra]
    factors += [1 + number.value / 100 for number in extra]
    factors += [one * other for one, other in itertools.combinations(factors[1:], 2)]
    candidates = [product * factor for factor in factors]
    candidates += [product - number.value for number in extra]
    candidates += [product / unit for unit in _PRICE_UNITS]
    return any(
        abs(candidate - value) <= _rounding(quantity, price, amount)
        for candidate in candidates
        for value in amount.values
    )


def _rounding(quantity: Decimal, price: Decimal, amount: Number) -> Decimal:
    """Return the largest difference of a product of rounded numbers and the rounded amount."""
    allowed = amount.half_unit
    for number, other in ((quantity, price), (price, quantity)):
        places = -int(number.as_tuple().exponent)
        if places > 0:
            allowed += abs(other) * Decimal(5).scaleb(-places - 1)
    return allowed


def _ends_with_number(masked: str) -> bool:
    numbers = read_numbers(masked)
    return bool(numbers) and _is_at_end(masked, numbers[-1])


def _is_at_end(masked: str, number: Number) -> bool:
    return _ENDING.fullmatch(masked[number.end :]) is not None
