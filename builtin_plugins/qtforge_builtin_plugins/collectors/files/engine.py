"""DuckDB, for work that is too slow in Python: tables from files, to a file."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.files.parquet_values import PARQUET
from qtforge_builtin_plugins.collectors.files.quoting import identifier, literal
from qtforge_builtin_plugins.collectors.row_sink import INLINE_ROWS, RowSink
from qtforge_sdk.errors import OperationError
from qtforge_sdk.messages import Collected, Dataset

__all__ = ["Column", "Engine", "FrozenFile", "Table", "running_engine"]

_ROWS_AT_ONCE: Final = 2000
_CHUNK_BYTES: Final = 1 << 20


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a result.

    Attributes:
        name: Its name in the rows.
        expression: SQL for its value.
        is_scalar: Whether the value is null, a boolean, a number or text without conversion.
    """

    name: str
    expression: str
    is_scalar: bool = True


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a query.

    Attributes:
        source: The SQL after ``FROM``.
        columns: The result's columns.
        rows: The number of rows of the source, counted up to one more than the limit; None
            when it is not known, and is more than fit into an answer.
        details: Facts about it.
        file: A Parquet file that has these rows, with values that only have to be converted.
        instead: Returns the table to use when the query of one without ``rows`` fails, or is
            not made (None); or raises the error to raise.
    """

    source: str
    columns: Sequence[Column]
    rows: int | None
    details: Mapping[str, Any] = msgspec.field(default_factory=dict)
    file: FrozenFile | None = None
    instead: Callable[[duckdb.InvalidInputException | None], Table] | None = None


class FrozenFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that can be copied as it is, unless it has changed since it was examined."""

    path: Path
    name: str
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path, name: str) -> FrozenFile:
        """Return a file as it is now."""
        status = path.stat()
        return cls(path=path, name=name, size_bytes=status.st_size, modified_ns=status.st_mtime_ns)


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
            return Collected(rows=[], count=0, details=dict(table.details))
        names = [column.name for column in table.columns]
        # DuckDB's names are case-insensitive.
        separate = len({each.casefold() for each in names}) == len(names)
        has_file = folder is not None and separate
        while table.rows is None and table.instead is not None:
            error: duckdb.InvalidInputException | None = None
            if folder is not None and has_file:
                try:
                    return self._written(table, _target(folder, name), limit)
                except duckdb.InvalidInputException as failure:
                    error = failure
            table = table.instead(error)
        scalar = all(column.is_scalar for column in table.columns)
        many = table.rows is not None and table.rows > INLINE_ROWS
        if folder is not None and has_file and scalar and many:
            if table.file is not None and table.rows is not None and table.rows <= limit:
                return _copied(table.file, _target(folder, name), table)
            return self._written(table, _target(folder, name), limit)
        shown = ", ".join(column.expression for column in table.columns)
        details = table.details
        with RowSink(folder, name, limit) as sink:
            self._interrupt.check()
            with self._interrupt.calling(self._connection.interrupt):
                self._connection.execute(f"SELECT {shown} FROM {table.source} LIMIT {limit + 1}")  # noqa: S608 - quoted
                while rows := self._connection.fetchmany(_ROWS_AT_ONCE):
                    for row in rows:
                        if not sink.add(dict(zip(names, row, strict=True))):
                            return sink.finish(details)
            return sink.finish(details)

    def _written(self, table: Table, target: Path, limit: int) -> Collected:
        shown = ", ".join(
            f"{column.expression} AS {identifier(column.name)}" for column in table.columns
        )
        query = f"SELECT {shown} FROM {table.source} LIMIT"  # noqa: S608 - quoted
        with _new_file(target) as partial:
            copy = f"TO {literal(partial)} {PARQUET}"
            # Where the number of rows is not known, one more than the limit shows that it is cut.
            most = limit + 1 if table.rows is None else limit
            ((count,),) = self.rows(f"COPY ({query} {most}) {copy}")
            truncated = count > limit or (table.rows or 0) > limit
            if count > limit:
                ((count,),) = self.rows(f"COPY ({query} {limit}) {copy}")
            with partial.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        dataset = Dataset(
            path=str(target), format="parquet", rows=count, size_bytes=target.stat().st_size,
            sha256=digest,
        )  # fmt: skip
        return Collected(
            dataset=dataset, count=count, truncated=truncated, details=dict(table.details)
        )


def _copied(file: FrozenFile, target: Path, table: Table) -> Collected:
    """Return the rows of a file as a copy of its bytes.

    Raises:
        OperationError: ``file.failed``: it has changed since it was examined.
    """
    digest = hashlib.sha256()
    with _new_file(target) as partial:
        with file.path.open("rb") as source, partial.open("wb") as copy:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
        if FrozenFile.of(file.path, file.name) != file:
            what, why = f"{file.name} can't be read", "it was changed while it was read"
            raise OperationError("file.failed", what, why, "try again later")
    count = table.rows or 0
    dataset = Dataset(
        path=str(target), format="parquet", rows=count, size_bytes=file.size_bytes,
        sha256=digest.hexdigest(),
    )  # fmt: skip
    return Collected(dataset=dataset, count=count, details=dict(table.details))


@contextlib.contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """Yield the path to write a file to, which is synced and gets its name after the block.

    Raises:
        OperationError: ``rows.not_writable``.
    """
    partial = target.with_suffix(".partial")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except (OSError, duckdb.IOException) as error:
        raise OperationError(
            "rows.not_writable", f"the rows can't be written to {target.parent}", str(error),
            "free space on the disk of the state directory",
        ) from error  # fmt: skip
    finally:
        partial.unlink(missing_ok=True)


def _target(folder: Path, name: str) -> Path:
    return folder / f"{_file_name(name)}.parquet"


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


def _file_name(name: str) -> str:
    kept = "".join(each if each.isalnum() or each in "-_" else "_" for each in name)
    return kept[:100] or "rows"
