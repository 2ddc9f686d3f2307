"""Parquet files as one table, with JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import duckdb

from qtforge_builtin_plugins.collectors.files.engine import (
    Column,
    Engine,
    Table,
    identifier,
    literal,
)
from qtforge_builtin_plugins.collectors.files.matching import FoundFile, invalid
from qtforge_builtin_plugins.collectors.files.unpacking import Allowance

__all__ = ["parquet_table"]

_SOURCE: Final = "source_file"
_AS_THEY_ARE: Final = frozenset(
    {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
     "VARCHAR"}
)  # fmt: skip
_BIGINT_DIGITS: Final = 18
_TIMES: Final = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})


def parquet_table(
    engine: Engine, files: Sequence[FoundFile], source_file: bool, limit: int, allowance: Allowance
) -> Table:
    """Return the rows of all files in order; a column that a file lacks is null there.

    Dates and times become ISO 8601 text, with an offset if they have a zone; decimals become
    numbers, and NaN and infinity null.

    Raises:
        OperationError: ``file.invalid``, ``file.too_large``.
    """
    for position, file in enumerate(files):
        allowance.take(file.path.stat().st_size, file)
        # Its own name may contain wildcards.
        (engine.folder / f"{position}.parquet").symlink_to(file.path)
        _check(engine, file, engine.folder / f"{position}.parquet")
    paths = [engine.folder / f"{position}.parquet" for position in range(len(files))]
    listed = ", ".join(map(literal, paths))
    source = f"read_parquet([{listed}], union_by_name = true, filename = 'file of the row')"
    try:
        described = engine.rows(f"DESCRIBE SELECT * FROM {source}")  # noqa: S608 - quoted
        ((count,),) = engine.rows(
            f"SELECT count(*) FROM (SELECT 1 FROM {source} LIMIT {limit + 1})"  # noqa: S608 - quoted
        )
    except (duckdb.Error, UnicodeError) as error:
        raise invalid(files[0], f"the files' columns don't match: {error}") from error
    columns = [
        _plain(name, kind)
        for name, kind, *_ in described
        if name != "file of the row" and not (source_file and name == _SOURCE)
    ]
    if source_file:
        cases = " ".join(
            f"WHEN {literal(path)} THEN {literal(file.name)}"
            for path, file in zip(paths, files, strict=True)
        )
        columns.append(Column(name=_SOURCE, expression=f'CASE "file of the row" {cases} END'))
    return Table(source=source, columns=columns, rows=count)


def _check(engine: Engine, file: FoundFile, path: object) -> None:
    try:
        engine.rows(f"SELECT num_rows FROM parquet_file_metadata({literal(path)})")  # noqa: S608 - quoted
    except duckdb.Error as error:
        why = str(error).splitlines()[0].replace(str(path), file.name)
        raise invalid(file, why) from error


def _plain(name: str, kind: str) -> Column:
    """Return a column with JSON values, or with values that `plain_value` converts."""
    column = identifier(name)
    if kind in _AS_THEY_ARE:
        return Column(name=name, expression=column)
    if kind in ("FLOAT", "DOUBLE"):
        finite = f"CASE WHEN isfinite({column}) THEN {column}::DOUBLE END"
        return Column(name=name, expression=finite)
    if kind.startswith("DECIMAL"):
        digits, fraction = map(int, kind.removeprefix("DECIMAL(").rstrip(")").split(","))
        if fraction or digits <= _BIGINT_DIGITS:
            number = "DOUBLE" if fraction else "BIGINT"
            return Column(name=name, expression=f"{column}::{number}")
    if kind in ("DATE", "UUID") or kind.startswith("ENUM"):
        return Column(name=name, expression=f"{column}::VARCHAR")
    if kind in _TIMES:
        return Column(name=name, expression=_iso(f"{column}::TIMESTAMP"))
    if kind == "TIMESTAMP WITH TIME ZONE":
        utc = f"make_timestamp(epoch_us({column}))"
        return Column(name=name, expression=f"{_iso(utc)} || '+00:00'")
    return Column(name=name, expression=column, is_scalar=False)


def _iso(moment: str) -> str:
    """Return SQL that formats a moment as Python's ``isoformat`` does."""
    whole = f"strftime({moment}, '%Y-%m-%dT%H:%M:%S')"
    parts = f"strftime({moment}, '%Y-%m-%dT%H:%M:%S.%f')"
    return f"CASE WHEN epoch_us({moment}) % 1000000 = 0 THEN {whole} ELSE {parts} END"
