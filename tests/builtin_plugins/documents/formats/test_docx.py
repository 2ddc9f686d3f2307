"""DOCX files, made on the spot."""

from __future__ import annotations

import datetime
import io
import zipfile
from typing import Any

import pytest

from qtforge_builtin_plugins.documents.parser import ParserConfig
from qtforge_sdk import OperationError

MADE_AT = datetime.datetime(2026, 5, 2, 18, 0, tzinfo=datetime.UTC)


def fill(document: Any) -> None:
    document.core_properties.title = "A report"
    document.core_properties.author = "Ann"
    document.core_properties.created = MADE_AT
    document.sections[0].header.paragraphs[0].text = "the header"
    document.add_paragraph("before")
    table = document.add_table(rows=2, cols=3)
    for number, cell in enumerate(table.rows[0].cells):
        cell.text = f"cell {number}"
    table.rows[1].cells[0].merge(table.rows[1].cells[1]).text = "wide"
    table.rows[1].cells[2].text = "last"
    document.add_paragraph("after")


def test_paragraphs_and_tables_keep_their_order(parse: Any, make_docx: Any) -> None:
    response = parse(make_docx(fill), "a.zip")
    assert response.parsed_content == (
        "the header\n\nbefore\n\ncell 0\tcell 1\tcell 2\nwide\tlast\n\nafter"
    )
    metadata = response.metadata
    assert (metadata.title, metadata.author) == ("A report", "Ann")
    assert metadata.created is not None
    assert datetime.datetime.fromisoformat(metadata.created) == MADE_AT


def test_without_a_title_the_first_heading_is_it(parse: Any, make_docx: Any) -> None:
    def with_heading(document: Any) -> None:
        document.add_paragraph("before")
        document.add_heading("The heading", 1)

    assert parse(make_docx(with_heading)).metadata.title == "The heading"


def test_a_truncated_docx_is_damaged(parse: Any, make_docx: Any) -> None:
    whole = make_docx(fill)
    with pytest.raises(OperationError) as caught:
        parse(whole[: len(whole) // 2], "a.docx")
    assert caught.value.code == "document.damaged"


def test_a_docx_with_a_broken_part_is_damaged(parse: Any, make_docx: Any) -> None:
    broken = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(make_docx(fill))) as whole,
        zipfile.ZipFile(broken, "w") as copy,
    ):
        for name in whole.namelist():
            copy.writestr(name, b"<w:" if name == "word/document.xml" else whole.read(name))
    with pytest.raises(OperationError) as caught:
        parse(broken.getvalue(), "a.docx")
    assert caught.value.code == "document.damaged"
    assert caught.value.__cause__ is not None


@pytest.mark.timeout(120)
def test_a_zip_bomb_is_refused_before_it_is_unpacked(parse: Any, make_docx: Any) -> None:
    bomb = io.BytesIO(make_docx(fill))
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/image1.png", bytes(20_000_000))
    packed = bomb.getvalue()
    assert len(packed) < 200_000
    with pytest.raises(OperationError, match="is too large uncompressed") as caught:
        parse(packed, config=ParserConfig(max_unpacked_bytes=10_000_000))
    assert caught.value.code == "document.too_large"
