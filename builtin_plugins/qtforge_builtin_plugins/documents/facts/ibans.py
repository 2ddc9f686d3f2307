"""International bank account numbers (ISO 13616), checked by python-stdnum."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stdnum import iban

from qtforge_builtin_plugins.documents.messages import Iban

__all__ = ["find_ibans", "iterate_ibans"]

MOST_CHARACTERS: Final = 300_000
_LEAST_LENGTH: Final = 15  # Norway's, the shortest
_MOST_LENGTH: Final = 34
# Written in one piece, or in groups of any length; also over a line's end.
_CANDIDATE: Final = re.compile(
    r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?:[ \u00a0\u202f.-]?\n?[A-Z0-9]){11,30}"
)
_IN_FOURS: Final = re.compile(
    r"[A-Z]{2}\d{2}(?:[A-Z0-9]{8,30}(?![A-Za-z0-9])|(?:[ \u00a0][A-Z0-9]{4}){2,7}"
    r"(?:[ \u00a0][A-Z0-9]{1,3}(?![A-Za-z0-9]))?)"
)
_LABEL: Final = re.compile(r"(?:iban|bank account|account no\.?)[\s:.]{0,5}$", re.IGNORECASE)


def find_ibans(text: str) -> list[Iban]:
    """Return the account numbers in the first 300,000 characters, without repeats.

    One with a wrong checksum is included, as not valid, if it has the label of an account
    number; other runs of letters and digits are not account numbers.
    """
    found: dict[str, Iban] = {}
    for _, each in iterate_ibans(text[:MOST_CHARACTERS]):
        found.setdefault(each.iban, each)
    return list(found.values())


def iterate_ibans(text: str) -> Iterator[tuple[int, Iban]]:
    """Yield each account number with its place, from 0; see `find_ibans`."""
    at = 0
    while (match := _CANDIDATE.search(text, at)) is not None:
        at = match.start() + 4
        written = _valid_beginning(text, match)
        if written is not None:
            at = match.start() + len(written)
            yield match.start(), Iban(text=written, iban=_compact(written), valid=True)
            continue
        wrong = _IN_FOURS.match(text, match.start())
        if wrong is not None and _LABEL.search(text[max(0, match.start() - 20) : match.start()]):
            number = _compact(wrong[0])
            if len(number) >= _LEAST_LENGTH:
                at = wrong.end()
                yield match.start(), Iban(text=wrong[0], iban=number, valid=False)


def _valid_beginning(text: str, match: re.Match[str]) -> str | None:
    """Return the beginning of a candidate that is a valid number and ends with its group.

    Words after a number may look like its last groups, so every length is tried.
    """
    places = [
        place for place in range(match.start(), match.end()) if text[place].isalnum()
    ][:_MOST_LENGTH]  # fmt: skip
    number = "".join(text[place] for place in places)
    for length in range(min(len(number), _MOST_LENGTH), _LEAST_LENGTH - 1, -1):
        end = places[length - 1] + 1
        if end < len(text) and text[end].isalnum():
            continue
        if _remainder(number[:length]) == 1 and iban.is_valid(number[:length]):
            return text[match.start() : end]
    return None


def _remainder(number: str) -> int:
    """Return the number's remainder by ISO 7064 Mod 97, 10."""
    return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97


def _compact(written: str) -> str:
    return "".join(filter(str.isalnum, written))
