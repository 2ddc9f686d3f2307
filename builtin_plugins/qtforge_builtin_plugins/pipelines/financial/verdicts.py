"""The result of a check, and whether sums can be explained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from qtforge_builtin_plugins.pipelines.financial.messages import Evidence, FraudCheck, FraudFinding
from qtforge_builtin_plugins.pipelines.financial.numbers import TextLine
from qtforge_builtin_plugins.pipelines.financial.table import Table
from qtforge_builtin_plugins.pipelines.financial.totals import SumLine

__all__ = [
    "MOST_EXTRAS",
    "Paper",
    "Verdict",
    "evidence",
    "found",
    "is_explained",
    "passed",
    "plain",
    "unchecked",
]

MOST_EXTRAS: Final = 8
_MOST_OFFSETS: Final = 20_000
_MOST_EVIDENCE: Final = 20
_MOST_EVIDENCE_CHARACTERS: Final = 200


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of an invoice that were read.

    Attributes:
        lines: Its lines.
        table: Its items, or None.
        sums: The lines that state sums, in order.
    """

    lines: Sequence[TextLine]
    table: Table | None
    sums: Sequence[SumLine]

    def of(self, kind: str, *, after: int = 0, before: int | None = None) -> list[SumLine]:
        """Return the sums of a kind whose lines are between these two."""
        return [
            each
            for each in self.sums
            if each.kind == kind
            and each.line.number > after
            and (before is None or each.line.number < before)
        ]

    def nets(self) -> list[SumLine]:
        """Return the net sums below the last item, without the sum of the last group only."""
        items = self.table.items if self.table else ()
        last = items[-1].line.number if items else 0
        below = self.of("net", after=last)
        before = self.of("net", before=last)
        if not before:
            return below
        group = [item for item in items if item.line.number > before[-1].line.number]
        group_sum = sum((item.amount.value for item in group), Decimal(0))
        return [net for net in below if group_sum not in net.values]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a check."""

    check: FraudCheck
    findings: tuple[FraudFinding, ...] = ()


def passed(name: str, detail: str) -> Verdict:
    """Return the result of a check without findings."""
    return Verdict(check=FraudCheck(name=name, outcome="passed", detail=detail))


def unchecked(name: str, why: str) -> Verdict:
    """Return the result of a check that was not possible."""
    return Verdict(check=FraudCheck(name=name, outcome="unchecked", detail=why))


def found(name: str, *findings: FraudFinding) -> Verdict:
    """Return the result of a check with findings."""
    detail = "; ".join(finding.message for finding in findings)
    return Verdict(check=FraudCheck(name=name, outcome="finding", detail=detail), findings=findings)


def evidence(*lines: TextLine) -> list[Evidence]:
    """Return lines as evidence, at most 20."""
    return [
        Evidence(line=line.number, text=line.text.strip()[:_MOST_EVIDENCE_CHARACTERS])
        for line in lines[:_MOST_EVIDENCE]
    ]


def plain(value: Decimal) -> str:
    """Return a number for display, with at least two decimal places.

    >>> plain(Decimal("12.5")), plain(Decimal("0.125")), plain(Decimal("3"))
    ('12.50', '0.125', '3.00')
    """
    shown = value.normalize()
    if int(shown.as_tuple().exponent) > -2:
        shown = value.quantize(Decimal("0.01"))
    return format(shown, "f")


def is_explained(
    targets: Iterable[Decimal],
    bases: Iterable[Decimal],
    extras: Sequence[SumLine],
    tolerance: Decimal,
) -> bool | None:
    """Return whether a sum is a base with some of the extras added or subtracted.

    Args:
        targets: The readings of the stated sum.
        bases: The possible sums without extras.
        extras: Discounts, shipping, payments and the like.
        tolerance: The largest allowed difference.

    Returns:
        None when there are too many extras to try.
    """
    wanted = [target - base for base in bases for target in targets]
    if any(abs(gap) <= tolerance for gap in wanted):
        return True
    counted = [extra for extra in extras if any(extra.values)]
    if len(counted) > MOST_EXTRAS:
        return None
    offsets = {Decimal(0)}
    for extra in counted:
        offsets |= {
            offset + sign * value
            for offset in offsets
            for value in extra.values
            for sign in (1, -1)
        }
        if len(offsets) > _MOST_OFFSETS:
            return None
    return any(abs(gap - offset) <= tolerance for gap in wanted for offset in offsets)
