"""A query's rows as a result: few of them in the answer, many in a file of the run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from qtforge_builtin_plugins.aggregation.methods import Query
from qtforge_builtin_plugins.collectors.row_sink import RowSink
from qtforge_sdk.errors import OperationError
from qtforge_sdk.messages import Dataset

__all__ = ["PREVIEW_ROWS", "Output", "write_json_lines", "write_parquet"]

PREVIEW_ROWS: Final = 100
_BATCH: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Rows in the answer, all of them or the first; and the file with all."""

    rows: list[dict[str, Any]]
    dataset: Dataset | None
    count: int
    complete: bool


def write_json_lines(
    connection: duckdb.DuckDBPyConnection, queries: Iterable[Query], folder: Path | None, name: str
) -> Output:
    """Write the rows of the queries, one after the other.

    Args:
        connection: Has the tables.
        queries: What gives rows.
        folder: Of the run; None outside one, where only as much is possible as an answer holds.
        name: The file's.

    Raises:
        OperationError: ``rows.not_writable``, or ``aggregation.too_large`` outside a run.
    """
    first: list[bytes] = []
    with RowSink(folder, name) as sink:
        for query in queries:
            pairs = ", ".join(
                f"${place + 1}, {value}" for place, (_, value) in enumerate(query.values)
            )
            select = f"SELECT CAST(json_object({pairs}) AS VARCHAR) {query.rest}"
            result = connection.execute(select, [column for column, _ in query.values])
            while lines := result.fetchmany(_BATCH):
                for (line,) in lines:
                    encoded = line.encode()
                    if len(first) < PREVIEW_ROWS:
                        first.append(encoded)
                    if not sink.add_line(encoded):
                        raise _too_large()
        collected = sink.finish()
    rows = collected.rows
    if rows is None:
        rows = [msgspec.json.decode(line) for line in first]
    return Output(
        rows=rows,
        dataset=collected.dataset,
        count=collected.count,
        complete=collected.dataset is None,
    )


def write_parquet(
    connection: duckdb.DuckDBPyConnection, query: Query, folder: Path | None, name: str
) -> Output:
    """Write a query's rows as a Parquet file, however few they are.

    Raises:
        OperationError: ``aggregation.column_taken``, or ``aggregation.too_large`` outside a run.
    """
    if folder is None:
        raise _too_large()
    _check_names(query)
    folder.mkdir(parents=True, exist_ok=True)
    partial, path = folder / f"{name}.parquet.partial", folder / f"{name}.parquet"
    selected = ", ".join(f"{value} AS {_identifier(column)}" for column, value in query.values)
    target = str(partial).replace("'", "''")
    try:
        row = connection.execute(
            f"COPY (SELECT {selected} {query.rest}) TO '{target}'"
            " (FORMAT parquet, COMPRESSION zstd)"
        ).fetchone()
        with partial.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    count = int(row[0]) if row else 0
    limited = Query(
        values=query.values, rest=f"{query.rest} LIMIT {PREVIEW_ROWS}", columns=query.columns
    )
    preview = write_json_lines(connection, [limited], None, name)
    dataset = Dataset(
        path=str(path), format="parquet", rows=count, size_bytes=path.stat().st_size, sha256=sha256
    )
    return Output(
        rows=preview.rows, dataset=dataset, count=count, complete=count <= len(preview.rows)
    )


def _check_names(query: Query) -> None:
    seen: dict[str, str] = {}
    for column, _ in query.values:
        other = seen.setdefault(column.lower(), column)
        if other != column or not column:
            what = f"Parquet can't hold the columns '{other}' and '{column}' beside each other"
            fix = 'take format = "jsonl"'
            raise OperationError("aggregation.column_taken", what, "", fix, retryable=False)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _too_large() -> OperationError:
    return OperationError(
        "aggregation.too_large",
        "the result is a file, and there is no run that it could belong to",
        "",
        "ask for it in a run: qtforge-host run data-aggregation --input FILE",
        retryable=False,
    )
