"""CSV files as one table, with detected delimiters and columns of numbers."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.column_names import column_names
from qtforge_builtin_plugins.collectors.files.engine import (
    Column,
    Engine,
    Table,
    literal,
)
from qtforge_builtin_plugins.collectors.files.matching import FoundFile, invalid
from qtforge_builtin_plugins.collectors.files.settings import FileParameters
from qtforge_builtin_plugins.collectors.files.unpacking import Allowance, rewritten

__all__ = ["csv_table"]

# No leading zero, no plus, no more digits than a number holds: the text could be restored.
_WHOLE: Final = "0|-?[1-9][0-9]{0,17}"
_NUMBER: Final = (
    r"(0|-?[1-9][0-9]{0,14}|-?0\.[0-9]+|-?[1-9][0-9]{0,14}\.[0-9]+)([eE][-+]?[0-9]{1,2})?"
)
_LINE: Final = re.compile(r"on Line: (\d+)")
_SOURCE: Final = "source_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A file for the engine: its path, dialect and column names."""

    file: FoundFile
    path: Path
    delimiter: str
    names: Sequence[str]
    blank_lines: int


def csv_table(
    engine: Engine, files: Sequence[FoundFile], parameters: FileParameters, limit: int,
    allowance: Allowance, interrupt: Interrupt,
) -> Table:  # fmt: skip
    """Return the rows of all files in order; a column that a file lacks is null there.

    An empty value is null. A column whose values are all whole numbers, or all numbers,
    without leading zeros, becomes a column of numbers; dates stay text.

    Raises:
        OperationError: ``file.invalid``, ``file.too_large``, ``file.unreadable``.
    """
    parts = []
    for position, file in enumerate(files):
        interrupt.check()
        path = engine.folder / f"{position}.csv"
        if file.packed or parameters.encoding:
            rewritten(file, parameters.encoding, path, allowance, interrupt)
        else:
            allowance.take(file.path.stat().st_size, file)
            path.symlink_to(file.path)  # its own name may contain wildcards
        part = _part(engine, file, path, parameters)
        if part is not None:
            parts.append(part)
    names = list(dict.fromkeys(name for part in parts for name in part.names))
    if parameters.source_file:
        names = [name for name in names if name != _SOURCE] + [_SOURCE]
    if not parts:
        return Table(source="(SELECT 1) WHERE false", columns=[], rows=0)
    source = " UNION ALL ".join(_select(part, names, parameters) for part in parts)
    return _typed(engine, f"({source}) AS rows", names, parameters, limit, parts)


def _part(engine: Engine, file: FoundFile, path: Path, parameters: FileParameters) -> _Part | None:
    """Return the dialect and columns of a file, or None for an empty one."""
    delimiter = parameters.delimiter or ("\t" if file.tabs else _sniffed(engine, path))
    blank_lines = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = itertools.dropwhile(lambda line: not line.strip("\r\n"), stream)
            first = next(csv.reader(lines, delimiter=delimiter, strict=True), None)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            blank_lines = sum(
                1 for _ in itertools.takewhile(lambda line: not line.strip("\r\n"), stream)
            )
    except csv.Error as error:
        raise invalid(file, str(error), 1) from error
    except UnicodeError as error:
        raise invalid(file, "it is not in utf-8", None, "set encoding, such as cp1252") from error
    if first is None:
        return None
    names = column_names(
        [name.strip() for name in first] if parameters.header else [""] * len(first)
    )
    return _Part(file=file, path=path, delimiter=delimiter, names=names, blank_lines=blank_lines)


def _sniffed(engine: Engine, path: Path) -> str:
    try:
        ((delimiter,),) = engine.rows(f"SELECT Delimiter FROM sniff_csv({literal(path)})")  # noqa: S608 - quoted
    except (duckdb.Error, ValueError):
        return ","  # if that is wrong, reading reports the line
    return str(delimiter) if len(str(delimiter)) == 1 else ","


def _select(part: _Part, names: Sequence[str], parameters: FileParameters) -> str:
    # Inner columns have generated names, since the engine's names are case-insensitive.
    columns = ", ".join(f"'c{position}': 'VARCHAR'" for position in range(len(part.names)))
    inner = {name: f"c{position}" for position, name in enumerate(part.names)}
    if parameters.source_file:
        inner[_SOURCE] = literal(part.file.name)
    shown = ", ".join(
        f"{inner.get(name, 'NULL::VARCHAR')} AS o{position}" for position, name in enumerate(names)
    )
    header = str(parameters.header).lower()
    return (
        f"SELECT {shown} FROM read_csv({literal(part.path)}, auto_detect = false,"  # noqa: S608
        f" header = {header}, skip = {part.blank_lines}, delim = {literal(part.delimiter)},"
        f" quote = '\"', escape = '\"', nullstr = '', max_line_size = 16777216,"
        f" columns = {{{columns}}})"
    )


def _typed(
    engine: Engine, source: str, names: Sequence[str], parameters: FileParameters, limit: int,
    parts: Sequence[_Part],
) -> Table:  # fmt: skip
    detect = parameters.types == "detect"
    asked = ["count(*)"]
    for position in range(len(names)) if detect else ():
        asked += [
            f"coalesce(bool_and(regexp_full_match(o{position}, '{pattern}')), false)"
            for pattern in (_WHOLE, _NUMBER)
        ]
    shown = ", ".join(asked)
    try:
        ((count, *found),) = engine.rows(
            f"SELECT {shown} FROM (SELECT * FROM {source} LIMIT {limit + 1})"  # noqa: S608 - quoted
        )
    except duckdb.InvalidInputException as error:
        raise _translated(error, parts) from error
    columns = []
    for position, name in enumerate(names):
        whole, number = found[2 * position : 2 * position + 2] if detect else (False, False)
        kind = "BIGINT" if whole else "DOUBLE" if number else ""
        expression = f"CAST(o{position} AS {kind})" if kind else f"o{position}"
        columns.append(Column(name=name, expression=expression))
    return Table(source=source, columns=columns, rows=count)


def _translated(error: duckdb.Error, parts: Sequence[_Part]) -> Exception:
    """Return the engine's error with the file's name and line."""
    text = str(error)
    part = next((each for each in parts if str(each.path) in text), parts[0])
    found = _LINE.search(text)
    lines = [line for line in text.removeprefix("Invalid Input Error: ").splitlines() if line]
    reasons = [line for line in lines if not line.startswith(("CSV Error", "Original Line"))]
    why, fix = (reasons or lines)[0], ""
    if "unicode" in text:
        why, fix = "it is not in utf-8", "set encoding, such as cp1252"
    elif "state machine" in why:
        why = "its line endings differ, or a quote is not closed"
        fix = "write it in the format of RFC 4180"
    return invalid(part.file, why, int(found[1]) if found else None, fix)
