"""Names, texts and paths in DuckDB's SQL."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["identifier", "literal", "pattern_of"]

_MAGIC: Final = re.compile(r"([*?[])")


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
    """Return a text as an SQL literal, in which only quotes have to be doubled."""
    return "'" + str(text).replace("'", "''") + "'"


def pattern_of(path: object) -> str:
    """Return the pattern that only this path matches, since DuckDB takes paths for patterns.

    >>> pattern_of("/data [1]/*.csv")
    '/data [[]1]/[*].csv'
    """
    return _MAGIC.sub(r"[\1]", str(path))
