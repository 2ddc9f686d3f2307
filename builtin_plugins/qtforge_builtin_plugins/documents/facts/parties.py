"""The parties of a contract, from its definitions of them."""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from qtforge_builtin_plugins.documents.facts import contracts
from qtforge_builtin_plugins.documents.facts.companies import without_form
from qtforge_builtin_plugins.documents.facts.labels import fold

__all__ = ["find_parties"]

# Parties are named at the beginning; signatures at the end repeat them.
MOST_CHARACTERS: Final = 20_000
_MOST_PARTIES: Final = 10
_REACH: Final = 300  # the most characters from a party's name to its role
_QUOTES: Final = "\"'«»“”„‘’`"
_ROLE: Final = re.compile(
    r"""\((?:the\ |each\ an?\ |hereinafter[^"“”()\n]{0,40}|nachfolgend[^"“„()\n]{0,30})?["“„]
        (?P<role>[^"“”„()\n]{2,40})["”“]\)
    |,?\s[-–]?\s?(?:nachfolgend|im\ Folgenden)\s(?:auch\s)?[^\w\n]{0,2}["„“»]
    |,?\s(?:далее\s)?именуем[а-я]{2,4}\s+в\s+дальнейшем
    |\s\(далее\s*[-–—:]""",
    re.VERBOSE | re.IGNORECASE,
)
# Contracts define other things in the same way as parties.
_NOT_A_PARTY: Final = re.compile(
    r"(?:date|agreement|contract|term|terms|services?|fees?|page|information|purpose|products?|goods"
    r"|territory|premises|property|schedule|annex|deliverables|work|software|price|parties|period)$",
    re.IGNORECASE,
)
_NAME_STARTS: Final = re.compile(
    r"\b(?:between|among|zwischen|между)\b|[\)”\"–-]\s*,?\s*(?:and|und)\b|,\s*(?:and|und|и)\s"
    r"|\bстороны,?\s+и\s|\n|:\s|;|(?<=[^\W\d_]{3})\.\s(?=\w)",
    re.IGNORECASE,
)
_COMPANY_FORM: Final = re.compile(
    r"\s(?:Inc|LLC|L\.L\.C|Ltd|Limited|Corp|Co|LP|LLP|PLC|GmbH|AG|S\.A|B\.V|N\.V)\b\.?",
    re.IGNORECASE,
)
_AROUND: Final = " ,;\t–-"
_ARTICLE: Final = re.compile(r"^(?:der|die|das|dem|den|the)\s+(?=[^\W\d_a-z])")
_DESCRIPTION: Final = re.compile(r"\s(?:located|having|with its|mit Sitz|в лице)\b")
# Such as "each party": capital letters are no help at a sentence's beginning.
_GENERIC: Final = re.compile(
    r"(?:each|either|any|every|such|all|both|this|these|the|an?)\s+party\b", re.IGNORECASE
)
_SMALL_WORDS: Final = frozenset(
    ["and", "of", "the", "for", "de", "la", "und", "der", "die", "das", "für", "и", "в", "по"]
)
_LABEL: Final = re.compile(
    r"^\W{0,4}(?:party [ab12]|first party|second party|supplier|customer|client"
    r"|(?:service )?provider"
    r"|contractor|seller|buyer|purchaser|landlord|tenant|lessor|lessee|licensor|licensee|employer"
    r"|employee|auftraggeber|auftragnehmer|vermieter|mieter|verkäufer|käufer|исполнитель|заказчик"
    r"|продавец|покупатель|поставщик|арендодатель|арендатор)\W{0,4}[:\t]\s{0,4}(?P<name>[^\n\t]{2,120})$",
    re.IGNORECASE | re.MULTILINE,
)
_BETWEEN: Final = re.compile(
    r"\bbetween\s(?P<one>[A-Z][^\n()]{2,100}?)\s+and\s+(?P<other>[A-Z][^\n(),.;]{2,80})"
)


def find_parties(text: str, language: str | None = None) -> list[str]:
    """Return the parties in the contract's first 20,000 characters, in order.

    The sources are, in this order: the words of the language (`contracts`); names with a role,
    such as ``Acme Ltd (the "Supplier")``; lines such as ``Supplier: Acme Ltd``;
    ``between A and B``.

    Args:
        text: The contract's text.
        language: ISO 639-1, or None.
    """
    text = text[:MOST_CHARACTERS]
    if language in contracts.LANGUAGES:
        contract = contracts.Contract(text, language)
        named = _distinct(each.name for each in contract.names if each.is_party)
        if len(named) > 1:
            return named[:_MOST_PARTIES]
    else:
        named = []
    for source in (_with_roles, _with_labels, _between):
        names = list(dict.fromkeys(name for name in map(_tidy, source(text)) if name))
        if len(names) > len(named):
            return names[:_MOST_PARTIES]
    return named


def _distinct(names: Iterable[str]) -> list[str]:
    """Return names without those that repeat another one, such as one in capitals."""
    found: dict[str, str] = {}
    for name in names:
        key = " ".join(re.findall(r"\w+", fold(without_form(name))))
        if any(f" {key} " in f" {known} " for known in found):
            continue
        found = {known: each for known, each in found.items() if f" {known} " not in f" {key} "}
        found[key] = name
    return list(found.values())


def _with_roles(text: str) -> Iterator[str]:
    for match in _ROLE.finditer(text):
        if match["role"] and _NOT_A_PARTY.search(match["role"].strip(" .,")):
            continue
        before = text[max(0, match.start() - _REACH) : match.start()]
        start = max((found.end() for found in _NAME_STARTS.finditer(before)), default=0)
        yield before[start:]


def _with_labels(text: str) -> Iterator[str]:
    for match in _LABEL.finditer(text):
        yield match["name"]


def _between(text: str) -> Iterator[str]:
    match = _BETWEEN.search(text)
    if match:
        yield match["one"]
        yield match["other"]


def _tidy(candidate: str) -> str | None:
    """Return the name without a description of the party; None when it is not a name."""
    candidate = _ARTICLE.sub("", candidate.strip(_AROUND))
    name, *details = candidate.split(",")
    if details and _COMPANY_FORM.match(details[0]):
        name = f"{name},{details[0]}"
    name = _DESCRIPTION.split(name, maxsplit=1)[0].strip()
    if not _COMPANY_FORM.search(name[-12:]):
        name = name.rstrip(".")
    bare = name.strip(_QUOTES + " ")
    quoted = bare == name[1:-1].strip()
    if quoted:
        name = bare  # the quotes are around the whole, not around a part of the name
    starts_well = quoted or name[:1].isupper() or name[:1].isdigit()
    return name if 2 <= len(bare) <= 100 and starts_well and not _is_sentence(name) else None


def _is_sentence(name: str) -> bool:
    words = [word for word in name.split() if word.lower() not in _SMALL_WORDS]
    lower = sum(word[:1].islower() for word in words)
    return (
        _GENERIC.match(name) is not None
        or len(words) > 10
        or (len(words) > 1 and lower > len(words) / 2)
    )
