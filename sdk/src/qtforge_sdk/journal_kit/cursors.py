"""Cursors of a journal that numbers what it stores, from 1."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from qtforge_sdk.journal import Cursor

__all__ = ["Place", "number_of", "place_of"]

_DIGITS: Final = 18


class Place(NamedTuple):
    """Where a page of records begins.

    Attributes:
        number: The number of the record after which it begins.
        gap: See `qtforge_sdk.journal.AppendedPage`.
        missed: Likewise.
    """

    number: int
    gap: Literal["", "pruned", "unknown"] = ""
    missed: int | None = None


def number_of(cursor: Cursor) -> int | None:
    """Return the number that a cursor is, 0 for ""; None where it is none.

    >>> number_of("12"), number_of(""), number_of("7:12")
    (12, 0, None)
    """
    if not cursor:
        return 0
    if cursor.isascii() and cursor.isdecimal() and len(cursor) <= _DIGITS:
        return int(cursor)
    return None


def place_of(cursor: Cursor, oldest: int, newest: int) -> Place:
    """Return where a page begins.

    Args:
        cursor: After which it is to begin.
        oldest: The number of the oldest record that is available; one more than ``newest`` for
            none.
        newest: The number of the newest record.
    """
    number, first = number_of(cursor), oldest - 1
    if number is None or number > newest:
        return Place(first, "unknown")
    if number >= first:
        return Place(number)
    return Place(first) if not cursor else Place(first, "pruned", first - number)
