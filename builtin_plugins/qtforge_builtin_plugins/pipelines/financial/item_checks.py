"""Check the items' amounts against quantity and price, and their sum."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from qtforge_builtin_plugins.pipelines.financial.messages import FraudFinding
from qtforge_builtin_plugins.pipelines.financial.table import Item, Table
from qtforge_builtin_plugins.pipelines.financial.totals import SumLine
from qtforge_builtin_plugins.pipelines.financial.verdicts import (
    Paper,
    Verdict,
    evidence,
    found,
    is_explained,
    passed,
    plain,
    unchecked,
)

__all__ = ["check_items"]

NAME: Final = "line_items"


def check_items(paper: Paper) -> Verdict:
    """Check each row by itself, and all rows against the stated sum."""
    table = paper.table
    if table is None:
        return unchecked(NAME, "no table of items was found in the text")
    products = _products(paper, table)
    summed = _sum(paper, table)
    if products or summed.findings:
        return found(NAME, *products, *summed.findings)
    return summed


def _products(paper: Paper, table: Table) -> list[FraudFinding]:
    """Return the rows whose amount is not quantity times price.

    The columns are trusted if another row confirms them, or if the row is the only one.
    """
    if not table.has_products:
        return []
    holding = sum(item.holds is True for item in table.items)
    if not holding and len(table.items) > 1:
        return []
    rates = {line.rate for line in paper.of("tax") if line.rate is not None}
    return [
        FraudFinding(
            check=NAME,
            code="items.product",
            severity="medium",
            message=f"line {item.line.number}: {item.quantity.text} x {item.price.text} is not"
            f" {item.amount.text}",
            evidence=evidence(table.header, item.line),
            stated=plain(item.amount.value),
            computed=plain(item.product),
        )
        for item in table.items
        if item.holds is False and item.fits and not _has_tax(item, rates)
        if item.quantity and item.price and item.product is not None
    ]


def _has_tax(item: Item, rates: set[Decimal]) -> bool:
    """Return whether the amount includes tax and the price does not, or the other way round."""
    product = item.product or Decimal(0)
    tolerance = item.amount.half_unit * 2
    return any(
        abs(product * factor - value) <= tolerance
        for rate in rates
        for factor in (1 + rate, 1 / (1 + rate))
        for value in item.amount.values
    )


def _sum(paper: Paper, table: Table) -> Verdict:
    nets = paper.nets()
    if nets:
        return _against_nets(paper, table, nets)
    return _against_totals(paper, table)


def _against_nets(paper: Paper, table: Table, nets: Sequence[SumLine]) -> Verdict:
    total = _total(table.items)
    tolerance = _tolerance(table.items, nets[-1])
    header = table.header.number
    answers = [
        is_explained(
            net.values, [total], paper.of("adjustment", after=header, before=net.line.number),
            tolerance,
        )
        for net in nets
    ]  # fmt: skip
    stated = nets[-1]
    if any(answers):
        holding = nets[answers.index(True)]
        return passed(NAME, f"{_count(table.items)} up to {plain(holding.values[0])}")
    return _contradiction(table, stated, None in answers, "the net sum")


def _against_totals(paper: Paper, table: Table) -> Verdict:
    header, last = table.header.number, table.items[-1].line.number
    totals = paper.of("gross", after=last) or paper.of("due", after=last)
    if not totals:
        return unchecked(NAME, "no sum of the items is stated")
    total = _total(table.items)
    answers = []
    for stated in totals:
        before = stated.line.number
        extras = [
            *paper.of("adjustment", after=header, before=before),
            *paper.of("tax", after=header, before=before),
        ]
        tolerance = _tolerance(table.items, stated) + (Decimal("0.025") if extras else 0)
        answers.append(is_explained(stated.values, [total], extras, tolerance))
    if any(answers):
        holding = totals[answers.index(True)]
        return passed(NAME, f"{_count(table.items)} up to {plain(holding.values[0])}")
    if len({stated.values for stated in totals}) > 1:
        return unchecked(NAME, "several totals are stated, and none is the sum of the items alone")
    return _contradiction(table, totals[0], None in answers, "the total")


def _contradiction(table: Table, stated: SumLine, is_open: bool, what: str) -> Verdict:
    total = _total(table.items)
    difference = f"the items add up to {plain(total)}, and {what} is {plain(stated.values[0])}"
    if is_open:
        return unchecked(NAME, f"{difference}; too many other amounts may explain it")
    doubt = table.doubt
    if doubt is not None:
        return unchecked(NAME, f"{difference}, but {doubt}")
    return found(
        NAME,
        FraudFinding(
            check=NAME,
            code="items.sum",
            severity="high",
            message=f"{difference} (line {stated.line.number})",
            evidence=evidence(stated.line, *(item.line for item in table.items)),
            stated=plain(stated.values[0]),
            computed=plain(total),
        ),
    )


def _total(items: Sequence[Item]) -> Decimal:
    return sum((item.amount.value for item in items), Decimal(0))


def _tolerance(items: Sequence[Item], stated: SumLine) -> Decimal:
    """Return the largest difference of the sum of rounded amounts and the rounded sum."""
    places = max(item.amount.places for item in items)
    allowed = Decimal(0)
    for item in items:
        exact = item.product is not None and item.product == item.amount.value
        if places and not exact:
            allowed += item.amount.half_unit
    if stated.places < places:
        allowed += Decimal(5).scaleb(-stated.places - 1)
    return allowed


def _count(items: Sequence[Item]) -> str:
    return "1 item adds" if len(items) == 1 else f"{len(items)} items add"
