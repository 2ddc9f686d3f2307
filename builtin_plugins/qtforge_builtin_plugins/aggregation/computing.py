"""One aggregation on DuckDB; the only module that handles its errors."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from qtforge_builtin_plugins.aggregation.messages import (
    Aggregated,
    Aggregation,
    Intersect,
    Merge,
    SourceRows,
    Statistical,
    Union,
)
from qtforge_builtin_plugins.aggregation.methods import Query, intersect, merge, union, without_key
from qtforge_builtin_plugins.aggregation.options import names_of
from qtforge_builtin_plugins.aggregation.results import write_json_lines, write_parquet
from qtforge_builtin_plugins.aggregation.staging import Staged, connect, stage
from qtforge_builtin_plugins.aggregation.statistics import statistics
from qtforge_sdk.errors import OperationError

__all__ = ["Computation"]


class Computation:
    """An aggregation in a folder of its own; may be interrupted from another thread.

    Args:
        place: An empty folder for temporary files.
        folder: The run's folder, for a large result; None outside a run.
        name: The name of the result's file, without suffix.
        memory_mib: The memory limit, in MiB.
        threads: The number of threads.
    """

    def __init__(
        self, place: Path, folder: Path | None, name: str, memory_mib: int, threads: int
    ) -> None:
        self._place = place
        self._folder = folder
        self._name = name
        self._memory_mib = memory_mib
        self._threads = threads
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def interrupt(self) -> None:
        """Interrupt the running statement."""
        with self._lock:
            if self._connection is not None:
                self._connection.interrupt()

    def run(self, sources: Sequence[SourceRows], how: Aggregation) -> Aggregated:
        """Return the result.

        Raises:
            OperationError: ``aggregation.*`` or ``rows.*``.
        """
        try:
            connection = connect(self._place, f"{self._memory_mib}MiB", self._threads, sources)
            try:
                with self._lock:
                    self._connection = connection
                return self._compute(connection, sources, how)
            finally:
                with self._lock:
                    self._connection = None
                    connection.close()
        except duckdb.Error as error:
            raise _error_of(error, self._memory_mib) from error

    def _compute(
        self,
        connection: duckdb.DuckDBPyConnection,
        sources: Sequence[SourceRows],
        how: Aggregation,
    ) -> Aggregated:
        staged = stage(connection, sources, self._place)
        if isinstance(how, Statistical):
            output = write_json_lines(
                connection, statistics(staged, how), self._place, self._folder, self._name
            )
            return Aggregated(
                method=how.method,
                rows=output.rows,
                complete=output.complete,
                dataset=output.dataset,
                count=output.count,
            )
        query, details = self._query(connection, staged, how)
        if not staged.columns:  # rows without columns are no rows
            return Aggregated(method=how.method, count=0)
        write: Any = write_parquet if how.format == "parquet" else _write_one
        output = write(connection, query, self._place, self._folder, self._name)
        return Aggregated(
            method=how.method,
            rows=output.rows,
            complete=output.complete,
            dataset=output.dataset,
            count=output.count,
            columns=list(query.columns),
            details=details,
        )

    def _query(
        self,
        connection: duckdb.DuckDBPyConnection,
        staged: Staged,
        how: Merge | Union | Intersect,
    ) -> tuple[Query, dict[str, Any]]:
        details: dict[str, Any] = {}
        if not staged.columns:
            return Query(values=(), rest="", columns=()), details
        if names_of(how.key):
            details["without_key"] = without_key(staged, how.key, connection)
        match how:
            case Merge():
                query, conflicts = merge(staged, how, connection)
                if how.conflict != "list":
                    details["conflicts"] = conflicts
            case Union():
                query = union(staged, how)
            case Intersect():
                query = intersect(staged, how)
        return query, details


def _write_one(
    connection: duckdb.DuckDBPyConnection,
    query: Query,
    place: Path,
    folder: Path | None,
    name: str,
) -> Any:
    return write_json_lines(connection, [query], place, folder, name)


def _error_of(error: duckdb.Error, memory_mib: int) -> OperationError:
    why = str(error).partition("\n")[0]
    what = "the rows can't be aggregated"
    if isinstance(error, duckdb.OutOfMemoryException):
        fix = f"raise plugins.data-aggregator.config.memory_mib, which is {memory_mib}"
        return OperationError("aggregation.out_of_memory", what, why, fix)
    if isinstance(error, duckdb.OutOfRangeException):
        fix = "the numbers are too large for this statistic; scale them"
        return OperationError("aggregation.out_of_range", what, why, fix, retryable=False)
    if isinstance(error, duckdb.IOException):
        fix = "free space on the disk of the state directory, and check that it is writable"
        return OperationError("rows.not_writable", what, why, fix)
    return OperationError("aggregation.failed", what, why)
