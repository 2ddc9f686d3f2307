"""Convert Parquet's types to the types of rows: numbers, text, booleans and nested values."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import duckdb
import msgspec

from qtforge_builtin_plugins.aggregation.columns import BOOLEAN, INTEGER, NESTED, NUMBER, TEXT
from qtforge_builtin_plugins.collectors.files.parquet_values import plain_sql

__all__ = ["ParquetColumn", "parquet_columns"]

_BITS: Final[Mapping[str, int]] = MappingProxyType(
    {"boolean": BOOLEAN, "integer": INTEGER, "number": NUMBER, "text": TEXT}
)
_WIDE: Final = frozenset({"HUGEINT", "UBIGINT"})


class ParquetColumn(msgspec.Struct, frozen=True):
    """A column of a Parquet file.

    Attributes:
        kind: The bit of its type.
        value: The SQL of its value.
        json: The SQL of its value as JSON.
        wide: Whether its integers need more than 64 bits with a sign.
    """

    kind: int
    value: str
    json: str
    wide: bool = False


def parquet_columns(
    connection: duckdb.DuckDBPyConnection, pattern: str
) -> dict[str, ParquetColumn]:
    """Return the columns of a Parquet file, by name; in SQL they are ``p0``, ``p1``...

    Args:
        connection: Answers.
        pattern: The file's path, as a pattern.
    """
    query = "DESCRIBE SELECT * FROM read_parquet($1)"
    described = connection.execute(query, [pattern]).fetchall()
    return {
        name: _column(str(sql_type), f"p{place}")
        for place, (name, sql_type, *_) in enumerate(described)
    }


def _column(sql_type: str, name: str) -> ParquetColumn:
    kind, value = _plain(sql_type, name)
    if kind == NESTED and sql_type == "JSON":
        return ParquetColumn(kind, value, value)
    return ParquetColumn(kind, value, f"to_json({value})", sql_type in _WIDE)


def _plain(sql_type: str, name: str) -> tuple[int, str]:
    if sql_type in _WIDE:
        return INTEGER, name
    plain = plain_sql(sql_type, name)
    if plain is not None:
        return _BITS[plain.type], plain.sql
    if sql_type.startswith("DECIMAL"):
        return NUMBER, f"CAST({name} AS DOUBLE)"
    if sql_type == "BLOB":
        return TEXT, f"lower(hex({name}))"
    if sql_type == "JSON" or sql_type.startswith(("STRUCT", "MAP")) or sql_type.endswith("]"):
        return NESTED, name if sql_type == "JSON" else f"to_json({name})"
    return TEXT, f"CAST({name} AS VARCHAR)"
