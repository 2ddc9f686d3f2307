"""Cursors: places in the order of transactions, in which records and messages are read."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["BEGINNING", "Place", "parse_place"]

_TEXT: Final = re.compile(r"(\d{1,9})\.(\d{1,18})\.(\d{1,18})")


class Place(NamedTuple):
    """The place after a record or a message.

    Attributes:
        era: The number of the server; see `schema`.
        xact: The transaction that stored it.
        id: Its number.
    """

    era: int
    xact: int
    id: int

    def __str__(self) -> str:
        return f"{self.era}.{self.xact}.{self.id}"


BEGINNING: Final = Place(0, 0, 0)


def parse_place(text: str) -> Place | None:
    """Return the place that a cursor names; None where it is none of this journal's.

    >>> parse_place("1.730.12")
    Place(era=1, xact=730, id=12)
    >>> parse_place("") == BEGINNING, parse_place("12")
    (True, None)
    """
    if not text:
        return BEGINNING
    found = _TEXT.fullmatch(text)
    return None if found is None else Place(*map(int, found.groups()))
