"""fraud-detector on many made-up invoices: no false alarm, and each changed total is found."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal

import pytest

pytest.importorskip("dateparser", reason="the extra 'documents' is not installed")

from qtforge_builtin_plugins.pipelines.financial.item_checks import check_items
from qtforge_builtin_plugins.pipelines.financial.messages import FraudFinding
from qtforge_builtin_plugins.pipelines.financial.numbers import number_lines
from qtforge_builtin_plugins.pipelines.financial.table import find_table
from qtforge_builtin_plugins.pipelines.financial.total_checks import check_tax, check_totals
from qtforge_builtin_plugins.pipelines.financial.totals import find_sums
from qtforge_builtin_plugins.pipelines.financial.verdicts import Paper

NAMES = (
    "Steel bolt M8", "Consulting May 2026", "Paper A4 80 g", "Cable 3 m", "Licence 2026",
    "Box of 12", "Shipping crate", "Total station rental", "Tax advice", "Fee for 3 visits",
    "Net curtain", "Training day 2",
)  # fmt: skip
QUANTITIES = (1, 2, 3, 5, 10, 12, 100, 250, Decimal("1.5"), Decimal("7.25"))
STYLES = ("1,234.50", "1.234,50", "1 234,50", "$1,234.50", "1234.50")


def cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)


def written(value: Decimal, style: str) -> str:
    shown = f"{value:,.2f}"
    if style == "1.234,50":
        return shown.translate(str.maketrans(",.", ".,"))
    if style == "1 234,50":
        return shown.translate(str.maketrans(",.", " ,"))
    return {"$1,234.50": f"${shown}", "1234.50": shown.replace(",", "")}.get(style, shown)


def make(chance: random.Random, style: str) -> tuple[list[str], Decimal]:
    """Return an invoice's lines, the total at the end, and the total."""
    lines = ["Invoice", "Description Quantity Unit price Amount"]
    net = Decimal(0)
    for _ in range(chance.randint(1, 9)):
        quantity, price = chance.choice(QUANTITIES), cents(Decimal(chance.randint(10, 10**6)) / 100)
        amount = cents(quantity * price)
        net += amount
        shown = str(quantity).replace(".", "," if style in STYLES[1:3] else ".")
        name = chance.choice(NAMES)
        lines.append(f"{name} {shown} {written(price, style)} {written(amount, style)}")
    if chance.random() < 0.8:
        lines.append(f"Subtotal {written(net, style)}")
    total = net
    if chance.random() < 0.3:
        total -= (discount := cents(net / 10))
        lines.append(f"Discount -{written(discount, style)}")
    if chance.random() < 0.3:
        total += Decimal("9.90")
        lines.append(f"Shipping {written(Decimal('9.90'), style)}")
    if rate := chance.choice((None, 7, 19, 20)):
        total += (tax := cents(total * rate / 100))
        lines.append(f"VAT {rate}% {written(tax, style)}")
    return [*lines, f"Total {written(total, style)}"], total


def findings(lines: list[str]) -> list[FraudFinding]:
    numbered = number_lines("\n".join(lines))
    table = find_table(numbered, "en")
    assert table is not None
    items = frozenset(item.line.number for item in table.items)
    sums = find_sums(numbered, "en", items=items, start=max(items))
    paper = Paper(lines=numbered, table=table, sums=sums)
    verdicts = (check_items(paper), check_totals(paper), check_tax(paper))
    return [finding for verdict in verdicts for finding in verdict.findings]


@pytest.mark.parametrize("style", STYLES)
def test_only_changed_invoices_give_findings(style: str) -> None:
    chance = random.Random(style)
    for _ in range(40):
        lines, total = make(chance, style)
        assert findings(lines) == [], "\n".join(lines)
        changed = written(total + Decimal(chance.randint(200, 10**5)) / 100, style)
        assert findings([*lines[:-1], f"Total {changed}"]), "\n".join([*lines, changed])
