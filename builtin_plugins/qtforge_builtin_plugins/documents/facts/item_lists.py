"""The items of an invoice that have no quantity and price: the lines that add up to a sum below.

A bill of a craftsman, a lawyer or a till lists works with nothing but an amount, so that no product
tells which lines are items. What tells it is the sum: the lines straight above the net sum, or
above the total, whose amounts make it to the cent. Lines between them with a subtotal or a carried
sum, with words only, or with a discount or the shipping are passed.
"""

# ruff: noqa: RUF001 - it has typographic marks

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from qtforge_builtin_plugins.documents.facts.items import Row
from qtforge_builtin_plugins.documents.facts.page import Page
from qtforge_builtin_plugins.documents.facts.sum_lines import Money, SumLine, Sums
from qtforge_builtin_plugins.documents.facts.sums import decimal_mark, find_money

__all__ = ["complete_rows"]

_HALF_CENT: Final = Decimal("0.005")
_ROUNDING: Final = Decimal("0.06")
_MOST_LINES: Final = 2_000
_MOST_ABOVE: Final = 200  # lines between a sum and the first of its items
_MOST_COLUMNS: Final = 4  # amounts of a line, of which one column is added up
_MOST_EXTRAS: Final = 4
_LEAST_WHOLE: Final = 100  # an amount without decimal places; less may be a count
_MOST_DESCRIPTION: Final = 2  # lines of words above an amount without any
_MOST_LONE: Final = 2  # lines of words between a single item and its sum
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
# What follows the amount of an item: the rate or the code of its tax.
_ENDING: Final = re.compile(
    r"[\s|;*)]{0,6}(?:(?:[a-z]{1,2}|\d{1,2}(?:[.,]\d{1,2})?)(?![\w.,]))?[\s%|*.)]*"
)
_ENDS: Final = frozenset({"paid", "amount_due"})
_PASSED: Final = frozenset({"net", "total", "total_weak", "tax_base"})
_NO_SUM: Final = frozenset({None, "other"})
_EITHER: Final = (False, True)
_EXTRAS: Final = frozenset({"discount", "shipping"})
_SUM_WORDS: Final = frozenset({"sum", "net", "amounts", "due", "including", "excluding"})


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line that may be an item.

    Attributes:
        index: The index of the line.
        amounts: Its amounts, of which the last one is at its end.
    """

    index: int
    amounts: Sequence[Money]


def complete_rows(page: Page, language: str | None, rows: Sequence[Row], sums: Sums) -> list[Row]:
    """Return the items, with those that only the sum of all of them shows.

    Args:
        page: The text.
        language: ISO 639-1, or None.
        rows: The items with a quantity and a price.
        sums: The invoice's sums.

    Returns:
        ``rows`` if they make the net sum or the total, or if no lines do.
    """
    targets = [line.amount.value for line in (sums.net, sums.total) if line is not None]
    if not any(targets) or _make(rows, targets, sums.lines):
        return list(rows)
    reader = _Reader(page, language, rows, sums)
    if not rows and sums.net is not None and reader.is_only_item(sums.net):
        return [reader.item_of(sums.net)]
    wanted = dict.fromkeys(target for target in targets if target)
    for target, back, with_ignored in itertools.product(wanted, range(_MOST_COLUMNS), _EITHER):
        found = reader.find(target, back, with_ignored)
        if found:
            return found
    return list(rows)


def _make(rows: Sequence[Row], targets: Sequence[Decimal], lines: Sequence[SumLine]) -> bool:
    """Return whether the items are a sum, with what is added to it or taken off."""
    if not rows:
        return False
    whole = sum((row.amount.value for row in rows), Decimal(0))
    extras = [abs(line.amount.value) for line in lines if line.kind in _EXTRAS][:_MOST_EXTRAS]
    return any(
        abs(whole + change - target) <= _ROUNDING
        for target in targets
        for change in _changes(extras)
    )


def _changes(extras: Sequence[Decimal]) -> set[Decimal]:
    changes = {Decimal(0)}
    for extra in extras:
        changes |= {each + sign * extra for each in changes for sign in (1, -1)}
    return changes


class _Reader:
    """Adds up the lines above a sum."""

    def __init__(self, page: Page, language: str | None, rows: Sequence[Row], sums: Sums) -> None:
        self._page = page
        self._mark = decimal_mark(page.text)
        self._language = language
        self._rows = {page.line_at(row.amount.start): row for row in rows}
        self._lines = sums.lines
        self._sums = {line.line: line for line in sums.lines}
        # Where the total has no decimal places, its items may have none either.
        self._has_whole = sums.total is not None and sums.total.amount.places == 0
        self._taxes = {line.line for line in sums.taxes}

    def is_only_item(self, net: SumLine) -> bool:
        """Return whether the net sum is the amount of the only item: nothing says that it is a sum.

        Its line has words of its own, and no other amount stands above it.
        """
        if net.kind not in _NO_SUM or _SUM_WORDS & net.says:
            return False
        amounts = self._amounts(net.line)
        return len(amounts) == 1 and self._is_first(_Entry(net.line, amounts))

    def item_of(self, line: SumLine) -> Row:
        """Return the item whose amount is that of a line."""
        return self._row(_Entry(line.line, self._amounts(line.line)), 0)

    def find(self, target: Decimal, back: int, with_ignored: bool) -> list[Row]:
        """Return the items that make a sum, or none.

        Args:
            target: The sum.
            back: Which amount of a line is added up, from 0 for the last one.
            with_ignored: Whether a line whose label is that of no sum may be an item: the levy of
                a profession is one, the sum that is carried from page to page is none.
        """
        below = [line.line for line in self._lines if line.amount.value == target]
        for index in dict.fromkeys(below):
            chosen = self._above(index, target, back, with_ignored)
            items = self._without_changes(chosen, back) if target > 0 else chosen
            if items:
                return [self._row(entry, back) for entry in items]
        return []

    def _without_changes(self, chosen: Sequence[_Entry], back: int) -> Sequence[_Entry]:
        """Return the lines before what is taken off all of them, and added to them after that."""
        first = next(
            (at for at, entry in enumerate(chosen) if entry.amounts[-1 - back].value < 0), None
        )  # fmt: skip
        if first is None:
            return chosen
        after = chosen[first:]
        is_end = bool(self._rows) and not any(entry.index in self._rows for entry in after)
        is_end = is_end or all(entry.amounts[-1 - back].value < 0 for entry in after)
        return chosen[:first] if is_end else chosen

    def _above(self, index: int, target: Decimal, back: int, with_ignored: bool) -> list[_Entry]:
        chosen: list[_Entry] = []
        extras: list[Decimal] = []
        whole = Decimal(0)
        lone: _Entry | None = None
        for entry in self._entries(index, with_ignored):
            if isinstance(entry, Decimal):
                extras = [*extras, abs(entry)][:_MOST_EXTRAS]
                continue
            if len(entry.amounts) <= back:
                break
            amount = entry.amounts[-1 - back].value
            if amount == target and not chosen and lone is None:
                lone = entry  # the only item, or one more sum of the items above
                continue
            chosen.insert(0, entry)
            whole += amount
            if len(chosen) > 1 and any(
                abs(whole + change - target) < _HALF_CENT for change in _changes(extras)
            ):
                return chosen
        return [lone] if lone is not None and not back and self._is_item(lone, index) else []

    def _entries(self, index: int, with_ignored: bool) -> Iterator[_Entry | Decimal]:
        """Yield the lines above a sum upwards that may be items, and what is no item's amount.

        A table of rates may stand between the items and the sum.
        """
        is_begun = False
        for at in range(index - 1, max(-1, index - _MOST_ABOVE), -1):
            line = self._sums.get(at)
            if at in self._taxes and not is_begun:
                continue
            if at in self._taxes or (line is not None and line.kind in _ENDS):
                return
            if line is not None and self._is_extra(line):
                yield line.amount.value
            elif line is None or self._may_be_item(line, with_ignored):
                amounts = self._amounts(at)
                if amounts:
                    is_begun = True
                    yield _Entry(at, amounts)

    @staticmethod
    def _may_be_item(line: SumLine, with_ignored: bool) -> bool:
        return line.kind not in _PASSED and (with_ignored or line.kind != "ignored")

    def _is_extra(self, line: SumLine) -> bool:
        """Return whether a line is beside the items: the delivery in a list of works is one."""
        return line.kind == "discount" or (line.kind == "shipping" and bool(self._rows))

    def _amounts(self, at: int) -> list[Money]:
        start, end = self._page.lines[at]
        numbers = find_money(self._page, start, end, self._mark, self._language)
        amounts = [each for each in numbers if each.looks_like_money]
        if self._has_whole and numbers and not amounts:
            amounts = [each for each in numbers[-1:] if each.value >= _LEAST_WHOLE]
        if not amounts or not _ENDING.fullmatch(self._page.folded[amounts[-1].end : end]):
            return []
        return amounts

    def _is_item(self, entry: _Entry, index: int) -> bool:
        """Return whether a line with the amount of a sum is its only item.

        It has no word of a sum, and the sum follows at once. It is below the headings of columns,
        or no other amount is above it.
        """
        if index - entry.index > _MOST_LONE or len(entry.amounts) > 1:
            return False
        page = self._page
        start, end = page.lines[entry.index]
        words = page.tokens_between(start, end)
        first = self._first_of(entry)
        while first and not _WORD.search(page.folded[slice(*page.lines[first - 1])]):
            first -= 1  # a rule of dashes
        if any(_SUM_WORDS & page.labels.says_of(word.text) for word in words) or not first:
            return False
        above_start, above_end = page.lines[first - 1]
        above = page.tokens_between(above_start, above_end)
        columns = page.labels.find_columns(page.folded, above)
        is_headed = len(columns) > 1 and not any(
            map(str.isdigit, page.text[above_start:above_end])
        )  # fmt: skip
        return is_headed or self._is_first(entry)

    def _is_first(self, entry: _Entry) -> bool:
        """Return whether a line has words of its own, and no amount is above it."""
        start = self._page.lines[entry.index][0]
        label = self._page.folded[start : entry.amounts[0].start]
        return len(_WORD.findall(label)) > 1 and not any(map(self._amounts, range(entry.index)))

    def _first_of(self, entry: _Entry) -> int:
        """Return the index of the first line of an item, whose words may be above its amount."""
        page = self._page
        first = entry.index
        start = page.lines[first][0]
        if _WORD.search(page.folded[start : entry.amounts[0].start]):
            return first
        for at in range(first - 1, max(-1, first - 1 - _MOST_DESCRIPTION), -1):
            above_start, above_end = page.lines[at]
            columns = page.labels.find_columns(
                page.folded, page.tokens_between(above_start, above_end)
            )
            line = self._sums.get(at)
            is_known = line is not None and line.kind is not None
            if len(columns) > 1 or is_known or self._amounts(at):
                break
            first = at
        return first

    def _row(self, entry: _Entry, back: int) -> Row:
        known = self._rows.get(entry.index)
        if known is not None:
            return known
        page = self._page
        amount = entry.amounts[-1 - back]
        first = self._first_of(entry)
        pieces = [page.lines[at] for at in range(first, entry.index)]
        start, end = page.lines[entry.index]
        pieces.append((start, entry.amounts[0].start))
        words = " ".join(page.text[begin:until].strip() for begin, until in pieces)
        return Row(
            line=entry.index,
            description=re.sub(r"^\s*\d{1,3}[.)]?\s+(?=\D)", "", words).strip(" -–|\t."),
            quantity=None,
            price=None,
            amount=amount,
            evidence=page.spans([*pieces[:-1], (start, end)]),
        )
