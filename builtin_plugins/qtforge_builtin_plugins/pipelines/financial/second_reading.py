"""A second reading of an invoice's sums, so that a misread one is no contradiction.

The checks read the lines one by one. The extractor of facts reads the labels of more languages
and columns that were drawn apart, and looks for the sums that fit each other. A contradiction
must be in both readings.
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Final

import msgspec

from qtforge_builtin_plugins.documents.facts.items import find_rows
from qtforge_builtin_plugins.documents.facts.labels import load_labels
from qtforge_builtin_plugins.documents.facts.page import Page
from qtforge_builtin_plugins.documents.facts.sum_lines import Sums
from qtforge_builtin_plugins.documents.facts.sums import find_sums
from qtforge_builtin_plugins.pipelines.financial.verdicts import Verdict, passed

__all__ = ["SecondReading", "read_otherwise"]

_MOST_CHARACTERS: Final = 120_000
_MOST_EXTRAS: Final = 6
_TOLERANCE: Final = Decimal("0.06")


class SecondReading(msgspec.Struct, frozen=True):
    """The sums and items as the extractor of facts reads them.

    Attributes:
        sums: The sums.
        items: The sum of the items; None when there is none.
    """

    sums: Sums
    items: Decimal | None

    def confirm(self, verdict: Verdict) -> Verdict:
        """Return a verdict without the contradictions that this reading does not have."""
        kept = tuple(
            finding for finding in verdict.findings if not self._explains(finding.code)
        )  # fmt: skip
        if len(kept) == len(verdict.findings):
            return verdict
        if kept:
            return Verdict(check=verdict.check, findings=kept)
        return passed(verdict.check.name, "the sums fit each other in another reading")

    def _explains(self, code: str) -> bool:
        if code in ("totals.sum", "tax.amount"):
            return self.sums.agrees and bool(self.sums.taxes) and self._rates_fit()
        return code == "items.sum" and self._items_fit()

    def _rates_fit(self) -> bool:
        """Return whether a single tax is its rate of the net sum."""
        if len(self.sums.taxes) != 1 or self.sums.net is None:
            return True
        tax = self.sums.taxes[0]
        if tax.rate is None:
            return True
        gap = self.sums.net.amount.value * tax.rate / 100 - tax.amount.value
        return abs(gap) <= _TOLERANCE

    def _items_fit(self) -> bool:
        """Return whether the items make the net sum or the total, with the stated extras."""
        if self.items is None:
            return False
        extras = [
            line.amount.value for line in self.sums.lines if line.kind in ("discount", "shipping")
        ][:_MOST_EXTRAS]  # fmt: skip
        targets = [line.amount.value for line in (self.sums.net, self.sums.total) if line]
        for size in range(len(extras) + 1):
            for some in itertools.combinations(extras, size):
                for signs in itertools.product((1, -1), repeat=size):
                    change = sum(
                        (value * sign for value, sign in zip(some, signs, strict=True)), Decimal(0)
                    )
                    if any(abs(self.items + change - target) <= _TOLERANCE for target in targets):
                        return True
        return False


def read_otherwise(text: str, language: str | None) -> SecondReading:
    """Read an invoice as the extractor of facts does.

    Args:
        text: Only its first 120,000 characters are used.
        language: ISO 639-1, or None.
    """
    page = Page(text[:_MOST_CHARACTERS], load_labels(language))
    rows = find_rows(page, language)
    amounts = [row.amount.value for row in rows]
    whole = sum(amounts, Decimal(0)) if amounts else None
    return SecondReading(find_sums(page, language, amounts), whole)
