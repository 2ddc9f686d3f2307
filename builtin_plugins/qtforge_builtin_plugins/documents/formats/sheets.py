"""Spreadsheets (XLSX, XLSM, XLSB, XLS, ODS), by python-calamine: the cells of each sheet."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Sequence
from typing import Any, Final

import python_calamine

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_builtin_plugins.documents.formats.errors import damage_as_error
from qtforge_builtin_plugins.documents.formats.packages import Package
from qtforge_sdk import OperationError
from qtforge_sdk.messages import Table

__all__ = ["extract"]

_SHEET: Final = re.compile(r"xl/worksheets/[^/]+\.xml")
_ROW: Final = re.compile(rb"<row\b[^>]{0,200}?\br=\"(\d{1,7})\"")
_COLUMN: Final = re.compile(rb"\br=\"([A-Z]{1,3})\d")
_ERROR: Final = re.compile(rb"<c\b[^<>]{0,200}?\bt=\"e\"")
_CONTENT: Final = re.compile(r"content\.xml")
_ODS_ERROR: Final = re.compile(rb"calcext:value-type=\"error\"")
_MOST_COLUMNS: Final = 16_384
_MOST_CELLS: Final = 50_000_000


def extract(source: Source) -> Extracted:
    """Return each sheet's name and its rows, with tabs between cells.

    Formulas are read as their last results. Empty rows are left out, and hidden sheets, with the
    warning ``hidden_sheets``. An error such as ``#N/A`` is an empty cell, with the warning
    ``error_cells`` in XLSX, XLSM and ODS; the library does not tell those of XLS and XLSB.

    Raises:
        OperationError: ``document.too_large``, ``document.damaged``, ``document.encrypted``.
    """
    properties: dict[str, str | None] = {}
    errors = 0
    if source.data.startswith(b"PK"):
        package = Package(source)
        with damage_as_error(source):
            _check_extent(source, package)
            errors = _count_errors(package)
            properties = package.properties()
    blocks = []
    tables = []
    headings = []
    hidden = []
    try:
        with damage_as_error(source):
            book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(source.data))
            for sheet in book.sheets_metadata:
                if sheet.typ != python_calamine.SheetTypeEnum.WorkSheet:
                    continue
                if sheet.visible != python_calamine.SheetVisibleEnum.Visible:
                    hidden.append(sheet.name)
                    continue
                rows = _rows(book.get_sheet_by_name(sheet.name))
                headings.append((1, " ".join(sheet.name.split())))
                tables.append(Table(rows=tuple(rows), name=sheet.name))
                blocks.append("\n".join([headings[-1][1], *map("\t".join, rows)]))
    except OperationError as error:
        if isinstance(error.__cause__, python_calamine.PasswordError):
            raise OperationError(
                "document.encrypted", f"{source.name} is encrypted",
                "it opens with a password only", "save it without a password first",
            ) from error.__cause__  # fmt: skip
        raise
    return Extracted(
        text="\n\n".join(blocks),
        title=properties.get("title"),
        author=properties.get("author"),
        created=properties.get("created"),
        headings=headings,
        tables=tables,
        warnings=_warnings(hidden, errors),
    )


def _warnings(hidden: Sequence[str], errors: int) -> dict[str, str]:
    warnings = {"hidden_sheets": f"left out: {', '.join(hidden)}"} if hidden else {}
    if errors:
        cells = "one cell has" if errors == 1 else f"{errors} cells have"
        warnings["error_cells"] = f"{cells} an error instead of a value"
    return warnings


def _count_errors(package: Package) -> int:
    """Return the number of cells with an error, which calamine reads as empty ones."""
    return sum(
        len(pattern.findall(package.read(name) or b""))
        for name in package.names()
        for part, pattern in ((_SHEET, _ERROR), (_CONTENT, _ODS_ERROR))
        if part.fullmatch(name)
    )


def _check_extent(source: Source, package: Package) -> None:
    """Refuse a sheet of a few cells far apart: calamine makes all cells between them.

    Raises:
        OperationError: ``document.too_large``.
    """
    for name in package.names():
        if not _SHEET.fullmatch(name):
            continue
        data = package.read(name) or b""
        rows = max(map(int, _ROW.findall(data[data.rfind(b"<row") :])), default=1)
        if rows * _MOST_COLUMNS <= _MOST_CELLS:
            continue
        widest = max(set(_COLUMN.findall(data)), key=lambda text: (len(text), text), default=b"A")
        columns = 0
        for letter in widest:
            columns = 26 * columns + letter - 64
        if rows * columns > _MOST_CELLS:
            raise OperationError(
                "document.too_large", f"{source.name} is too large uncompressed",
                f"a sheet reaches to row {rows} and column {columns}, and {_MOST_CELLS} cells"
                " are allowed", "remove what is far off the table",
            )  # fmt: skip


def _rows(sheet: python_calamine.CalamineSheet) -> list[tuple[str, ...]]:
    rows = []
    for row in sheet.iter_rows():
        cells = [_written(cell) for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            rows.append(tuple(cells))
    return rows


def _written(cell: Any) -> str:
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, (datetime.date, datetime.time)):
        return cell.isoformat()
    return " ".join(str(cell).split())
