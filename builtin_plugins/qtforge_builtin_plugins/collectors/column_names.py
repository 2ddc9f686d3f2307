"""Unique names for columns."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["column_names"]


def column_names(names: Sequence[str]) -> list[str]:
    """Return unique names: a second ``id`` is ``id_2``, a third column without name ``column3``.

    >>> column_names(["id", "name", "id", ""])
    ['id', 'name', 'id_2', 'column4']
    """
    given = [name or f"column{number}" for number, name in enumerate(names, 1)]
    taken = set(given)
    used: set[str] = set()
    unique = []
    for name in given:
        new, number = name, 1
        while new in used or (number > 1 and new in taken):
            number += 1
            new = f"{name}_{number}"
        used.add(new)
        unique.append(new)
    return unique
