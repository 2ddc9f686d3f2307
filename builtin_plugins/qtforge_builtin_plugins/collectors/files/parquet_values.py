"""Parquet's scalar types as values of rows, in SQL."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

__all__ = ["PARQUET", "PlainValue", "plain_sql"]

PARQUET: Final = "(FORMAT parquet, DICTIONARY_SIZE_LIMIT 2000)"
"""The options of COPY for files of runs: columns of many values are not first tried as
dictionaries, which would cost a fifth of the time and make the file no smaller."""

_INTEGERS: Final = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
)
_TIMES: Final = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})
_BIGINT_DIGITS: Final = 18


class PlainValue(NamedTuple):
    """A type of rows, and the SQL of a value of it."""

    type: Literal["boolean", "integer", "number", "text"]
    sql: str


def plain_sql(kind: str, column: str) -> PlainValue | None:
    """Return a column's values as those of rows; None where only Python makes them plain.

    Dates and moments become ISO 8601 text as Python's ``isoformat`` writes it, with an offset
    if they have a zone; decimals become numbers, and NaN and infinity null.

    Args:
        kind: DuckDB's name of the column's type.
        column: The SQL of the column.
    """
    if kind in _INTEGERS:
        return PlainValue("integer", column)
    if kind == "BOOLEAN":
        return PlainValue("boolean", column)
    if kind == "VARCHAR":
        return PlainValue("text", column)
    if kind in ("FLOAT", "DOUBLE"):
        return PlainValue("number", f"CASE WHEN isfinite({column}) THEN {column}::DOUBLE END")
    if kind.startswith("DECIMAL"):
        digits, fraction = map(int, kind.removeprefix("DECIMAL(").rstrip(")").split(","))
        if fraction:
            return PlainValue("number", f"{column}::DOUBLE")
        if digits <= _BIGINT_DIGITS:
            return PlainValue("integer", f"{column}::BIGINT")
    if kind in ("DATE", "UUID") or kind.startswith("ENUM"):
        return PlainValue("text", f"{column}::VARCHAR")
    if kind in _TIMES:
        return PlainValue("text", _iso(f"{column}::TIMESTAMP"))
    if kind == "TIMESTAMP WITH TIME ZONE":
        utc = f"make_timestamp(epoch_us({column}))"
        return PlainValue("text", f"{_iso(utc)} || '+00:00'")
    return None


def _iso(moment: str) -> str:
    """Return SQL that formats a moment as Python's ``isoformat`` does."""
    whole = f"strftime({moment}, '%Y-%m-%dT%H:%M:%S')"
    parts = f"strftime({moment}, '%Y-%m-%dT%H:%M:%S.%f')"
    return f"CASE WHEN epoch_us({moment}) % 1000000 = 0 THEN {whole} ELSE {parts} END"
