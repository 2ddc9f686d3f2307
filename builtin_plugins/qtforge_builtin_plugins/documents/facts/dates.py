"""Calendar dates: spans that look like one, read by dateparser.

``dateparser.search`` is not used: it recognises bare numbers and short words as dates, and
its time grows with the number of words times the number of formats.
"""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

from qtforge_builtin_plugins.documents.facts.digits import matches_beside_digits
from qtforge_builtin_plugins.documents.messages import FoundDate

__all__ = ["PlacedDate", "date_order", "distinct_dates", "find_dates", "iterate_dates"]

MOST_CHARACTERS: Final = 300_000
MOST_DATES: Final = 2_000
_YEARS: Final = range(1900, 2101)
# Languages that write 31.12.24; elsewhere such a group is more often a version or a section.
_SHORT_DOTTED: Final = frozenset({"de", "ru", "uk", "pl", "cs", "sk", "fi", "no", "da", "tr"})
_MONTH: Final = r"[^\W\d_]{3,12}"
_CANDIDATE: Final = re.compile(
    rf"""
    (?<![\w.]) (?P<iso> \d{{4}}-\d\d-\d\d ) (?![\d-])
    | (?<![\w./-]) (?P<big>\d{{4}}) (?P<mark2>[./]) [ ]? (?P<big2>\d\d?) (?P=mark2) [ ]?
        (?P<big3>\d\d?) (?![\d/-]|[.]\d)
    | (?<![\w.,/-]) (?P<day4>\d{{1,2}}) (?P<mark3>[-/.]) (?P<month4>{_MONTH}) (?P=mark3)
        (?P<year4>\d{{4}}|\d\d) (?!\d|[./-]\d|\w)
    | (?<![\d/.,]) (?P<first>\d{{1,2}}) (?P<mark>[./-]) (?P<second>\d{{1,2}}) (?P=mark)
        (?P<year>\d{{4}}|\d\d) (?!\d|[./]\d|(?!г\.?(?!\w))\w)
    | (?<![\d/.,-]) (?P<day5>\d{{1,2}}) (?: / (?P<month5>\d{{1,2}}) (?:[ ]-?|-)
        (?P<year5>\d{{4}}|(?<=-)\d\d) | \.[ ] (?P<month6>\d{{1,2}}) \.[ ] (?P<year6>\d{{4}}) )
        (?!\d|[./,-]\d|\w)
    | (?<![\w.,]) ["«“„]? (?P<day>\d{{1,2}}) ["»”]? (?:st|nd|rd|th|er|ste|-?го|\.?[º°]|\.)?
        [ \u00a0]{{0,2}} (?:of[ ]|day[ ]of[ ]|de[ ])? (?P<month>{_MONTH}) (?:[ ]del?)? \.?,?
        [ \u00a0]{{1,2}}
        (?P<year2>\d{{4}}) (?!\d)
    | (?<!\w) (?P<month3>{_MONTH}) \.? [ \u00a0] (?P<day3>\d{{1,2}}) (?:st|nd|rd|th)? [ ]?,?
        [ \u00a0] (?P<year3>\d{{4}}) (?!\d)
    """,
    re.VERBOSE,
)
_NUMERIC: Final = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d\d)")
_PIVOT: Final = 69  # of years with two digits, as in POSIX
_AMERICAN: Final = re.compile(r"\$|\bUSD\b|\bUnited States\b|\bUSA\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedDate:
    """A date and its position.

    Attributes:
        start: The position of its first character.
        end: The position after its last character.
        date: The date.
    """

    start: int
    end: int
    date: FoundDate


def find_dates(text: str, language: str | None) -> list[PlacedDate]:
    """Return every date in the first 300,000 characters, in order, at most 2,000.

    Args:
        text: The text.
        language: ISO 639-1, or None; for the names of months and the order of numbers.
    """
    return list(iterate_dates(text[:MOST_CHARACTERS], language))


def distinct_dates(dates: Iterable[PlacedDate]) -> list[FoundDate]:
    """Return each day once, as it is first written."""
    found: dict[str, FoundDate] = {}
    for placed in dates:
        found.setdefault(placed.date.date, placed.date)
    return list(found.values())


def iterate_dates(
    text: str, language: str | None, *, order: str | None = None, is_labelled: bool = False
) -> Iterator[PlacedDate]:
    """Yield every date in the text, in order, at most 2,000.

    Args:
        text: The text.
        language: ISO 639-1, or None.
        order: ``DMY`` or ``MDY``, from `date_order` for the whole document; None to determine
            it from this text.
        is_labelled: Whether the text follows the label of a date, where 25-11-24 is one.
    """
    matches: Iterable[re.Match[str]] = matches_beside_digits(_CANDIDATE, text)
    if order is None:
        matches = list(matches)
        order = _order(matches, text, language)
    read = partial(_read, language=language, order=order)
    known: dict[str, datetime.date | None] = {}
    count = 0
    for match in matches:
        plain = _plain(match, language, is_labelled=is_labelled)
        if plain is None:
            continue
        if plain not in known:
            known[plain] = read(plain)
        day = known[plain]
        if day is None or day.year not in _YEARS:
            continue
        yield PlacedDate(
            start=match.start(),
            end=match.end(),
            date=FoundDate(text=match.group().strip(), date=day.isoformat()),
        )
        count += 1
        if count == MOST_DATES:
            return


def date_order(text: str, language: str | None) -> str:
    """Return the order of the numbers in a document's dates: ``DMY`` or ``MDY``.

    A date that has only one reading decides; then the language, and for English the country.
    """
    return _order(matches_beside_digits(_CANDIDATE, text[:MOST_CHARACTERS]), text, language)


def _order(matches: Iterable[re.Match[str]], text: str, language: str | None) -> str:
    for match in matches:
        if match["mark"] in ("/", "-"):
            if int(match["first"]) > 12:
                return "DMY"
            if int(match["second"]) > 12:
                return "MDY"
    return "MDY" if language in (None, "en") and _AMERICAN.search(text) else "DMY"


def _plain(match: re.Match[str], language: str | None, *, is_labelled: bool = False) -> str | None:
    """Return a candidate without ornaments; None when it is not a date."""
    if match["iso"]:
        return match["iso"]
    if match["big"]:  # 2026/03/05
        return f"{match['big']}-{int(match['big2']):02}-{int(match['big3']):02}"
    if match["day4"]:  # 05-Mar-2026
        year = match["year4"] if len(match["year4"]) == 4 else f"20{match['year4']}"
        return f"{match['day4']} {match['month4'].lower()} {year}"
    if match["first"]:
        short = len(match["year"]) == 2
        two_digits = len(match["first"]) == len(match["second"]) == 2
        if short and two_digits and match["mark"] == "-" and language == "sv":
            return f"20{match['first']}-{match['second']}-{match['year']}"  # the year comes first
        if short and match["mark"] == "-" and not (is_labelled and two_digits):
            return None
        if (
            short
            and not is_labelled
            and not (two_digits and (match["mark"] == "/" or language in _SHORT_DOTTED))
        ):
            return None
        return match.group()
    if match["day5"]:  # 25/1 2025, 25/1-25 and 25. 1. 2025
        if len(match["year5"] or "") == 2 and not is_labelled:
            return None
        numbers = (match["day5"], match["month5"], match["month6"], match["year5"], match["year6"])
        return ".".join(filter(None, numbers))
    day = match["day"] or match["day3"]
    month = match["month"] or match["month3"]
    year = match["year2"] or match["year3"]
    return f"{day} {month.lower()} {year}"


def _from_numbers(match: re.Match[str], order: str) -> datetime.date | None:
    first, second, year = int(match[1]), int(match[2]), int(match[3])
    if len(match[3]) == 2:
        year += 2000 if year < _PIVOT else 1900
    day, month = (first, second) if order == "DMY" else (second, first)
    if month > 12 >= day:
        day, month = month, day  # the other order is the only one
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


@lru_cache(maxsize=4096)  # the same dates are looked for by several extractors
def _read(plain: str, *, language: str | None, order: str) -> datetime.date | None:
    if plain[:4].isdigit():
        try:
            return datetime.date.fromisoformat(plain)
        except ValueError:
            return None
    numeric = _NUMERIC.fullmatch(plain)
    if numeric is not None:
        return _from_numbers(numeric, "DMY" if "." in plain else order)
    # With dots the day comes first everywhere.
    settings = {
        "DATE_ORDER": "DMY" if "." in plain else order,
        "STRICT_PARSING": True,
        "PREFER_LOCALE_DATE_ORDER": False,
    }
    import dateparser  # slow to import, and many texts have no date in words

    for name in dict.fromkeys((language or "en", "en")):
        try:
            moment: datetime.datetime | None = dateparser.parse(
                plain, languages=[name], settings=settings
            )
        except ValueError:  # dateparser does not know the language
            continue
        if moment is not None:
            return moment.date()
    return None
