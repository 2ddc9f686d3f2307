"""The amounts of a text with the words beside them, and the sums that are chosen from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

__all__ = ["Money", "SumLine", "Sums"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """A number in a line, which may be an amount.

    Attributes:
        start: Its position in the text.
        end: The position after it.
        text: As written.
        value: The number.
        currency: ISO 4217, or None when there is none beside it.
        places: Its decimal places.
    """

    start: int
    end: int
    text: str
    value: Decimal
    currency: str | None
    places: int

    @property
    def looks_like_money(self) -> bool:
        """Whether it has a currency or two decimal places."""
        return self.currency is not None or self.places == 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SumLine:
    """A line that ends in an amount.

    Attributes:
        kind: Such as ``net``; None for a label that is not known.
        label: The words before the amount.
        amount: Its amount.
        rate: The per cent in it, or None.
        base: Another amount before it, such as the base of a tax, or None.
        line: The index of its line.
        evidence: The line.
        plain: Whether nothing but a label is beside the amount.
        either: Whether its label is one of sums with tax as well as of sums without.
        says: What the words of a label that is of no list say, such as ``sum``.
        is_carried: Whether its label says that it is of earlier bills.
    """

    kind: str | None
    label: str
    amount: Money
    rate: Decimal | None
    base: Money | None
    line: int
    evidence: str
    plain: bool
    either: bool = False
    says: frozenset[str] = frozenset()
    is_carried: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The sums of an invoice; each is None when it was not found.

    Attributes:
        net: The sum without tax.
        taxes: Each tax.
        total: The sum with tax.
        due: What is still to pay, if it is stated.
        paid: What was paid before, if it is stated.
        currency: ISO 4217, or None.
        agrees: Whether net and taxes, or the items, make the total.
        confidence: 0 to 1; how much speaks for these sums.
        lines: The lines that they were chosen from.
    """

    net: SumLine | None = None
    taxes: tuple[SumLine, ...] = ()
    total: SumLine | None = None
    due: SumLine | None = None
    paid: SumLine | None = None
    currency: str | None = None
    agrees: bool = False
    confidence: float = 0.0
    lines: tuple[SumLine, ...] = field(default=(), repr=False)
