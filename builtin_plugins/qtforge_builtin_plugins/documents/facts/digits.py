"""Search only the lines of a text that have a digit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["matches_beside_digits"]

_DIGIT: Final = re.compile(r"\d")


def matches_beside_digits(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of a pattern in the lines of a text that have a digit.

    Dates and amounts have digits, and most lines of a contract or a letter have none.

    Args:
        pattern: A pattern whose matches are within one line.
        text: The text.
    """
    start = 0
    for line in text.split("\n"):
        end = start + len(line)
        if _DIGIT.search(line):
            yield from pattern.finditer(text, start, end)
        start = end + 1
