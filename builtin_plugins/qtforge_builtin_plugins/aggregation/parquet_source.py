"""Convert Parquet's types to the types of rows: numbers, text, booleans and nested values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import duckdb

from qtforge_builtin_plugins.aggregation.columns import BOOLEAN, INTEGER, NESTED, NUMBER, TEXT

__all__ = ["ParquetColumn", "parquet_columns"]

_INTEGERS: Final = frozenset(
    [
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
    ]
)


@dataclass(frozen=True, slots=True)
class ParquetColumn:
    """A column: the bit of its type, the SQL of its value, and the SQL of the value as JSON."""

    kind: int
    value: str
    json: str


def parquet_columns(connection: duckdb.DuckDBPyConnection, path: str) -> dict[str, ParquetColumn]:
    """Return the columns of a Parquet file, by name; in SQL they are ``p0``, ``p1``..."""
    query = "DESCRIBE SELECT * FROM read_parquet($1)"
    described = connection.execute(query, [path]).fetchall()
    return {
        name: _column(str(sql_type), f"p{place}")
        for place, (name, sql_type, *_) in enumerate(described)
    }


def _column(sql_type: str, name: str) -> ParquetColumn:
    kind, value = _plain(sql_type, name)
    if kind == NESTED and sql_type == "JSON":
        return ParquetColumn(kind, value, value)
    return ParquetColumn(kind, value, f"to_json({value})")


def _plain(sql_type: str, name: str) -> tuple[int, str]:
    if sql_type in _INTEGERS:
        return INTEGER, name
    if sql_type in ("DOUBLE", "FLOAT"):
        return NUMBER, f"CASE WHEN isfinite({name}) THEN CAST({name} AS DOUBLE) END"
    if sql_type.startswith("DECIMAL"):
        return NUMBER, f"CAST({name} AS DOUBLE)"
    if sql_type == "BOOLEAN":
        return BOOLEAN, name
    if sql_type == "BLOB":
        return TEXT, f"lower(hex({name}))"
    if sql_type.startswith("TIMESTAMP"):
        return TEXT, f"replace(CAST({name} AS VARCHAR), ' ', 'T')"
    if sql_type == "JSON" or sql_type.startswith(("STRUCT", "MAP")) or sql_type.endswith("]"):
        return NESTED, name if sql_type == "JSON" else f"to_json({name})"
    return TEXT, f"CAST({name} AS VARCHAR)"
