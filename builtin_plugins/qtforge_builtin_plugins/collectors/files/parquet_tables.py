"""Parquet files as one table, with JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import duckdb

from qtforge_builtin_plugins.collectors.files.engine import (
    Column,
    Engine,
    FrozenFile,
    Table,
)
from qtforge_builtin_plugins.collectors.files.matching import FoundFile, invalid
from qtforge_builtin_plugins.collectors.files.parquet_values import plain_sql
from qtforge_builtin_plugins.collectors.files.quoting import identifier, literal
from qtforge_builtin_plugins.collectors.files.unpacking import Allowance
from qtforge_builtin_plugins.collectors.source_warnings import SourceWarnings

__all__ = ["parquet_table"]

_SOURCE: Final = "source_file"


def parquet_table(
    engine: Engine, files: Sequence[FoundFile], source_file: bool, limit: int,
    allowance: Allowance, warnings: SourceWarnings,
) -> Table:  # fmt: skip
    """Return the rows of all files in order; a column that a file lacks is null there.

    Dates and times become ISO 8601 text, with an offset if they have a zone; decimals become
    numbers, and NaN and infinity null.

    Raises:
        OperationError: ``file.invalid``, ``file.too_large``.
    """
    frozen = FrozenFile.of(files[0].path, files[0].name)
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
    floating = [name for name, kind, *_ in described if kind in ("FLOAT", "DOUBLE")]
    shown = source if count <= limit else f"(SELECT * FROM {source} LIMIT {limit})"  # noqa: S608 - quoted
    _warn_of_nulls(engine, shown, floating, warnings)
    as_it_is = len(files) == 1 and not source_file
    return Table(source=source, columns=columns, rows=count, file=frozen if as_it_is else None)


def _warn_of_nulls(
    engine: Engine, source: str, names: Sequence[str], warnings: SourceWarnings
) -> None:
    """Warn of the numbers that JSON does not have."""
    if not names:
        return
    counts = ", ".join(f"count_if(NOT isfinite({identifier(name)}))" for name in names)
    (found,) = engine.rows(f"SELECT {counts} FROM {source}")  # noqa: S608 - quoted
    for name, count in zip(names, found, strict=True):
        if count:
            reported = f"{name}: NaN and infinity, which JSON does not have, became null"
            warnings.add("rows.not_finite", reported, about=name, count=count)


def _check(engine: Engine, file: FoundFile, path: object) -> None:
    try:
        engine.rows(f"SELECT num_rows FROM parquet_file_metadata({literal(path)})")  # noqa: S608 - quoted
    except duckdb.Error as error:
        why = str(error).splitlines()[0].replace(str(path), file.name)
        raise invalid(file, why) from error


def _plain(name: str, kind: str) -> Column:
    """Return a column with JSON values, or with values that `plain_value` converts."""
    column = identifier(name)
    plain = plain_sql(kind, column)
    if plain is None:
        return Column(name=name, expression=column, is_scalar=False)
    return Column(name=name, expression=plain.sql)
