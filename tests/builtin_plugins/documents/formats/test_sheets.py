"""Spreadsheets, made on the spot."""

from __future__ import annotations

import datetime
import io
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest
from tests.builtin_plugins.documents.compound_files import compound

from qtforge_sdk import OperationError
from qtforge_sdk.messages import Table

OPEN_DOCUMENT = """<?xml version="1.0"?>
<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0">
<office:body><office:spreadsheet><table:table table:name="Rates"><table:table-row>
<table:table-cell office:value-type="string" calcext:value-type="string"><text:p>Rate</text:p>
</table:table-cell>
<table:table-cell office:value-type="string" office:string-value="" calcext:value-type="error">
<text:p>#DIV/0!</text:p></table:table-cell>
</table:table-row></table:table></office:spreadsheet></office:body></office:document-content>
"""


def workbook(fill: Callable[[Any], None]) -> bytes:
    book = openpyxl.Workbook()
    fill(book)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def prices(book: Any) -> None:
    book.properties.title = "Price list"
    book.properties.creator = "Ann"
    sheet = book.active
    sheet.title = "Prices"
    sheet.append(["Name", "Amount", "Day", "Sold"])
    sheet.append(["Äpfel", 12.5, datetime.date(2026, 5, 1), True])
    sheet.append([])
    sheet.append(["two\nlines", 3, None, None])
    hidden = book.create_sheet("Secret")
    hidden["A1"] = "hidden"
    hidden.sheet_state = "hidden"


def test_each_sheet_is_a_section_and_a_table(parse: Any) -> None:
    response = parse(workbook(prices), "a.zip")
    rows = (
        ("Name", "Amount", "Day", "Sold"),
        ("Äpfel", "12.5", "2026-05-01", "TRUE"),
        ("two lines", "3"),
    )
    assert response.parsed_content == "\n".join(["Prices", *map("\t".join, rows)])
    assert response.tables == (Table(rows=rows, name="Prices"),)
    assert [(each.text, each.line) for each in response.sections] == [("Prices", 1)]
    assert (response.metadata.title, response.metadata.author) == ("Price list", "Ann")
    assert response.warnings == ("hidden_sheets",)


def test_cells_with_an_error_are_empty_and_warned_of(parse: Any) -> None:
    def fill(book: Any) -> None:
        book.active.append(["Name", "Rate"])
        book.active.append(["Ann", "#DIV/0!"])

    response = parse(workbook(fill), "a.xlsx")
    assert response.parsed_content == "Sheet\nName\tRate\nAnn"
    assert response.warnings == ("error_cells",)


def test_an_open_document_sheet_with_an_error_is_warned_of(parse: Any) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", OPEN_DOCUMENT.replace("\n", ""))
    response = parse(target.getvalue(), "a.ods")
    assert response.tables[0].rows == (("Rate",),)
    assert response.warnings == ("error_cells",)


def test_two_cells_far_apart_are_refused_instead_of_filling_the_memory(parse: Any) -> None:
    def fill(book: Any) -> None:
        book.active["A1"] = "here"
        book.active["XFD1048576"] = "there"

    with pytest.raises(OperationError) as caught:
        parse(workbook(fill))
    assert caught.value.code == "document.too_large"


def test_a_long_narrow_sheet_is_read(parse: Any) -> None:
    def fill(book: Any) -> None:
        book.active["A1"] = "begin"
        book.active["B9000"] = "end"

    assert parse(workbook(fill)).parsed_content == "Sheet\nbegin\n\tend"


def biff(kind: int, *fields: bytes) -> bytes:
    data = b"".join(fields)
    return struct.pack("<HH", kind, len(data)) + data


def test_an_old_workbook_is_read(parse: Any) -> None:
    def begin(kind: int) -> bytes:
        return biff(0x809, struct.pack("<HHHHII", 0x600, kind, 0, 1997, 0, 0x600))

    name = "Preise"
    label = "Äpfel".encode("utf-16-le")
    sheet = b"".join(
        [
            begin(0x10),
            biff(0x204, struct.pack("<HHHHB", 0, 0, 0, 5, 1), label),
            biff(0x203, struct.pack("<HHHd", 0, 1, 0, 12.5)),
            biff(0x0A),
        ]
    )
    start = len(begin(5)) + 4 + 8 + len(name) + 4
    listed = biff(0x85, struct.pack("<IBBBB", start, 0, 0, len(name), 0), name.encode())
    book = begin(5) + listed + biff(0x0A)
    assert len(book) == start
    response = parse(compound({"Workbook": book + sheet}), "a.xls")
    assert response.metadata.media_type == "application/vnd.ms-excel"
    assert response.parsed_content == "Preise\nÄpfel\t12.5"


def test_a_damaged_workbook_is_damaged(parse: Any) -> None:
    with pytest.raises(OperationError) as caught:
        parse(compound({"Workbook": b"rubbish" * 9}), "a.xls")
    assert caught.value.code == "document.damaged"


def test_a_workbook_with_a_broken_part_is_damaged(parse: Any) -> None:
    content = bytearray(workbook(prices))
    at = content.index(b"xl/worksheets/sheet1.xml") + 60
    content[at : at + 40] = bytes(40)
    with pytest.raises(OperationError) as caught:
        parse(bytes(content), "a.xlsx")
    assert caught.value.code == "document.damaged"
