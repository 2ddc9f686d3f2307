"""Collect the warnings of a source: each kind once, with its number."""

from __future__ import annotations

from typing import Final

from qtforge_sdk.messages import SourceWarning

__all__ = ["SourceWarnings"]

_MOST: Final = 50
_LONGEST: Final = 300


class SourceWarnings:
    """The warnings of one answer; of one kind the first is given, and the others are counted."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[str, int]] = {}

    def add(self, code: str, message: str, *, about: str = "", count: int = 1) -> None:
        """Add a warning.

        Args:
            code: Says what it is about.
            message: A sentence for people.
            about: What distinguishes it from others of this code, such as a column's name.
            count: How often it was seen.
        """
        key = code, about
        if key not in self._found and len(self._found) >= _MOST:
            key, message = ("rows.more_warnings", ""), "there are warnings of further kinds"
        first, before = self._found.get(key, (message, 0))
        self._found[key] = first, before + count

    def listed(self) -> tuple[SourceWarning, ...]:
        """Return the warnings in the order in which they were first seen."""
        return tuple(
            SourceWarning(code=code, message=_short(message), count=count)
            for (code, _), (message, count) in self._found.items()
        )


def _short(message: str) -> str:
    text = " ".join(message.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
