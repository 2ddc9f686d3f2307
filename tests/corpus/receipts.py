"""Receipts of a till: narrow text, a narrow PDF, and a strip that Chromium prints."""

from __future__ import annotations

from decimal import Decimal
from html import escape
from random import Random

from tests.corpus.facts import Invoice, Printer
from tests.corpus.fpdf_layouts import FONTS, draft, new_pdf
from tests.corpus.languages import Language
from tests.corpus.layout import Draft

WIDTH = 36


def receipt_lines(
    rng: Random, language: Language, receipt: Invoice, printer: Printer
) -> tuple[list[str], dict[str, str]]:
    """Write a receipt's lines.

    Args:
        rng: The document's own generator.
        language: The receipt's language, whose `receipt` has the words.
        receipt: The values.
        printer: Writes dates and amounts.

    Returns:
        The lines, and each printed value by its field.
    """
    words = language.receipt
    country = receipt.issuer.country
    printed = {
        "number": receipt.number,
        "date": printer.date(receipt.date),
        "total": printer.money(receipt.total),
        "net": printer.number(receipt.net),
        "issuer": receipt.issuer.name,
    }

    def spread(label: str, value: str) -> str:
        return label + value.rjust(max(WIDTH - len(label), len(value) + 1))

    lines = [receipt.issuer.name, receipt.issuer.street, receipt.issuer.city]
    if receipt.issuer.vat_id_printed:
        printed["vat_id"] = receipt.issuer.vat_id_printed
        label = language.wording[0].vat_id
        lines.append(f"{label} {receipt.issuer.vat_id_printed}")
    lines += ["", words.title, spread(f"{words.number}", receipt.number)]
    clock = f"{rng.randrange(8, 20):02}:{rng.randrange(60):02}"
    lines += [spread(f"{words.date} {printed['date']}", f"{words.time} {clock}"), "-" * WIDTH]
    for at, item in enumerate(receipt.items):
        amount = printer.number(item.amount)
        printed[f"item {at} amount"] = amount
        printed[f"item {at} description"] = item.description
        lines.append(item.description)
        price = printer.number(item.unit_price)
        lines.append(spread(f"  {printer.short(item.quantity)} x {price}", amount))
    lines.append("-" * WIDTH)
    lines.append(spread(words.total, printed["total"]))
    for tax in receipt.taxes:
        label = words.tax.format(rate=printer.short(tax.rate), tax=country.tax_name)
        printed[f"tax {tax.rate}"] = printer.number(tax.amount)
        lines.append(spread(label, printer.number(tax.amount)))
    lines.append(spread(words.net, printed["net"]))
    card = f"**** **** **** {rng.randrange(1000, 9999)}"
    points = printer.number(printer_points(rng), 0)
    lines += ["", spread(words.cash, printed["total"]), card, spread(words.change, points), ""]
    lines += [words.thanks, receipt.issuer.phone]
    return lines, printed


def printer_points(rng: Random) -> Decimal:
    """Draw loyalty points: a number greater than any total, and no amount of money."""
    return Decimal(rng.randrange(120_000, 990_000))


def text(lines: list[str]) -> Draft:
    """Give a receipt as plain text."""
    return Draft(("\n".join(lines) + "\n").encode(), ".txt", "text")


def strip(lines: list[str]) -> Draft:
    """Draw a receipt with fpdf2 on paper of 80 mm."""
    pdf = new_pdf(80, 30 + 4.2 * len(lines))
    pdf.add_font("mono", "", str(FONTS / "DejaVuSansMono.ttf"))
    pdf.set_font("mono", size=8)
    for at, line in enumerate(lines):
        pdf.text(6, 10 + 4.2 * at, line)
    return draft(pdf)


def page(lines: list[str]) -> Draft:
    """Give a receipt as a web page for Chromium, its labels and values in two columns."""
    rows = []
    for line in lines:
        if set(line) == {"-"}:
            rows.append("<tr><td colspan=2><hr></td></tr>")
            continue
        left, _, right = line.partition("   ")
        rows.append(
            f"<tr><td>{escape(left)}</td><td align=right>{escape(right.strip())}</td></tr>"
            if right
            else f"<tr><td colspan=2>{escape(line) or '&nbsp;'}</td></tr>"
        )
    html = (
        '<!doctype html><html><head><meta charset="utf-8"><style>@page{size:90mm 200mm;margin:5mm}'
        "body{font:8pt 'Liberation Sans';margin:0}table{width:100%}</style></head><body><table>"
        f"{''.join(rows)}</table></body></html>"
    )
    return Draft(html.encode(), ".html", "chromium")


OPEN = {"till-text": text, "till-strip": strip}
THIRD = {"till-page": page}
