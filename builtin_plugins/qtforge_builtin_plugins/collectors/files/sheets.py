"""Rows of Excel and OpenDocument sheets."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, Final

import python_calamine

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.column_names import column_names
from qtforge_builtin_plugins.collectors.files.cell_formats import CellFormats, xlsx_cell_formats
from qtforge_builtin_plugins.collectors.files.matching import FoundFile, invalid
from qtforge_builtin_plugins.collectors.files.settings import FileParameters
from qtforge_builtin_plugins.collectors.files.unpacking import Allowance
from qtforge_builtin_plugins.collectors.parameters import invalid_parameter
from qtforge_builtin_plugins.collectors.row_sink import OddValue
from qtforge_sdk.validation import did_you_mean

__all__ = ["excel_rows"]

_ERROR: Final = "an error instead of a value, became null"
_EXACT: Final = 2**53  # whole numbers up to here are exact in a sheet


def excel_rows(
    file: FoundFile, parameters: FileParameters, allowance: Allowance, interrupt: Interrupt
) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a sheet; empty ones are skipped.

    A number without a fraction becomes an integer, an empty cell null, a formula its last
    value, and an error null, as an `OddValue`. A date is a moment where the cell's number
    format shows a time; in other formats than XLSX, which tell no number format, where its
    column has moments that are not at midnight.

    Raises:
        OperationError: ``file.invalid``, ``file.too_large``, ``file.invalid_parameters``.
    """
    allowance.take(_unpacked_bytes(file), file)
    try:
        with python_calamine.CalamineWorkbook.from_path(file.path) as workbook:
            name = _sheet_name(workbook.sheet_names, parameters.sheet, file)
            sheet = workbook.get_sheet_by_name(name)
            formats = xlsx_cell_formats(file.path, name)
            moments = frozenset() if formats else _moment_columns(sheet.iter_rows(), interrupt)
            first = sheet.start[1] if sheet.start else 0
            cells = _typed(sheet.iter_rows(), formats or CellFormats(), moments, first)
            yield from _rows(cells, parameters.header is not False, interrupt)
    except (python_calamine.CalamineError, OSError) as error:
        raise invalid(file, str(error)) from error


def _unpacked_bytes(file: FoundFile) -> int:
    # Newer formats are zip files, whose parts may be many times larger uncompressed.
    try:
        with zipfile.ZipFile(file.path) as archive:
            return sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError):
        return file.path.stat().st_size


def _sheet_name(known: list[str], wanted: str | None, file: FoundFile) -> str:
    if not known:
        raise invalid(file, "it has no sheet")
    if wanted is None or wanted in known:
        return wanted or known[0]
    why = f"sheet: {file.name} has no sheet '{wanted}'"
    raise invalid_parameter("file", why, did_you_mean(wanted, known))


def _moment_columns(rows: Iterator[list[Any]], interrupt: Interrupt) -> frozenset[int]:
    """Return the columns with moments that are not at midnight."""
    found: set[int] = set()
    for number, values in enumerate(rows):
        if number % 1000 == 0:
            interrupt.check()
        found.update(
            place for place, value in enumerate(values) if type(value) is datetime.datetime
        )
    return frozenset(found)


def _typed(
    rows: Iterator[list[Any]], formats: CellFormats, moments: frozenset[int], first: int
) -> Iterator[list[Any]]:
    """Yield rows with the moments at midnight and the errors that calamine does not tell.

    Args:
        rows: From the sheet's first row.
        formats: The formats of cells.
        moments: The columns whose dates are moments.
        first: The first column of the rows.
    """
    for number, values in enumerate(rows):
        errors = formats.errors.get(number, {})
        for place in moments or {each - first for each in formats.with_times.get(number, ())}:
            if place < len(values) and type(values[place]) is datetime.date:
                values[place] = datetime.datetime.combine(values[place], datetime.time())
        for column, error in errors.items():
            if 0 <= column - first < len(values):
                values[column - first] = OddValue(
                    plain=None, code="excel.error_value", reason=_ERROR, shown=error
                )
        yield values


def _rows(
    cells: Iterator[list[Any]], header: bool, interrupt: Interrupt
) -> Iterator[Mapping[str, Any]]:
    names: list[str] = []
    for number, values in enumerate(cells):
        if number % 1000 == 0:
            interrupt.check()
        if all(value == "" for value in values):
            continue
        if not names:
            given = [_name(value) for value in values]
            names = column_names(given if header else [""] * len(values))
            if header:
                continue
        yield dict(zip(names, map(_plain, values), strict=True))


def _name(value: Any) -> str:
    plain = _plain(value)
    return "" if plain is None or isinstance(plain, OddValue) else str(plain).strip()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return None if value == "" else value
