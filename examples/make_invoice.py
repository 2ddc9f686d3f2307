"""Rebuild examples/documents/invoice.pdf: ``python examples/make_invoice.py``.

It needs fpdf2, which the ``dev`` extra brings. Everybody and everything in it is invented;
only the account number's check sum is right.
"""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

from fpdf import FPDF

TARGET = Path(__file__).parent / "documents" / "invoice.pdf"
SELLER = ("Lantern Data Works LLP", "19 Canongate", "Edinburgh EH8 8BN", "United Kingdom")
BUYER = ("Harbour & Pine Ltd", "4 Quay Street", "Bristol BS1 4HA", "United Kingdom")
DATES = (("Invoice number", "LDW-2026-0117"), ("Invoice date", "16 March 2026"),
         ("Due date", "15 April 2026"))  # fmt: skip
ITEMS = (
    ("Scanning of 38 boxes of records", 38, Decimal("96.50")),
    ("Searchable copies, per 1000 pages", 62, Decimal("41.25")),
    ("Collection and return", 2, Decimal("145.00")),
)
TAX_RATE = Decimal("0.20")
ACCOUNT = (
    "Bank account: Lantern Data Works LLP, Firth and Forth Bank",
    "IBAN: GB28 QTFG 0400 2712 3456 78",
    "Questions: accounts@lantern-data.example, +44 131 496 0117",
)
MADE_AT = datetime.datetime(2026, 3, 16, 9, 30, tzinfo=datetime.UTC)


def money(value: Decimal) -> str:
    """Return an amount in pounds as an invoice writes it."""
    return f"£{value:,.2f}"


def lines(pdf: FPDF, texts: tuple[str, ...]) -> None:
    """Write lines one below the other."""
    for text in texts:
        pdf.cell(0, 6, text, new_x="LMARGIN", new_y="NEXT")
    pdf.ln(4)


def items(pdf: FPDF) -> Decimal:
    """Write the table of items and return their sum."""
    widths = (90, 25, 35, 35)
    net = Decimal(0)
    rows = [("Description", "Quantity", "Unit price", "Amount")]
    for name, quantity, price in ITEMS:
        net += quantity * price
        rows.append((name, str(quantity), money(price), money(quantity * price)))
    for number, row in enumerate(rows):
        pdf.set_font(style="B" if number == 0 else "")
        for column, (width, text) in enumerate(zip(widths, row, strict=True)):
            pdf.cell(width, 8, text, border="B", align="L" if column == 0 else "R")
        pdf.ln()
    pdf.ln(4)
    return net


def main() -> None:
    """Write the file."""
    pdf = FPDF()
    pdf.set_title("Invoice LDW-2026-0117")
    pdf.set_author(SELLER[0])
    pdf.set_creation_date(MADE_AT)
    pdf.add_page()
    pdf.set_font("helvetica", "B", 20)
    pdf.cell(0, 14, "Invoice", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("helvetica", "", 11)
    lines(pdf, SELLER)
    lines(pdf, ("Bill to", *BUYER))
    for label, value in DATES:
        pdf.cell(45, 6, f"{label}:")
        pdf.cell(0, 6, value, new_x="LMARGIN", new_y="NEXT")
    pdf.ln(6)
    net = items(pdf)
    tax = (net * TAX_RATE).quantize(Decimal("0.01"))
    for label, amount in (("Subtotal", net), ("VAT 20%", tax), ("Total due", net + tax)):
        pdf.set_font(style="B" if label == "Total due" else "")
        pdf.cell(150, 7, label, align="R")
        pdf.cell(35, 7, money(amount), align="R", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(style="")
    pdf.ln(8)
    lines(pdf, ("Payment terms: 30 days from the invoice date.", *ACCOUNT))
    pdf.output(str(TARGET))


if __name__ == "__main__":
    main()
