"""Rows of Excel and OpenDocument sheets."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, Final

import python_calamine

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.column_names import column_names
from qtforge_builtin_plugins.collectors.files.matching import FoundFile, invalid
from qtforge_builtin_plugins.collectors.files.settings import FileParameters
from qtforge_builtin_plugins.collectors.files.unpacking import Allowance
from qtforge_builtin_plugins.collectors.parameters import invalid_parameter
from qtforge_sdk.validation import did_you_mean

__all__ = ["excel_rows"]

_EXACT: Final = 2**53  # whole numbers up to here are exact in a sheet


def excel_rows(
    file: FoundFile, parameters: FileParameters, allowance: Allowance, interrupt: Interrupt
) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a sheet; empty ones are skipped.

    A number without a fraction becomes an integer, an empty cell null, a formula its last
    value.

    Raises:
        OperationError: ``file.invalid``, ``file.too_large``, ``file.invalid_parameters``.
    """
    allowance.take(_unpacked_bytes(file), file)
    try:
        with python_calamine.CalamineWorkbook.from_path(file.path) as workbook:
            name = _sheet_name(workbook.sheet_names, parameters.sheet, file)
            cells = workbook.get_sheet_by_name(name).iter_rows()
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
            given = [str(_plain(value) or "").strip() for value in values]
            names = column_names(given if header else [""] * len(values))
            if header:
                continue
        yield dict(zip(names, map(_plain, values), strict=True))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return None if value == "" else value
