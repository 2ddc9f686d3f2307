"""Which of a text's amounts are its total, net sum and taxes: the set that fits best.

Every line with an amount is a candidate for the total. What its label says, where it stands and
how it is printed are evidence, and so is each way in which the other amounts make it: net sum and
taxes, the taxes at their rates, the sum of the items, what was paid and what is left. One sum of
weights decides over all of it, so that no single label has to be known, and a set for which too
little speaks is none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from qtforge_builtin_plugins.documents.facts.sum_lines import Money, SumLine, Sums

__all__ = ["USUAL_RATES", "choose_sums", "explain_amounts"]

_TOLERANCE: Final = Decimal("0.06")
_OF_BASE: Final = Decimal(1)  # a rounded tax of a few per cent is that far from its base
_CENT: Final = Decimal("0.01")
_MOST_RATE: Final = 30  # per cent
_MOST_TAXES: Final = 6  # of which all subsets are tried
_MOST_TOTALS: Final = 12
_MOST_ROUNDING: Final = 1  # of the currency
_MOST_EXTRAS: Final = 4
_MOST_LISTED: Final = 60
USUAL_RATES: Final = tuple(
    Decimal(rate) / 10
    for rate in (50, 55, 60, 70, 77, 80, 81, 90, 95, 100, 120, 130, 135, 140, 150, 160, 170, 180,
                 190, 200, 210, 220, 230, 240, 250, 255)
)  # fmt: skip
"""The rates of taxes on sales, in per cent, whatever a tax is called."""

_MOST_APART: Final = 4  # lines between a tax without a label and its total
_OF_TOTAL: Final[Mapping[str | None, float]] = MappingProxyType({
    "total": 3.0, "amount_due": 2.2, "total_weak": 2.0, "paid": 0.2, None: 0.0, "other": -0.6,
    "net": -0.6, "tax_base": -1.5, "tax": -3.0, "discount": -3.0, "shipping": -3.0,
    "ignored": -2.5, "bare": 0.4,
})  # fmt: skip
_OF_NET: Final[Mapping[str | None, float]] = MappingProxyType({
    "net": 1.0, "tax_base": 0.6, "total_weak": 0.4, "total": 0.2, None: -0.3, "other": -0.2,
    "discount": -1.5, "shipping": -1.5, "bare": -0.2,
})  # fmt: skip
_OF_WORDS: Final[Mapping[str, float]] = MappingProxyType(
    {"sum": 1.2, "amounts": 0.6, "due": 0.8, "including": 0.8, "other": -1.5, "net": -1.0,
     "excluding": -1.0}
)  # fmt: skip
_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "either": 1.6,
        "says that it is net": -2.0,
        "currency": 0.3,
        "plain": 0.3,
        "item": -2.0,
        "zero": -2.5,
        "with earlier bills": -3.0,
        "without earlier bills": 2.0,
        "only amount": 0.7,
        "lines above": 0.9,
        "withheld": -0.6,
        "extras": -0.8,
        "below the items": 0.4,
        "again": 0.3,
        "largest": 0.6,
        "net and tax": 1.8,
        "at their rates": 1.5,
        "not at their rates": -0.8,
        "label of a tax": 0.5,
        "no label of a tax": -0.7,
        "net above its tax": -2.5,
        "no label of a net sum": -0.8,
        "each tax": 0.15,
        "tax left over": -0.6,
        "tax within": 1.5,
        "net without tax": 0.7,
        "items make the net sum": 1.3,
        "items make the total": 1.0,
        "items and extras": 0.8,
        "items alone": 1.3,
        "paid and due": 1.2,
    }
)
_OF_ROUNDING: Final = frozenset({None, "other", "discount", "ignored"})
_OF_WHOLE: Final = frozenset({"total", "total_weak", "amount_due"})
_OF_BILL: Final = frozenset({None, "other", "total", "total_weak", "amount_due"})
_OF_LISTED: Final = frozenset({None, "other", "shipping", "discount"})
_OF_EXTRA: Final = frozenset({None, "other", "ignored", "shipping"})
_OF_WITHHELD: Final = frozenset({None, "other", "ignored"})
_LEAST: Final = 0.9
_SURE: Final = 3.0  # the score at which the odds are even that nothing is wrong
_STEEP: Final = 1.2


@dataclass(frozen=True, slots=True)
class _Choice:
    """A total with what makes it.

    Attributes:
        score: The sum of the weights of what speaks for it.
        sums: The amounts.
    """

    score: float
    sums: Sums


def choose_sums(
    lines: Sequence[SumLine], items: Decimal | None, item_lines: Set[int] = frozenset()
) -> Sums:
    """Return the sums that fit each other and their labels best.

    Args:
        lines: All lines with amounts.
        items: The sum of the items, or None.
        item_lines: The indices of the lines that are items.
    """
    lines = _taxes_by_rate(lines)
    best: _Choice | None = None
    for total, own in _totals(lines, items, item_lines):
        for choice in _choices(total, own, lines, items, item_lines):
            if best is None or choice.score > best.score:
                best = choice
    due, paid = _due_and_paid(lines, best.sums.total if best else None)
    if best is None or best.score < _LEAST:
        nets = [line for line in lines if line.kind == "net"]
        taxes = _unique(line for line in lines if line.kind == "tax")
        return Sums(net=nets[-1] if nets else None, taxes=tuple(taxes), due=due, paid=paid)
    confidence = 1 / (1 + math.exp((_SURE - best.score) / _STEEP))
    return replace(best.sums, due=due, paid=paid, confidence=confidence)


def _totals(
    lines: Sequence[SumLine], items: Decimal | None, item_lines: Set[int]
) -> list[tuple[SumLine, float]]:  # fmt: skip
    """Return a line of each amount that may be the total with what speaks for it, best first."""
    last_item = max(item_lines, default=-1)
    values: dict[Decimal, list[tuple[float, SumLine]]] = {}
    for line in lines:
        if line.kind == "bare" and not _is_made(line, lines, items):
            continue
        own = _own(line, item_lines, last_item)
        own += _WEIGHTS["lines above"] * (line.kind in _OF_BILL and _adds_up(line, lines))
        values.setdefault(line.amount.value, []).append((own, line))
    labelled = [abs(each.amount.value) for each in lines
                if each.kind in ("total", "total_weak", "amount_due")]  # fmt: skip
    largest = max(labelled, default=None)
    owed, earlier = _with_earlier_bills(lines)
    found: list[tuple[SumLine, float]] = []
    for value, some in values.items():
        # Of several with the same evidence the last one.
        own, line = max(some, key=lambda each: (each[0], each[1].line))
        own += _WEIGHTS["again"] * (sum(each[1].line != line.line for each in some) > 0)
        own += _WEIGHTS["largest"] * (abs(value) == largest)
        own += _WEIGHTS["with earlier bills"] * (value in owed or value in earlier)
        own += _WEIGHTS["without earlier bills"] * (value in owed.values())
        own += _WEIGHTS["only amount"] * (len(values) == 1 and line.label.rstrip().endswith(":"))
        found.append((line, own))
    found.sort(key=lambda each: (-each[1], -each[0].line))
    return found[:_MOST_TOTALS]


def _is_made(bare: SumLine, lines: Sequence[SumLine], items: Decimal | None) -> bool:
    """Return whether an amount without a label is the sum of those on the lines above it.

    They are the items, lines of nothing but words and amounts, or a net sum with its taxes.
    """
    value = bare.amount.value
    if items is not None and abs(items - value) <= _CENT:
        return True
    if _adds_up(bare, lines):
        return True
    above = [line for line in lines if bare.line - _MOST_APART <= line.line < bare.line]
    taxes = sum(
        (line.amount.value for line in _unique(each for each in above if each.kind == "tax")),
        Decimal(0),
    )
    return bool(taxes) and any(
        line.kind in _OF_NET and abs(line.amount.value + taxes - value) <= _CENT for line in above
    )


def _adds_up(total: SumLine, lines: Sequence[SumLine]) -> bool:
    """Return whether an amount is the sum of those of two or more lines directly above it."""
    made = Decimal(0)
    above = [each for each in lines if each.line < total.line][-_MOST_LISTED:]
    for count, line in enumerate(reversed(above), 1):
        if line.kind not in _OF_LISTED or line.line != total.line - count:
            return False
        made += line.amount.value
        if count > 1 and made == total.amount.value:
            return True
    return False


def _with_earlier_bills(
    lines: Sequence[SumLine],
) -> tuple[Mapping[Decimal, Decimal], Set[Decimal]]:
    """Return the sums that are one of this bill and one of earlier bills: both, and the latter.

    This month 96.00, previous balance 48.00, to pay 144.00: 144 with 96, and 48.
    """
    sums = [line for line in lines if line.kind in _OF_BILL]
    bills = {line.amount.value for line in sums if not line.is_carried}
    owed: dict[Decimal, Decimal] = {}
    carried: set[Decimal] = set()
    for earlier in lines:
        amount = earlier.amount.value
        if not earlier.is_carried or not amount:
            continue
        for line in sums:
            # What was paid too much is taken off, and may have no minus sign.
            for bill in (line.amount.value - amount, line.amount.value + amount):
                if line.line > earlier.line and bill in bills:
                    owed[line.amount.value] = bill
                    carried.add(amount)
    return owed, carried - bills


def _own(line: SumLine, item_lines: Set[int], last_item: int) -> float:
    """Return what a line's label, form and place say for its being the total."""
    own = _OF_TOTAL.get(line.kind, 0.0)
    if line.either:
        own = max(own, _WEIGHTS["either"])
    if line.kind in ("total", "total_weak") and _says_net(line):
        own += _WEIGHTS["says that it is net"]
    if line.kind in (None, "other"):
        own += sum(_OF_WORDS.get(word, 0.0) for word in line.says)
    own += _WEIGHTS["currency"] * (line.amount.currency is not None)
    own += _WEIGHTS["plain"] * line.plain
    own += _WEIGHTS["item"] * (line.line in item_lines)
    own += _WEIGHTS["zero"] * (not line.amount.value)
    own += _WEIGHTS["below the items"] * (line.line > last_item >= 0)
    return own


def _says_net(line: SumLine) -> bool:
    return bool({"net", "excluding"} & line.says) and "including" not in line.says


def _choices(
    total: SumLine,
    own: float,
    lines: Sequence[SumLine],
    items: Decimal | None,
    item_lines: Set[int],
) -> Iterator[_Choice]:
    """Yield a total with each way in which other amounts make it, and with none."""
    own += _WEIGHTS["paid and due"] * _is_left(total, lines)
    labelled = _unique(line for line in lines if line.kind == "tax")
    nonzero = sum(line.amount.value != 0 for line in labelled)
    yield from _without_tax(total, own, lines, items, nonzero)
    for taxes in _sets_of_taxes(total, lines, labelled, item_lines):
        score = own + _score_of_taxes(taxes)
        left = nonzero - sum(line.kind == "tax" and line.amount.value != 0 for line in taxes)
        score += _WEIGHTS["tax left over"] * left
        tax = sum((line.amount.value for line in taxes), Decimal(0))
        net = _net(total, tax, taxes, lines, item_lines)
        if net is None:
            if len(taxes) == 1 and _is_within(taxes[0], total):
                yield _Choice(score + _WEIGHTS["tax within"], Sums(total=total, taxes=tuple(taxes)))
            continue
        line, said = net
        score += _WEIGHTS["net and tax"] + said
        if total.kind == "net" and any(tax.line > total.line for tax in taxes):
            score += _WEIGHTS["net above its tax"]
        fits = _rates_fit(line, taxes)
        if fits is not None:
            score += _WEIGHTS["at their rates" if fits else "not at their rates"]
        score += _score_of_items(items, line.amount.value, total.amount.value, lines)
        added = tuple(tax for tax in taxes if not _is_withheld(tax, total))
        yield _Choice(score, Sums(net=line, taxes=added, total=total, agrees=True))


def _without_tax(
    total: SumLine, own: float, lines: Sequence[SumLine], items: Decimal | None, nonzero: int
) -> Iterator[_Choice]:
    """Yield a total that no tax makes: it is that of the items, or its net sum, or bare."""
    taxes = tuple(_unique(line for line in lines if line.kind == "tax"))
    value = total.amount.value
    others = [line for line in lines if line.amount.start != total.amount.start]
    nets = [line for line in others if line.kind == "net"]
    is_items = items is not None and abs(items - value) <= _TOLERANCE
    if not nonzero:
        same = [line for line in others if line.amount.value == value and _is_untaxed(line, taxes)]
        net = same[-1] if same else None
        if net is None and taxes and _is_untaxed(total, taxes):
            # The first of two equal sums with a tax of nothing between them is the net sum.
            last = [
                line
                for line in others
                if line.amount.value == value
                and line.kind in _OF_WHOLE
                and line.line > max(tax.line for tax in taxes)
            ]
            net, total = (total, last[-1]) if last else (None, total)
        score = own + _WEIGHTS["items alone"] * is_items
        score += _WEIGHTS["net without tax"] * (net is not None)
        yield _Choice(
            score, Sums(net=net, taxes=taxes, total=total, agrees=is_items or net is not None)
        )  # fmt: skip
        return
    below = [line for line in nets if abs(line.amount.value) <= abs(value)]
    score = own + _WEIGHTS["tax left over"] + _WEIGHTS["items make the total"] * is_items
    yield _Choice(score, Sums(net=below[-1] if below else None, taxes=taxes, total=total))


def _is_untaxed(line: SumLine, taxes: Sequence[SumLine]) -> bool:
    """Return whether the amount of a total without tax is its net sum: it says so, or a tax of
    nothing is below it.
    """
    if line.kind in ("net", "tax_base") or _says_net(line):
        return True
    return line.kind in _OF_NET and any(0 <= tax.line - line.line <= 1 for tax in taxes)


def _score_of_taxes(taxes: Sequence[SumLine]) -> float:
    labelled = sum(line.kind == "tax" or "tax" in line.says for line in taxes)
    score = _WEIGHTS["label of a tax"] * bool(labelled)
    score += _WEIGHTS["no label of a tax"] * (len(taxes) - labelled)
    return score + _WEIGHTS["each tax"] * sum(line.rate is not None for line in taxes)


def _score_of_items(
    items: Decimal | None, net: Decimal, total: Decimal, lines: Sequence[SumLine]
) -> float:
    if items is None:
        return 0.0
    if abs(items - net) <= _TOLERANCE:
        return _WEIGHTS["items make the net sum"]
    if abs(items - total) <= _TOLERANCE:
        return _WEIGHTS["items make the total"]
    extras = [
        abs(line.amount.value) for line in lines if line.kind in ("discount", "shipping")
    ][:_MOST_EXTRAS]  # fmt: skip
    changes = {Decimal(0)}
    for extra in extras:
        changes |= {each + sign * extra for each in changes for sign in (1, -1)}
    fits = any(
        abs(items + change - target) <= _TOLERANCE for change in changes for target in (net, total)
    )
    return _WEIGHTS["items and extras"] * fits


def _is_left(total: SumLine, lines: Sequence[SumLine]) -> bool:
    """Return whether a total less what was paid is what is still due."""
    dues = {line.amount.value for line in lines if line.kind == "amount_due"}
    return any(
        _may_be_paid(line) and total.amount.value - abs(line.amount.value) in dues for line in lines
    )


def _may_be_paid(line: SumLine) -> bool:
    """Return whether a line has a payment, or an amount that is taken off and may be one."""
    if not line.amount.value:
        return False
    return line.kind == "paid" or (
        line.kind in (None, "other") and ("other" in line.says or line.amount.value < 0)
    )


def _due_and_paid(
    lines: Sequence[SumLine], total: SumLine | None
) -> tuple[SumLine | None, SumLine | None]:
    """Return what is due and what was paid: those that make the total, else the last ones."""
    dues = [line for line in lines if line.kind == "amount_due"]
    payments = [line for line in lines if line.kind == "paid"]
    if total is not None:
        for due, paid in itertools.product(reversed(dues), reversed(payments)):
            if total.amount.value - abs(paid.amount.value) == due.amount.value:
                return due, paid
    return dues[-1] if dues else None, payments[-1] if payments else None


def _is_withheld(tax: SumLine, total: SumLine) -> bool:
    """Return whether a tax is taken off, which the customer pays for the issuer: IRPF 15 %."""
    return tax.amount.value * total.amount.value < 0


def _withheld(net: SumLine, lines: Sequence[SumLine]) -> set[Decimal]:
    """Return the taxes that are their rate of a net sum and written without a minus sign."""
    return {
        -line.amount.value for line in lines
        if line.kind in _OF_WITHHELD and line.rate and line.amount.value > 0
        and abs(net.amount.value * abs(line.rate) / 100 - line.amount.value) <= _TOLERANCE
    }  # fmt: skip


def _net(
    total: SumLine,
    tax: Decimal,
    taxes: Sequence[SumLine],
    lines: Sequence[SumLine],
    item_lines: Set[int],
) -> tuple[SumLine, float] | None:
    """Return the net sum that makes a total with its tax, and what its label says for it."""
    wanted = total.amount.value - tax
    roundings = {
        line.amount.value for line in lines
        if 0 < abs(line.amount.value) < _MOST_ROUNDING and line.kind in _OF_ROUNDING
    }  # fmt: skip
    extras = _extras(total, taxes, lines)
    best: tuple[SumLine, float] | None = None
    for line in lines:
        if line.amount.start == total.amount.start or line.kind not in _OF_NET:
            continue
        if abs(tax) * 100 > abs(line.amount.value) * _MOST_RATE:
            continue
        gap = wanted - line.amount.value
        exact = abs(gap) <= _TOLERANCE or gap in roundings
        withheld = not exact and gap in _withheld(line, lines)
        if not exact and not withheld and (gap not in extras or not _rates_fit(line, taxes)):
            continue
        said = _OF_NET[line.kind] - 0.3 * (line.line in item_lines) - 0.5 * (not line.plain)
        if _says_net(line):
            said = max(said, _OF_NET["net"] - 0.2)
        elif line.kind in (None, "other") and not _rates_fit(line, taxes):
            said += _WEIGHTS["no label of a net sum"]
        if not exact:
            said += _WEIGHTS["withheld" if withheld else "extras"]
        if best is None or said >= best[1]:
            best = line, said
    return best


def _extras(total: SumLine, taxes: Sequence[SumLine], lines: Sequence[SumLine]) -> Set[Decimal]:
    """Return what may be added to net sum and taxes: amounts between them and a total, or two.

    A tip, a deposit for bottles, a tax on tourists or what was paid to an office for the customer.
    """
    if total.kind not in _OF_WHOLE:
        return frozenset()
    last = max(tax.line for tax in taxes)
    between = [
        line.amount.value for line in lines
        if last < line.line < total.line and line.kind in _OF_EXTRA and line.amount.looks_like_money
        and line.rate is None and not line.is_carried and line.amount.value > 0
    ][:_MOST_EXTRAS]  # fmt: skip
    pairs = (one + other for one, other in itertools.combinations(between, 2))
    return frozenset(between) | frozenset(pairs)


def _is_within(tax: SumLine, total: SumLine) -> bool:
    """Return whether a tax is its rate of what is left of a total without it."""
    if tax.rate is None or not tax.amount.value:
        return False
    base = total.amount.value - tax.amount.value
    return abs(base * tax.rate / 100 - tax.amount.value) <= _CENT


def _rates_fit(net: SumLine, taxes: Sequence[SumLine]) -> bool | None:
    """Return whether the taxes are their rates of parts of the net sum; None without rates."""
    if not taxes or any(not tax.rate for tax in taxes):
        return None
    sums = [tax.amount.value * 100 / tax.rate for tax in taxes if tax.rate]
    return abs(sum(sums, Decimal(0)) - net.amount.value) <= _OF_BASE * len(taxes) ** 2


def _sets_of_taxes(
    total: SumLine,
    lines: Sequence[SumLine],
    labelled: Sequence[SumLine],
    item_lines: Set[int],
) -> Iterator[Sequence[SumLine]]:
    """Yield the sets of taxes that may be in a total, none of them empty."""
    unnamed = _unique(
        line
        for line in lines
        if line.kind in (None, "other")
        and line.rate is not None
        and (line.plain or "tax" in line.says)
        and line.line not in item_lines
    )
    yield from _subsets([*labelled, *unnamed])
    if labelled:
        return
    # A tax whose label is unknown and that has no rate beside it.
    for net, tax in itertools.permutations(lines, 2):
        if (
            tax.kind in (None, "other")
            and tax.rate is None
            and tax.plain
            and abs(tax.line - total.line) <= _MOST_APART
            and net.kind in _OF_NET
            and 0 < abs(tax.amount.value) < abs(net.amount.value)
            and abs(net.amount.value + tax.amount.value - total.amount.value) <= _CENT
        ):
            rate = next(
                (rate for rate in USUAL_RATES
                 if abs(net.amount.value * rate / 100 - tax.amount.value) <= _CENT), None
            )  # fmt: skip
            if rate is not None:
                yield [replace(tax, rate=rate)]


def _subsets(taxes: Sequence[SumLine]) -> Iterator[Sequence[SumLine]]:
    """Yield all taxes, those with a rate, and of a few every other set of them."""
    if not taxes:
        return
    yield taxes
    rated = [line for line in taxes if line.rate is not None]
    if rated and len(rated) != len(taxes):
        yield rated
    if len(taxes) <= _MOST_TAXES:
        for size in range(len(taxes) - 1, 0, -1):
            yield from itertools.combinations(taxes, size)


def _unique(lines: Iterable[SumLine]) -> list[SumLine]:
    """Return the taxes, each once: an invoice of several pages repeats them.

    A tax without a rate is the one with a rate and the same amount.
    """
    seen: dict[tuple[Decimal | None, Decimal], SumLine] = {}
    for line in lines:
        seen.setdefault((line.rate, line.amount.value), line)
    rated = {value for rate, value in seen if rate is not None}
    return [line for (rate, value), line in seen.items() if rate is not None or value not in rated]


def _taxes_by_rate(lines: Sequence[SumLine]) -> list[SumLine]:
    """Return the lines, with those as taxes that are their rate of a sum and its rest.

    Whatever its words are: in ``incl. VAT 10% 144.10`` the words are those of a total.
    """
    values = {line.amount.value for line in lines}
    read: list[SumLine] = []
    for line in lines:
        tax, rate = line.amount.value, line.rate
        is_tax = (
            line.kind in ("total", "total_weak", "net", "other")
            and rate is not None and rate > 0 and line.base is None
            and any(
                value - tax in values and abs((value - tax) * rate / 100 - tax) <= _TOLERANCE
                for value in values if abs(value) > abs(tax) > 0
            )
        )  # fmt: skip
        read.append(replace(line, kind="tax") if is_tax else line)
    return read


def explain_amounts(
    amounts: Sequence[Money], rates: Sequence[Decimal]
) -> tuple[Money, Money, list[Money]] | None:
    """Return total, net sum and taxes among amounts, by their arithmetic alone.

    Args:
        amounts: Each value once.
        rates: The per cent beside them; each tax is its rate of the net sum or, of two taxes,
            of a part of it.
    """
    found: list[tuple[Money, Money, list[Money]]] = []
    for net, total in itertools.permutations(amounts, 2):
        rest = total.value - net.value
        if not 0 < rest < net.value * _MOST_RATE / 100:
            continue
        others = [each for each in amounts if each is not net and each is not total]
        single = [each for each in others if abs(each.value - rest) <= _CENT]
        if single and any(abs(net.value * rate / 100 - rest) <= 2 * _CENT for rate in rates):
            found.append((total, net, single[:1]))
            continue
        if len(rates) > 1:
            found += [
                (total, net, [one, other])
                for one, other in itertools.combinations(others, 2)
                if abs(one.value + other.value - rest) <= _CENT
                and any(
                    abs(100 * (one.value / first + other.value / second) - net.value) <= _OF_BASE
                    for first, second in itertools.permutations(rates, 2)
                )
            ]  # fmt: skip
    return found[0] if len({total.value for total, _, _ in found}) == 1 else None
