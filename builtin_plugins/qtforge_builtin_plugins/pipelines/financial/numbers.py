"""The numbers in a line of an invoice, with all of their possible readings.

``1.000`` is a thousand or one; ``2 100,00`` is one number or two. All readings are kept, so
that a contradiction is reported only if no reading makes the sums right.
"""

# ruff: noqa: RUF001 - it has typographic marks

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from qtforge_builtin_plugins.documents.facts.amounts import value_of
from qtforge_builtin_plugins.documents.facts.dates import iterate_dates

__all__ = ["Number", "TextLine", "number_lines", "read_all_ways", "read_numbers", "without_dates"]

MOST_CHARACTERS: Final = 200_000
MOST_LINES: Final = 4_000
_MOST_LINE_CHARACTERS: Final = 400
_CURRENCY: Final = (
    r"(?:us\$|r\$|a\$|c\$|[$€£¥₽₹₴₺₩]|\brs\.?|\binr|\beur|\busd|\bgbp|\bchf|\brub|\bsek|\bnok|\bdkk"
    r"|\bpln|\bcad|\baud|\bjpy|\bczk|руб\.?|zł|kč|euros?)"
)
_SEPARATED: Final = (
    r"\d{1,3}(?:[.,'’\u00a0\u202f]\d{3}){1,5}(?:[.,]\d{1,4})?(?!\d)|\d{1,15}(?:[.,]\d{1,6})?"
)


_PATTERN: Final = re.compile(
    rf"(?<![\w.,/:-])(?P<open>\()?(?P<minus>[-−–])?(?P<before>{_CURRENCY})?[ \u00a0]?"
    rf"(?P<minus2>[-−–])?(?<![\w])(?P<number>{_SEPARATED})(?P<percent>\s?%)?"
    rf"(?:[ \u00a0]?(?P<after>{_CURRENCY})(?![\w$€£]|[ ]?\d))?(?P<minus3>[-−](?!\d))?"
    r"(?P<close>\))?(?![\w/]|[.,:]\d|-\w)",
    re.IGNORECASE,
)
# A space that may separate thousands, or two numbers.
_GAP: Final = re.compile(r"(?<=\d) (?=\d{3}(?!\d))")
_MOST_GAPS: Final = 4
_AMBIGUOUS: Final = re.compile(r"(\d{1,3})[.,](\d{3})")
_PLACES: Final = re.compile(r"[.,](\d{1,6})$")
_BULLET: Final = re.compile(r"^\s*[-–•*]\s+")
_SHORT_DATE: Final = re.compile(r"\b\d{1,2}[./]\d{1,2}[./](?:\d{4}|\d\d)\b|\b\d{4}-\d\d-\d\d\b")


class TextLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the text.

    Attributes:
        number: The line's number, from 1.
        text: The line, cut when it is very long.
    """

    number: int
    text: str


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """A number in a line.

    Attributes:
        start: The position of its first character, including its currency.
        end: The position after its last character.
        text: As written.
        values: All readings, the most likely first.
        places: The decimal places in the most likely reading.
        percent: Whether a per cent sign follows.
        money: Whether it looks like an amount: it has a currency or two decimal places.
    """

    start: int
    end: int
    text: str
    values: tuple[Decimal, ...]
    places: int
    percent: bool
    money: bool

    @property
    def value(self) -> Decimal:
        """The most likely reading."""
        return self.values[0]

    @property
    def half_unit(self) -> Decimal:
        """The largest difference of the exact number, if the written one was rounded."""
        return Decimal(5).scaleb(-self.places - 1)


def number_lines(text: str) -> list[TextLine]:
    """Return the lines that are not empty, up to 200,000 characters and 4,000 lines."""
    return [
        TextLine(number=number, text=line[:_MOST_LINE_CHARACTERS])
        for number, line in enumerate(text[:MOST_CHARACTERS].split("\n"), 1)
        if line.strip()
    ][:MOST_LINES]


def without_dates(line: str, language: str | None) -> str:
    """Return the line with dates blanked out, so that their numbers are not read as amounts."""
    # A mark before an item of a list is no minus.
    masked = _BULLET.sub(lambda match: " " * len(match[0]), line)
    if sum(map(str.isdigit, line)) >= 5:
        for placed in iterate_dates(line, language):
            masked = _blank(masked, placed.start, placed.end)
    for match in _SHORT_DATE.finditer(masked):
        masked = _blank(masked, match.start(), match.end())
    return masked


def read_numbers(line: str) -> list[Number]:
    """Return the numbers in order; a plain space separates two numbers.

    Args:
        line: A line without dates.
    """
    found = (_number(match) for match in _PATTERN.finditer(line))
    return [number for number in found if number is not None]


def read_all_ways(line: str) -> Iterator[list[Number]]:
    """Yield the numbers for every reading of spaces, as thousands separators first.

    Args:
        line: A line without dates. Only its last four such spaces are ambiguous; earlier ones
            separate numbers.
    """
    gaps = [match.start() for match in _GAP.finditer(line)][-_MOST_GAPS:]
    for size in range(len(gaps), -1, -1):
        for chosen in itertools.combinations(gaps, size):
            joined = list(line)
            for at in chosen:
                joined[at] = "\N{NO-BREAK SPACE}"
            yield read_numbers("".join(joined))


def _number(match: re.Match[str]) -> Number | None:
    written = match["number"]
    values = _readings(written)
    if not values:
        return None
    bracketed = bool(match["open"] and match["close"])
    if match["minus"] or match["minus2"] or match["minus3"] or (bracketed and match["before"]):
        values = [-value for value in values]
    places = _PLACES.search(written)
    decimals = len(places[1]) if places else 0
    if decimals == 3 and values[0] == values[0].to_integral_value():
        decimals = 0  # they are thousands
    percent = bool(match["percent"])
    has_currency = bool(match["before"] or match["after"])
    return Number(
        start=match.start(),
        end=match.end(),
        text=match.group().strip(),
        values=tuple(values),
        places=decimals,
        percent=percent,
        money=not percent and (has_currency or decimals == 2),
    )


def _readings(written: str) -> Sequence[Decimal]:
    if ambiguous := _AMBIGUOUS.fullmatch(written):
        whole, rest = ambiguous.groups()
        return [Decimal(whole + rest), Decimal(f"{whole}.{rest}")]
    value = value_of(written)
    return [] if value is None else [value]


def _blank(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]
