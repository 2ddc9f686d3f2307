"""PDF files, made on the spot."""

from __future__ import annotations

import io
from typing import Any

import pytest
from fpdf import FPDF

from qtforge_sdk import OperationError


def refusal(parse: Any, content: bytes) -> OperationError:
    with pytest.raises(OperationError) as caught:
        parse(content, "a.pdf")
    assert isinstance(caught.value, OperationError)
    return caught.value


def test_text_and_properties_are_read(parse: Any, make_pdf: Any) -> None:
    response = parse(make_pdf(["The first page.", "The second page."]), "a.bin")
    assert response.parsed_content == "The first page.\n\nThe second page."
    metadata = response.metadata
    assert metadata.media_type == "application/pdf"
    assert (metadata.title, metadata.author, metadata.pages) == ("Made for a test", "A. Tester", 2)
    assert metadata.created is not None
    assert metadata.created[:2] == "20"
    assert metadata.encoding is None


def test_progress_is_told_for_each_page(parse: Any, make_pdf: Any) -> None:
    progress: list[tuple[float, float | None]] = []
    parse(make_pdf(["a", "b", "c"]), progress=progress)
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_an_encrypted_pdf_is_refused_with_a_clear_error(parse: Any, make_pdf: Any) -> None:
    error = refusal(parse, make_pdf(["secret"], password="sesame"))
    assert error.code == "document.encrypted"
    assert "password" in error.why
    assert error.fix


def test_a_pdf_with_an_owner_password_only_is_read(parse: Any, make_pdf: Any) -> None:
    assert parse(make_pdf(["for all to read"], password="")).parsed_content == "for all to read"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_pdf_is_damaged(parse: Any, make_pdf: Any, share: float) -> None:
    whole = make_pdf(["words " * 200] * 5)
    error = refusal(parse, whole[: int(len(whole) * share)])
    assert error.code == "document.damaged"
    assert "end is missing" in error.why


def test_a_pdf_of_rubbish_is_damaged(parse: Any) -> None:
    assert refusal(parse, b"%PDF-1.7\n\0\x01rubbish\n%%EOF\n").code == "document.damaged"


def test_bytes_after_the_end_do_no_harm(parse: Any, make_pdf: Any) -> None:
    assert parse(make_pdf(["words"]) + b"\r\n" + bytes(10_000)).parsed_content == "words"


def test_a_page_without_text_gives_no_text(parse: Any) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.rect(10, 10, 50, 50)
    response = parse(bytes(pdf.output()))
    assert response.parsed_content == ""
    assert response.metadata.pages == 1


def test_a_form_drawn_from_the_bottom_is_read_row_by_row(parse: Any) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica", size=12)
    rows = [(f"Label {number}:", f"value {number}") for number in range(8)]
    for left, column in ((120, 1), (20, 0)):
        for number in reversed(range(len(rows))):
            pdf.text(left, 20 + 10 * number, rows[number][column])
    lines = parse(bytes(pdf.output())).parsed_content.split("\n")
    assert [line.split("   ") for line in lines] == [list(row) for row in rows]


def test_columns_are_read_one_after_the_other(parse: Any) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica", size=12)
    for left, name in ((20, "left"), (120, "right")):
        for number in range(8):
            pdf.text(left, 20 + 7 * number, f"{name} {number}")
    lines = parse(bytes(pdf.output())).parsed_content.split("\n")
    assert lines == [f"{name} {number}" for name in ("left", "right") for number in range(8)]


def test_an_unfit_date_is_left_out(parse: Any, make_pdf: Any) -> None:
    whole = make_pdf(["words"])
    at = whole.index(b"/CreationDate (D:") + len(b"/CreationDate (D:")
    broken = io.BytesIO(whole)
    broken.seek(at + 4)
    broken.write(b"99")  # the month
    assert parse(broken.getvalue()).metadata.created is None
