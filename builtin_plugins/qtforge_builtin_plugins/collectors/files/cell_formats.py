"""Which cells of a sheet have times and which have errors: python-calamine does not say.

It makes a date of a moment at midnight, and nothing of an error. Both are in the XML of a
workbook: the cell's type, and its number format.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import msgspec

__all__ = ["CellFormats", "xlsx_cell_formats"]

_BAD_ARCHIVE: Final = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError)
_WORKBOOK: Final = "xl/workbook.xml"
_RELATIONS: Final = "xl/_rels/workbook.xml.rels"
_STYLES: Final = "xl/styles.xml"
_BUILT_IN_TIMES: Final = frozenset((18, 19, 20, 21, 22, 45, 46, 47))
# Literals of a number format: "text", \x, _x (a space), *x (filling), [Red], [$-409].
_LITERALS: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.DOTALL)
_TIME: Final = re.compile(r"[hs]", re.IGNORECASE)
_VALUE: Final = re.compile(rb"<(?:\w+:)?v>([^<]{1,20})<")
_VALUE_WITHIN_BYTES: Final = 16 * 1024  # a formula of at most 8,192 characters comes before it


class CellFormats(msgspec.Struct, frozen=True):
    """Cells of a sheet by row and column, each from 0.

    Attributes:
        with_times: The columns of each row whose number format shows a time.
        errors: The errors of each row by column, such as ``#N/A``.
    """

    with_times: Mapping[int, set[int]] = msgspec.field(default_factory=dict)
    errors: Mapping[int, dict[int, str]] = msgspec.field(default_factory=dict)


def xlsx_cell_formats(path: Path, sheet: str) -> CellFormats | None:
    """Return the formats of a sheet's cells; None for another format of workbooks.

    Args:
        path: The workbook.
        sheet: The sheet's name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            part = _part_of(archive, sheet)
            if part is None:
                return None
            styles = _time_styles(archive)
            return _marked(archive.read(part), styles)
    except (*_BAD_ARCHIVE, ElementTree.ParseError, KeyError, ValueError):
        return None


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str | None:
    """Return the name of a sheet's part."""
    relation = next(
        (
            value
            for each in _parsed(archive, _WORKBOOK).iter()
            if _local(each.tag) == "sheet" and each.get("name") == sheet
            for name, value in each.attrib.items()
            if name.endswith("}id")
        ),
        None,
    )
    for each in _parsed(archive, _RELATIONS):
        if relation is not None and each.get("Id") == relation:
            return posixpath.join("/xl", each.get("Target", "")).lstrip("/")
    return None


def _time_styles(archive: zipfile.ZipFile) -> list[int]:
    """Return the numbers of the cell styles whose number format shows a time."""
    if _STYLES not in archive.namelist():
        return []
    root = _parsed(archive, _STYLES)
    times = set(_BUILT_IN_TIMES)
    for each in root.iter():
        if _local(each.tag) == "numFmt":
            code = _LITERALS.sub("", each.get("formatCode", ""))
            number = int(each.get("numFmtId", "-1"))
            (times.add if _TIME.search(code) else times.discard)(number)
    formats = next((each for each in root if _local(each.tag) == "cellXfs"), ())
    return [
        number for number, each in enumerate(formats) if int(each.get("numFmtId", "0")) in times
    ]


def _marked(sheet: bytes, styles: list[int]) -> CellFormats:
    numbers = "|".join(map(str, styles))
    wanted = rf'(?:t="e"|s="(?:{numbers})")' if styles else 't="e"'
    cell = re.compile(
        rf'<(?:\w+:)?c(?=\s)(?=[^>]*\s{wanted})[^>]*?\sr="([A-Z]{{1,3}})(\d{{1,7}})"[^>]*>'.encode()
    )
    with_times: dict[int, set[int]] = {}
    errors: dict[int, dict[int, str]] = {}
    for found in cell.finditer(sheet):
        row, column = int(found[2]) - 1, _column(found[1])
        if b' t="e"' in found[0]:
            end = found.end()
            value = _VALUE.search(sheet, end, end + _VALUE_WITHIN_BYTES)
            shown = value[1].decode("utf-8", "replace") if value else "an error"
            errors.setdefault(row, {})[column] = shown
        else:
            with_times.setdefault(row, set()).add(column)
    return CellFormats(with_times, errors)


def _column(letters: bytes) -> int:
    number = 0
    for each in letters:
        number = number * 26 + each - 64
    return number - 1


def _parsed(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    # expat itself bounds what entities expand to, and reads no external ones.
    return ElementTree.fromstring(archive.read(name))  # noqa: S314


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]
