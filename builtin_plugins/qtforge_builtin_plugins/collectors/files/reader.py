"""Read the files of a request, in the calling thread."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import duckdb
import msgspec

from qtforge_builtin_plugins.collectors.allowed_paths import AllowedPaths
from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.files.csv_tables import csv_table
from qtforge_builtin_plugins.collectors.files.engine import Engine, Table, running_engine
from qtforge_builtin_plugins.collectors.files.json_toml import json_lines_rows, json_rows, toml_rows
from qtforge_builtin_plugins.collectors.files.matching import FoundFile, find
from qtforge_builtin_plugins.collectors.files.parquet_tables import parquet_table
from qtforge_builtin_plugins.collectors.files.settings import FileConfig, FileParameters
from qtforge_builtin_plugins.collectors.files.sheets import excel_rows
from qtforge_builtin_plugins.collectors.files.unpacking import Allowance, check_encoding
from qtforge_builtin_plugins.collectors.row_sink import RowSink
from qtforge_builtin_plugins.collectors.source_warnings import SourceWarnings
from qtforge_sdk.errors import OperationError
from qtforge_sdk.messages import Collected

__all__ = ["FileReader"]

_Reader = Callable[[FoundFile, FileParameters, Allowance, Interrupt], Iterator[Mapping[str, Any]]]
_READERS: Final[Mapping[str, _Reader]] = MappingProxyType(
    {"json": json_rows, "jsonl": json_lines_rows, "toml": toml_rows, "excel": excel_rows}
)
_TABLES: Final = ("csv", "parquet")
_LINES_AT_ONCE: Final = 1000


class FileReader(msgspec.Struct, frozen=True, kw_only=True):
    """One request to file-collector.

    Attributes:
        config: The plugin's configuration.
        parameters: The source's parameters.
        roots: The paths that files may have.
        folder: The folder for many rows, or None.
        name: The name of the file for many rows.
        interrupt: Cancels it.
    """

    config: FileConfig
    parameters: FileParameters
    roots: AllowedPaths
    folder: Path | None
    name: str
    interrupt: Interrupt

    def collect(self, endpoint: str) -> Collected:
        """Return the rows; see `FileCollector.read`."""
        check_encoding(self.parameters.encoding)
        wanted = self.parameters.format
        files = find(endpoint, self.roots, wanted, self.config.max_files, self.interrupt)
        collect = self._tables if files[0].format in _TABLES else self._rows
        collected = collect(files)
        details = {"files": len(files), "format": files[0].format, **collected.details}
        return msgspec.structs.replace(collected, details=details)

    @property
    def _limit(self) -> int:
        return self.parameters.limit or self.config.limit

    def _rows(self, files: Sequence[FoundFile]) -> Collected:
        read = _READERS[files[0].format]
        whole = files[0].format != "jsonl"
        key = "max_whole_bytes" if whole else "max_bytes"
        allowance = Allowance(getattr(self.config, key), key)
        added = 0
        with RowSink(self.folder, self.name, self._limit) as sink:
            for file in files:
                for row in read(file, self.parameters, allowance, self.interrupt):
                    if self.parameters.source_file:
                        row = {**row, "source_file": file.name}
                    if not sink.add(row):
                        return sink.finish()
                    added += 1
                    if added % _LINES_AT_ONCE == 0:
                        self.interrupt.check()
            return sink.finish()

    def _tables(self, files: Sequence[FoundFile]) -> Collected:
        memory_bytes = self.config.memory_limit_bytes
        try:
            with (
                tempfile.TemporaryDirectory(prefix="qtforge-files-") as folder,
                running_engine(Path(folder), memory_bytes, self.interrupt) as engine,
            ):
                warnings = SourceWarnings()
                table = self._table(engine, files, warnings)
                collected = engine.collect(table, self.folder, self.name, self._limit)
                reported = (*warnings.listed(), *collected.warnings)
                return msgspec.structs.replace(collected, warnings=reported)
        except duckdb.Error as error:  # errors in a file's content are reported before this
            why = " ".join(str(error).split())[:300]
            fix = "check that the files are not changed while they are read, and the disk's space"
            raise OperationError("file.failed", "the files can't be read", why, fix) from error

    def _table(self, engine: Engine, files: Sequence[FoundFile], warnings: SourceWarnings) -> Table:
        allowance = Allowance(self.config.max_bytes, "max_bytes")
        if files[0].format == "csv":
            return csv_table(
                engine, files, self.parameters, self._limit, allowance, self.interrupt, warnings
            )
        with_name = self.parameters.source_file
        return parquet_table(engine, files, with_name, self._limit, allowance, warnings)
