"""CSV files as one table, with detected dialects and columns of numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import duckdb
import msgspec

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.column_names import column_names
from qtforge_builtin_plugins.collectors.files.csv_dialect import (
    Dialect,
    Start,
    found_dialect,
    header_rows,
    read_start,
)
from qtforge_builtin_plugins.collectors.files.engine import (
    Column,
    Engine,
    Table,
)
from qtforge_builtin_plugins.collectors.files.matching import FoundFile, invalid
from qtforge_builtin_plugins.collectors.files.quoting import literal
from qtforge_builtin_plugins.collectors.files.settings import FileParameters
from qtforge_builtin_plugins.collectors.files.unpacking import Allowance, rewritten
from qtforge_builtin_plugins.collectors.row_sink import INLINE_ROWS
from qtforge_builtin_plugins.collectors.source_warnings import SourceWarnings

__all__ = ["csv_table"]

# No leading zero, no plus, no more digits than a number holds: the text could be restored.
_WHOLE: Final = "0|-?[1-9][0-9]{0,17}"
_NUMBER: Final = (
    r"(0|-?[1-9][0-9]{0,14}|-?0\.[0-9]+|-?[1-9][0-9]{0,14}\.[0-9]+)([eE][-+]?[0-9]{1,2})?"
)
_COMMA_NUMBER: Final = _NUMBER.replace(r"\.", ",")
# What may as well be a number of thousands: `1,234`.
_THOUSANDS: Final = "0|-?[1-9][0-9]{0,17}|-?[1-9][0-9]{0,2},[0-9]{3}"
_USUAL_LINE_BYTES: Final = 2_000_000  # the engine's own limit; a higher one makes it slower
_TOO_LONG: Final = "Maximum line size"
_MAX_LINE_BYTES: Final = 16 * 2**20
_BLOCK_BYTES: Final = 64 * 2**10
_BUFFER_BYTES: Final = 2 * _MAX_LINE_BYTES
_EMPTY: Final = "EMPTY"  # the kind of a column without values
_OTHER_TYPE: Final = "qtforge: a value of another type"
_LINE: Final = re.compile(r"on Line: (\d+)")
_WIDTHS: Final = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_SOURCE: Final = "source_file"
_RAGGED: Final = ("MISSING COLUMNS", "TOO MANY COLUMNS")
_RAGGED_FIX: Final = 'correct the row, or set ragged = "pad" or "skip"'


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """A file for the engine: its path, dialect and column names."""

    file: FoundFile
    path: Path
    dialect: Dialect
    names: Sequence[str]
    blank_lines: int
    has_long_lines: bool


def csv_table(
    engine: Engine, files: Sequence[FoundFile], parameters: FileParameters, limit: int,
    allowance: Allowance, interrupt: Interrupt, warnings: SourceWarnings,
) -> Table:  # fmt: skip
    """Return the rows of all files in order; a column that a file lacks is null there.

    An empty value is null. A column whose values are all whole numbers, or all numbers,
    without leading zeros, becomes a column of numbers; dates stay text. The table's details
    have the ``dialect``.

    Raises:
        OperationError: ``file.invalid``, ``file.too_large``, ``file.unreadable``.
    """
    found = []
    for position, file in enumerate(files):
        interrupt.check()
        path = engine.folder / f"{position}.csv"
        if file.packed or parameters.encoding:
            rewritten(file, parameters.encoding, path, allowance, interrupt)
        else:
            allowance.take(file.path.stat().st_size, file)
            path.symlink_to(file.path)  # its own name may contain wildcards
        has_long_lines = _check_lines(file, path, interrupt)
        start = read_start(file, path)
        if start.text:
            found.append((file, path, start, has_long_lines))
    parts = _parts(found, parameters, warnings)
    if parameters.ragged != "error":
        parts = [
            _completed(engine, part, place, parameters, warnings)
            for place, part in enumerate(parts)
        ]
    if not parts:
        return Table(source="(SELECT 1) WHERE false", columns=[], rows=0)
    return _table_of(engine, parts, parameters, limit, warnings)


def _table_of(
    engine: Engine, parts: Sequence[_Part], parameters: FileParameters, limit: int,
    warnings: SourceWarnings,
) -> Table:  # fmt: skip
    names = list(dict.fromkeys(name for part in parts for name in part.names))
    if parameters.source_file:
        names = [name for name in names if name != _SOURCE] + [_SOURCE]

    def failed(error: duckdb.InvalidInputException) -> Table:
        """Return the table with longer lines, for rows of several lines; or raise the error."""
        if _TOO_LONG not in str(error) or all(part.has_long_lines for part in parts):
            raise _translated(error, parts) from error
        longer = [msgspec.structs.replace(part, has_long_lines=True) for part in parts]
        return _table_of(engine, longer, parameters, limit, warnings)

    source = " UNION ALL ".join(_select(part, names, parameters) for part in parts)
    return _typed(engine, f"({source}) AS rows", names, parameters, limit, parts, warnings, failed)


def _check_lines(file: FoundFile, path: Path, interrupt: Interrupt) -> bool:
    """Return whether lines are longer than usual.

    Raises:
        OperationError: ``file.invalid``, with the line's number: one is too long for the
            engine, which could not be interrupted in it.
    """
    with path.open("rb") as stream:
        size = path.stat().st_size
        begin = _long_line(stream, 0, size, _USUAL_LINE_BYTES, interrupt)
        if begin is None:
            return False
        begin = _long_line(stream, begin, size, _MAX_LINE_BYTES, interrupt)
        if begin is None:
            return True
        stream.seek(0)
        line = 1 + sum(
            stream.read(min(_BLOCK_BYTES, begin - at)).count(b"\n")
            for at in range(0, begin, _BLOCK_BYTES)
        )
    why = f"it has more than {_MAX_LINE_BYTES} bytes"
    raise invalid(file, why, line, "check the file's line ends, and that it is CSV")


def _long_line(
    stream: BinaryIO, begin: int, size: int, most: int, interrupt: Interrupt
) -> int | None:
    """Return the position of the first line that is longer, from a line's beginning on."""
    while size - begin > most:
        interrupt.check()
        end = _last_line_end(stream, begin, begin + most)
        if end is None:
            return begin
        begin = end
    return None


def _last_line_end(stream: BinaryIO, begin: int, end: int) -> int | None:
    """Return the position after the last line end between two positions, if there is one."""
    for at in range(end - _BLOCK_BYTES, begin - _BLOCK_BYTES, -_BLOCK_BYTES):
        stream.seek(max(at, begin))
        block = stream.read(min(_BLOCK_BYTES, end - max(at, begin)))
        found = max(block.rfind(b"\n"), block.rfind(b"\r"))
        if found >= 0:
            return max(at, begin) + found + 1
    return None


def _parts(
    found: Sequence[tuple[FoundFile, Path, Start, bool]],
    parameters: FileParameters,
    warnings: SourceWarnings,
) -> list[_Part]:
    """Return the dialect and columns of each file.

    Raises:
        OperationError: ``file.invalid``.
    """
    dialects = [found_dialect(start, file.tabs, parameters) for file, _, start, _ in found]
    has_names = [parameters.header is True] * len(found)
    if parameters.header is None:
        has_names = header_rows([rows for _, rows in dialects])
    parts = []
    for (file, path, start, has_long_lines), (dialect, rows), header in zip(
        found, dialects, has_names, strict=True
    ):
        if not rows:
            why = f"its first row has more than {len(start.text.encode())} bytes"
            raise invalid(file, why, 1, "check its delimiter and quotes")
        first = rows[0]
        if parameters.header is None and not header:
            if any(has_names):
                why = "its first row looks like data, and that of another file like names"
                raise invalid(file, why, 1, "set header, or make two sources of them")
            warnings.add(
                "csv.no_header",
                f"{file.name}: the first row looks like data, so the columns have numbers;"
                " set header = true if it has their names",
            )
        names = [name.strip() for name in first] if header else [""] * len(first)
        parts.append(
            _Part(
                file=file,
                path=path,
                dialect=msgspec.structs.replace(dialect, header=header),
                names=column_names(names),
                blank_lines=start.blank_lines,
                has_long_lines=has_long_lines or parameters.ragged != "error",
            )
        )
    return parts


def _completed(
    engine: Engine,
    part: _Part,
    place: int,
    parameters: FileParameters,
    warnings: SourceWarnings,
) -> _Part:
    """Return a file with columns for its longest row, and warn of its ragged rows.

    Raises:
        OperationError: ``file.invalid``: it has rows that are wrong otherwise.
    """
    table = f"rejects{place}"
    options = f", ignore_errors = true, rejects_table = '{table}', rejects_scan = 'scans{place}'"
    engine.rows(f"SELECT count(*) FROM {_reader(part, options)}")  # noqa: S608 - quoted
    wrong = engine.rows(
        f"SELECT line, error_type, error_message FROM {table}"  # noqa: S608 - generated
        f" WHERE error_type NOT IN {_RAGGED} ORDER BY line LIMIT 1"
    )
    if wrong:
        line, kind, message = wrong[0]
        why, fix = str(message).splitlines()[0], ""
        if kind == "INVALID ENCODING":
            why, fix = "it is not in utf-8", "set encoding, such as cp1252"
        raise invalid(part.file, why, line, fix)
    ((count, line, width),) = engine.rows(
        f"SELECT count(DISTINCT line_byte_position), min(line), max(column_idx) FILTER"  # noqa: S608
        f" (WHERE error_type = 'TOO MANY COLUMNS') FROM {table}"
    )
    if not count:
        return part
    skips = parameters.ragged == "skip"
    done = "left out" if skips else "completed with nulls, or with further columns"
    warnings.add(
        "csv.ragged_rows",
        f"{part.file.name}, line {line}: it does not have {len(part.names)} values; such rows"
        f" are {done}",
        about=part.file.name,
        count=count,
    )
    if skips or width is None:
        return part
    names = column_names([*part.names, *[""] * (width - len(part.names))])
    return msgspec.structs.replace(part, names=names)


def _reader(part: _Part, options: str) -> str:
    # Inner columns have generated names, since the engine's names are case-insensitive.
    columns = ", ".join(f"'c{position}': 'VARCHAR'" for position in range(len(part.names)))
    dialect = part.dialect
    lines = ""
    if part.has_long_lines:
        lines = f" max_line_size = {_MAX_LINE_BYTES}, buffer_size = {_BUFFER_BYTES},"
    return (
        f"read_csv({literal(part.path)}, auto_detect = false,"
        f" header = {str(dialect.header).lower()}, skip = {part.blank_lines},"
        f" delim = {literal(dialect.delimiter)}, quote = {literal(dialect.quote)},"
        f" escape = {literal(dialect.quote)}, nullstr = '',{lines}"
        f" columns = {{{columns}}}{options})"
    )


def _select(part: _Part, names: Sequence[str], parameters: FileParameters) -> str:
    inner = {name: f"c{position}" for position, name in enumerate(part.names)}
    if parameters.source_file:
        inner[_SOURCE] = literal(part.file.name)
    shown = ", ".join(
        f"{inner.get(name, 'NULL::VARCHAR')} AS o{position}" for position, name in enumerate(names)
    )
    # With null padding, values that contain line breaks can't be read in parallel.
    options = {
        "error": "",
        "pad": ", null_padding = true, parallel = false",
        "skip": ", ignore_errors = true",
    }
    return f"SELECT {shown} FROM {_reader(part, options[parameters.ragged])}"  # noqa: S608 - quoted


def _typed(
    engine: Engine, source: str, names: Sequence[str], parameters: FileParameters, limit: int,
    parts: Sequence[_Part], warnings: SourceWarnings,
    failed: Callable[[duckdb.InvalidInputException], Table],
) -> Table:  # fmt: skip
    """Return the table, with the types of its columns.

    What fits into an answer is looked at whole. Otherwise the types of the first rows are
    expected of all, and checked as the rows are written; rows that do not fit lead to
    `_typed_by_all`.
    """
    patterns = {"BIGINT": _WHOLE, "DOUBLE": _NUMBER}
    separated = any(part.dialect.delimiter == "," for part in parts)
    if parameters.decimal == "," or (parameters.decimal is None and not separated):
        patterns |= {"COMMA": _COMMA_NUMBER, "THOUSANDS": _THOUSANDS}
    wanted = range(len(names)) if parameters.types == "detect" else ()
    every = dict.fromkeys(wanted, tuple(patterns))
    first = min(limit, INLINE_ROWS) + 1
    try:
        count, kinds = _matching(engine, source, every, patterns, first)
    except duckdb.InvalidInputException as error:
        return failed(error)

    def by_all(error: duckdb.InvalidInputException | None) -> Table:
        if error is not None and _OTHER_TYPE not in str(error):
            return failed(error)
        return _typed_by_all(engine, source, names, kinds, patterns, parameters, limit, parts,
                             warnings, failed)  # fmt: skip

    if count < first or limit <= INLINE_ROWS:
        return _with_kinds(source, names, kinds, count, parameters, parts, warnings)
    if any("COMMA" in found and "BIGINT" not in found for found in kinds.values()):
        return by_all(None)  # the decimal mark follows from all rows
    columns = [
        Column(name=name, expression=_expected(f"o{position}", kinds.get(position)))
        for position, name in enumerate(names)
    ]
    details = _facts(parts, parameters.decimal or ".")
    return Table(source=source, columns=columns, rows=None, details=details, instead=by_all)


def _expected(value: str, kinds: Sequence[str] | None) -> str:
    """Return the SQL of a value as the first rows' type, which fails for another one."""
    other = f"WHEN {value} IS NOT NULL THEN error('{_OTHER_TYPE}' || left({value}, 0))"
    if kinds is None:
        return value
    if _EMPTY in kinds:
        return f"CASE {other}::VARCHAR END"
    if "BIGINT" in kinds:
        number = f"TRY_CAST({value} AS BIGINT)"
        # As `_WHOLE`, without its cost.
        fits = f"CAST({number} AS VARCHAR) = {value} AND abs({number}) < 1000000000000000000"
        return f"CASE WHEN {fits} THEN {number} {other}::BIGINT END"
    if "DOUBLE" in kinds:
        fits = f"regexp_full_match({value}, '{_NUMBER}')"
        return f"CASE WHEN {fits} THEN CAST({value} AS DOUBLE) {other}::DOUBLE END"
    return value


def _typed_by_all(
    engine: Engine, source: str, names: Sequence[str], kinds: Mapping[int, Sequence[str]],
    patterns: Mapping[str, str], parameters: FileParameters, limit: int, parts: Sequence[_Part],
    warnings: SourceWarnings, failed: Callable[[duckdb.InvalidInputException], Table],
) -> Table:  # fmt: skip
    """Return the table with the types that all rows have.

    Args:
        engine: Answers.
        source: The rows.
        names: The columns.
        kinds: What the first rows are, by column; a column without values may be anything.
        patterns: The pattern of each kind.
        parameters: The parameters of the source.
        limit: The most rows.
        parts: The files.
        warnings: The warnings of the answer.
        failed: Returns the table to use when the rows can't be read, or raises the error.
    """
    candidates = {
        position: tuple(patterns) if _EMPTY in found else found for position, found in kinds.items()
    }
    try:
        count, kinds = _matching(engine, source, candidates, patterns, limit + 1)
    except duckdb.InvalidInputException as error:
        return failed(error)
    return _with_kinds(source, names, kinds, count, parameters, parts, warnings)


def _with_kinds(
    source: str, names: Sequence[str], kinds: Mapping[int, Sequence[str]], count: int,
    parameters: FileParameters, parts: Sequence[_Part], warnings: SourceWarnings,
) -> Table:  # fmt: skip
    decimal = parameters.decimal or (
        "," if any(_is_decimal(each) for each in kinds.values()) else "."
    )
    columns = []
    for position, name in enumerate(names):
        value, found = f"o{position}", kinds.get(position, ())
        if "BIGINT" in found:
            value = f"CAST({value} AS BIGINT)"
        elif "COMMA" in found and decimal == ",":
            value = f"CAST(replace({value}, ',', '.') AS DOUBLE)"
        elif "DOUBLE" in found and decimal == ".":
            value = f"CAST({value} AS DOUBLE)"
        elif "COMMA" in found or "DOUBLE" in found:
            mark = "comma" if "COMMA" in found else "point"
            warnings.add(
                "csv.decimal_mark",
                f"the column {name} stays text: it is not clear whether the {mark} in its"
                ' numbers is a decimal mark; set decimal, or types = "text"',
                about=name,
            )
        columns.append(Column(name=name, expression=value))
    return Table(source=source, columns=columns, rows=count, details=_facts(parts, decimal))


def _is_decimal(kinds: Sequence[str]) -> bool:
    """Return whether commas are decimal marks in a column, and not those of thousands."""
    return "COMMA" in kinds and "THOUSANDS" not in kinds


def _matching(
    engine: Engine, source: str, candidates: Mapping[int, Sequence[str]],
    patterns: Mapping[str, str], limit: int,
) -> tuple[int, dict[int, Sequence[str]]]:  # fmt: skip
    """Return the number of rows, and for each column the kinds that all its values are of.

    Args:
        engine: Answers.
        source: The rows.
        candidates: The kinds to check for each column, by its number.
        patterns: The pattern of each kind.
        limit: The most rows to look at.
    """
    asked = ["count(*)"]
    for position, kinds in candidates.items():
        asked.append(f"count(o{position})")
        asked += [f"bool_and(regexp_full_match(o{position}, '{patterns[kind]}'))" for kind in kinds]
    shown = ", ".join(asked)
    ((count, *found),) = engine.rows(
        f"SELECT {shown} FROM (SELECT * FROM {source} LIMIT {limit})"  # noqa: S608 - quoted
    )
    answers = iter(found)
    matching: dict[int, Sequence[str]] = {}
    for position, kinds in candidates.items():
        has_values = next(answers) > 0
        fits = [kind for kind in kinds if next(answers)]
        matching[position] = fits if has_values else [_EMPTY]
    return count, matching


def _facts(parts: Sequence[_Part], decimal: str) -> dict[str, Any]:
    """Return the ``dialect``, and those of files that are written differently."""
    described = [
        msgspec.structs.asdict(msgspec.structs.replace(part.dialect, decimal=decimal))
        for part in parts
    ]
    others = {
        part.file.name: each
        for part, each in zip(parts, described, strict=True)
        if each != described[0]
    }
    return {"dialect": described[0], **({"dialects": others} if others else {})}


def _translated(error: duckdb.Error, parts: Sequence[_Part]) -> Exception:
    """Return the engine's error with the file's name and line."""
    text = str(error)
    part = next((each for each in parts if str(each.path) in text), parts[0])
    found = _LINE.search(text)
    lines = [line for line in text.removeprefix("Invalid Input Error: ").splitlines() if line]
    reasons = [line for line in lines if not line.startswith(("CSV Error", "Original Line"))]
    why, fix = (reasons or lines)[0], ""
    widths = _WIDTHS.search(text)
    if _TOO_LONG in text:
        why, fix = f"it has more than {_MAX_LINE_BYTES} bytes", "check that its quotes are closed"
    elif "unicode" in text:
        why, fix = "it is not in utf-8", "set encoding, such as cp1252"
    elif widths is not None:
        wanted, has = int(widths[1]), int(widths[2])
        more = " or more" if has > wanted else ""
        why = f"it has {_values(has)}{more}, and the first row has {wanted}"
        fix = _RAGGED_FIX
        if wanted == 1:
            fix = f"set delimiter, or {fix}"
    elif "state machine" in why:
        why = "its line endings differ, or a quote is not closed"
        fix = "write it in the format of RFC 4180"
    return invalid(part.file, why, int(found[1]) if found else None, fix)


def _values(number: int) -> str:
    return "1 value" if number == 1 else f"{number} values"
