"""Names in the fields of forms: the surname first, or its parts in fields of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from qtforge_builtin_plugins.documents.facts.companies import has_form
from qtforge_builtin_plugins.documents.facts.given_names import is_given
from qtforge_builtin_plugins.documents.facts.own_roles import Words
from qtforge_builtin_plugins.documents.facts.people import PERSON_SMALL, PERSON_WORD
from qtforge_builtin_plugins.documents.facts.sides import Named

__all__ = ["find_in_fields"]

# A form's field: after a colon, a tab or a gap, up to the end of the cell.
_FIELD: Final = re.compile(r"[ ]{0,3}[:\t]\s{0,40}|[ ]{3,40}")
_FIELD_END: Final = r"(?=[ ]{0,2}(?:\n|\t|$|   ))"
_SURNAME_FIRST: Final = re.compile(
    rf"{PERSON_WORD}(?:[ ](?:{PERSON_SMALL}[ ])?{PERSON_WORD}){{0,2}},[ ]"
    rf"(?P<given>{PERSON_WORD}(?:[ ]{PERSON_WORD}){{0,2}}){_FIELD_END}"
)
_PART_OF_NAME: Final = re.compile(
    rf"(?:{PERSON_SMALL}[ ]){{0,2}}{PERSON_WORD}(?:[ ](?:{PERSON_SMALL}[ ]){{0,2}}{PERSON_WORD})"
    rf"{{0,3}}{_FIELD_END}"
)
_FIELDS_OF_NAMES: Final = frozenset(["naming", "role", "signature", "family"])


def find_in_fields(contract: Words) -> Iterator[Named]:
    """Yield the names in the fields of forms: ``Doe, Jane``, and in two fields or three."""
    parts: list[tuple[str, str]] = []
    start = end = 0
    for hit in [*contract.hits, None]:
        if hit is None or contract.raw[end : hit.start].strip(" \t\n,/*|"):
            yield from _joined_parts(contract, parts, start)
            parts = []
        if hit is None or not (_FIELDS_OF_NAMES | {"given"}) & set(hit.kinds):
            continue
        gap = _FIELD.match(contract.raw, hit.end)
        if gap is None:
            continue
        both = _SURNAME_FIRST.match(contract.raw, gap.end())
        if both and _FIELDS_OF_NAMES & set(hit.kinds):
            given = both["given"].split()
            is_long = " " in contract.folded[hit.start : hit.end]  # surname, first name
            if (is_long and "naming" in hit.kinds) or is_given(given[0], contract.language):
                yield Named(both[0], both.start(), "role" in hit.kinds)
            continue
        part = _PART_OF_NAME.match(contract.raw, gap.end())
        kind = next((each for each in ("given", "family") if each in hit.kinds), None)
        if part is None or kind is None or has_form(part[0]):
            continue
        if not parts:
            start = part.start()
        parts.append((kind, part[0]))
        end = part.end()


def _joined_parts(contract: Words, parts: Sequence[tuple[str, str]], start: int) -> Iterator[Named]:
    """Yield the name of a form's fields for its parts, in the order of the language."""
    given = [part for kind, part in parts if kind == "given"]
    family = [part for kind, part in parts if kind == "family"]
    if given and family:
        order = (family, given) if contract.language == "ru" else (given, family)
        yield Named(" ".join([*order[0], *order[1]]), start, False)
