"""Load the rows of sources into tables of a temporary database.

Paths and names from outside reach SQL only as bound parameters; tables and columns have
generated names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from qtforge_builtin_plugins.aggregation.columns import TableColumn, json_kind, pointer
from qtforge_builtin_plugins.aggregation.messages import SourceRows
from qtforge_builtin_plugins.aggregation.parquet_source import parquet_columns
from qtforge_builtin_plugins.collectors.row_sink import plain_value
from qtforge_sdk.errors import OperationError

__all__ = ["Staged", "connect", "stage"]

_MOST_COLUMNS: Final = 2000
_FIRST_ROWS: Final = 1000
_SOURCE_BITS: Final = 40  # of a row's position: the bits below have its number in the source


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Sources as tables ``s0``, ``s1``...

    Attributes:
        names: The sources' names.
        counts: The number of rows of each source.
        columns: The columns of all sources, in order of first appearance.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]
    columns: tuple[TableColumn, ...]

    def rows(self, order: Sequence[int] | None = None) -> str:
        """Return the SQL of all rows: ``src``, ``ord`` (the position among all), and columns.

        Args:
            order: The numbers of the sources in the order of their rows.
        """
        parts = []
        for rank, source in enumerate(order or range(len(self.names))):
            place = f"({rank} * {1 << _SOURCE_BITS} + rowid) AS ord"
            columns = "".join(f", {column.sql}" for column in self.columns)
            parts.append(f"SELECT {source} AS src, {place}{columns} FROM s{source}")
        return f"({' UNION ALL '.join(parts)})"


@dataclass(slots=True)
class _Source:
    """The SQL function that reads a source's rows, and the types of its columns."""

    reader: str
    path: str
    kinds: dict[str, int]
    plain: dict[str, tuple[str, str]] | None  # for Parquet: the SQL of each value, and its JSON


def connect(folder: Path, memory: str, threads: int) -> duckdb.DuckDBPyConnection:
    """Open a database in a folder, with limits, and without access to the network."""
    connection = duckdb.connect(
        folder / "work.db",
        config={
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": str(folder / "spill"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def stage(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[SourceRows], folder: Path
) -> Staged:
    """Load every source.

    Args:
        connection: From `connect`.
        sources: With rows or an existing dataset.
        folder: For rows within the request.

    Raises:
        OperationError: ``rows.too_many_columns`` or ``rows.not_plain``.
        duckdb.Error: A file is not valid.
    """
    found = [
        _look(connection, source, folder / f"inline-{place}.jsonl")
        for place, source in enumerate(sources)
    ]
    connection.execute("SET VARIABLE sources = $1", [[each.name for each in sources]])
    kinds: dict[str, int] = {}
    for source in found:
        for name, kind in source.kinds.items():
            kinds[name] = kinds.get(name, 0) | kind
    if len(kinds) > _MOST_COLUMNS:
        raise OperationError(
            "rows.too_many_columns",
            f"the rows have more than {_MOST_COLUMNS} columns",
            "",
            "reduce the sources' columns, or put varying keys into one column",
            retryable=False,
        )
    columns = tuple(
        TableColumn(name, place, kind) for place, (name, kind) in enumerate(kinds.items())
    )
    try:
        counts = _load(connection, found, columns)
    except duckdb.ConversionException:  # an integer above 2 ** 63
        columns = tuple(
            TableColumn(each.name, each.place, each.kinds, wide=True) for each in columns
        )
        counts = _load(connection, found, columns)
    return Staged(names=tuple(each.name for each in sources), counts=counts, columns=columns)


def _look(connection: duckdb.DuckDBPyConnection, source: SourceRows, inline: Path) -> _Source:
    if source.dataset is not None and source.dataset.format == "parquet":
        plain = parquet_columns(connection, source.dataset.path)
        kinds = {name: each.kind for name, each in plain.items()}
        values = {name: (each.value, each.json) for name, each in plain.items()}
        return _Source("read_parquet", source.dataset.path, kinds, values)
    path = source.dataset.path if source.dataset is not None else str(_written(source, inline))
    reader = "read_ndjson_objects"
    names = _keys(connection, path, source.name)
    return _Source(reader, path, _kinds(connection, path, names), None)


def _written(source: SourceRows, path: Path) -> Path:
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for row in source.rows or ():
            try:
                file.write(encoder.encode({key: plain_value(row[key]) for key in row}) + b"\n")
            except OverflowError as error:
                why = f"an integer of the source '{source.name}' has more than 64 bits"
                fix = "make it text in the source"
                raise OperationError("rows.not_plain", "a value can't be used", why, fix) from error
    return path


def _keys(connection: duckdb.DuckDBPyConnection, path: str, name: str) -> list[str]:
    """Return the columns of a JSON Lines file.

    Those of the first rows in order of appearance, then the others by name.
    """
    first = connection.execute(
        f"SELECT json_keys(json) FROM read_ndjson_objects($1) LIMIT {_FIRST_ROWS}", [path]
    ).fetchall()
    found = dict.fromkeys(key for (keys,) in first for key in keys or ())
    every = connection.execute(
        """
        WITH kinds AS MATERIALIZED (
          SELECT DISTINCT json_keys(json) AS keys, json_type(json) = 'OBJECT' AS is_object
          FROM read_ndjson_objects($1))
        SELECT DISTINCT unnest(keys) AS key, true FROM kinds
        UNION ALL SELECT DISTINCT NULL, false FROM kinds WHERE NOT is_object
        ORDER BY 1 NULLS FIRST"""
        f" LIMIT {_MOST_COLUMNS + 2}",
        [path],
    ).fetchall()
    if any(not is_object for _, is_object in every):
        why = f"a line of the source '{name}' is not a JSON object"
        raise OperationError("rows.not_plain", "the rows can't be used", why, retryable=False)
    return [*found, *(key for key, _ in every if key not in found)]


def _kinds(
    connection: duckdb.DuckDBPyConnection, path: str, names: Sequence[str]
) -> dict[str, int]:
    if not names or len(names) > _MOST_COLUMNS:
        return dict.fromkeys(names, 0)
    bits = ", ".join(f"bit_or({json_kind('types', place + 1)})" for place in range(len(names)))
    query = f"""
        SELECT {bits} FROM (SELECT json_type(json, $2) AS types FROM read_ndjson_objects($1))
        """
    row = connection.execute(query, [path, _pointers(names)]).fetchone()
    return dict(zip(names, row or (), strict=False))


def _load(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[_Source],
    columns: Sequence[TableColumn],
) -> tuple[int, ...]:
    counts = []
    for place, source in enumerate(sources):
        from_: Any
        given: list[Any] = [source.path]
        if source.plain is None:
            own = [column for column in columns if column.name in source.kinds]
            values = {
                column.name: _from_json(f"v[{number + 1}]", column)
                for number, column in enumerate(own)
            }
            from_ = "read_ndjson_objects($1)"
            if own:
                from_ = f"(SELECT json_extract(json, $2) AS v FROM {from_})"
                given.append(_pointers([column.name for column in own]))
        else:
            values = {
                column.name: source.plain[column.name][column.sql_type == "JSON"]
                for column in columns
                if column.name in source.plain
            }
            names = ", ".join(f"p{number}" for number in range(len(source.plain)))
            from_ = f"read_parquet($1) AS t({names})" if source.plain else "read_parquet($1)"
        wanted = ", ".join(
            f"CAST({values.get(column.name, 'NULL')} AS {column.sql_type}) AS {column.sql}"
            for column in columns
        )
        select = f"SELECT {wanted or 'NULL AS nothing'} FROM {from_}"
        row = connection.execute(f"CREATE OR REPLACE TABLE s{place} AS {select}", given).fetchone()
        counts.append(int(row[0]) if row else 0)
    return tuple(counts)


def _from_json(value: str, column: TableColumn) -> str:
    if column.sql_type == "VARCHAR":
        return f"({value} ->> '$')"
    if column.sql_type == "JSON":
        return f"CASE WHEN json_type({value}) <> 'NULL' THEN {value} END"
    return value


def _pointers(names: Sequence[str]) -> list[str]:
    return [pointer(name) for name in names]
