"""Things that are named like a person: the brand Jasper, the Frans Hals Museum.

The words beside such a name are data, ``things.toml``. A label such as ``Model: Jane Doe`` is
none of them: who is named after it may be a person.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from qtforge_builtin_plugins.documents.facts.labels import fold

__all__ = ["is_thing", "is_thing_word"]

_DATA: Final = Path(__file__).with_suffix(".toml")
_BEFORE: Final = re.compile(r"([^\W\d_][\w-]*)[ \u00a0\n][\"“„«']?$")
_AFTER: Final = re.compile(r"(?: [JS]r\.)?[ \u00a0]([^\W\d_][\w-]*)")
# Where a name such as Madison Hall is one of a place.
_AT_PLACE: Final = re.compile(r"(?<!\w)(?:[Ii]n|[Oo]n|[Aa]t|near|inside|outside|the)[ \n]$")
_MOST_BEFORE: Final = 40  # characters of a word before a name, with its space


def is_thing(text: str, start: int, end: int, language: str | None) -> bool:
    """Return whether the words beside a name say that it is one of a thing.

    Args:
        text: The text.
        start: The name's first character.
        end: The position after its last one.
        language: ISO 639-1; False for one without such words.
    """
    before, after, surnames = _words(language)
    ahead = _BEFORE.search(text, max(0, start - _MOST_BEFORE), start)
    if ahead is not None and fold(ahead[1]) in before:
        return True
    behind = _AFTER.match(text, end)
    last = text[start:end].rsplit(None, 1)[-1]
    return (behind is not None and behind[1][0].isupper() and fold(behind[1]) in after) or (
        fold(last) in after
        and (
            fold(last) not in surnames
            or _AT_PLACE.search(text, max(0, start - 9), start) is not None
        )
    )


def is_thing_word(word: str, language: str | None) -> bool:
    """Return whether a word is one that is before the name of a thing, such as ``brand``."""
    return fold(word) in _words(language)[0]


@cache
def _words(language: str | None) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    data: Mapping[str, Mapping[str, Sequence[str]]] = tomllib.loads(_DATA.read_text("utf-8"))
    own = data.get(language or "", {})
    before, after, surnames = (
        frozenset(map(fold, own.get(kind, ()))) for kind in ("before", "after", "surnames")
    )
    return before, after, surnames
