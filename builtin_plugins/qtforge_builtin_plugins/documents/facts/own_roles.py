"""The roles of one contract that no list of roles has, by where they stand in it."""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
from typing import Final, Protocol

from qtforge_builtin_plugins.documents.facts.bodies import find_bodies
from qtforge_builtin_plugins.documents.facts.companies import find_companies
from qtforge_builtin_plugins.documents.facts.given_names import is_given
from qtforge_builtin_plugins.documents.facts.labels import Hit, fold
from qtforge_builtin_plugins.documents.facts.people import CAPITAL, split_words

__all__ = ["CLAUSE_CHARACTERS", "Words", "find_own_roles"]

CLAUSE_CHARACTERS: Final = 2_000
"""The characters in which the clause of a contract's parties ends."""

_LEAST_ROLES: Final = 2
_ROLE_LINE: Final = re.compile(
    rf"^(?P<role>{CAPITAL}[^\W\d_]{{4,30}})[ \t]+(?={CAPITAL}[\w'’-]*[ ]{CAPITAL})", re.MULTILINE
)
_ROLE_LABEL: Final = re.compile(
    rf"^[ \t]{{0,8}}(?:(?:L['’]|(?:Le|La|El|Il|De|Het|Der|Die|Das|The)[ ]))?"
    rf"(?P<role>{CAPITAL}[^\W\d_]{{3,30}})(?:/[^\W\d_]{{1,20}})?[ ]?:[ \t]{{1,8}}"
    rf"(?=[^\W_a-zß-öø-ÿа-яё]|[^\W\d_]{{2,12}}[ ]{CAPITAL})",
    re.MULTILINE,
)
_LEAST_ROLE: Final = 5  # letters of a role of which the last may change
_NO_ROLE: Final = frozenset(
    ["stop", "signature", "contact", "represents", "id", "account", "naming", "family", "given",
     "personal", "other", "born", "trade", "post"]
)  # fmt: skip
_ANY_ARTICLE: Final = (
    r"(?<!\w)(?:the|der|die|das|den|dem|des|le|la|du|au|el|del|al|il|lo|dello|dal|de|het|o)"
)


class Words(Protocol):
    """A contract's text with the words that are found in it."""

    raw: str
    text: str
    folded: str
    language: str | None
    hits: list[Hit]


def find_own_roles(contract: Words) -> list[Hit]:
    """Return the places of roles of this contract only.

    Two of the first lines begin with such a word and have a name after it, and later text has
    each word after an article: ``Processor Acme Ltd``, and "the Processor".
    """
    known = {hit.start for hit in contract.hits}
    words = {
        match["role"]
        for match in _ROLE_LINE.finditer(contract.raw, 0, CLAUSE_CHARACTERS)
        if match.start("role") not in known
        and not is_given(match["role"], contract.language)
        and re.search(rf"(?i:{_ANY_ARTICLE}[ \n]{re.escape(match['role'][:-1])})", contract.text)
    }
    with_name = [
        match["role"]
        for match in _ROLE_LINE.finditer(contract.raw, 0, CLAUSE_CHARACTERS)
        if match["role"] in words or match.start("role") in known
    ]
    if len(set(with_name)) < _LEAST_ROLES:
        words = set()
    words |= _labelled_roles(contract)
    if not words:
        return []
    pattern = "|".join(re.escape(word) for word in sorted(words))
    return [
        Hit(("role",), match.start(), match.end(), True)
        for match in re.finditer(rf"(?<!\w)(?:{pattern})[^\W\d_A-Z]{{0,2}}(?!\w)", contract.text)
    ]


def _labelled_roles(contract: Words) -> set[str]:
    """Return the roles of this contract only that are labels: ``Photographer: Jane Doe``.

    Two of the first lines begin with a role and a colon, and the later text has the word of
    each that is on no list, or a name follows both that is known to be one.
    """
    known = 0
    found: dict[str, str] = {}
    named: dict[str, str] = {}
    labels = list(_ROLE_LABEL.finditer(contract.raw, 0, CLAUSE_CHARACTERS))
    ends = [match.end() for match in labels]
    for match in labels:
        hits = [
            hit for hit in contract.hits if match.start("role") <= hit.start < match.end("role")
        ]
        if any("role" in hit.kinds for hit in hits):
            known += 1
            continue
        if any(_NO_ROLE & set(hit.kinds) for hit in hits):
            continue
        word = fold(match["role"])
        stem = word[:-1] if len(word) > _LEAST_ROLE else word
        again = re.finditer(rf"(?<!\w){re.escape(stem)}\w{{0,3}}(?!\w)", contract.folded)
        uses = [each for each in again if each.start() > ends[0]]
        if _is_name_after(contract, match.end()):
            named.setdefault(word, match["role"])
        if any(contract.text[each.end() : each.end() + 2].strip()[:1] != ":" for each in uses):
            found.setdefault(word, match["role"])
    if len(found) + known < _LEAST_ROLES:
        found |= named
    if len(found) + known < _LEAST_ROLES or not found:
        return set()
    return {form for role in found.values() for form in (role, role.lower(), role.capitalize())}


def _is_name_after(contract: Words, position: int) -> bool:
    """Return whether a company, a body or a usual given name is at a position."""
    line = contract.raw[position : contract.raw.find("\n", position) % 10**9]
    first = split_words(line)[:1]
    return (
        any(start == 0 for start, _ in find_companies(line))
        or any(start == 0 for start, _ in find_bodies(line, contract.language))
        or any(is_given(word.text, contract.language) for word in first)
    )
