"""Count a word's syllables by where Pyphen's dictionaries let it be hyphenated."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyphen

__all__ = ["load_counter"]

_DIGITS: Final = re.compile(r"\d")
_NOT_ZERO: Final = re.compile(r"[1-9]")
_MOST_WORDS: Final = 20_000  # Pyphen keeps what it has found for each word


def load_counter(dictionary: str) -> Callable[[str], int]:
    """Load a dictionary and return a function of a word, which has one syllable at least.

    Args:
        dictionary: Its name, such as ``de_DE``.
    """
    patterns = _Dictionary(pyphen.LANGUAGES[dictionary])

    def count(word: str) -> int:
        if len(patterns.cache) > _MOST_WORDS:
            patterns.cache.clear()
        # A syllable of one letter counts, though nobody would hyphenate there.
        positions: list[int] = patterns.positions(word)
        return 1 + sum(1 <= position < len(word) for position in positions)

    return count


class _Dictionary(pyphen.HyphDict):  # type: ignore[misc]  # the library has no types
    """A dictionary whose patterns are read when a word has them: all of German take a second.

    It reads no patterns with other spellings, which neither English nor German has.

    Args:
        path: The dictionary's file.
    """

    def __init__(self, path: Path) -> None:
        encoding, _, text = path.read_bytes().partition(b"\n")
        self.patterns = _Patterns(text.decode(encoding.decode("ascii").strip()))
        self.cache: dict[str, list[int]] = {}
        self.maxlen = max(map(len, self.patterns))


class _Patterns(dict[str, Any]):
    """The letters of each pattern, and the pattern, or what is read from it.

    Args:
        text: The patterns, one a line.
    """

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.split("\n")]
        lines = [
            line for line in lines
            if _NOT_ZERO.search(line) and not line.startswith(pyphen.ignored)
        ]  # fmt: skip
        super().__init__(zip(_DIGITS.sub("", "\n".join(lines)).split("\n"), lines, strict=True))

    def get(self, letters: str, default: Any = None) -> Any:
        """Return a pattern's values as Pyphen keeps them; None where there is none."""
        found = super().get(letters, default)
        if isinstance(found, str):
            found = self[letters] = _values(found)
        return found


def _values(pattern: str) -> tuple[int, tuple[int, ...]]:
    """Return the values between a pattern's letters without the zeros around them."""
    values = [int(value or "0") for value, _ in pyphen.parse(pattern)]
    places = [place for place, value in enumerate(values) if value]
    return places[0], tuple(values[places[0] : places[-1] + 1])
