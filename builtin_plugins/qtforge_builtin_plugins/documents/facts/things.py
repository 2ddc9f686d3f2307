"""Things that are named like a person: the brand Jasper, the Frans Hals Museum.

The words beside such a name are data, ``things.toml``; the people of history, of works of art and
of brands, whose names are not private either, are in ``famous.toml``. A label such as
``Model: Jane Doe`` is none of them: who is named after it may be a person.
"""

# ruff: noqa: RUF001 - it has words in Russian

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from qtforge_builtin_plugins.documents.facts.given_names import is_given, stem
from qtforge_builtin_plugins.documents.facts.labels import fold

__all__ = [
    "follows_thing_word",
    "is_famous",
    "is_honorific",
    "is_thing",
    "is_thing_compound",
    "is_thing_word",
]

_DATA: Final = Path(__file__).with_suffix(".toml")
_CYRILLIC: Final = re.compile(r"[а-яё]")
_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿа-яёğışçöü]"
_BEFORE: Final = re.compile(r"([^\W\d_][\w-]*)[ \u00a0\n][\"“„«']?$")
_OF: Final = re.compile(
    r"([^\W\d_][\w-]*)[ \n](?:(?:of|de|du|des|del|della|dei|di|van|von|der)[ \n]|d['’])[\"“„«']?$"
)
# The names before another one: the varieties Jasper, Jane Doe and
_NAMES: Final = re.compile(
    rf"([^\W\d_][\w-]*)(?:[ \n]{_CAPITAL}[\w'’-]*){{1,4}}"
    rf"(?:,(?:[ \n]{_CAPITAL}[\w'’-]*){{1,4}}){{0,5}}"
    r"(?:,|,?[ \n](?:and|or|und|oder|sowie|et|ou|y|o|e|en|of|и|ve|veya))[ \n]$"
)
_AFTER: Final = re.compile(
    rf"(?: [JS]r\.)?[ \u00a0]([^\W\d_][\w-]*)(?:['’]\w+)?(?:[ \u00a0]({_CAPITAL}[\w-]*))?"
)
# Where a name such as Madison Hall is one of a place.
_AT_PLACE: Final = re.compile(r"(?<!\w)(?:[Ii]n|[Oo]n|[Aa]t|near|inside|outside|the)[ \n]$")
_MOST_BEFORE: Final = 40  # characters of a word before a name, with its space
_MOST_NAMES: Final = 160  # characters of the names before another one
_COMPOUND: Final = 3  # parts
_WITH_CAPITAL_NOUNS: Final = frozenset({"de"})
_WORD_START: Final = re.compile(r"(?<!\w)[^\W\d_]")
_FAMOUS: Final = Path(__file__).with_name("famous.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """The words beside the names of things, in one language; all folded."""

    before: frozenset[str]
    plural: frozenset[str]
    of: frozenset[str]
    after: frozenset[str]
    behind: frozenset[str]
    surnames: frozenset[str]
    businesses: frozenset[str]
    endings: tuple[str, ...]
    honorific: re.Pattern[str]


def is_thing(
    text: str, start: int, end: int, language: str | None, *, in_parties: bool = False
) -> bool:
    """Return whether the words beside a name say that it is one of a thing.

    Args:
        text: The text.
        start: The name's first character.
        end: The position after its last one.
        language: ISO 639-1; False for one without such words.
        in_parties: Whether it is where a contract names its parties. One may be called Galleria
            Rossi there, so that a word with a capital is a part of a name.
    """
    return follows_thing_word(text, start, language, in_parties=in_parties) or _is_before(
        text, start, end, language
    )


def follows_thing_word(
    text: str, start: int, language: str | None, *, in_parties: bool = False
) -> bool:
    """Return whether the words before a name say that it is one of a thing: the opera Carmen.

    Args:
        text: The text.
        start: The name's first character.
        language: ISO 639-1; False for one without such words.
        in_parties: As for `is_thing`.
    """
    words = _words(language)
    honorific = words.honorific.search(text, max(0, start - _MOST_BEFORE), start)
    at = honorific.start() if honorific else start
    begin = max(0, at - _MOST_BEFORE)
    ahead = _BEFORE.search(text, begin, at)
    if ahead is not None and fold(ahead[1]) in words.before | words.plural:
        is_part = ahead[1][0].isupper() and (
            language not in _WITH_CAPITAL_NOUNS or fold(ahead[1]) in words.businesses
        )
        return not (in_parties and is_part)
    of = _OF.search(text, begin, at)
    if of is not None and fold(of[1]) in words.of:
        return True
    return any(
        fold(names[1]) in words.plural
        for names in (
            _NAMES.match(text, place, at) for place in _word_starts(text, at - _MOST_NAMES, at)
        )
        if names is not None
    )


def _is_before(text: str, start: int, end: int, language: str | None) -> bool:
    """Return whether the word behind a name, or its last one, is the one of a thing."""
    words = _words(language)
    behind = _AFTER.match(text, end)
    last = text[start:end].rsplit(None, 1)[-1]
    if behind is not None and (
        fold(behind[1]) in words.behind
        or (
            behind[1][0].isupper()
            and bool(words.after & {fold(word) for word in behind.groups() if word})
        )
    ):
        return True
    return fold(last) in words.after and (
        fold(last) not in words.surnames
        or _AT_PLACE.search(text, max(0, start - 9), start) is not None
    )


def _word_starts(text: str, begin: int, end: int) -> list[int]:
    """Return where words begin in the sentence that a position is in, after another one."""
    begin = max(0, begin)
    begin = max(begin, *(text.rfind(mark, begin, end) + 1 for mark in (".", "\n\n", ";", ":")))
    return [match.start() for match in _WORD_START.finditer(text, begin, end)]


def is_thing_word(word: str, language: str | None) -> bool:
    """Return whether a word is one that is before the name of a thing, such as ``brand``."""
    words = _words(language)
    return fold(word) in words.before | words.plural


def is_famous(name: str) -> bool:
    """Return whether a name is one of history, of a work of art or of a brand.

    >>> is_famous("Wolfgang Amadeus Mozart"), is_famous("Александра Пушкина"), is_famous("Jane Doe")
    (True, True, False)
    """
    return _without_endings(name) in _famous()


@cache
def _famous() -> frozenset[str]:
    data: Mapping[str, Sequence[str]] = tomllib.loads(_FAMOUS.read_text("utf-8"))
    return frozenset(_without_endings(name) for names in data.values() for name in names)


def _without_endings(name: str) -> str:
    words = fold(name).replace("-", " ").split()
    return " ".join(stem(word) if _CYRILLIC.match(word) else word for word in words)


def is_honorific(text: str, start: int, language: str | None) -> bool:
    """Return whether a word such as ``Don`` or ``Lady`` is directly before a position."""
    found = _words(language).honorific.search(text, max(0, start - _MOST_BEFORE), start)
    return found is not None


def is_thing_compound(word: str, language: str | None) -> bool:
    """Return whether a word is made of the name of a person and the one of a thing.

    >>> is_thing_compound("Anne-Frank-Schule", "de"), is_thing_compound("Anna-Lena", "de")
    (True, False)
    """
    *names, last = word.split("-")
    words = _words(language)
    if not names:  # Paulownastraat
        return word.endswith(words.endings) and not word.lower().startswith(words.endings)
    return fold(last) in words.after or (
        len(names) + 1 >= _COMPOUND
        and is_given(names[0], language)
        and not is_given(last, language)
    )


@cache
def _words(language: str | None) -> _Words:
    data: Mapping[str, Mapping[str, Sequence[str]]] = tomllib.loads(_DATA.read_text("utf-8"))
    own = data.get(language or "", {})
    honorifics = "|".join(map(re.escape, own.get("honorifics", ())))

    def folded(kind: str) -> frozenset[str]:
        return frozenset(map(fold, own.get(kind, ())))

    return _Words(
        before=folded("before"),
        plural=folded("plural"),
        of=folded("of"),
        after=folded("after"),
        behind=folded("behind"),
        surnames=folded("surnames"),
        businesses=folded("businesses"),
        endings=tuple(own.get("endings", ())),
        honorific=re.compile(rf"(?<!\w)(?:{honorifics})\.?[ \n]$" if honorifics else r"(?!)"),
    )
