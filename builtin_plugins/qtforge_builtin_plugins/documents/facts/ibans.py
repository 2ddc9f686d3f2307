"""International bank account numbers (ISO 13616), checked by python-stdnum."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stdnum import iban
from stdnum.exceptions import ValidationError

from qtforge_builtin_plugins.documents.messages import Iban

__all__ = ["find_ibans", "iterate_ibans"]

MOST_CHARACTERS: Final = 300_000
_LEAST_LENGTH: Final = 15  # Norway's, the shortest
# Written in one piece, or in groups of four with spaces.
_CANDIDATE: Final = re.compile(
    r"(?<![A-Z0-9])[A-Z]{2}\d{2}"
    r"(?:[A-Z0-9]{8,30}|(?:[ \u00a0][A-Z0-9]{4}){2,7}(?:[ \u00a0][A-Z0-9]{1,3})?)"
    r"(?![A-Z0-9])"
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
    for match in _CANDIDATE.finditer(text):
        written, number, valid = _checked(match.group())
        labelled = _LABEL.search(text[max(0, match.start() - 20) : match.start()])
        if valid or (labelled and len(number) >= _LEAST_LENGTH):
            yield match.start(), Iban(text=written, iban=number, valid=valid)


def _checked(written: str) -> tuple[str, str, bool]:
    """Return the number, as written and compact, and whether it is valid.

    The words after it may look like its last groups, so shorter readings are tried too.
    """
    shorter = written
    while True:
        try:
            return shorter, iban.validate(shorter.replace("\u00a0", " ")), True
        except ValidationError:
            shorter, space, _ = shorter.replace("\u00a0", " ").rpartition(" ")
        if not space:
            return written, iban.compact(written.replace("\u00a0", " ")), False
