"""DuckDB, for what Python's loops are too slow for: tables from files, to a file."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
        name: What it is called in the rows.
        expression: SQL that gives its value.
        is_scalar: Whether that is null, true or false, a number or text as it is.
    """

    name: str
    expression: str
    is_scalar: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a query gives.

    Attributes:
        source: SQL after ``FROM``.
        columns: Of the result.
        rows: How many the source has; at most one more than the limit need be counted.
    """

    source: str
    columns: Sequence[Column]
    rows: int


class Engine:
    """A DuckDB in memory that ends when it is told to.

    Args:
        connection: Its connection.
        folder: For what does not fit into memory, and for other temporary files.
        interrupt: Ends it.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, folder: Path, interrupt: Interrupt
    ) -> None:
        self.folder = folder
        self._connection = connection
        self._interrupt = interrupt

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query that gives few.

        Raises:
            duckdb.Error: It fails.
        """
        self._interrupt.check()
        with self._interrupt.calling(self._connection.interrupt):
            return self._connection.execute(query).fetchall()

    def collect(self, table: Table, folder: Path | None, name: str, limit: int) -> Collected:
        """Return a table's rows, or the file that they are in when they are many.

        Args:
            table: What.
            folder: For the file, or None for none.
            name: The file's name without its suffix.
            limit: How many rows at most.

        Raises:
            OperationError: What `RowSink` raises.
            duckdb.Error: The query fails.
        """
        if not table.columns:
            return Collected(rows=[], count=0)
        names = [column.name for column in table.columns]
        # DuckDB's names don't differ by case alone.
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
                "make room on the disk of the state directory",
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
    """Start an engine, and end it with the block.

    Args:
        folder: For its temporary files.
        memory_bytes: How much memory it takes; the rest goes to the folder.
        interrupt: Ends what it does.

    Raises:
        Interrupted: It was ended.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_bytes}B",
        "temp_directory": str(folder / "spill"),
        "threads": min(4, os.cpu_count() or 1),
        # It loads nothing from the network by itself.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with contextlib.closing(duckdb.connect(":memory:", config=settings)) as connection:
        connection.execute("SET enable_progress_bar = false")
        try:
            yield Engine(connection, folder, interrupt)
        except duckdb.Error:
            interrupt.check()  # what fails now was ended
            raise


def identifier(name: str) -> str:
    """Return a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
    """Return a text for SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def _file_name(name: str) -> str:
    kept = "".join(each if each.isalnum() or each in "-_" else "_" for each in name)
    return kept[:100] or "rows"
