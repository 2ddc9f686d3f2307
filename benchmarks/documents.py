"""Small documents to measure with: PDFs and Markdown files, made from seeds.

Their prose is that of this project's own pages and samples, so that they read as documents do;
names, numbers, dates and layouts vary with the seed.
"""

from __future__ import annotations

import datetime
import random
import re
from decimal import Decimal
from functools import cache
from pathlib import Path

from fpdf import FPDF

__all__ = ["make_documents"]

_ROOT = Path(__file__).resolve().parent.parent
_PAGES = ("documents", "embedding", "machines", "plugins", "runs", "security", "workflows")
_NAMES = ("Harbour & Pine Ltd", "Lantern Data Works LLP", "Nordlicht Werkzeuge GmbH",
          "Atelier Brun", "Copper Mill Foods Ltd", "Weber & Sohn KG",
          "Les Ateliers Moreau SARL")  # fmt: skip
_STREETS = ("4 Quay Street, Bristol BS1 4HA", "19 Canongate, Edinburgh EH8 8BN",
            "Lindenstraße 12, 20095 Hamburg", "7 rue des Tanneurs, 69003 Lyon")  # fmt: skip
_GOODS = (
    "Scanning of records",
    "Searchable copies",
    "Collection and return",
    "Oak shelves",
    "Printed labels",
    "Maintenance, one quarter",
    "Storage in boxes",
    "On-site training",
)
_WORDS = {
    "en": ("Invoice", "Invoice number", "Invoice date", "Due date", "Description", "Quantity",
           "Amount", "Net", "VAT", "Total", "Please pay the total within 30 days to this account."),
    "de": ("Rechnung", "Rechnungsnummer", "Rechnungsdatum", "Fällig am", "Bezeichnung", "Menge",
           "Betrag", "Nettobetrag", "USt.", "Gesamtbetrag",
           "Bitte überweisen Sie den Betrag innerhalb von 30 Tagen auf dieses Konto."),
    "fr": ("Facture", "Numéro de facture", "Date de facture", "Échéance", "Désignation", "Quantité",
           "Montant", "Total HT", "TVA", "Total TTC",
           "Merci de régler le montant total sous 30 jours par virement."),
}  # fmt: skip
_TAX = Decimal("0.20")
_PDFS_PER_LETTER = 3  # the others are invoices
_NO_PROSE = re.compile(r"[|`<>{}\[\]]|^[#*-]|^\d")


def make_documents(folder: Path, count: int, seed: int = 1) -> list[Path]:
    """Write documents into a folder, every second one a PDF and the others Markdown.

    Args:
        folder: An existing folder.
        count: How many.
        seed: The same seed makes the same documents.

    Returns:
        Their paths, in the order of their names.
    """
    made = []
    for number in range(count):
        source = random.Random(f"{seed} {number}")
        if number % 2:
            path = folder / f"{number:04}.md"
            path.write_text(_markdown(source), encoding="utf-8")
        else:
            path = folder / f"{number:04}.pdf"
            path.write_bytes(_pdf(source))
        made.append(path)
    return made


def _markdown(source: random.Random) -> str:
    if source.random() < 0.4:
        return _contract(source)
    page = (_ROOT / "docs" / f"{source.choice(_PAGES)}.md").read_text("utf-8")
    title, *sections = re.split(r"^(?=## )", page, flags=re.M)
    kept = sorted(source.sample(range(len(sections)), min(len(sections), source.randint(1, 3))))
    return title + "".join(sections[index] for index in kept)[: source.randint(2_000, 6_000)]


def _contract(source: random.Random) -> str:
    text = (_ROOT / "examples" / "documents" / "contract.md").read_text("utf-8")
    head, *clauses = re.split(r"^(?=## )", text, flags=re.M)
    customer, supplier = source.sample(_NAMES, 2)
    head = head.replace("Harbour & Pine Ltd", customer).replace("Lantern Data Works LLP", supplier)
    head = head.replace("12 January 2026", f"{_day(source):%d %B %Y}")
    kept = sorted(source.sample(range(len(clauses)), source.randint(3, len(clauses))))
    return head + "".join(clauses[index] for index in kept)


def _pdf(source: random.Random) -> bytes:
    pdf = FPDF(format="A4")
    pdf.set_creation_date(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    pdf.add_page()
    pdf.set_font(source.choice(["Helvetica", "Times"]), size=source.choice([9, 10, 11]))
    if source.randrange(_PDFS_PER_LETTER):
        _write_invoice(pdf, source)
    else:
        _write_letter(pdf, source)
    return bytes(pdf.output())


def _write_letter(pdf: FPDF, source: random.Random) -> None:
    for line in (source.choice(_NAMES), source.choice(_STREETS), f"{_day(source):%d %B %Y}", ""):
        pdf.cell(0, 6, line, new_x="LMARGIN", new_y="NEXT")
    for paragraph in source.sample(_paragraphs(), source.randint(4, 9)):
        pdf.multi_cell(0, 5, paragraph, new_x="LMARGIN", new_y="NEXT")
        pdf.ln(3)
    pdf.cell(0, 6, f"Yours sincerely, {source.choice(['A. Moreau', 'P. Raman', 'J. Weber'])}")


def _write_invoice(pdf: FPDF, source: random.Random) -> None:
    (title, number, date, due, goods, quantity, amount, net, tax, total, note) = _WORDS[
        source.choice(sorted(_WORDS))
    ]
    seller, buyer = source.sample(_NAMES, 2)
    day = _day(source)
    lines = [seller, source.choice(_STREETS), "", title, "", buyer, source.choice(_STREETS), "",
             f"{number}: {source.randint(2_000, 2_099)}-{source.randint(100, 9_999)}",
             f"{date}: {day:%d.%m.%Y}",
             f"{due}: {day + datetime.timedelta(days=30):%d.%m.%Y}"]  # fmt: skip
    for line in lines:
        pdf.cell(0, 6, line, new_x="LMARGIN", new_y="NEXT")
    rows = [(goods, quantity, amount)]
    sum_net = Decimal(0)
    for name in source.sample(_GOODS, source.randint(2, len(_GOODS))):
        count, price = source.randint(1, 60), Decimal(source.randint(500, 90_000)) / 100
        sum_net += count * price
        rows.append((name, str(count), _money(count * price)))
    sum_tax = (sum_net * _TAX).quantize(Decimal("0.01"))
    rows += [(net, "", _money(sum_net)), (f"{tax} 20 %", "", _money(sum_tax)),
             (total, "", f"EUR {_money(sum_net + sum_tax)}")]  # fmt: skip
    for row in rows:
        for width, text, side in zip((90, 30, 50), row, "LRR", strict=True):
            pdf.cell(width, 7, text, border="B", align=side)
        pdf.ln()
    contact = "accounts@lantern-data.example, +44 131 496 0117, www.lantern-data.com"
    for line in ("", note, "IBAN: GB28 QTFG 0400 2712 3456 78", contact):
        pdf.cell(0, 6, line, new_x="LMARGIN", new_y="NEXT")


@cache
def _paragraphs() -> list[str]:
    """Return the prose of this project's pages, as the fonts of every PDF can show it."""
    found = []
    for page in _PAGES:
        for each in (_ROOT / "docs" / f"{page}.md").read_text("utf-8").split("\n\n"):
            prose = " ".join(each.replace("`", "").split())
            if 200 < len(prose) < 900 and not _NO_PROSE.search(prose):
                found.append(prose.encode("latin-1", "ignore").decode("latin-1"))
    return found


def _money(value: Decimal) -> str:
    return f"{value:.2f}"


def _day(source: random.Random) -> datetime.date:
    return datetime.date(2025, 1, 1) + datetime.timedelta(days=source.randrange(700))
