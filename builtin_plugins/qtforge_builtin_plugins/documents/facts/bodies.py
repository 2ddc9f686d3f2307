"""Names of bodies without a legal form: a town, a university, a club, a craftsman's workshop.

What kind of word makes a name one is data, ``bodies.toml``.
"""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from qtforge_builtin_plugins.documents.facts.labels import fold

__all__ = ["NAME_WORD", "SMALL_WORD", "find_bodies", "is_body"]

_DATA: Final = Path(__file__).with_name("bodies.toml")
_FALLBACK: Final = "en"
_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿа-яёğışçöüłńśźżćęą]"
NAME_WORD: Final = (
    rf"(?:(?:[dDlL]['’])?{_CAPITAL}(?:\w{{0,4}}\.(?=[ \u00a0]{_CAPITAL})|[\w'’-]*)|&|\+"
    r"|«[^»\n\t]{2,50}»|“[^”\n\t]{2,50}”|„[^“”\n\t]{2,50}[“”]|\"[^\"\n\t]{2,50}\""
    r"|\d{1,4}(?=[ ][^\W\d_]))"
)
"""The pattern of a word of a body's name, or of its part in quotation marks."""

SMALL_WORD: Final = (
    r"(?:d['’]|l['’]|(?:and|of|the|for|at|in|und|der|die|das|für|am|an|im|zu|de|du|des|la|le|les|et"
    r"|aux?|à|del|los|las|y|e|della|delle|dello|dei|degli|di|da|a|van|den|ter|te|voor|en"
    r"|по|и|ve)[ \u00a0])"
)
"""The pattern of a word in small letters between them, with the space after it."""

_REST: Final = rf"(?:{SMALL_WORD}{{0,3}}{NAME_WORD})"
# The kinds of bodies are declined in Russian, and have words in small letters behind them.
_RUSSIAN_REST: Final = (
    rf"(?:[а-яё][а-яё-]+[ ]){{0,4}}{NAME_WORD}(?:[ ](?:[а-яё]+[ ]){{0,1}}{NAME_WORD}){{0,3}}"
)
_MOST_WORDS: Final = 6
# Where the kind of a body in small letters is no part of its name: l'association Les Amis.
_KIND_APART: Final = frozenset({"fr", "es", "it"})


@cache
def _patterns(language: str | None) -> tuple[re.Pattern[str], ...]:
    data: Mapping[str, Mapping[str, Sequence[str]]] = tomllib.loads(_DATA.read_text("utf-8"))
    own = data.get(language or _FALLBACK, data[_FALLBACK])
    patterns = []
    if own["before"]:
        kinds = "|".join(map(_kind, sorted(own["before"], key=len, reverse=True)))
        rest = (
            _RUSSIAN_REST
            if language == "ru"
            else rf"{_REST}(?:[ \u00a0]{_REST}){{0,{_MOST_WORDS}}}"
        )
        patterns.append(
            re.compile(rf"(?<![\w-])(?P<name>(?:{kinds})(?:[ \u00a0]|['’]){rest})(?![\w@])")
        )
    kinds = "|".join(map(_kind, sorted(own["after"], key=len, reverse=True)))
    words = rf"{NAME_WORD}(?:[ \u00a0]{SMALL_WORD}{{0,3}}{NAME_WORD}){{0,{_MOST_WORDS}}}?"
    patterns.append(
        re.compile(
            rf"(?<![\w'’&-])(?P<name>{words}[ \u00a0](?:{kinds}))(?![\w@-])(?!['’]\w*[A-ZÇĞİÖŞÜ])"
        )
    )
    return tuple(patterns)


def _kind(word: str) -> str:
    """Return the pattern of a kind: with a small or a great letter, or the end of a word."""
    if word.startswith("-"):
        return rf"{_CAPITAL}[\w-]*{re.escape(word[1:])}"
    first, rest = word[0], re.escape(word[1:])
    upper = re.escape("İ" if first == "i" and "ü" in word else first.upper())
    titled = " ".join(each[:1].upper() + each[1:] for each in word.split())
    either = rf"[{first}{upper}]{rest}" if first.isalpha() else re.escape(word)
    return rf"{either}|{re.escape(titled)}|{re.escape(word.upper())}"


def find_bodies(
    text: str, language: str | None, end: int | None = None
) -> Iterator[tuple[int, str]]:
    """Yield each name of a body with its place.

    Args:
        text: Any text, with the lines of a paragraph joined.
        language: ISO 639-1, or None.
        end: Where to stop.
    """
    for pattern in _patterns(language):
        for match in pattern.finditer(text, 0, len(text) if end is None else end):
            name = match["name"]
            kind, _, rest = name.partition(" ")
            if language in _KIND_APART and kind.islower() and rest[:1].isupper():
                yield match.start() + len(kind) + 1, rest
            else:
                yield match.start(), name


def is_body(name: str, language: str | None) -> bool:
    """Return whether a name is one of a body by its words.

    >>> is_body("Gemeinde Oberweiler", "de"), is_body("Jane Doe", "en")
    (True, False)
    """
    return any(
        start == 0 and fold(found) == fold(name) for start, found in find_bodies(name, language)
    )
