"""A query's rows as a result: few in the answer, many in a file of the run."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from qtforge_builtin_plugins.aggregation.methods import Query
from qtforge_builtin_plugins.collectors.files.parquet_values import PARQUET
from qtforge_builtin_plugins.collectors.files.quoting import identifier, literal
from qtforge_builtin_plugins.collectors.row_sink import INLINE_BYTES, INLINE_ROWS
from qtforge_sdk.errors import OperationError
from qtforge_sdk.messages import Dataset

__all__ = ["PREVIEW_ROWS", "Output", "write_json_lines", "write_parquet"]

PREVIEW_ROWS: Final = 100


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """The rows in the answer, all or the first ones, and the file with all rows."""

    rows: list[dict[str, Any]]
    dataset: Dataset | None
    count: int
    complete: bool


def write_json_lines(
    connection: duckdb.DuckDBPyConnection,
    queries: Iterable[Query],
    place: Path,
    folder: Path | None,
    name: str,
) -> Output:
    """Write the rows of the queries, one after the other.

    Args:
        connection: Has the tables.
        queries: The queries.
        place: A folder for unfinished files.
        folder: The run's folder; None outside a run, where the rows must fit into an answer.
        name: The file's name.

    Raises:
        OperationError: ``aggregation.too_large`` outside a run.
    """
    made = place / "result.jsonl"
    part = place / "part.jsonl"
    count = 0
    for number, query in enumerate(queries):
        pairs = ", ".join(f"{literal(column)}, {value}" for column, value in query.values)
        # As CSV of one column without quotes, since JSON has no control characters.
        row = connection.execute(
            f"COPY (SELECT CAST(json_object({pairs}) AS VARCHAR) {query.rest})"
            f" TO {literal(part)} "
            "(FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\\x1f')"
        ).fetchone()
        count += int(row[0]) if row else 0
        if number == 0:
            part.replace(made)
            continue
        with made.open("ab") as whole, part.open("rb") as file:
            shutil.copyfileobj(file, whole, 1 << 20)
    with made.open("ab") as whole:
        os.fsync(whole.fileno())
    size_bytes = made.stat().st_size
    if count <= INLINE_ROWS and size_bytes <= INLINE_BYTES:
        return Output(rows=_first(made, count), dataset=None, count=count, complete=True)
    if folder is None:
        raise _too_large()
    rows = _first(made, PREVIEW_ROWS)
    path = folder / f"{name}.jsonl"
    sha256 = _sha256(made)
    made.replace(path)
    dataset = Dataset(
        path=str(path), format="jsonl", rows=count, size_bytes=size_bytes, sha256=sha256
    )
    return Output(rows=rows, dataset=dataset, count=count, complete=False)


def _first(path: Path, count: int) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        return [msgspec.json.decode(line) for line in itertools.islice(file, count)]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_parquet(
    connection: duckdb.DuckDBPyConnection,
    query: Query,
    place: Path,
    folder: Path | None,
    name: str,
) -> Output:
    """Write a query's rows as a Parquet file, even when they are few.

    Raises:
        OperationError: ``aggregation.column_taken``, or ``aggregation.too_large`` outside a run.
    """
    if folder is None:
        raise _too_large()
    _check_names(query)
    partial, path = place / "result.parquet", folder / f"{name}.parquet"
    selected = ", ".join(f"{value} AS {identifier(column)}" for column, value in query.values)
    row = connection.execute(
        f"COPY (SELECT {selected} {query.rest}) TO {literal(partial)} {PARQUET}"
    ).fetchone()
    sha256 = _sha256(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    count = int(row[0]) if row else 0
    limited = Query(
        values=query.values, rest=f"{query.rest} LIMIT {PREVIEW_ROWS}", columns=query.columns
    )
    preview = write_json_lines(connection, [limited], place, None, name)
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
            what = f"a Parquet file can't have both columns '{other}' and '{column}'"
            fix = 'use format = "jsonl"'
            raise OperationError("aggregation.column_taken", what, "", fix, retryable=False)


def _too_large() -> OperationError:
    return OperationError(
        "aggregation.too_large",
        "the result needs a file, which only a run can have",
        "",
        "aggregate in a run: qtforge-host run data-aggregation --input FILE",
        retryable=False,
    )
