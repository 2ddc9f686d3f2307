"""Invoices as Word files, and as Word or OpenDocument files that LibreOffice prints."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from random import Random

from docx import Document
from docx.document import Document as WordDocument
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_TAB_ALIGNMENT
from docx.shared import Cm, Pt
from tests.corpus.layout import Draft, Layout
from tests.corpus.sheet import Line, Sheet

FONT = "DejaVu Sans"
_ODF = (
    '<?xml version="1.0" encoding="UTF-8"?><office:document '
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0" '
    'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" '
    'office:version="1.2" office:mimetype="application/vnd.oasis.opendocument.text">'
    '<office:font-face-decls><style:font-face style:name="F" svg:font-family="Liberation Sans"/>'
    "</office:font-face-decls><office:automatic-styles>"
    '<style:style style:name="P" style:family="paragraph"><style:text-properties '
    'style:font-name="F" fo:font-size="9pt"/></style:style>'
    '<style:style style:name="S" style:family="paragraph"><style:text-properties '
    'style:font-name="F" fo:font-size="7pt" fo:color="#666666"/></style:style>'
    '<style:style style:name="H" style:family="paragraph"><style:paragraph-properties '
    'fo:margin-top="0.3cm" fo:margin-bottom="0.2cm"/><style:text-properties '
    'style:font-name="F" fo:font-size="13pt" fo:font-weight="bold"/></style:style>'
    '<style:style style:name="R" style:family="paragraph"><style:paragraph-properties '
    'fo:text-align="end"/><style:text-properties style:font-name="F" fo:font-size="9pt"/>'
    "</style:style>"
    '<style:style style:name="C" style:family="table-cell"><style:table-cell-properties '
    'fo:border="0.02cm solid #777777" fo:padding="0.1cm"/></style:style>'
    "</office:automatic-styles><office:body><office:text>{body}</office:text></office:body>"
    "</office:document>"
)


def odf(body: str) -> Draft:
    """Wrap the body of a flat OpenDocument text for LibreOffice to print."""
    return Draft(_ODF.replace("{body}", body).encode(), ".fodt", "libreoffice")


def odf_paragraph(text: str, style: str = "P") -> str:
    """Give a paragraph of a flat OpenDocument text."""
    return f'<text:p text:style-name="{style}">{escape(text)}</text:p>'


def odf_table(rows: Sequence[Sequence[str]]) -> str:
    """Give a bordered table whose cells hold paragraphs."""

    def cell(content: str) -> str:
        return f'<table:table-cell table:style-name="C">{content}</table:table-cell>'

    filled = "".join(
        f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows
    )
    columns = f'<table:table-column table:number-columns-repeated="{len(rows[0])}"/>'
    return f"<table:table>{columns}{filled}</table:table>"


def new_word() -> WordDocument:
    """Begin a Word document whose properties do not depend on the time."""
    document = Document()
    document.styles["Normal"].font.name = FONT
    document.styles["Normal"].font.size = Pt(9)
    properties = document.core_properties
    properties.created = properties.modified = datetime(2025, 1, 1)
    properties.author = properties.title = properties.comments = ""
    return document


def word_draft(
    document: WordDocument, tool: str = "python-docx", *, without: Sequence[str] = ()
) -> Draft:
    """Save a Word document with fixed times in its archive.

    Args:
        document: The document.
        tool: What makes the file: python-docx itself, or LibreOffice, which prints it.
        without: Members that the archive is to lack, beside the thumbnail.

    Returns:
        The file.
    """
    saved, fixed = io.BytesIO(), io.BytesIO()
    document.save(saved)
    gone = ("docProps/thumbnail.jpeg", *without)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(fixed, "w") as target:
        for name in source.namelist():
            if name in gone:
                continue
            content = source.read(name)
            if name.endswith(".rels") or name == "[Content_Types].xml":
                content = _without_members(content, gone)
            info = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, content)
    if tool == "libreoffice":
        return Draft(fixed.getvalue(), ".docx", "libreoffice")
    return Draft(fixed.getvalue(), ".docx", "python-docx")


def _without_members(listing: bytes, gone: Sequence[str]) -> bytes:
    """Take members out of the archive's relations or its content types."""
    for name in gone:
        end = re.escape(name.rpartition("/")[2].encode())
        listing = re.sub(rb"<(?:Relationship|Override) [^>]*/" + end + rb'"[^>]*/>', b"", listing)
        listing = re.sub(rb'<Relationship [^>]*"' + end + rb'"[^>]*/>', b"", listing)
    return listing


# What Word 2007 leaves unread, and no reader of documents needs.
LEAN = ("word/stylesWithEffects.xml",)


def _word_table(document: WordDocument, rows: Sequence[Sequence[str]], style: str) -> None:
    table = document.add_table(rows=len(rows), cols=len(rows[0]), style=style)
    for cells, texts in zip(table.rows, rows, strict=True):
        for cell, text in zip(cells.cells, texts, strict=True):
            cell.text = text


def _item_rows(sheet: Sheet, columns: Sequence[str]) -> list[list[str]]:
    return [[cells[key] for key in columns] for cells in (sheet.columns, *sheet.rows)]


def _party(name: str, address: Iterable[str], lines: Iterable[Line]) -> list[str]:
    return [name, *address, *(f"{line.label} {line.value}" for line in lines)]


def _word_tables(sheet: Sheet, rng: Random) -> Draft:
    document = new_word()
    document.add_heading(sheet.title, level=1)
    party = _party(sheet.seller.name, sheet.seller.address, sheet.seller.ids)
    seller = [sheet.words.seller, *party, *sheet.seller.contact]
    buyer = [sheet.words.buyer, *_party(sheet.buyer.name, sheet.buyer.address, sheet.buyer.ids)]
    sides = [seller, buyer]
    if rng.random() < 0.5:
        sides.reverse()
    _word_table(document, [["\n".join(side) for side in sides]], "Normal Table")
    document.add_paragraph()
    _word_table(document, [[line.label, line.value] for line in sheet.facts], "Table Grid")
    document.add_paragraph()
    columns = ["pos", "description", "quantity", "unit", "price", "rate", "amount"]
    _word_table(document, _item_rows(sheet, columns), "Table Grid")
    document.add_paragraph()
    _word_table(document, [[line.label, line.value] for line in sheet.totals], "Table Grid")
    document.add_paragraph()
    for line in sheet.bank:
        document.add_paragraph(f"{line.label}: {line.value}")
    for note in sheet.notes:
        document.add_paragraph(note)
    return word_draft(document)


def _office_letter(sheet: Sheet, rng: Random) -> Draft:
    document = new_word()
    for text in [sheet.seller.name, *sheet.seller.address, *sheet.seller.contact]:
        document.add_paragraph(text).alignment = WD_ALIGN_PARAGRAPH.RIGHT
    for text in _party(sheet.buyer.name, sheet.buyer.address, sheet.buyer.ids):
        document.add_paragraph(text).paragraph_format.space_after = Pt(0)
    document.add_paragraph().add_run(f"\n{sheet.title}").bold = True
    for line in sheet.facts:
        paragraph = document.add_paragraph(f"{line.label}\t{line.value}")
        paragraph.paragraph_format.tab_stops.add_tab_stop(Cm(6))
        paragraph.paragraph_format.space_after = Pt(0)
    document.add_paragraph(f"\n{sheet.words.hello}")
    _word_table(
        document,
        _item_rows(sheet, ["description", "quantity", "unit", "price", "amount"]),
        "Light List",
    )
    document.add_paragraph()
    for line in sheet.totals:
        paragraph = document.add_paragraph(f"{line.label}\t{line.value}")
        paragraph.paragraph_format.left_indent = Cm(7)
        paragraph.paragraph_format.space_after = Pt(0)
        stops = paragraph.paragraph_format.tab_stops
        stops.add_tab_stop(Cm(15), WD_TAB_ALIGNMENT.RIGHT)
    for note in sheet.notes:
        document.add_paragraph(note)
    document.add_paragraph(f"{sheet.words.bye}\n{sheet.seller.name}")
    last = [f"{line.label} {line.value}" for line in (*sheet.bank, *sheet.seller.ids)]
    document.add_paragraph(" · ".join(last)).alignment = WD_ALIGN_PARAGRAPH.CENTER
    return word_draft(document, "libreoffice")


def _word_fields(sheet: Sheet, rng: Random) -> Draft:
    """Number and date in the page's header, bank and register in its footer."""
    document = new_word()
    section = document.sections[0]
    above = [line for line in sheet.facts if line.key in {"number", "date"}]
    below = [line for line in sheet.facts if line.key not in {"number", "date"}]
    section.header.paragraphs[0].text = "\t".join(
        [sheet.seller.name, " ".join(f"{line.label}: {line.value}" for line in above)]
    )
    foot = [f"{line.label}: {line.value}" for line in (*sheet.seller.ids, *sheet.bank)]
    section.footer.paragraphs[0].text = " | ".join([*sheet.seller.address, *foot])
    document.add_heading(sheet.title, level=0)
    document.add_paragraph(
        f"{sheet.words.buyer}: " + ", ".join([sheet.buyer.name, *sheet.buyer.address])
    )
    for line in sheet.buyer.ids:
        document.add_paragraph(f"{line.label}: {line.value}")
    document.add_paragraph(" | ".join(f"{line.label}: {line.value}" for line in below))
    rows = _item_rows(sheet, ["pos", "description", "quantity", "unit", "price", "amount"])
    rows += [["", line.label, "", "", "", line.value] for line in sheet.totals]
    _word_table(document, rows, "Table Grid")
    for note in sheet.notes:
        document.add_paragraph(note, style="List Bullet")
    return word_draft(document)


def _office_grid(sheet: Sheet, rng: Random) -> Draft:
    """A form of bordered cells, each with a small label over its value."""
    cells = [
        odf_paragraph(line.label, "S") + odf_paragraph(line.value)
        for line in (*sheet.facts, *sheet.bank)
    ]
    cells += [odf_paragraph("", "S")] * (-len(cells) % 3)
    grid = [cells[at : at + 3] for at in range(0, len(cells), 3)]
    parties = [
        "".join([odf_paragraph(sheet.words.seller, "S"),
                 *(odf_paragraph(text) for text in _party(
                     sheet.seller.name, sheet.seller.address, sheet.seller.ids))]),
        "".join([odf_paragraph(sheet.words.buyer, "S"),
                 *(odf_paragraph(text) for text in _party(
                     sheet.buyer.name, sheet.buyer.address, sheet.buyer.ids))]),
    ]  # fmt: skip
    columns = ["pos", "description", "quantity", "price", "rate", "amount"]
    items = [
        [odf_paragraph(text, "R" if at > 1 else "P") for at, text in enumerate(row)]
        for row in _item_rows(sheet, columns)
    ]
    totals = [[odf_paragraph(line.label), odf_paragraph(line.value, "R")] for line in sheet.totals]
    return odf(
        odf_paragraph(sheet.title, "H")
        + odf_table([parties])
        + odf_paragraph("")
        + odf_table(grid)
        + odf_paragraph("")
        + odf_table(items)
        + odf_paragraph("")
        + odf_table(totals)
        + "".join(odf_paragraph(note) for note in sheet.notes)
    )


OPEN = (
    Layout("word-tables", _word_tables, hard_spaces=False),
    Layout("office-letter", _office_letter, frozenset({"tax_rate"})),
)
THIRD = (
    Layout("word-fields", _word_fields, frozenset({"tax_rate"}), hard_spaces=False),
    Layout("office-grid", _office_grid, frozenset({"unit"})),
)
