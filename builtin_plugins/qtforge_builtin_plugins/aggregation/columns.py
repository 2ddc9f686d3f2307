"""What columns the rows of all sources have, and of which type: found by looking at all of them.

A column that is missing in a row is null there. Integers and other numbers together are
numbers; anything else of different types, and every list and mapping, is ``mixed``, which
keeps each value as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qtforge_builtin_plugins.aggregation.messages import Column

__all__ = ["BOOLEAN", "INTEGER", "NESTED", "NUMBER", "TEXT", "TableColumn", "json_kind", "pointer"]

BOOLEAN: Final = 1
INTEGER: Final = 2
NUMBER: Final = 4
TEXT: Final = 8
NESTED: Final = 16

_NUMBER_TYPES: Final = "('BIGINT', 'UBIGINT', 'DOUBLE')"


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of the staged tables.

    Attributes:
        name: As in the rows.
        place: Its number; in the tables it is called ``c<place>``.
        kinds: Which types its values have, as bits.
        wide: Whether its integers need more than 64 bits with a sign.
    """

    name: str
    place: int
    kinds: int
    wide: bool = False

    @property
    def sql(self) -> str:
        """What it is called in SQL; never the name that somebody else gave it."""
        return f"c{self.place}"

    @property
    def described(self) -> Column:
        """It, as a result tells it."""
        match self.kinds:
            case 0:
                return Column(self.name, "null")
            case k if k == BOOLEAN:
                return Column(self.name, "boolean")
            case k if k == INTEGER:
                return Column(self.name, "integer")
            case k if not k & ~(INTEGER | NUMBER):
                return Column(self.name, "number")
            case k if k == TEXT:
                return Column(self.name, "text")
            case _:
                return Column(self.name, "mixed")

    @property
    def sql_type(self) -> str:
        """Its type in the staged tables."""
        integer = "HUGEINT" if self.wide else "BIGINT"
        types = {"boolean": "BOOLEAN", "integer": integer, "number": "DOUBLE", "mixed": "JSON"}
        return types.get(self.described.type, "VARCHAR")

    @property
    def compared(self) -> str:
        """What tells whether two values are the same: in ``mixed``, 1 and 1.0 are, 1 and "1" not.

        Lists and mappings are the same when they are written the same.
        """
        if self.described.type != "mixed":
            return self.sql
        number = f"CAST(CAST({self.sql} AS DOUBLE) + 0 AS VARCHAR)"
        is_number = f"json_type({self.sql}) IN {_NUMBER_TYPES}"
        return f"CASE WHEN {is_number} THEN {number} ELSE CAST({self.sql} AS VARCHAR) END"

    @property
    def number(self) -> str | None:
        """Its value where that is a number, else null; None where it never is."""
        if not self.kinds & (INTEGER | NUMBER):
            return None
        if self.described.type != "mixed":
            return self.sql
        is_number = f"json_type({self.sql}) IN {_NUMBER_TYPES}"
        return f"CASE WHEN {is_number} THEN CAST({self.sql} AS DOUBLE) END"


def pointer(name: str) -> str:
    """Return a column's JSON pointer (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def json_kind(types: Sequence[str], place: int) -> str:
    """Return the SQL that gives the bit of a JSON value's type.

    Args:
        types: The name of the list of types, as ``json_type`` gives them.
        place: Which of them, from 1.
    """
    it = f"{types}[{place}]"
    return (
        f"CASE {it} WHEN 'BOOLEAN' THEN {BOOLEAN} WHEN 'BIGINT' THEN {INTEGER}"
        f" WHEN 'UBIGINT' THEN {INTEGER} WHEN 'DOUBLE' THEN {NUMBER} WHEN 'VARCHAR' THEN {TEXT}"
        f" WHEN 'ARRAY' THEN {NESTED} WHEN 'OBJECT' THEN {NESTED} ELSE 0 END"
    )
