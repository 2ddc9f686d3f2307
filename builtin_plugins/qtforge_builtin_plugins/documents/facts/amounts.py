"""Amounts of money: a number beside a currency; the number is read by price-parser."""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from types import MappingProxyType
from typing import Final

from price_parser import Price

from qtforge_builtin_plugins.documents.messages import Amount

__all__ = [
    "NUMBER",
    "PlacedAmount",
    "find_amounts",
    "iterate_amounts",
    "main_currencies",
    "value_of",
]

MOST_CHARACTERS: Final = 300_000
MOST_AMOUNTS: Final = 10_000
SIGNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "us$": "USD", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₽": "RUB", "₹": "INR",
        "₴": "UAH", "₺": "TRY", "₩": "KRW", "rs": "INR", "rs.": "INR", "руб": "RUB",
        "руб.": "RUB", "рублей": "RUB", "рубля": "RUB", "рубль": "RUB", "euro": "EUR",
        "euros": "EUR", "dollars": "USD", "us dollars": "USD", "pounds": "GBP", "zł": "PLN",
        "kč": "CZK",
    }
)  # fmt: skip
CODES: Final = (
    "AED|ARS|AUD|BGN|BRL|BYN|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|ISK|JPY"
    "|KRW|KZT|MXN|MYR|NOK|NZD|PEN|PHP|PLN|QAR|RON|RSD|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
# At most five groups of thousands: a table of numbers is not one number.
NUMBER: Final = (
    r"\d{1,3}(?:[.,' \u00a0\u202f]\d{3}){1,5}(?:[.,]\d{1,2})?(?!\d)|\d{1,15}(?:[.,]\d{1,4})?"
)
_SPACE: Final = r"[ \u00a0\u202f]?"
_BEFORE: Final = rf"(?i:us\$|\brs\.?)|[$€£¥₽₹₴₺₩]|\b(?:{CODES})"
_AFTER: Final = (
    # A sign between two numbers belongs to the second: "August 3, 2014 $4.11".
    rf"(?:[$€£¥₽₹₴₺₩]|(?:{CODES})\b)(?!{_SPACE}\d)"
    r"|(?i:руб(?:лей|ля|ль)?\b\.?|euros?\b|us dollars\b|dollars\b|pounds\b|zł\b|kč\b)"
)
_SCALES: Final[Mapping[str, int]] = MappingProxyType(
    {"thousand": 3, "million": 6, "mln": 6, "billion": 9, "bn": 9, "тыс": 3, "млн": 6,
     "миллионов": 6, "млрд": 9, "mio": 6, "millionen": 6, "mrd": 9}
)  # fmt: skip
_SCALE: Final = rf"(?:{_SPACE}(?P<scale>{'|'.join(_SCALES)})\b\.?)?"
_AMOUNT: Final = re.compile(
    rf"(?P<before>{_BEFORE}){_SPACE}(?P<minus>[-−])?(?P<number>{NUMBER})(?![\d]){_SCALE}"
    rf"|(?<![\w.,])(?P<minus2>[-−])?(?P<number2>{NUMBER}){_SCALE.replace('scale', 'scale2')}"
    rf"{_SPACE}(?P<after>{_AFTER})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedAmount:
    """An amount and its position.

    Attributes:
        start: The position of its first character.
        end: The position after its last character.
        amount: The amount.
    """

    start: int
    end: int
    amount: Amount


def find_amounts(text: str) -> list[Amount]:
    """Return the amounts in the first 300,000 characters, each value and currency once."""
    found: dict[tuple[str, str | None], Amount] = {}
    for placed in iterate_amounts(text[:MOST_CHARACTERS]):
        found.setdefault((placed.amount.value, placed.amount.currency), placed.amount)
    return list(found.values())


def iterate_amounts(text: str) -> Iterator[PlacedAmount]:
    """Yield every number next to a currency, in order, at most 10,000."""
    for match in islice(_AMOUNT.finditer(text), MOST_AMOUNTS):
        sign = match["before"] or match["after"]
        value = value_of(match["number"] or match["number2"])
        if value is None:
            continue
        scale = match["scale"] or match["scale2"]
        value = value.scaleb(_SCALES[scale]) if scale else value
        value = -value if match["minus"] or match["minus2"] else value
        yield PlacedAmount(
            start=match.start(),
            end=match.end(),
            amount=Amount(
                text=match.group().strip(),
                value=format(value, "f"),
                currency=SIGNS.get(sign.lower(), sign.upper()),
            ),
        )


def value_of(number: str) -> Decimal | None:
    """Return a written number's value, with any separators of thousands and decimals."""
    return Price.fromstring(number).amount


def main_currencies(text: str) -> list[str]:
    """Return the currencies of the text's amounts, the most frequent first."""
    counts = Counter(
        placed.amount.currency
        for placed in iterate_amounts(text[:MOST_CHARACTERS])
        if placed.amount.currency
    )
    return [
        currency for currency, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
