"""Read TOML whose nesting has a limit."""

from __future__ import annotations

import tomllib
from typing import Any, Final

__all__ = ["DEEPEST", "TomlTooDeepError", "read"]

DEEPEST: Final = 100
"""How many tables and arrays may be within each other; a workflow needs about 10."""


class TomlTooDeepError(tomllib.TOMLDecodeError):
    """The text is TOML, and nested deeper than `DEEPEST`."""

    def __init__(self) -> None:
        super().__init__(f"its tables or arrays are nested more than {DEEPEST} deep")


def read(text: str) -> dict[str, Any]:
    """Return the table that a text in TOML holds.

    What comes after (checks, expressions, the journal) descends once for each level, and some
    of it takes more of the stack for one than tomllib.

    Raises:
        tomllib.TOMLDecodeError: It is not TOML, or a `TomlTooDeepError`.

    >>> read("a.b = [1]")
    {'a': {'b': [1]}}
    """
    try:
        table = tomllib.loads(text)
    except RecursionError as error:  # tomllib descends once for each level
        raise TomlTooDeepError from error
    level: list[Any] = [table]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return table
    raise TomlTooDeepError
