"""Check that net and tax make the total, and that the tax matches its rate."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from qtforge_builtin_plugins.pipelines.financial.messages import FraudFinding, Severity
from qtforge_builtin_plugins.pipelines.financial.totals import SumLine
from qtforge_builtin_plugins.pipelines.financial.verdicts import (
    MOST_EXTRAS,
    Paper,
    Verdict,
    evidence,
    found,
    is_explained,
    passed,
    plain,
    unchecked,
)

__all__ = ["check_tax", "check_totals"]

TOTALS: Final = "totals"
TAX: Final = "tax"
# Swiss totals are rounded to 0.05; taxes are rounded once or for each item.
_ROUNDING: Final = Decimal("0.025")
_MOST_SUBSET_ITEMS: Final = 12


def check_totals(paper: Paper) -> Verdict:
    """Compare net, tax and adjustments with the total."""
    last = paper.table.items[-1].line.number if paper.table else 0
    nets = paper.nets()
    if not nets:
        return unchecked(TOTALS, "no net sum is stated")
    net = nets[-1]
    totals = paper.of("gross", after=net.line.number) or paper.of("due", after=net.line.number)
    if not totals:
        return unchecked(TOTALS, "no total is stated after the net sum")
    taxes = _taxes(paper, nets[0], totals[-1])
    bases = _bases(net, taxes, totals)
    answers = []
    for total in totals:
        extras = paper.of("adjustment", after=last, before=total.line.number)
        tolerance = _ROUNDING if taxes else Decimal(0)
        if total.places < net.places:
            tolerance += Decimal(5).scaleb(-total.places - 1)
        answers.append(is_explained(total.values, bases, extras, tolerance))
    sums = f"{plain(net.values[0])} net" + "".join(
        f" + {plain(tax.values[0])} tax" for tax in taxes
    )
    if any(answers):
        total = totals[answers.index(True)]
        return passed(TOTALS, f"{sums} agrees with the total {plain(total.values[0])}")
    if len({total.values for total in totals}) > 1:
        return unchecked(TOTALS, f"several totals are stated, and none of them is {sums} alone")
    if None in answers:
        return unchecked(TOTALS, f"{sums}: there are too many other amounts before the total")
    others = paper.of("adjustment", after=last, before=totals[0].line.number)
    return _wrong_total(net, taxes, others, totals[0], sums)


def check_tax(paper: Paper) -> Verdict:
    """Compare every tax that has a rate with that rate of its possible bases."""
    taxes = [tax for tax in paper.of("tax") if tax.rate is not None]
    if not taxes:
        stated = paper.of("tax")
        why = "no tax rate is stated" if stated else "no tax is stated"
        return unchecked(TAX, why)
    findings: list[FraudFinding] = []
    details: list[str] = []
    is_open = False
    for tax in taxes:
        answer = _tax_problem(paper, tax, alone=len(taxes) == 1)
        if isinstance(answer, FraudFinding):
            findings.append(answer)
        else:
            is_open = is_open or not answer[0]
            details.append(answer[1])
    if findings:
        return found(TAX, *findings)
    detail = "; ".join(details)
    return unchecked(TAX, detail) if is_open else passed(TAX, detail)


def _taxes(paper: Paper, net: SumLine, total: SumLine) -> list[SumLine]:
    """Return the taxes between net and total; a repeated one counts once."""
    taxes = paper.of("tax", after=net.line.number, before=total.line.number)
    seen: dict[tuple[Decimal | None, tuple[Decimal, ...]], SumLine] = {}
    for tax in taxes:
        seen.setdefault((tax.rate, tax.values), tax)
    return list(seen.values())


def _bases(net: SumLine, taxes: Sequence[SumLine], totals: Sequence[SumLine]) -> list[Decimal]:
    """Return the possible totals without adjustments."""
    parts = [tax for tax in taxes if not tax.is_tax_total] or list(taxes)
    whole = [tax for tax in taxes if tax.is_tax_total]
    tax_sums: list[Decimal] = [sum((tax.values[0] for tax in parts), Decimal(0))]
    tax_sums += [value for tax in whole for value in tax.values]
    if len(parts) == 1:
        tax_sums += parts[0].values
    if all(tax.included for tax in taxes) or _is_inclusive(taxes, totals):
        tax_sums.append(Decimal(0))
    return [value + tax for value in net.values for tax in tax_sums]


def _is_inclusive(taxes: Sequence[SumLine], totals: Sequence[SumLine]) -> bool:
    """Return whether the total includes the tax already."""
    return all(
        tax.rate is not None
        and any(
            abs(value * tax.rate / (1 + tax.rate) - stated) <= _ROUNDING
            for total in totals
            for value in total.values
            for stated in tax.values
        )
        for tax in taxes
    )


def _wrong_total(
    net: SumLine,
    taxes: Sequence[SumLine],
    others: Sequence[SumLine],
    total: SumLine,
    sums: str,
) -> Verdict:
    computed = net.values[0] + sum((tax.values[0] for tax in taxes), Decimal(0))
    lines = sorted((each.line for each in (net, *taxes, *others)), key=lambda line: line.number)
    rest = ", which the other amounts between them do not explain" if others else ""
    return found(
        TOTALS,
        FraudFinding(
            check=TOTALS,
            code="totals.sum",
            severity="high",
            message=f"{sums} is {plain(computed)}, and the total is {plain(total.values[0])}"
            f" (line {total.line.number}){rest}",
            evidence=evidence(*lines, total.line),
            stated=plain(total.values[0]),
            computed=plain(computed),
        ),
    )


def _tax_problem(paper: Paper, tax: SumLine, *, alone: bool) -> FraudFinding | tuple[bool, str]:
    """Return the contradiction, or whether the tax was checked, with the explanation."""
    rate = tax.rate or Decimal(0)
    shown = f"{(rate * 100).normalize():f} %"
    stated = tax.values[0]
    bases = list(tax.bases) or _possible_bases(paper, tax)
    factors = [rate] if tax.bases else [rate, rate / (1 + rate)]
    tolerance = _tax_tolerance(paper, tax)
    for base, factor in itertools.product(bases, factors):
        if any(abs(base * factor - value) <= tolerance for value in tax.values):
            return True, f"{shown} of {plain(base)} is {plain(stated)}"
    if not bases:
        return False, f"line {tax.line.number}: what the {shown} are of is not stated"
    if tax.bases:
        return _wrong_tax(tax, tax.bases[0], shown, "high")
    greatest = _greatest_base(paper, bases)
    if stated > greatest * rate + tolerance:
        return _wrong_tax(tax, _net_of(paper, greatest), shown, "high")
    is_certain = paper.table is not None and paper.table.doubt is None
    if alone and is_certain and paper.table and len(paper.table.items) <= _MOST_SUBSET_ITEMS:
        return _wrong_tax(tax, _net_of(paper, greatest), shown, "medium")
    return False, f"line {tax.line.number}: the {shown} may be of a part of the items only"


def _greatest_base(paper: Paper, bases: Sequence[Decimal]) -> Decimal:
    """Return the greatest possible base of a tax: the net sum with all additions."""
    nets = [value for net in paper.nets() for value in net.values]
    if not nets:
        return max(bases)
    start = paper.table.header.number if paper.table else 0
    added = [max(map(abs, each.values)) for each in paper.of("adjustment", after=start)]
    return max(nets) + sum(added, Decimal(0))


def _net_of(paper: Paper, otherwise: Decimal) -> Decimal:
    nets = paper.nets()
    return nets[-1].values[0] if nets else otherwise


def _wrong_tax(tax: SumLine, base: Decimal, shown: str, severity: Severity) -> FraudFinding:
    computed = (base * (tax.rate or 0)).quantize(Decimal("0.01"))
    return FraudFinding(
        check=TAX,
        code="tax.amount",
        severity=severity,
        message=f"{shown} of {plain(base)} is {plain(computed)}, and the tax is"
        f" {plain(tax.values[0])} (line {tax.line.number})",
        evidence=evidence(tax.line),
        stated=plain(tax.values[0]),
        computed=plain(computed),
    )


def _possible_bases(paper: Paper, tax: SumLine) -> list[Decimal]:
    """Return the possible bases of a tax: net and total, adjusted or not, and some items."""
    stated = [each for kind in ("net", "gross", "due") for each in paper.of(kind)]
    bases = {value for each in stated for value in each.values}
    start = paper.table.header.number if paper.table else 0
    adjustments = [each.values[0] for each in paper.of("adjustment", after=start)]
    items = [item.amount.value for item in paper.table.items] if paper.table else []
    bases.add(sum(items, Decimal(0)))
    whole = sorted(bases)
    for size in range(1, min(len(adjustments), 4) + 1):
        for chosen in itertools.combinations(adjustments[:MOST_EXTRAS], size):
            change = sum(chosen, Decimal(0))
            bases |= {base + sign * change for base in whole for sign in (1, -1)}
    if len(items) <= _MOST_SUBSET_ITEMS:
        for size in range(1, len(items)):
            bases |= {sum(some, Decimal(0)) for some in itertools.combinations(items, size)}
    return [base for base in bases if base > 0]


def _tax_tolerance(paper: Paper, tax: SumLine) -> Decimal:
    # A tax that is rounded for each item may be off by half a cent for each.
    items = len(paper.table.items) if paper.table else 1
    return Decimal(5).scaleb(-tax.places - 1) * max(items, 2)
