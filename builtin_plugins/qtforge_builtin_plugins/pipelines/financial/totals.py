"""The lines of an invoice with its sums: net, tax, total and adjustments."""

# ruff: noqa: RUF001 - it has labels in Russian

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, Literal

import msgspec

from qtforge_builtin_plugins.pipelines.financial.numbers import (
    Number,
    TextLine,
    read_all_ways,
    read_numbers,
    without_dates,
)

__all__ = ["SumKind", "SumLine", "find_sums", "kind_of"]

SumKind = Literal["net", "tax", "gross", "due", "adjustment"]
_MOST_LABEL: Final = 70
_START: Final = r"^[\s*+=–-]{0,6}"
_TAX: Final = (
    r"(?:(?:sales |state |city |local |federal )?tax(?:es)?|vat|gst|hst|pst|qst|cgst|sgst|igst"
    r"|mwst|ust"
    r"|mehrwertsteuer|umsatzsteuer|tva|iva|btw|moms|ндс)(?![\w-])\.?"
)
_NOT_A_SUM: Final = (
    r"(?!.{0,25}?(?<!\w)(?:no|nr|number|nummer|id|idnr|reg|registration|code|invoice|point|exempt)"
    r"(?![\w]))"
)
_PERCENT: Final = r"(?:\d{1,2}(?:[.,]\d{1,3})? ?% ?)"
# In this order: the first that fits decides.
_KINDS: Final[tuple[tuple[SumKind, str], ...]] = (
        ("net", r"sub ?-? ?total|total (?:net|excl\S*|ex\.?|before|without|ht)(?!\w)|net (?:total"
                r"|amount"
                r"|value|sum)|net(?= ?[:\d$€£])|total net|zwischensumme|nettobetrag|nettosumme"
                r"|(?:summe|gesamt|betrag|total)[ -]?netto|netto(?= ?[:\d€])|taxable (?:amount"
                r"|value)"
                r"|total ht|(?:итого|всего) без ндс|подытог"),
        ("tax", rf"(?:total |plus |zzgl\.? |incl\.? |including |included |inkl\.? |enthaltene[rn]? "
                rf"|davon |summe |в том числе |в т\. ?ч\. |сумма )?{_PERCENT}?{_TAX}{_NOT_A_SUM}"),
        ("due", r"(?:total )?amount (?:due|payable|to pay)|balance(?! forward"
                r"| brought)(?: due)?(?!\w)"
                r"|total due|total payable|zahlbetrag|zu zahlen|offener betrag|(?:итого |всего "
                r"|сумма )?"
                r"к оплате|net à payer|total a pagar|totale da pagare"),
        ("gross", r"grand total|invoice total|total(?! (?:tax|vat|discount|savings|paid|items|qty"
                  r"|hours"
                  r"|weight|pages|quantity))(?!\w)|gesamtbetrag|gesamtsumme|rechnungsbetrag"
                  r"|endbetrag"
                  r"|bruttobetrag|summe brutto|gesamt brutto|brutto(?= ?[:\d€])|gesamt(?!\w)"
                  r"|summe(?!\w)"
                  r"|итого|всего|montant ttc"),
        ("adjustment", r"abzgl|abzüglich|minus |shipping|delivery|freight|handling|postage"
                       r"|packing|versand\w*|fracht|porto"
                       r"|verpackung|доставка|discount|less |rabatt|skonto|nachlass|скидка"
                       r"|credits?(?!\w)"
                       r"|gutschrift|previous balance|balance (?:forward|brought)|paid|payments?"
                       r"(?: received)?(?!\w| terms)|deposit|advance|anzahlung|vorauszahlung"
                       r"|already"
                       r"|оплачено|аванс|round(?:ing|ed)|rundung|fees?(?!\w)|charges?(?!\w)"
                       r"|surcharge"
                       r"|tip(?!\w)|service charge|gratuity|gebühr|levy|duty|total (?:discount"
                       r"|savings"
                       r"|paid)|insurance|retention"),
)  # fmt: skip
_LABELS: Final = tuple(
    (kind, re.compile(f"{_START}(?:{labels})", re.IGNORECASE)) for kind, labels in _KINDS
)
_INCLUDED: Final = re.compile(
    r"(?<!\w)(?:incl|inkl|enth|davon|darin|inbegriffen|of which|dont|в т\. ?ч|в том числе)",
    re.IGNORECASE,
)
_BASE: Final = re.compile(r"(?<!\w)(?:on|of|auf|von|sur|от|с|at)(?!\w)", re.IGNORECASE)
_ENDING: Final = re.compile(r"[\s|;.)*]{0,6}(?:[A-Z]{1,2})?[\s|]*")
_LIKE_TOTAL: Final = re.compile(r"(?<!\w)(?:total|summe|сумма)(?!\w)", re.IGNORECASE)


class SumLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that states a sum.

    Attributes:
        kind: The kind of sum; ``adjustment`` for an addition or a deduction, and for lines
            without a known label.
        line: Its line.
        values: All readings of its amount.
        places: The amount's decimal places.
        rate: For a tax: its rate as a factor, 0.15 for 15 %; None when not stated.
        bases: For a tax: all readings of its base; empty when not stated.
        included: For a tax: whether the line says that the prices include it.
        is_tax_total: For a tax: whether it may be the sum of other tax lines.
    """

    kind: SumKind
    line: TextLine
    values: tuple[Decimal, ...]
    places: int
    rate: Decimal | None = None
    bases: tuple[Decimal, ...] = ()
    included: bool = False
    is_tax_total: bool = False


def kind_of(line: str) -> SumKind | None:
    """Return the kind of sum that a line's label names; None for other lines."""
    return next((kind for kind, labels in _LABELS if labels.match(line)), None)


def find_sums(
    lines: Iterable[TextLine], language: str | None, *, items: frozenset[int], start: int
) -> list[SumLine]:
    """Return the lines that state a sum, in order.

    Args:
        lines: The text.
        language: ISO 639-1, or None; for dates.
        items: The numbers of the lines that are items.
        start: The first line at which an amount without a known label is an adjustment.
    """
    found: list[SumLine] = []
    for line in lines:
        if line.number in items:
            continue
        masked = without_dates(line.text, language)
        kind = kind_of(masked)
        if kind is None and line.number < start:
            continue
        made = _sum_line(kind or "adjustment", line, masked)
        if made is not None:
            found.append(made)
    return found


def _sum_line(kind: SumKind, line: TextLine, masked: str) -> SumLine | None:
    numbers = read_numbers(masked)
    if not numbers or not numbers[-1].money or not _ENDING.fullmatch(masked[numbers[-1].end :]):
        return None
    if numbers[0].start > _MOST_LABEL:
        return None  # a sentence
    amount = numbers[-1]
    values = dict.fromkeys(value for way in read_all_ways(masked) for value in way[-1].values)
    if kind == "net" and any(number.percent for number in numbers):
        kind = "adjustment"  # the net sum of one tax rate among several
    if kind != "tax":
        return SumLine(kind=kind, line=line, values=tuple(values), places=amount.places)
    return _tax_line(line, masked, numbers, tuple(values))


def _tax_line(
    line: TextLine, masked: str, numbers: Sequence[Number], values: tuple[Decimal, ...]
) -> SumLine | None:
    rates = [number.value / 100 for number in numbers if number.percent]
    others = [number for number in numbers[:-1] if number.money]
    bases: tuple[Decimal, ...] = ()
    if len(others) == 1 and _BASE.search(masked[: others[0].start]):
        bases = others[0].values
    elif others:
        # Columns of net, tax and gross: which is which can't be known.
        return SumLine(kind="adjustment", line=line, values=values, places=numbers[-1].places)
    return SumLine(
        kind="tax",
        line=line,
        values=values,
        places=numbers[-1].places,
        rate=rates[0] if len(rates) == 1 else None,
        bases=bases,
        included=_INCLUDED.search(masked) is not None,
        is_tax_total=not rates and _LIKE_TOTAL.search(masked) is not None,
    )
