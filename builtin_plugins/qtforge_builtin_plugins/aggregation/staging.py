"""The rows of sources as tables and views of a temporary database.

Rows of JSON become tables, since their text is parsed once; Parquet files are views, of which
only the columns that a query uses are read. Names from outside reach SQL only as bound
parameters, and paths as these or as literals; tables, views and columns have generated names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from qtforge_builtin_plugins.aggregation.columns import TableColumn, json_kind, pointer
from qtforge_builtin_plugins.aggregation.messages import SourceRows
from qtforge_builtin_plugins.aggregation.parquet_source import parquet_columns
from qtforge_builtin_plugins.collectors.files.quoting import literal, pattern_of
from qtforge_builtin_plugins.collectors.row_sink import plain_value
from qtforge_sdk.errors import OperationError

__all__ = ["Staged", "connect", "stage"]

_MOST_COLUMNS: Final = 2000
_ROW_NUMBER: Final = "file_row_number"
_FIRST_ROWS: Final = 1000
_SOURCE_BITS: Final = 40  # of a row's position: the bits below have its number in the source


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """Sources as tables or views ``s0``, ``s1``..., each with its rows' numbers as ``rowid``.

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


class _Source(msgspec.Struct):
    """The SQL function that reads a source's rows, and the types of its columns."""

    reader: str
    path: str
    kinds: dict[str, int]
    plain: dict[str, tuple[str, str]] | None  # for Parquet: the SQL of each value, and its JSON
    wide: bool = False  # whether an integer needs more than 64 bits with a sign


def connect(
    folder: Path, memory: str, threads: int, sources: Sequence[SourceRows]
) -> duckdb.DuckDBPyConnection:
    """Open a database with limits, and without access to the network.

    It is in a folder where rows become tables; for views it has no file.
    """
    are_views = all(each.dataset and each.dataset.format == "parquet" for each in sources)
    connection = duckdb.connect(
        ":memory:" if are_views else folder / "work.db",
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
    wide = any(source.wide for source in found)
    columns = tuple(
        TableColumn(name, place, kind, wide) for place, (name, kind) in enumerate(kinds.items())
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
        pattern = pattern_of(source.dataset.path)
        plain = parquet_columns(connection, pattern)
        kinds = {name: each.kind for name, each in plain.items()}
        values = {name: (each.value, each.json) for name, each in plain.items()}
        wide = any(each.wide for each in plain.values())
        return _Source("read_parquet", pattern, kinds, values, wide)
    file = source.dataset.path if source.dataset is not None else _written(source, inline)
    path = pattern_of(file)
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
    return tuple(
        _as_table(connection, source, place, columns)
        if source.plain is None
        else _as_view(connection, source, source.plain, place, columns)
        for place, source in enumerate(sources)
    )


def _as_table(
    connection: duckdb.DuckDBPyConnection,
    source: _Source,
    place: int,
    columns: Sequence[TableColumn],
) -> int:
    own = [column for column in columns if column.name in source.kinds]
    values = {
        column.name: _from_json(f"v[{number + 1}]", column) for number, column in enumerate(own)
    }
    from_ = "read_ndjson_objects($1)"
    given: list[Any] = [source.path]
    if own:
        from_ = f"(SELECT json_extract(json, $2) AS v FROM {from_})"
        given.append(_pointers([column.name for column in own]))
    select = f"SELECT {_selected(values, columns) or 'NULL AS nothing'} FROM {from_}"
    row = connection.execute(f"CREATE OR REPLACE TABLE s{place} AS {select}", given).fetchone()
    return int(row[0]) if row else 0


def _as_view(
    connection: duckdb.DuckDBPyConnection,
    source: _Source,
    plain: Mapping[str, tuple[str, str]],
    place: int,
    columns: Sequence[TableColumn],
) -> int:
    values = {
        column.name: plain[column.name][column.sql_type == "JSON"]
        for column in columns
        if column.name in plain
    }
    names = ", ".join([*(f"p{number}" for number in range(len(plain))), "number"])
    path = literal(source.path)
    from_ = f"read_parquet({path}, {_ROW_NUMBER} = true) AS t({names})"
    shown = ", ".join(filter(None, (_selected(values, columns), "number AS rowid")))
    kind = "VIEW"
    if any(name.lower() == _ROW_NUMBER for name in plain):  # the reader's own name
        names = ", ".join(f"p{number}" for number in range(len(plain)))
        kind, shown = "TABLE", _selected(values, columns)
        from_ = f"read_parquet({path}) AS t({names})"
    connection.execute(f"CREATE OR REPLACE {kind} s{place} AS SELECT {shown} FROM {from_}")
    counted = f"SELECT sum(num_rows) FROM parquet_file_metadata({path})"
    row = connection.execute(counted).fetchone()
    return int(row[0]) if row else 0


def _selected(values: Mapping[str, str], columns: Sequence[TableColumn]) -> str:
    return ", ".join(
        f"CAST({values.get(column.name, 'NULL')} AS {column.sql_type}) AS {column.sql}"
        for column in columns
    )


def _from_json(value: str, column: TableColumn) -> str:
    if column.sql_type == "VARCHAR":
        return f"({value} ->> '$')"
    if column.sql_type == "JSON":
        return f"CASE WHEN json_type({value}) <> 'NULL' THEN {value} END"
    return value


def _pointers(names: Sequence[str]) -> list[str]:
    return [pointer(name) for name in names]
