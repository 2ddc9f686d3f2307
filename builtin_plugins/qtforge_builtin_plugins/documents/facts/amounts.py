"""Amounts of money: a number beside a currency; the number is read by price-parser."""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Final

from qtforge_builtin_plugins.documents.facts.dates import PlacedDate, iterate_dates
from qtforge_builtin_plugins.documents.facts.digits import matches_beside_digits
from qtforge_builtin_plugins.documents.messages import Amount

__all__ = [
    "NUMBER",
    "PlacedAmount",
    "distinct_amounts",
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
        "kč": "CZK", "tl": "TRY", "r$": "BRL", "mx$": "MXN", "lira": "TRY", "fr.": "CHF",
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
_SIGN: Final = (
    rf"(?i:us\$|\br\$|\bmx\$|\brs\b\.?"
    rf"|руб(?:лей|ля|ль)?\b\.?|\beuros?\b|\bus dollars\b|\bdollars\b|\bpounds\b"
    r"|zł\b"
    rf"|kč\b|\bkr\b\.?|\bTL\b)|[$€£¥₽₹₴₺₩]|\b(?:{CODES})(?![A-Za-z])"
)
_SCALES: Final[Mapping[str, int]] = MappingProxyType(
    {"thousand": 3, "million": 6, "mln": 6, "billion": 9, "bn": 9, "тыс": 3, "млн": 6,
     "миллионов": 6, "млрд": 9, "mio": 6, "millionen": 6, "mrd": 9}
)  # fmt: skip
_SCALE: Final = rf"(?:{_SPACE}(?P<scale>{'|'.join(_SCALES)})\b\.?)?"
_TOKEN: Final = re.compile(
    rf"(?P<sign>{_SIGN})|(?P<open>\()?(?P<number>(?<![\w.,]){NUMBER}|(?<=rs)(?:{NUMBER})){_SCALE}(?![\w])".replace(
        "(?<=rs)", "(?<=[rR][sS])"
    )
)
_WORD: Final = re.compile(r"(?i:руб\w*\.?|euros?|(?:us )?dollars|pounds|zł|kč)")
_MINUS: Final = "-−–"
_GAP: Final = re.compile(r"[ \u00a0\u202f]?[-−–]?[ \u00a0\u202f]?|\.[ \u00a0]")
_CROWNS: Final[Mapping[str, str]] = MappingProxyType({"sv": "SEK", "no": "NOK", "nb": "NOK"})


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


@dataclass(frozen=True, slots=True)
class _Part:
    """A number or a currency sign in a text, with what its spaces and minus say."""

    is_sign: bool
    text: str
    start: int
    end: int
    scale: str | None


def find_amounts(
    text: str, language: str | None = None, dates: Iterable[PlacedDate] | None = None
) -> list[PlacedAmount]:
    """Return every number with a currency in the first 300,000 characters, at most 10,000.

    Args:
        text: The text.
        language: ISO 639-1, or None; for dates, and whose crowns ``kr`` are.
        dates: The text's dates by `dates.find_dates`; None to find them.
    """
    return list(iterate_amounts(text[:MOST_CHARACTERS], language, dates))


def distinct_amounts(amounts: Iterable[PlacedAmount]) -> list[Amount]:
    """Return each value and currency once, as it is first written."""
    found: dict[tuple[str, str | None], Amount] = {}
    for placed in amounts:
        found.setdefault((placed.amount.value, placed.amount.currency), placed.amount)
    return list(found.values())


def iterate_amounts(
    text: str, language: str | None = None, dates: Iterable[PlacedDate] | None = None
) -> Iterator[PlacedAmount]:
    """Yield every number with a currency, in order, at most 10,000.

    A sign between two numbers belongs to the one that it is attached to; otherwise to the one
    on the side on which the text's other signs are. Dates are no amounts.

    Args:
        text: The text.
        language: ISO 639-1, or None.
        dates: The text's dates; None to find them.
    """
    masked = _without(iterate_dates(text, language) if dates is None else dates, text)
    runs = list(islice(_runs(masked), MOST_AMOUNTS))
    before = _is_before(runs)
    for run in runs:
        for number, sign in _pairs(run, before, masked):
            placed = _placed(text, number, sign, language)
            if placed is not None:
                yield placed


def _without(dates: Iterable[PlacedDate], text: str) -> str:
    """Return the text with dates blanked: in ``2026 € 717,97`` the year is no amount."""
    pieces: list[str] = []
    at = 0
    for placed in dates:
        pieces += [text[at : placed.start], "\0" * (placed.end - placed.start)]
        at = placed.end
    return "".join([*pieces, text[at:]])


def _runs(text: str) -> Iterator[list[_Part]]:
    """Yield the groups of numbers and signs that follow each other directly."""
    run: list[_Part] = []
    for match in matches_beside_digits(_TOKEN, text):
        part = _Part(match["sign"] is not None, match["sign"] or match["number"],
                     match.start("sign") if match["sign"] else match.start("number"),
                     match.end(), match["scale"])  # fmt: skip
        if run and (
            run[-1].is_sign == part.is_sign or not _GAP.fullmatch(text, run[-1].end, part.start)
        ):
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def _is_before(runs: Sequence[Sequence[_Part]]) -> bool:
    """Return whether the text's signs are rather before their numbers."""
    votes = sum(
        1 if run[0].is_sign else -1
        for run in runs
        if len(run) > 1 and len(run) % 2 == 0
    )  # fmt: skip
    return votes >= 0


def _pairs(run: Sequence[_Part], before: bool, text: str) -> Iterator[tuple[_Part, _Part]]:
    """Yield each number of a run with its sign."""
    if len(run) % 2 and not run[0].is_sign and len(run) > 1:
        # A number more than signs: 2014 $4.11, and 0,75 € 0,75.
        gaps = [one.end == other.start for one, other in pairwise(run)]
        if gaps[0] != gaps[1]:
            before = gaps[1]
        run = run[1:] if before else run[:-1]
    elif len(run) % 2 and run[0].is_sign and len(run) > 1:
        run = run[:-1] if before else run[1:]
    for one, other in zip(run[::2], run[1::2], strict=False):
        if not one.is_sign:
            yield one, other
        elif not _WORD.fullmatch(one.text):  # "Euro 2024" is no amount
            yield other, one


def _placed(text: str, number: _Part, sign: _Part, language: str | None) -> PlacedAmount | None:
    value = value_of(number.text)
    if value is None:
        return None
    if number.scale:
        value = value.scaleb(_SCALES[number.scale])
    start, end = min(number.start, sign.start), max(number.end, sign.end)
    between = text[sign.end : number.start] if sign.start < number.start else ""
    ahead = text[max(0, start - 2) : start]
    # A hyphen that is attached to a word is no minus: EUR-20.
    is_minus = any(mark in between for mark in _MINUS) or (
        ahead[-1:] in _MINUS and ahead[-1:] != "" and not ahead[:1].isalnum()
    )
    bracketed = ahead[-1:] == "(" and text[end : end + 1] == ")"
    if is_minus or bracketed:
        value = -value
    if ahead[-1:] in _MINUS and is_minus and not any(mark in between for mark in _MINUS):
        start -= 1
    written = sign.text
    currency = SIGNS.get(written.lower(), written.upper())
    if written.lower().startswith("kr"):
        currency = _CROWNS.get(language or "", "DKK")
    return PlacedAmount(
        start=start,
        end=end,
        amount=Amount(text=text[start:end].strip(), value=format(value, "f"), currency=currency),
    )


@lru_cache(maxsize=4096)
def value_of(number: str) -> Decimal | None:
    """Return a written number's value, with any separators of thousands and decimals."""
    from price_parser import Price  # slow to import, and many texts have none

    return Price.fromstring(number).amount


def main_currencies(amounts: Iterable[PlacedAmount]) -> list[str]:
    """Return the currencies of amounts, the most frequent first."""
    counts = Counter(placed.amount.currency for placed in amounts if placed.amount.currency)
    return [
        currency for currency, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
