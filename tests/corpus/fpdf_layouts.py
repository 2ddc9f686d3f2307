"""Invoices and receipts drawn line by line with fpdf2."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from fpdf import FPDF
from tests.corpus.layout import Draft, Layout
from tests.corpus.sheet import Line, Sheet

FONTS = Path("/usr/share/fonts/truetype/dejavu")
_RIGHT = {"quantity", "price", "rate", "amount"}


def new_pdf(width_mm: float = 210, height_mm: float = 297) -> FPDF:
    """Begin a PDF whose bytes depend on nothing but what is drawn."""
    pdf = FPDF(format=(width_mm, height_mm))
    pdf.set_creation_date(datetime(2025, 1, 1, tzinfo=UTC))
    pdf.add_font("body", "", str(FONTS / "DejaVuSans.ttf"))
    pdf.add_font("body", "B", str(FONTS / "DejaVuSans-Bold.ttf"))
    pdf.set_font("body", size=9)
    pdf.set_auto_page_break(auto=False)
    pdf.add_page()
    return pdf


def draft(pdf: FPDF) -> Draft:
    """Close a PDF."""
    return Draft(bytes(pdf.output()), ".pdf", "fpdf2")


def _text(pdf: FPDF, x: float, y: float, text: str, *, right: bool = False) -> None:
    pdf.text(x - (pdf.get_string_width(text) if right else 0), y, text)


def _stack(pdf: FPDF, x: float, y: float, texts: Sequence[str], step: float = 4.6) -> float:
    for text in texts:
        _text(pdf, x, y, text)
        y += step
    return y


def _row(pdf: FPDF, y: float, cells: dict[str, str], places: dict[str, float]) -> None:
    for key, x in places.items():
        _text(pdf, x, y, cells[key], right=key in _RIGHT)


def _totals(pdf: FPDF, sheet: Sheet, y: float) -> float:
    for line in sheet.totals:
        pdf.set_font("body", "B" if line.key in {"total", "amount_due"} else "", 9)
        _text(pdf, 110, y, line.label)
        _text(pdf, 195, y, line.value, right=True)
        y += 5.4
    pdf.set_font("body", "", 9)
    return y


def _seller_texts(sheet: Sheet) -> list[str]:
    return [
        sheet.seller.name,
        *sheet.seller.address,
        *sheet.seller.contact,
        *(f"{line.label}: {line.value}" for line in sheet.seller.ids),
    ]


def _buyer_texts(sheet: Sheet) -> list[str]:
    return [
        sheet.buyer.name,
        *sheet.buyer.address,
        *(f"{line.label}: {line.value}" for line in sheet.buyer.ids),
    ]


def _plain_form(sheet: Sheet, rng: Random) -> Draft:
    pdf = new_pdf()
    pdf.set_font("body", "B", 16)
    _text(pdf, 15, 22, sheet.title)
    pdf.set_font("body", "", 9)
    seller_x, facts_x = (120, 15) if rng.random() < 0.5 else (15, 115)
    _stack(pdf, seller_x, 32, _seller_texts(sheet))
    y = 32.0
    widest = max(pdf.get_string_width(f"{line.label}:") for line in sheet.facts)
    for line in sheet.facts:
        _text(pdf, facts_x, y, f"{line.label}:")
        _text(pdf, facts_x + widest + 4, y, line.value)
        y += 4.8
    _text(pdf, 15, 78, f"{sheet.words.buyer}:")
    _stack(pdf, 15, 83, _buyer_texts(sheet))
    places = {"pos": 15.0, "description": 24, "quantity": 122, "unit": 125, "price": 167,
              "amount": 195}  # fmt: skip
    pdf.set_font("body", "B", 9)
    _row(pdf, 112, sheet.columns, places)
    pdf.set_font("body", "", 9)
    pdf.line(15, 114, 195, 114)
    y = 119.0
    for row in sheet.rows:
        _row(pdf, y, row, places)
        y += 5.5
    pdf.rect(106, y + 1, 91, 5.4 * len(sheet.totals) + 4)
    y = _totals(pdf, sheet, y + 7) + 8
    y = _stack(pdf, 15, y, [f"{line.label}: {line.value}" for line in sheet.bank]) + 3
    _stack(pdf, 15, y, sheet.notes)
    return draft(pdf)


def _values_first(sheet: Sheet, rng: Random) -> Draft:
    """Draw every value before any label, as form fillers and some billing programs do."""
    pdf = new_pdf()
    _text(pdf, 15, 20, sheet.seller.name)
    pdf.set_font("body", "B", 15)
    _text(pdf, 195, 20, sheet.title, right=True)
    pdf.set_font("body", "", 9)
    labels: list[tuple[float, float, Line]] = []
    y = 30.0
    for line in sheet.facts:
        _text(pdf, 195, y, line.value, right=True)
        labels.append((120, y, line))
        y += 5
    _stack(pdf, 15, 28, _seller_texts(sheet)[1:])
    _stack(pdf, 15, 70, _buyer_texts(sheet))
    places = {"description": 15.0, "quantity": 128, "price": 165, "amount": 195}
    y = 108.0
    for row in sheet.rows:
        _row(pdf, y, row, places)
        y += 5.5
    _row(pdf, 100, sheet.columns, places)
    y += 6
    start = y
    for line in sheet.totals:
        _text(pdf, 195, y, line.value, right=True)
        y += 5.4
    bank_y = y + 8
    for at, line in enumerate(sheet.bank):
        _text(pdf, 66, bank_y + 5 * at, line.value)
        labels.append((15, bank_y + 5 * at, line))
    _text(pdf, 15, 65, sheet.words.buyer)
    for x, label_y, line in labels:
        _text(pdf, x, label_y, f"{line.label}:")
    for at, line in enumerate(sheet.totals):
        _text(pdf, 110, start + 5.4 * at, f"{line.label}:")
    _stack(pdf, 15, 280, sheet.notes)
    return draft(pdf)


def _two_pages(sheet: Sheet, rng: Random) -> Draft:
    """A long table with its header, the number and a carried sum on both pages."""
    pdf = new_pdf()
    places = {"pos": 15.0, "description": 24, "quantity": 128, "unit": 131, "price": 162,
              "rate": 174, "amount": 195}  # fmt: skip
    split = 26
    number = sheet.fact("number")
    head = f"{number.label} {number.value}" if number else sheet.title

    def page_head(page: int) -> None:
        _text(pdf, 15, 12, sheet.seller.name)
        _text(pdf, 195, 12, sheet.words.page.format(n=page, m=2), right=True)
        pdf.line(15, 14, 195, 14)

    def table_head(y: float) -> None:
        pdf.set_font("body", "B", 9)
        _row(pdf, y, sheet.columns, places)
        pdf.set_font("body", "", 9)

    page_head(1)
    _stack(pdf, 15, 24, _buyer_texts(sheet))
    y = _stack(pdf, 120, 24, [f"{line.label}: {line.value}" for line in sheet.facts])
    pdf.set_font("body", "B", 14)
    _text(pdf, 15, max(y, 52) + 8, sheet.title)
    pdf.set_font("body", "", 9)
    y = max(y, 52) + 18
    table_head(y)
    for row in sheet.rows[:split]:
        y += 6
        _row(pdf, y, row, places)
    carried = sum(item.amount for item in sheet.invoice.items[:split])
    carried_text = sheet.printer.number(carried)  # type: ignore[arg-type]
    _text(pdf, 110, y + 8, sheet.words.carry)
    _text(pdf, 195, y + 8, carried_text, right=True)
    pdf.add_page()
    page_head(2)
    _text(pdf, 15, 20, head)
    table_head(28)
    _text(pdf, 110, 34, sheet.words.carry)
    _text(pdf, 195, 34, carried_text, right=True)
    y = 34.0
    for row in sheet.rows[split:]:
        y += 6
        _row(pdf, y, row, places)
    y = _totals(pdf, sheet, y + 9) + 6
    y = _stack(pdf, 15, y, sheet.notes) + 3
    bank = "   ".join(f"{line.label}: {line.value}" for line in sheet.bank)
    pdf.set_font("body", "", 7)
    _stack(pdf, 15, 280, [bank, "   ".join(_seller_texts(sheet)[1:5]),
                          "   ".join(_seller_texts(sheet)[5:])], 4)  # fmt: skip
    return draft(pdf)


OPEN = (
    Layout("plain-form", _plain_form, frozenset({"tax_rate"})),
    Layout("values-first", _values_first, frozenset({"tax_rate", "unit"})),
)
THIRD = (Layout("two-pages", _two_pages, many_items=True),)
