"""Names of one contract compared with each other: parts, short forms and two that are one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set

from qtforge_builtin_plugins.documents.facts.companies import has_form
from qtforge_builtin_plugins.documents.facts.labels import fold
from qtforge_builtin_plugins.documents.facts.sides import Named

__all__ = ["is_joined", "is_short_form", "known_end", "without_parts"]


def without_parts(names: Sequence[Named]) -> list[Named]:
    """Return names without those that are a part of another one at the same place."""
    kept: list[Named] = []
    for named in names:
        around = [
            other
            for other in names
            if len(other.name) > len(named.name)
            and f" {named.name} " in f" {other.name} "
            and other.start <= named.start < other.start + len(other.name)
        ]
        if not around:
            is_party = named.is_party or any(
                other.is_party
                and not has_form(named.name)
                and f" {other.name} " in f" {named.name} "
                and named.start <= other.start < named.start + len(named.name)
                for other in names
            )
            kept.append(Named(named.name, named.start, is_party))
    return kept


def is_joined(name: str, keys: Set[str]) -> bool:
    """Return whether a name is two others that stand side by side, as signatures do."""
    words = fold(name).split()
    return any(
        " ".join(words[:at]) in keys and " ".join(words[at:]) in keys
        for at in range(2, len(words) - 1)
    )


def is_short_form(name: str, whole: str) -> bool:
    """Return whether a name is another with initials: X. Doe for Xaver Doe."""
    words, others = re.findall(r"\w+", fold(name)), re.findall(r"\w+", fold(whole))
    if words == others or not any(len(word) == 1 for word in words) or not words:
        return False
    rest = list(others)
    for word in sorted(words, key=len, reverse=True):
        found = next((o for o in rest if o == word or (len(word) == 1 and o[0] == word)), None)
        if found is None:
            return False
        rest.remove(found)
    return True


def known_end(name: str, known: Mapping[str, Set[str]]) -> str:
    """Return the end of a name that is a known name: Acme Ltd in "On behalf of Acme Ltd".

    Args:
        name: A name.
        known: Each name with the words before it; the rest of a name after a line break has
            the same one.
    """
    words = name.split(" ")
    for index in range(len(words) - 2, 0, -1):
        end = " ".join(words[index:])
        if any(not words[index - 1].startswith(before) for before in known.get(end, ())):
            return end
    return name
