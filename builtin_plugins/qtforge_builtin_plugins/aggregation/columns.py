"""The columns of all sources' rows and their types, determined from all values.

A column that is missing in a row is null there. Integers and other numbers together are
numbers; values of other different types, and lists and mappings, are ``mixed``, which stores
each value unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from qtforge_builtin_plugins.aggregation.messages import Column

__all__ = ["BOOLEAN", "INTEGER", "NESTED", "NUMBER", "TEXT", "TableColumn", "json_kind", "pointer"]

BOOLEAN: Final = 1
INTEGER: Final = 2
NUMBER: Final = 4
TEXT: Final = 8
NESTED: Final = 16

_NUMBER_TYPES: Final = "('BIGINT', 'UBIGINT', 'DOUBLE')"


class TableColumn(msgspec.Struct, frozen=True):
    """A column of the staged tables.

    Attributes:
        name: The key in the rows.
        place: Its number; its name in the tables is ``c<place>``.
        kinds: The types of its values, as bits.
        wide: Whether its integers need more than 64 bits with a sign.
    """

    name: str
    place: int
    kinds: int
    wide: bool = False

    @property
    def sql(self) -> str:
        """Its name in SQL; never a name from outside."""
        return f"c{self.place}"

    @property
    def described(self) -> Column:
        """Its description in a result."""
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
        """The SQL value for comparisons: in ``mixed``, 1 equals 1.0 but not "1".

        Lists and mappings are equal when their JSON texts are.
        """
        if self.described.type != "mixed":
            return self.sql
        number = f"CAST(CAST({self.sql} AS DOUBLE) + 0 AS VARCHAR)"
        is_number = f"json_type({self.sql}) IN {_NUMBER_TYPES}"
        return f"CASE WHEN {is_number} THEN {number} ELSE CAST({self.sql} AS VARCHAR) END"

    @property
    def number(self) -> str | None:
        """The SQL of its value if that is a number, else null; None if it never is one."""
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
    """Return the SQL for the bit of a JSON value's type.

    Args:
        types: The name of the list of types, from ``json_type``.
        place: The position in the list, from 1.
    """
    it = f"{types}[{place}]"
    return (
        f"CASE {it} WHEN 'BOOLEAN' THEN {BOOLEAN} WHEN 'BIGINT' THEN {INTEGER}"
        f" WHEN 'UBIGINT' THEN {INTEGER} WHEN 'DOUBLE' THEN {NUMBER} WHEN 'VARCHAR' THEN {TEXT}"
        f" WHEN 'ARRAY' THEN {NESTED} WHEN 'OBJECT' THEN {NESTED} ELSE 0 END"
    )
