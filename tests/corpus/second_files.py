"""Invoices of the second tranche drawn with fpdf2, as Word files, mail and plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape
from random import Random

from docx.document import Document as WordDocument
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_TAB_ALIGNMENT
from docx.shared import Cm, Pt
from docx.table import Table
from fpdf import FPDF
from tests.corpus.fpdf_layouts import draft, new_pdf
from tests.corpus.layout import Draft, Layout
from tests.corpus.office_layouts import LEAN, new_word, word_draft
from tests.corpus.sheet import Line, Sheet
from tests.corpus.stationery import (
    address_block,
    bank_lines,
    buyer_lines,
    capitals,
    columns,
    company_lines,
    pairs,
    payable,
    split_facts,
    tell,
)
from tests.corpus.text_layouts import mail

_RIGHT = {"quantity", "price", "rate", "amount"}
_PLACES = {"pos": 18, "description": 26, "quantity": 110, "unit": 113, "price": 146, "rate": 166,
           "amount": 193}  # fmt: skip


def _write(pdf: FPDF, x: float, y: float, text: str, *, right: bool = False) -> None:
    pdf.text(x - (pdf.get_string_width(text) if right else 0), y, text)


def _stack(pdf: FPDF, x: float, y: float, texts: Sequence[str], step: float = 4.4) -> float:
    for text in texts:
        _write(pdf, x, y, text)
        y += step
    return y


def _overlap(pdf: FPDF, heads: dict[str, str]) -> bool:
    """Tell whether two heads of the table touch."""
    end = 0.0
    for key, x in _PLACES.items():
        width = pdf.get_string_width(heads[key])
        start = x - width if key in _RIGHT else x
        if start < end + 1:
            return True
        end = start + width
    return False


def _drawn_items(pdf: FPDF, sheet: Sheet, y: float, *, upper: bool) -> float:
    heads = {key: capitals(text, sheet) if upper else text for key, text in sheet.columns.items()}
    size = 7.5
    pdf.set_font("body", "B", size)
    while _overlap(pdf, heads) and size > 4:
        size -= 0.5
        pdf.set_font("body", "B", size)
    for key, x in _PLACES.items():
        _write(pdf, x, y, heads[key], right=key in _RIGHT)
    pdf.line(18, y + 1.5, 193, y + 1.5)
    pdf.set_font("body", "", 8.5)
    for row in sheet.rows:
        y += 5.6
        for key, x in _PLACES.items():
            _write(pdf, x, y, row[key], right=key in _RIGHT)
    pdf.line(18, y + 2, 193, y + 2)
    return y + 8


def _wrapped(pdf: FPDF, y: float, texts: Sequence[str]) -> float:
    for text in texts:
        y = _stack(pdf, 18, y, textwrap.wrap(text, 105, break_on_hyphens=False))
    return y


def _footer(pdf: FPDF, sheet: Sheet) -> None:
    pdf.set_font("body", "", 6.5)
    pdf.line(18, 276, 193, 276)
    texts = (
        [sheet.seller.name, *sheet.seller.address, *sheet.seller.contact],
        company_lines(sheet),
        bank_lines(sheet),
    )
    for at, part in enumerate(filter(None, texts)):
        line = " · ".join(part)
        _write(pdf, 105.5 - pdf.get_string_width(line) / 2, 280 + 3.6 * at, line)


def _window_right(sheet: Sheet, rng: Random) -> Draft:
    """Draw the customer on the right, labels over values in a row, and totals on the left."""
    facts, sentences = split_facts(sheet, rng)
    pdf = new_pdf()
    pdf.set_font("body", "B", 15)
    _write(pdf, 18, 20, capitals(sheet.title, sheet))
    pdf.set_font("body", "", 9)
    _stack(pdf, 18, 30, [sheet.seller.name, *sheet.seller.address, *sheet.seller.contact])
    _stack(pdf, 118, 48, address_block(sheet))
    y = 84.0
    for at in range(0, len(facts), 4):
        for place, line in enumerate(facts[at : at + 4]):
            pdf.set_font("body", "", 6.5)
            _write(pdf, 18 + 45 * place, y, line.label)
            pdf.set_font("body", "", 9)
            _write(pdf, 18 + 45 * place, y + 4.4, line.value)
        y += 12
    y = _drawn_items(pdf, sheet, y + 4, upper=True)
    for line in sheet.totals:
        bold = line.key in {"total", "amount_due"}
        pdf.set_font("body", "B" if bold else "", 9)
        _write(pdf, 18, y, line.label)
        _write(pdf, 112, y, line.value, right=True)
        y += 5
    pdf.set_font("body", "", 8)
    _wrapped(pdf, y + 6, [*sentences, *sheet.notes])
    _footer(pdf, sheet)
    return draft(pdf)


def _right_labels(sheet: Sheet, rng: Random) -> Draft:
    """Draw labels that end where their values begin, and the title under the customer."""
    facts, sentences = split_facts(sheet, rng)
    pdf = new_pdf()
    pdf.set_font("body", "B", 12)
    _write(pdf, 193, 18, sheet.seller.name, right=True)
    pdf.set_font("body", "", 8)
    y = 24.0
    for text in [*sheet.seller.address, *sheet.seller.contact, *company_lines(sheet)]:
        _write(pdf, 193, y, text, right=True)
        y += 4
    pdf.set_font("body", "", 9)
    y = _stack(pdf, 18, 56, [sheet.words.buyer, *buyer_lines(sheet)])
    pdf.set_font("body", "B", 13)
    _write(pdf, 18, y + 10, sheet.title)
    pdf.set_font("body", "", 9)
    y += 17
    for line in facts:
        _write(pdf, 70, y, f"{line.label}{sheet.words.colon}", right=True)
        _write(pdf, 73, y, line.value)
        y += 4.8
    y = _drawn_items(pdf, sheet, y + 5, upper=False)
    for line in sheet.totals:
        _write(pdf, 160, y, f"{line.label}{sheet.words.colon}", right=True)
        _write(pdf, 193, y, line.value, right=True)
        y += 5
    pdf.set_font("body", "", 8)
    _wrapped(pdf, y + 5, [*sentences, *bank_lines(sheet), *sheet.notes])
    return draft(pdf)


def _new_letter() -> WordDocument:
    document = new_word()
    section = document.sections[0]
    section.left_margin = section.right_margin = Cm(2)
    return document


def _tight(document: WordDocument, text: str) -> None:
    document.add_paragraph(text).paragraph_format.space_after = Pt(0)


def _set_widths(table: Table, keys: Sequence[str]) -> None:
    table.autofit = False
    for column, key in zip(table.columns, keys, strict=True):
        column.width = Cm(
            {"description": 4.4, "amount": 3.4, "price": 2.7, "pos": 1.3}.get(key, 1.9)
        )
        for cell in column.cells:
            cell.width = column.width


def _items_with_totals(document: WordDocument, sheet: Sheet, keys: Sequence[str]) -> None:
    """Add the items' table, whose last rows are the totals."""
    count = 1 + len(sheet.rows) + len(sheet.totals)
    table = document.add_table(rows=count, cols=len(keys), style="Table Grid")
    _set_widths(table, keys)
    for cells, row in zip(table.rows, (sheet.columns, *sheet.rows), strict=False):
        for cell, key in zip(cells.cells, keys, strict=True):
            cell.text = row[key]
            if key in _RIGHT:
                cell.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT
    for row_at, line in enumerate(sheet.totals, 1 + len(sheet.rows)):
        cells = table.rows[row_at].cells
        cells[0].merge(cells[-2]).text = line.label
        cells[-1].text = line.value
        cells[-1].paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT


def _word_letter(sheet: Sheet, rng: Random) -> Draft:
    """Write a letter with the supplier in its header and footer, and totals in the items' table."""
    facts, sentences = split_facts(sheet, rng)
    document = _new_letter()
    section = document.sections[0]
    head = [sheet.seller.name, *sheet.seller.address, *sheet.seller.contact]
    section.header.paragraphs[0].text = " / ".join(head)
    foot = [*company_lines(sheet), *bank_lines(sheet)]
    section.footer.paragraphs[0].text = " | ".join(foot)
    document.add_paragraph("\n".join(address_block(sheet)))
    document.add_paragraph().add_run(sheet.title_line).bold = True
    others = [line for line in facts if line.key not in {"number", "date"}]
    if others:
        document.add_paragraph(" / ".join(pairs(others, sheet.words.colon)))
    document.add_paragraph(sheet.words.hello)
    _items_with_totals(document, sheet, columns(rng))
    document.add_paragraph()
    for text in [*sentences, *sheet.notes, sheet.words.bye, sheet.seller.name]:
        document.add_paragraph(text)
    return word_draft(document, without=LEAN)


def _sentence_letter(sheet: Sheet, rng: Random) -> Draft:
    """Write the facts into the letter's sentence, and what else there is under the table."""
    document = _new_letter()
    _tight(document, sheet.seller.name)
    _tight(document, ", ".join(sheet.seller.address))
    _tight(document, ", ".join(sheet.seller.contact))
    document.add_paragraph()
    for text in address_block(sheet):
        _tight(document, text)
    document.add_paragraph()
    document.add_paragraph().add_run(sheet.title).bold = True
    document.add_paragraph(f"{sheet.words.hello} {sheet.sentence}")
    _items_with_totals(document, sheet, columns(rng))
    document.add_paragraph()
    rest = [line for line in sheet.facts if line.key not in {"number", "date", "due_date"}]
    for text in [*pairs(rest, sheet.words.colon), *bank_lines(sheet), *sheet.notes]:
        _tight(document, text)
    document.add_paragraph(f"\n{sheet.words.bye}\n{sheet.seller.name}")
    document.add_paragraph(", ".join(company_lines(sheet)))
    return word_draft(document, "libreoffice", without=LEAN)


def _tabbed(document: WordDocument, lines: Sequence[Line], place: float) -> None:
    for line in lines:
        paragraph = document.add_paragraph(f"{line.label}\t{line.value}")
        paragraph.paragraph_format.space_after = Pt(0)
        paragraph.paragraph_format.tab_stops.add_tab_stop(Cm(place), WD_TAB_ALIGNMENT.RIGHT)


def _office_cells(sheet: Sheet, rng: Random) -> Draft:
    """Write the customer and the facts into two cells side by side, for LibreOffice to print."""
    facts, sentences = split_facts(sheet, rng)
    document = _new_letter()
    document.sections[0].footer.paragraphs[0].text = " · ".join(
        [sheet.seller.name, *sheet.seller.address, *sheet.seller.contact, *company_lines(sheet)]
    )
    document.add_heading(sheet.title, level=1)
    halves = document.add_table(rows=1, cols=2, style="Table Grid")
    halves.autofit = False
    sides = halves.rows[0].cells
    for column, cell, width in zip(halves.columns, sides, (7, 10.5), strict=True):
        column.width = cell.width = Cm(width)
    sides[0].text = "\n".join([sheet.words.buyer, *buyer_lines(sheet)])
    sides[1].text = "\n".join(pairs(facts, sheet.words.colon))
    document.add_paragraph()
    keys = columns(rng)
    table = document.add_table(rows=1 + len(sheet.rows), cols=len(keys), style="Light Shading")
    _set_widths(table, keys)
    for cells, row in zip(table.rows, (sheet.columns, *sheet.rows), strict=True):
        for cell, key in zip(cells.cells, keys, strict=True):
            cell.text = row[key]
    document.add_paragraph()
    _tabbed(document, sheet.totals, 15)
    document.add_paragraph()
    for text in [*sentences, *bank_lines(sheet), *sheet.notes]:
        _tight(document, text)
    return word_draft(document, "libreoffice", without=LEAN)


def _mail_summary(sheet: Sheet, rng: Random) -> Draft:
    """Write a mail as payment services send it: the amount first, then the details."""
    facts, sentences = split_facts(sheet, rng)
    due = payable(sheet)

    def row(cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"

    def lines(texts: Sequence[str]) -> str:
        return "<br>".join(map(escape, texts))

    keys = columns(rng)
    items = [[cells[key] for key in keys] for cells in (sheet.columns, *sheet.rows)]
    html = (
        f"<html><body><p>{escape(sheet.seller.name)}</p><h1>{escape(due.value)}</h1>"
        f"<p>{escape(due.label)}</p><hr><table>"
        + "".join(row([line.label, line.value]) for line in facts)
        + f"</table><table>{''.join(map(row, items))}"
        + "".join(row([line.label, line.value]) for line in sheet.totals)
        + f"</table><p>{lines(sentences)}</p><p>{escape(sheet.words.buyer)}<br>"
        + f"{lines(buyer_lines(sheet))}</p><p>{lines(bank_lines(sheet))}</p>"
        + f"<p>{lines(sheet.notes)}</p><div style='color:#888'>"
        + f"{lines([sheet.seller.name, *sheet.seller.address, *sheet.seller.contact])}<br>"
        + f"{escape(' | '.join(company_lines(sheet)))}</div></body></html>"
    )
    return mail(
        f"{sheet.title_line} - {sheet.seller.name}",
        (sheet.seller.name, sheet.invoice.issuer.email),
        (sheet.buyer.name, sheet.invoice.customer.email),
        html=html,
        when=sheet.invoice.date.strftime("%a, %d %b %Y 07:45:00 +0000"),
    )


def _printout(sheet: Sheet, rng: Random) -> Draft:
    """Print in 66 columns: facts at the right edge, two lines for each item."""
    width = 66
    facts, sentences = split_facts(sheet, rng)
    colon = sheet.words.colon

    def spread(left: str, right: str) -> str:
        return left + right.rjust(max(width - len(left), len(right) + 2))

    heads = sheet.columns
    lines = [
        sheet.seller.name.center(width).rstrip(),
        ", ".join(sheet.seller.address).center(width).rstrip(),
        "  ".join(sheet.seller.contact).center(width).rstrip(),
        "=" * width, *buyer_lines(sheet), "",
        *(tell(capitals(line.label, sheet), line.value, colon).rjust(width) for line in facts), "",
        sheet.title, "",
        spread(heads["description"], heads["amount"]),
        f"    {heads['quantity']} {heads['unit']} x {heads['price']}  {heads['rate']}", "-" * width,
    ]  # fmt: skip
    for row in sheet.rows:
        lines.append(spread(f"{row['pos']} {row['description']}", row["amount"]))
        lines.append(f"    {row['quantity']} {row['unit']} x {row['price']}  {row['rate']}")
    lines.append("-" * width)
    for line in sheet.totals:
        lines.append(spread(" " * 20 + capitals(line.label, sheet), line.value))
    lines += ["=" * width, *sentences, *bank_lines(sheet), *company_lines(sheet), *sheet.notes]
    return Draft(("\n".join(lines) + "\n").encode(), ".txt", "text")


LAYOUTS = (
    Layout("window-right", _window_right),
    Layout("right-labels", _right_labels, hard_spaces=False),
    Layout("word-letter", _word_letter),
    Layout("sentence-letter", _sentence_letter, sentence=True),
    Layout("office-cells", _office_cells),
    Layout("mail-summary", _mail_summary, hard_spaces=False),
    Layout("printout", _printout, hard_spaces=False),
)
