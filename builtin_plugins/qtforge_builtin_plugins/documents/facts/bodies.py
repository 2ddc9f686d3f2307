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
from types import MappingProxyType
from typing import Final

from qtforge_builtin_plugins.documents.facts.common_words import is_common
from qtforge_builtin_plugins.documents.facts.given_names import is_given
from qtforge_builtin_plugins.documents.facts.labels import fold

__all__ = ["NAME_WORD", "SMALL_WORD", "find_bodies", "find_shops", "is_body", "is_kind"]

_DATA: Final = Path(__file__).with_name("bodies.toml")
_FALLBACK: Final = "en"
_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿа-яёğışçöüłńśźżćęą]"
NAME_WORD: Final = (
    rf"(?:(?:[dDlL]['’])?{_CAPITAL}(?:\w{{0,4}}\.(?=[ \u00a0]{_CAPITAL})|[\w'’-]*)|&|\+"
    r"|«[^»\n\t]{2,50}»|“[^”\n\t]{2,50}”|„[^“”\n\t]{2,50}[“”]|\"[^\"\n\t]{2,50}\""
    r"|\d{1,4}(?=[ ][^\W\d_])|['’]\d{2}(?!\w))"
)
"""The pattern of a word of a body's name, or of its part in quotation marks."""

SMALL_WORD: Final = (
    r"(?:d['’]|l['’]|(?:and|of|the|for|at|in|und|der|die|das|für|am|an|im|zu|de|du|des|la|le|les|et"
    r"|aux?|à|del|los|las|y|e|della|delle|dello|dei|degli|di|da|a|ai|alla|alle|al|agli|dal|sul|con|per|van|den|ter|te|voor|en"
    r"|по|и|ve)[ \u00a0])"
)
"""The pattern of a word in small letters between them, with the space after it."""

_REST: Final = rf"(?:{SMALL_WORD}{{0,3}}{NAME_WORD})"
# The kinds of bodies are declined in Russian, and have words in small letters behind them.
_RUSSIAN_REST: Final = (
    rf"(?:[а-яё][а-яё-]+[ ]){{0,4}}{NAME_WORD}(?:[ ](?:[а-яё]+[ ]){{0,1}}{NAME_WORD}){{0,3}}"
    r"(?:(?:[ ][а-яё]+ого)?[ ](?:района|округа|области|края|поселения|образования|города"
    r"|республики)"
    r"(?:[ ][А-ЯЁ][а-яё-]+(?:[ ](?:области|края|района))?)?)?"
)
# Words before the kind of a body that are a part of its name.
_ADJECTIVES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "de": rf"(?:{_CAPITAL}\w+(?:isch|lich|ig|tsch)e[nrms]?[ ]){{0,2}}",
        "ru": (
            r"(?:[А-ЯЁ][а-яё-]+(?:ый|ая|ое|ий|яя|ее)[ ]"
            r"(?:[а-яё-]+(?:ый|ая|ое|ий|ого|ой)[ ]){0,3})?"
        ),
    }
)
_MOST_WORDS: Final = 6
_OF: Final = re.compile(r" (?:of|OF) ")
# Where the kind of a body in small letters is no part of its name: l'association Les Amis.
_KIND_APART: Final = frozenset({"fr", "es", "it"})
_HOUSES: Final = re.compile(
    r",? (?:[Nn][r°º.]{0,2} ?)?\d{1,4}[a-z]?(?: ?[-–/] ?\d{1,4}[a-z]?)?(?![\w.])"
)
_QUOTED_REST: Final = re.compile(r"[«“„\"] ?(?P<inner>[^«»“”„\"]+?) ?[»“”\"]")
_PERSON_AT: Final = re.compile(r"(?:[^\W\d_][\w'’.-]* ){2,4}(?:at|in|of) ")
_BESIDE_A_PERSON: Final = re.compile(r" (?:of|in|aus|zu|at) (?=[^\W\d_])")
# Bar Sport di Rossi Anna: the name of a shop with its owner's.
_WITH_OWNER: Final = re.compile(
    rf"(?<![\w'’&-])(?P<name>(?P<shop>{NAME_WORD}"
    rf"(?:[ \u00a0]{SMALL_WORD}?(?:{NAME_WORD}|\d{{1,4}})){{0,5}}?)"
    rf"[ \u00a0]di[ \u00a0](?P<owner>{_CAPITAL}[\w'’]+(?:[ \u00a0]{_CAPITAL}[\w'’]+){{1,3}}))"
    r"(?![\w@])"
)


@cache
def _words(language: str | None) -> Mapping[str, Sequence[str]]:
    data: Mapping[str, Mapping[str, Sequence[str]]] = tomllib.loads(_DATA.read_text("utf-8"))
    return data.get(language or _FALLBACK, data[_FALLBACK])


def _beginnings(kinds: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{fold(kind)} " for kind in sorted(kinds, key=len, reverse=True))


@cache
def _patterns(language: str | None) -> tuple[re.Pattern[str], ...]:
    own = _words(language)
    patterns = []
    if own["before"]:
        kinds = "|".join(map(_kind, sorted(own["before"], key=len, reverse=True)))
        rest = (
            _RUSSIAN_REST
            if language == "ru"
            else rf"{_REST}(?:[ \u00a0]{_REST}){{0,{_MOST_WORDS}}}"
        )
        patterns.append(
            re.compile(
                rf"(?<![\w-])(?P<name>{_ADJECTIVES.get(language or '', '')}(?:{kinds})"
                rf"(?:[ \u00a0]|['’]){rest})(?![\w@])"
            )
        )
    kinds = "|".join(map(_kind, sorted(own["after"], key=len, reverse=True)))
    words = rf"{NAME_WORD}(?:[ \u00a0]{SMALL_WORD}{{0,3}}{NAME_WORD}){{0,{_MOST_WORDS}}}?"
    patterns.append(
        re.compile(
            rf"(?<![\w'’&-])(?P<name>{words}[ \u00a0](?:{kinds})(?![\w@-])"
            rf"(?:[ \u00a0](?:{_CAPITAL}\w+[ \u00a0])?(?:{kinds})(?![\w@-])){{0,3}})"
            r"(?!['’]\w*[A-ZÇĞİÖŞÜ])"
        )
    )
    return tuple(patterns)


def _kind(word: str) -> str:
    """Return the pattern of a kind: with a small or a great letter, or the end of a word."""
    if word.startswith("-"):
        end = word[1:]
        return rf"{_CAPITAL}[\w-]*(?:{re.escape(end)}|-{re.escape(end[:1].upper() + end[1:])})"
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
    words = _words(language)
    estates = _beginnings(words.get("estates", ()))
    whole = _beginnings([*words.get("whole", ()), *words.get("estates", ())])
    numbered = _beginnings(words.get("numbered", ()))
    general = _beginnings(words.get("general", ()))
    for pattern in _patterns(language):
        for match in pattern.finditer(text, 0, len(text) if end is None else end):
            name = match["name"]
            kind, _, rest = name.partition(" ")
            folded = fold(name)
            if folded.startswith(general):
                continue  # All Council services: any of them
            if language in _KIND_APART and kind.islower() and not folded.startswith(whole):
                quoted = _QUOTED_REST.fullmatch(rest)
                if quoted:
                    yield match.start() + len(kind) + 1 + quoted.start("inner"), quoted["inner"]
                    continue
                if rest[:1].isupper():
                    yield match.start() + len(kind) + 1, rest
                    continue
            of_town = list(_OF.finditer(name))
            if len(of_town) > 1:
                name = name[: of_town[1].start()]  # the Town of A of Guildhall
            if folded.startswith(estates):
                at = len(next(each for each in estates if folded.startswith(each)))
                name = name[:at] + _BESIDE_A_PERSON.split(name[at:], maxsplit=1)[0]
            person = _PERSON_AT.match(name)
            if language == "en" and person and is_given(name.split()[0], "en"):
                yield match.start() + person.end(), name[person.end() :]
                continue  # Jane Doe at Oak Farm
            houses = _HOUSES.match(text, match.end())
            if houses and folded.startswith(numbered):
                name += houses[0]
            yield match.start(), name
    if language == "it":
        yield from find_shops(text, len(text) if end is None else end)


def find_shops(text: str, end: int) -> Iterator[tuple[int, str]]:
    """Yield the names of shops that have their owner's in them: Bar Sport di Rossi Anna.

    Args:
        text: An Italian text.
        end: Where to stop.
    """
    for match in _WITH_OWNER.finditer(text, 0, end):
        owner = match["owner"].split()
        is_person = any(is_given(word, "it") for word in owner) or any(
            len(re.findall(rf"(?<!\w){re.escape(' '.join(words))}(?!\w)", text)) > least
            for words, least in ((owner, 1), (owner[::-1], 0), ([*owner[1:], owner[0]], 0))
        )
        first = match["shop"].split()[0]
        if (
            is_person
            and not is_given(first, "it")
            and (is_kind(first, "it") or not is_common(first, "it"))
        ):
            yield match.start(), match["name"]


def is_kind(word: str, language: str | None) -> bool:
    """Return whether a word is only the kind of a body, which is no name by itself.

    >>> is_kind("Landkreis", "de"), is_kind("Oberweiler", "de")
    (True, False)
    """
    words = _words(language)
    return fold(word) in map(fold, [*words["before"], *words["after"]])


def is_body(name: str, language: str | None) -> bool:
    """Return whether a name is one of a body by its words.

    >>> is_body("Gemeinde Oberweiler", "de"), is_body("Jane Doe", "en")
    (True, False)
    """
    return any(
        start == 0 and fold(found) == fold(name) for start, found in find_bodies(name, language)
    )
