"""DuckDB, for work that is too slow in Python: tables from files, to a file."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.row_sink import INLINE_ROWS, RowSink
from qtforge_sdk.errors import OperationError
from qtforge_sdk.messages import Collected, Dataset

__all__ = ["Column", "Engine", "Table", "identifier", "literal", "running_engine"]

_ROWS_AT_ONCE: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a result.

    Attributes:
        name: Its name in the rows.
        expression: SQL for its value.
        is_scalar: Whether the value is null, a boolean, a number or text without conversion.
    """

    name: str
    expression: str
    is_scalar: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The result of a query.

    Attributes:
        source: The SQL after ``FROM``.
        columns: The result's columns.
        rows: The number of rows of the source, counted up to one more than the limit.
        details: Facts about it.
    """

    source: str
    columns: Sequence[Column]
    rows: int
    details: Mapping[str, Any] = field(default_factory=dict)


class Engine:
    """A DuckDB in memory whose queries can be cancelled.

    Args:
        connection: Its connection.
        folder: For temporary files, and for data that does not fit into memory.
        interrupt: Cancels it.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, folder: Path, interrupt: Interrupt
    ) -> None:
        self.folder = folder
        self._connection = connection
        self._interrupt = interrupt

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query with a small result.

        Raises:
            duckdb.Error: It fails.
        """
        self._interrupt.check()
        with self._interrupt.calling(self._connection.interrupt):
            return self._connection.execute(query).fetchall()

    def collect(self, table: Table, folder: Path | None, name: str, limit: int) -> Collected:
        """Return a table's rows, or a file with them when they are many.

        Args:
            table: The table.
            folder: The folder for the file, or None for no file.
            name: The file's name without its suffix.
            limit: The most rows.

        Raises:
            OperationError: Those of `RowSink`.
            duckdb.Error: The query fails.
        """
        if not table.columns:
            return Collected(rows=[], count=0)
        names = [column.name for column in table.columns]
        # DuckDB's names are case-insensitive.
        separate = len({each.casefold() for each in names}) == len(names)
        scalar = all(column.is_scalar for column in table.columns)
        if folder is not None and table.rows > INLINE_ROWS and separate and scalar:
            return self._written(table, folder / f"{_file_name(name)}.parquet", limit)
        shown = ", ".join(column.expression for column in table.columns)
        with RowSink(folder, name, limit) as sink:
            self._interrupt.check()
            with self._interrupt.calling(self._connection.interrupt):
                self._connection.execute(f"SELECT {shown} FROM {table.source} LIMIT {limit + 1}")  # noqa: S608 - quoted
                while rows := self._connection.fetchmany(_ROWS_AT_ONCE):
                    for row in rows:
                        if not sink.add(dict(zip(names, row, strict=True))):
                            return sink.finish()
            return sink.finish()

    def _written(self, table: Table, target: Path, limit: int) -> Collected:
        shown = ", ".join(
            f"{column.expression} AS {identifier(column.name)}" for column in table.columns
        )
        partial = target.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        query = f"SELECT {shown} FROM {table.source} LIMIT {limit}"  # noqa: S608 - quoted
        try:
            self.rows(f"COPY ({query}) TO {literal(partial)} (FORMAT parquet)")
            with partial.open("rb+") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            partial.replace(target)
        except (OSError, duckdb.IOException) as error:
            raise OperationError(
                "rows.not_writable", f"the rows can't be written to {target.parent}", str(error),
                "free space on the disk of the state directory",
            ) from error  # fmt: skip
        finally:
            partial.unlink(missing_ok=True)
        count = min(table.rows, limit)
        dataset = Dataset(
            path=str(target), format="parquet", rows=count, size_bytes=target.stat().st_size,
            sha256=digest,
        )  # fmt: skip
        return Collected(dataset=dataset, count=count, truncated=table.rows > limit)


@contextlib.contextmanager
def running_engine(folder: Path, memory_bytes: int, interrupt: Interrupt) -> Iterator[Engine]:
    """Start an engine, and close it with the block.

    Args:
        folder: For its temporary files.
        memory_bytes: Its memory limit; further data goes to the folder.
        interrupt: Cancels its queries.

    Raises:
        Interrupted: It was cancelled.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_bytes}B",
        "temp_directory": str(folder / "spill"),
        "threads": min(4, os.cpu_count() or 1),
        # It downloads no extensions.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with contextlib.closing(duckdb.connect(":memory:", config=settings)) as connection:
        connection.execute("SET enable_progress_bar = false")
        try:
            yield Engine(connection, folder, interrupt)
        except duckdb.Error:
            interrupt.check()  # the failure may come from the cancellation
            raise


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
    """Return a text as a quoted SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


def _file_name(name: str) -> str:
    kept = "".join(each if each.isalnum() or each in "-_" else "_" for each in name)
    return kept[:100] or "rows"
