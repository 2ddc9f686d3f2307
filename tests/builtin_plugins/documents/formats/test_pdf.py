"""PDF files, made on the spot."""

from __future__ import annotations

import io
from typing import Any

import pytest
from fpdf import FPDF
from PIL import Image

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


def test_a_hyphen_at_the_end_of_a_line_stays_in_a_number_and_goes_in_a_word(parse: Any) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica", size=12)
    pdf.multi_cell(60, 8, "Registro Mercantil, Hoja M-\n414658 and a docu-\nment")
    text = parse(bytes(pdf.output())).parsed_content
    assert text == "Registro Mercantil, Hoja M-414658 and a document"


def test_a_hyphen_at_the_end_of_a_line_stays_in_an_address_and_before_a_capital(parse: Any) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica", size=12)
    lines = ("Ask office@blue-", "door.example or Anna-", "Lena about the agree-", "ment")
    pdf.multi_cell(90, 8, "\n".join(lines))
    text = " ".join(parse(bytes(pdf.output())).parsed_content.split())
    assert text == "Ask office@blue-door.example or Anna-Lena about the agreement"


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


def objects(*parts: str, before: bytes = b"") -> bytes:
    """Return a PDF of numbered objects, of which the first is the catalog."""
    content = before + b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
    places = []
    for number, part in enumerate(parts, start=1):
        places.append(len(content))
        content += f"{number} 0 obj\n{part}\nendobj\n".encode("latin-1")
    start = len(content)
    rows = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(parts) + 1}\n0000000000 65535 f \n{rows}trailer<</Size {len(parts) + 1}"
    return content + f"{end}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n".encode()


def stream(content: str, entries: str = "") -> str:
    return f"<<{entries}/Length {len(content)}>>stream\n{content}\nendstream"


def shown(left: int, height: int, text: str) -> str:
    return f"BT /F1 12 Tf 1 0 0 1 {left} {height} Tm ({text}) Tj ET\n"


HELVETICA = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def one_page(
    content: str, *others: str, page: str = "", catalog: str = "", before: bytes = b""
) -> bytes:
    """Return a PDF of a page; the other objects begin at number 6."""
    return objects(
        f"<</Type/Catalog/Pages 2 0 R{catalog}>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 400]/Resources<</Font<</F1 4 0 R>>>>"
        f"/Contents 5 0 R{page}>>",
        HELVETICA,
        stream(content),
        *others,
        before=before,
    )


def test_a_byte_order_mark_before_the_header_does_no_harm(parse: Any) -> None:
    content = one_page(shown(30, 350, "Minutes of the meeting"), before=b"\xef\xbb\xbf")
    assert parse(content).parsed_content == "Minutes of the meeting"


@pytest.mark.parametrize("label", ["Name of the applicant:", "Name of the applicant"])
def test_form_values_are_read_beside_their_labels(parse: Any, label: str) -> None:
    def field(name: str, value: str, bottom: int, number: int) -> str:
        return (
            f"<</Type/Annot/Subtype/Widget/FT/Tx/T({name})/V({value})/P 3 0 R/F 4"
            f"/Rect[200 {bottom} 400 {bottom + 20}]/AP<</N {number} 0 R>>>>"
        )

    def look(value: str) -> str:
        entries = "/Type/XObject/Subtype/Form/BBox[0 0 200 20]/Resources<</Font<</F1 4 0 R>>>>"
        return stream(f"/Tx BMC BT /F1 12 Tf 2 5 Td ({value}) Tj ET EMC", entries)

    content = one_page(
        shown(30, 350, label) + shown(30, 320, "Amount") + shown(30, 100, "The end"),
        field("name", "Otto Lindqvist", 345, 9), field("amount", "1,250.00 EUR", 315, 10),
        field("alone", "Unlabelled", 200, 11),
        look("Otto Lindqvist"), look("1,250.00 EUR"), look("Unlabelled"),
        page="/Annots[6 0 R 7 0 R 8 0 R]",
        catalog="/AcroForm<</Fields[6 0 R 7 0 R 8 0 R]/DR<</Font<</F1 4 0 R>>>>>>",
    )  # fmt: skip
    assert parse(content).parsed_content.split("\n") == [
        f"{label}   Otto Lindqvist", "Amount   1,250.00 EUR", "Unlabelled", "The end",
    ]  # fmt: skip


def test_a_form_value_without_an_appearance_is_read(parse: Any) -> None:
    field = "<</Type/Annot/Subtype/Widget/FT/Tx/T(n)/V(Otto Lindqvist)/Rect[200 345 400 365]/F 4>>"
    content = one_page(
        shown(30, 350, "Name:") + shown(30, 320, "The end"), field,
        page="/Annots[6 0 R]", catalog="/AcroForm<</Fields[6 0 R]>>",
    )  # fmt: skip
    assert parse(content).parsed_content == "Name:   Otto Lindqvist\nThe end"


def test_comments_follow_the_text_of_their_page(parse: Any) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica", size=12)
    pdf.cell(text="the text", link="https://example.com")
    pdf.text_annotation(50, 50, "please check")
    assert parse(bytes(pdf.output())).parsed_content == "the text\n\nplease check"


def pairs(labels_left: int, values_left: int, labels: list[str], first: str) -> str:
    columns = {
        "labels": [shown(labels_left, 300 - 20 * n, label) for n, label in enumerate(labels)],
        "values": [shown(values_left, 300 - 20 * n, f"value {n}") for n in range(len(labels))],
    }
    second = "values" if first == "labels" else "labels"
    return "".join([shown(30, 350, "Title"), *columns[first], *columns[second]])


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        (["Date:", "Terms:", "Due:"], "values"),
        (["Subtotal", "Tax", "Total"], "values"),
        (["Date:", "Terms:", "Due:"], "labels"),
    ],
)
def test_labels_and_values_drawn_as_columns_are_read_in_rows(
    parse: Any, labels: list[str], first: str
) -> None:
    content = one_page(pairs(300, 450, labels, first) + shown(30, 100, "The end"))
    assert parse(content).parsed_content.split("\n") == [
        "Title", *(f"{label}   value {n}" for n, label in enumerate(labels)), "The end",
    ]  # fmt: skip


def test_running_text_in_columns_is_not_read_in_rows(parse: Any) -> None:
    words = ["The first column of a text", "goes on for some lines that", "end at the bottom."]
    content = one_page(pairs(30, 300, words, "labels"))
    assert parse(content).parsed_content.split("\n") == [
        "Title", *words, "value 0", "value 1", "value 2",
    ]  # fmt: skip


def test_a_broken_map_of_characters_is_said(parse: Any) -> None:
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
        "/CMapName /My-UTF8-H def /CMapType 1 def\n"
        "2 begincodespacerange <00> <7F> <E08080> <EFBFBF> endcodespacerange\n"
        "2 begincidchar <41> 34 <E38081> 35 endcidchar\nendcmap end end"
    )
    system = "/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>"
    content = objects(
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 400]/Resources<</Font<</F1 4 0 R>>>>"
        "/Contents 5 0 R>>",
        "<</Type/Font/Subtype/Type0/BaseFont/X/Encoding 6 0 R/DescendantFonts[7 0 R]>>",
        stream("BT /F1 12 Tf 30 350 Td <41E3808141> Tj ET"),
        stream(cmap, f"/Type/CMap/CMapName/My-UTF8-H{system}"),
        f"<</Type/Font/Subtype/CIDFontType2/BaseFont/X{system}/DW 1000/FontDescriptor 8 0 R>>",
        "<</Type/FontDescriptor/FontName/X/Flags 4/FontBBox[0 0 1000 1000]/ItalicAngle 0"
        "/Ascent 800/Descent -200/CapHeight 700/StemV 80>>",
    )
    response = parse(content, "a.pdf")
    assert response.parsed_content == "A\ufffdA"
    assert response.warnings == ("characters_unknown",)


def test_pages_that_are_pictures_are_said(parse: Any) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (60, 80), "white").save(picture, "PNG")
    pdf = FPDF()
    pdf.set_font("helvetica", size=12)
    pdf.add_page()
    pdf.cell(text="The cover letter, which is a page of text as others are.")
    pdf.image(picture, 10, 20, 20)
    pdf.add_page()
    pdf.image(picture, 0, 0, pdf.w, pdf.h)
    pdf.text(10, 10, "Scanned")
    response = parse(bytes(pdf.output()))
    assert response.warnings == ("scan",)
    assert response.parsed_content.endswith("Scanned")


def test_a_scan_without_text_is_said(parse: Any, make_pdf: Any) -> None:
    assert parse(make_pdf([""])).warnings == ("scan",)


def test_files_within_it_are_attachments(parse: Any) -> None:
    pdf = FPDF()
    pdf.set_font("helvetica", size=12)
    pdf.add_page()
    pdf.cell(text="the text")
    pdf.embed_file(bytes=b"<?xml version='1.0'?><a>the data</a>", basename="data.xml")
    response = parse(bytes(pdf.output()))
    (attachment,) = response.attachments
    assert attachment.name == "data.xml"
    assert attachment.response.parsed_content == "the data"
