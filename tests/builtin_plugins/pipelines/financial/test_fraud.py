"""fraud-detector: what it finds, what it must not find, and what it says it can't check."""

# ruff: noqa: RUF001 - it has an invoice in Russian

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dateparser", reason="the extra 'documents' is not installed")

from fpdf import FPDF

from qtforge_builtin_plugins.documents.parser import DocumentParser, ParserConfig
from qtforge_builtin_plugins.pipelines.financial.fraud import FraudConfig, FraudDetector
from qtforge_builtin_plugins.pipelines.financial.messages import (
    FraudCheck,
    FraudFinding,
    FraudForgetRequest,
    FraudRequest,
    FraudResponse,
)
from qtforge_sdk import Document, OperationContext, OperationError, PluginContext
from qtforge_sdk.messages import DocumentMetadata, ParseRequest

ROOT = Path(__file__).resolve().parents[4]
SHARED = ROOT.parent / "shared" / "documents"

HONEST = """\
Invoice
Brook & Fell Ltd
1 Mill Lane, Leeds

Bill to
Harbour & Pine Ltd

Invoice number: BF-2026-017
Invoice date: 16 March 2026
Due date: 15 April 2026

Description Quantity Unit price Amount
Scanning of 38 boxes of records 38 £96.50 £3,667.00
Searchable copies 62 £41.25 £2,557.50
Collection and return 2 £145.00 £290.00
Subtotal £6,514.50
VAT 20% £1,302.90
Total due £7,817.40
IBAN: GB82 WEST 1234 5698 7654 32
"""


class Detector:
    """The plugin with a register of its own."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.path = folder / "invoices.sqlite"
        self.plugin = FraudDetector()
        self.plugin.config = FraudConfig(**config)
        context = PluginContext(
            name="fraud-detector",
            version="1.0.0",
            bus=None,  # type: ignore[arg-type]
            data_dir=folder,
            host_version="1.0.0",
        )
        asyncio.run(self.plugin.start(context))

    def __call__(
        self,
        text: str,
        *,
        now: str = "2026-03-20T10:00:00+00:00",
        language: str | None = "en",
        name: str = "invoice.pdf",
        sha256: str | None = None,
        request_id: str | None = None,
        issuer: str | None = None,
    ) -> FraudResponse:
        metadata = DocumentMetadata(
            name=name,
            media_type="text/plain",
            size_bytes=len(text),
            sha256=sha256 or hashlib.sha256(text.encode()).hexdigest(),
            words=len(text.split()),
        )
        return self.plugin.detect(
            FraudRequest(
                parsed_content=text, metadata=metadata, now=now, language=language,
                request_id=request_id, issuer=issuer,
            )
        )  # fmt: skip


@pytest.fixture
def detect(tmp_path: Path) -> Detector:
    return Detector(tmp_path / "register")


def only(found: FraudResponse) -> FraudFinding:
    (finding,) = found.findings
    return finding


def check(found: FraudResponse, name: str) -> FraudCheck:
    (one,) = [each for each in found.checks if each.name == name]
    return one


def parsed(path: Path) -> tuple[str, str]:
    plugin = DocumentParser()
    plugin.config = ParserConfig()
    document = Document(name=path.name, path=str(path))
    context = OperationContext("document.parse", "document-parser")
    answer = plugin.parse(ParseRequest(document=document), context)
    return answer.parsed_content, answer.metadata.sha256


def test_an_honest_invoice_passes_every_check(detect: Detector) -> None:
    found = detect(HONEST)
    assert found.findings == []
    assert found.risk == "none"
    assert {each.outcome for each in found.checks} == {"passed"}
    assert found.issuer == "Brook & Fell Ltd"
    assert found.invoice is not None
    assert found.invoice.number == "BF-2026-017"
    assert [item.amount for item in found.items] == ["3667.00", "2557.50", "290.00"]
    assert [item.quantity for item in found.items] == ["38", "62", "2"]


def test_a_changed_total_is_found_with_what_was_stated_and_what_follows(detect: Detector) -> None:
    finding = only(detect(HONEST.replace("£7,817.40", "£9,817.40")))
    assert (finding.code, finding.severity) == ("totals.sum", "high")
    assert (finding.stated, finding.computed) == ("9817.40", "7817.40")
    assert [each.text for each in finding.evidence] == [
        "Subtotal £6,514.50", "VAT 20% £1,302.90", "Total due £9,817.40",
    ]  # fmt: skip


def test_a_changed_amount_of_an_item_is_found_in_its_row_and_in_the_sum(detect: Detector) -> None:
    found = detect(HONEST.replace("£290.00", "£920.00"))
    assert [finding.code for finding in found.findings] == ["items.sum", "items.product"]
    row = found.findings[1]
    assert (row.stated, row.computed) == ("920.00", "290.00")
    assert row.evidence[-1].text == "Collection and return 2 £145.00 £920.00"
    assert row.evidence[-1].line == 15
    assert found.risk == "high"


def test_an_item_put_in_is_found(detect: Detector) -> None:
    text = HONEST.replace("Subtotal", "Express fee 1 £500.00 £500.00\nSubtotal")
    finding = only(detect(text))
    assert finding.code == "items.sum"
    assert (finding.stated, finding.computed) == ("6514.50", "7014.50")


def test_a_subtotal_and_all_after_it_changed_is_found(detect: Detector) -> None:
    text = (
        HONEST.replace("£6,514.50", "£7,514.50")
        .replace("£1,302.90", "£1,502.90")
        .replace("£7,817.40", "£9,017.40")
    )
    assert only(detect(text)).code == "items.sum"


def test_a_tax_that_its_rate_does_not_give_is_found(detect: Detector) -> None:
    text = HONEST.replace("£1,302.90", "£1,502.90").replace("£7,817.40", "£8,017.40")
    finding = only(detect(text))
    assert (finding.code, finding.severity) == ("tax.amount", "high")
    assert (finding.stated, finding.computed) == ("1502.90", "1302.90")


def test_a_tax_on_a_stated_amount_is_held_against_it(detect: Detector) -> None:
    text = HONEST.replace("VAT 20% £1,302.90", "VAT 20% on £6,514.50 £1,320.90").replace(
        "£7,817.40", "£7,835.40"
    )
    assert only(detect(text)).code == "tax.amount"


def test_the_only_item_is_checked_too(detect: Detector) -> None:
    text = "Invoice no: 77\nItem Qty Price Amount\nConsulting 3 $100.00 $400.00\nTotal $400.00\n"
    finding = only(detect(text))
    assert (finding.code, finding.computed) == ("items.product", "300.00")


def test_an_invoice_that_is_due_before_it_was_issued_is_found(detect: Detector) -> None:
    finding = only(detect(HONEST.replace("15 April 2026", "15 February 2026")))
    assert (finding.code, finding.stated) == ("dates.order", "15 February 2026")


def test_an_invoice_from_the_far_future_is_found_against_the_given_day(detect: Detector) -> None:
    assert only(detect(HONEST, now="2025-03-20")).code == "dates.future"
    assert detect(HONEST, now="2026-03-01").findings == []


def test_a_wrong_iban_is_found(detect: Detector) -> None:
    finding = only(detect(HONEST.replace("7654 32", "7654 33")))
    assert (finding.code, finding.severity) == ("iban.checksum", "high")
    assert finding.evidence[0].text.startswith("IBAN: GB82")


def test_the_same_document_again_is_no_duplicate(detect: Detector) -> None:
    assert detect(HONEST).findings == []
    assert detect(HONEST).findings == []
    assert check(detect(HONEST), "duplicate").outcome == "passed"


def test_another_document_of_the_same_issuer_and_number_is_a_duplicate(detect: Detector) -> None:
    detect(HONEST, name="first.pdf")
    copy = only(detect(HONEST, sha256="1" * 64))
    assert (copy.code, copy.severity) == ("invoice.duplicate", "medium")
    assert "'first.pdf', with the same total" in copy.message
    # The first one stays the first.
    assert detect(HONEST, name="first.pdf").findings == []


def test_a_duplicate_with_another_total_or_account_is_worse(detect: Detector) -> None:
    detect(HONEST)
    other = HONEST.replace("IBAN: GB82 WEST 1234 5698 7654 32", "IBAN: DE89370400440532013000")
    finding = only(detect(other))
    assert finding.severity == "high"
    assert "the account is GB82WEST12345698765432 there" in finding.message


def test_the_same_number_of_another_issuer_is_no_duplicate(detect: Detector) -> None:
    detect(HONEST)
    other = HONEST.replace("Brook & Fell Ltd", "Tarn GmbH").replace(
        "GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"
    )
    assert detect(other).findings == []


def test_without_an_issuer_number_date_and_total_must_agree(detect: Detector) -> None:
    text = "Receipt no: 1001\nDate: 16 March 2026\nTotal $40.00\n"
    assert check(detect(text), "duplicate").outcome == "unchecked"
    assert detect(text.replace("$40.00", "$41.00")).findings == []
    assert only(detect(text, sha256="2" * 64)).code == "invoice.duplicate"


def test_an_issuer_that_the_caller_knows_is_used(detect: Detector) -> None:
    text = "Receipt no: 1001\nDate: 16 March 2026\nTotal $40.00\n"
    detect(text, issuer="Corner Shop")
    changed = text.replace("$40.00", "$41.00")
    assert only(detect(changed, issuer="CORNER SHOP")).code == "invoice.duplicate"


def test_a_reminder_is_no_duplicate(detect: Detector) -> None:
    detect(HONEST)
    reminder = HONEST.replace("Invoice\n", "Payment reminder\nInvoice\n", 1)
    found = detect(reminder)
    assert found.findings == []
    assert check(found, "duplicate").outcome == "unchecked"


def test_what_a_failed_run_registered_is_taken_back(detect: Detector) -> None:
    detect(HONEST, request_id="run-1")
    forget = FraudForgetRequest(request_id="run-1")
    assert detect.plugin.forget(forget).forgotten == 1
    assert detect.plugin.forget(forget).forgotten == 0
    assert detect(HONEST, sha256="3" * 64).findings == []


def test_a_second_run_s_failure_does_not_take_back_what_the_first_registered(
    detect: Detector,
) -> None:
    detect(HONEST, request_id="run-1")
    detect(HONEST, request_id="run-2")
    assert detect.plugin.forget(FraudForgetRequest(request_id="run-2")).forgotten == 0
    assert detect(HONEST, sha256="3" * 64).risk == "medium"


# --- what a reader would not call wrong ------------------------------------------------------

GERMAN = """\
Rechnung
Tarn Werkzeuge GmbH
Rechnungsnr. 4711
Rechnungsdatum 7. Mai 2025
Zahlungsziel 21.05.2025
Pos. Menge Beschreibung Einzelpreis Gesamtpreis
1 12 Bohrer 8 mm 3,45 41,40
2 1.000 Schrauben M6 x 40 0,07 70,00
3 3 Std. Montage vom 01.05.2025 85,00 255,00
Zwischensumme 366,40 EUR
abzgl. Rabatt 10 % -36,64 EUR
zzgl. 19 % MwSt. 62,65 EUR
Gesamtbetrag 392,41 EUR
Seite 1 von 1
"""

RUSSIAN = """\
Счёт на оплату № 15 от 12 марта 2026 г.
Поставщик: ООО «Ромашка»
№ Наименование Кол-во Цена Сумма
1 Бумага офисная 10 1 500,00 15 000,00
2 Картридж 2 3 250,50 6 501,00
Итого: 21 501,00
В том числе НДС 20%: 3 583,50
Всего к оплате: 21 501,00 руб.
"""

HONEST_OTHERS = {
    "german, with a discount before the tax": GERMAN,
    "russian, with spaces in numbers and the tax included": RUSSIAN,
    "shipping and a deposit": (
        "Invoice no: 5\nItem Qty Price Total\nLamp 2 $30.00 $60.00\nShade 1 $15.50 $15.50\n"
        "Subtotal $75.50\nShipping $9.99\nTax 8% $6.04\nTotal $91.53\nDeposit -$20.00\n"
        "Balance due $71.53\n"
    ),
    "a deposit before the total": (
        "Invoice no: 5\nItem Qty Price Total\nLamp 2 $30.00 $60.00\nSubtotal $60.00\n"
        "Deposit $20.00\nTotal $40.00\n"
    ),
    "a previous balance": (
        "Invoice no: 6\nDescription Amount\nLine rental 30.00\nCalls 12.40\nSubtotal 42.40\n"
        "VAT 20% 8.48\nPrevious balance 15.00\nTotal 65.88\n"
    ),
    "tax on some of the items": (
        "Invoice no: 7\nItem Qty Price Total\nBook 1 10.00 10.00\nCake 2 4.00 8.00\n"
        "Pen 3 5.00 15.00\nSubtotal 33.00\nVAT 20% 3.00\nTotal 36.00\n"
    ),
    "two tax rates": (
        "Rechnung Nr. 8\nBezeichnung Menge Preis Betrag\nBuch 1 10,00 10,00\nStift 2 5,00 10,00\n"
        "Netto 20,00\nMwSt 7% auf 10,00 0,70\nMwSt 19% auf 10,00 1,90\nSumme 22,60\n"
    ),
    "two tax rates without their amounts": (
        "Invoice no: 8\nItem Qty Price Total\nBook 1 10.00 10.00\nPen 2 5.00 10.00\n"
        "Subtotal 20.00\nState tax 5% 1.00\nCity tax 2.5% 0.50\nTotal 21.50\n"
    ),
    "tax in the total, prices with tax": (
        "Invoice no: 9\nItem Qty Price Total\nChair 2 60.00 120.00\nTotal 120.00\n"
        "incl. VAT 20% 20.00\n"
    ),
    "a subtotal with tax in it": (
        "Invoice no: 9\nItem Qty Price Total\nChair 2 60.00 120.00\nSubtotal 120.00\n"
        "VAT (20%) 20.00\nTotal 120.00\n"
    ),
    "a price for 100": (
        "Rechnung Nr. 10\nArtikel Menge Preis Betrag\nNägel 250 4,00 10,00\nLeim 2 3,50 7,00\n"
        "Netto 17,00\nMwSt 19% 3,23\nGesamtbetrag 20,23\n"
    ),
    "a price that was rounded": (
        "Invoice no: 11\nItem Qty Price Total\nRequests 12000 0.01 148.20\nSeats 3 9.99 29.97\n"
        "Total 178.17\n"
    ),
    "swiss rounding": (
        "Rechnung Nr. 12\nLeistung Menge Preis Betrag\nBeratung 3 133,33 399,99\n"
        "Zwischensumme CHF 399,99\nMwSt 8,1% CHF 32,40\nGesamtbetrag CHF 432,40\n"
    ),
    "amounts with tax and prices without": (
        "Invoice no: 13\nItem Qty Price VAT Total\nDesk 1 100.00 20% 120.00\n"
        "Lamp 2 10.00 20% 24.00\nTotal 144.00\n"
    ),
    "a row that looks like a sum": (
        "Invoice no: 14\nItem Qty Price Total\nTotal care package 1 50.00 50.00\n"
        "Shipping box 2 5.00 10.00\nDelivery 1 7.00 7.00\nSubtotal 67.00\nTotal 67.00\n"
    ),
    "a row without quantity": (
        "Invoice no: 15\nItem Qty Price Total\nPlan 1 50.00 50.00\nOne-time credit -5.00\n"
        "Subtotal 45.00\nTotal 45.00\n"
    ),
    "groups with their own sums": (
        "Invoice no: 16\nItem Qty Price Total\nA 1 10.00 10.00\nB 2 5.00 10.00\nSubtotal 20.00\n"
        "C 1 7.00 7.00\nSubtotal 7.00\nTotal 27.00\n"
    ),
    "a sum carried over to the next page": (
        "Rechnung Nr. 17\nArtikel Menge Preis Betrag\nA 1 10,00 10,00\nB 2 5,00 10,00\n"
        "Zwischensumme 20,00\nSeite 1 von 2\nÜbertrag 20,00\nArtikel Menge Preis Betrag\n"
        "C 1 7,00 7,00\nGesamtbetrag 27,00\n"
    ),
    "columns apart by tabs": (
        "Invoice no: 18\n\nItem\tQty\tPrice\tTotal\nPen\t3\t$1.50\t$4.50\n"
        "Ink 20 ml\t1\t$7.00\t$7.00\n\n"
        "Subtotal\t$11.50\nTax 10%\t$1.15\nTotal\t$12.65\n"
    ),
    "hours with decimals": (
        "Invoice no: 19\nDescription Hours Rate Amount\nDesign 7.33 90.00 660.00\n"
        "Review 1.5 90.00 135.00\nTotal 795.00\n"
    ),
    "whole numbers": (
        "Invoice no: 20\nItem Qty Price Amount\nTea ¥300 4 ¥300 ¥1,200\nCake 2 ¥450 ¥900\n"
        "Total ¥2,100\n"
    ),
    "a financial statement": "Balance sheet\nAssets 100.00\nLiabilities 40.00\nEquity 70.00\n",
}  # fmt: skip


@pytest.mark.parametrize("text", HONEST_OTHERS.values(), ids=HONEST_OTHERS.keys())
def test_no_contradiction_is_found_where_there_is_none(detect: Detector, text: str) -> None:
    language = "de" if "Rechnung" in text else "ru" if "Счёт" in text else "en"
    assert detect(text, language=language).findings == []


@pytest.mark.parametrize(
    ("text", "stated", "changed", "code"),
    [
        (GERMAN, "392,41", "492,41", "totals.sum"),
        (GERMAN, "41,40", "44,10", "items.product"),
        (RUSSIAN, "6 501,00", "9 501,00", "items.product"),
        (HONEST_OTHERS["columns apart by tabs"], "$12.65", "$21.65", "totals.sum"),
        (HONEST_OTHERS["two tax rates"], "1,90", "2,90", "tax.amount"),
        (HONEST_OTHERS["groups with their own sums"], "C 1 7.00 7.00", "C 2 7.00 14.00",
         "items.sum"),
    ],
)  # fmt: skip
def test_the_same_invoices_with_a_changed_number_are_found(
    detect: Detector, text: str, stated: str, changed: str, code: str
) -> None:
    language = "de" if "Rechnung" in text else "ru" if "Счёт" in text else "en"
    assert stated in text
    found = detect(text.replace(stated, changed, 1), language=language)
    assert code in [finding.code for finding in found.findings]


def test_what_no_label_explains_is_said_to_be_unchecked(detect: Detector) -> None:
    text = "Invoice no: 21\nItem Qty Price Total\nPen 3 1.50 4.50\nNotebook A5 6\nTotal 10.50\n"
    found = detect(text)
    assert found.findings == []
    assert check(found, "line_items").outcome == "unchecked"
    assert "line 4 may be an item too" in check(found, "line_items").detail


def test_what_is_no_invoice_is_not_checked_and_not_registered(detect: Detector) -> None:
    found = detect("The board approved the budget. Total 100.00\nSubtotal 7.00\n")
    assert {each.outcome for each in found.checks} == {"unchecked"}
    assert not detect.path.exists()


def test_dates_with_two_readings_are_no_contradiction(detect: Detector) -> None:
    text = "Invoice no: 22\nInvoice date: 05/04/2026\nDue date: 03/05/2026\nTotal £10.00\n"
    found = detect(text)
    assert found.findings == []
    assert check(found, "dates").outcome == "unchecked"


def test_another_kind_of_account_number_is_no_wrong_iban(detect: Detector) -> None:
    text = HONEST.replace("IBAN: GB82 WEST 1234 5698 7654 32", "Bank account: QQ12 3456 7890 1234")
    found = detect(text)
    assert found.findings == []
    assert check(found, "iban").outcome == "unchecked"


@pytest.mark.parametrize(
    "text",
    ["Invoice " + "1.00 " * 20_000, "Invoice\n" + "Total " * 20_000, "Invoice\n" + "9" * 100_000,
     "Invoice\nItem Qty Price Total\n" + "Pen 3 1.50 4.50\n" * 5_000 + "Total 1.00\n",
     "Invoice\n" + "Shipping 1.00\n" * 5_000 + "Subtotal 1.00\nTotal 3.00\n",
     "Invoice\n" + "A" * 100_000, "Invoice\n" + "Aa " * 30_000 + "Ltd", "Invoice \x00\n\ud7ff"],
    ids=["numbers", "labels", "digits", "rows", "adjustments", "letters", "words", "signs"],
)  # fmt: skip
@pytest.mark.timeout(120)
def test_foreign_texts_end_in_time(detect: Detector, text: str) -> None:
    assert detect(text).checks


def test_a_now_that_is_no_date_is_refused(detect: Detector) -> None:
    with pytest.raises(OperationError) as caught:
        detect(HONEST, now="tomorrow")
    assert caught.value.code == "fraud.invalid_now"


def test_another_application_s_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    with pytest.raises(OperationError) as caught:
        Detector(tmp_path, path=str(path))(HONEST)
    assert caught.value.code == "fraud.register_unusable"


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "text.sqlite"
    path.write_text("this is text, and longer than a header of SQLite has to be" * 10)
    with pytest.raises(OperationError) as caught:
        Detector(tmp_path, path=str(path))(HONEST)
    assert caught.value.code == "fraud.register_unusable"


def make_pdf(path: Path, *, total: str) -> Path:
    """Make an invoice with a drawn table."""
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica", size=11)
    for line in HONEST.split("\n\n")[:3]:
        pdf.multi_cell(0, 6, line, new_x="LMARGIN", new_y="NEXT")
    rows = [
        ("Description", "Quantity", "Unit price", "Amount"),
        ("Scanning of 38 boxes of records", "38", "£96.50", "£3,667.00"),
        ("Searchable copies", "62", "£41.25", "£2,557.50"),
        ("", "", "Subtotal", "£6,224.50"),
        ("", "", "VAT 20%", "£1,244.90"),
        ("", "", "Total due", total),
    ]
    for row in rows:
        for text, width in zip(row, (80, 30, 40, 40), strict=True):
            pdf.cell(width, 8, text, align="R" if width < 80 else "L")
        pdf.ln()
    pdf.output(str(path))
    return path


@pytest.mark.parametrize(("total", "codes"), [("£7,469.40", []), ("£7,496.40", ["totals.sum"])])
def test_a_pdf_s_table_is_read(
    detect: Detector, tmp_path: Path, total: str, codes: list[str]
) -> None:
    text, sha256 = parsed(make_pdf(tmp_path / "made.pdf", total=total))
    found = detect(text, sha256=sha256)
    assert check(found, "line_items").outcome == "passed"
    assert [finding.code for finding in found.findings] == codes


@pytest.mark.parametrize(
    ("name", "passing"),
    [
        ("invoice-AmazonWebServices.pdf", {"duplicate", "dates"}),
        ("invoice-AzureInterior.pdf", {"line_items", "totals", "tax", "dates"}),
        ("invoice-QualityHosting.pdf", {"line_items", "duplicate", "dates", "iban"}),
        ("invoice-oyo.pdf", {"line_items", "duplicate"}),
    ],
)
def test_real_invoices_give_no_finding(detect: Detector, name: str, passing: set[str]) -> None:
    if not (SHARED / name).is_file():
        pytest.skip("the shared documents are not beside the checkout")
    text, sha256 = parsed(SHARED / name)
    language = "de" if "Quality" in name else "en"
    found = detect(text, sha256=sha256, language=language)
    assert found.findings == []
    assert {each.name for each in found.checks if each.outcome == "passed"} == passing


@pytest.mark.parametrize(
    ("name", "stated", "changed", "code"),
    [
        ("invoice-AzureInterior.pdf", "Total $ 279.84", "Total $ 297.84", "totals.sum"),
        ("invoice-AzureInterior.pdf", "15.00% $ 70.00", "15.00% $ 90.00", "items.product"),
        ("invoice-AzureInterior.pdf", "$ 16.94", "$ 19.64", "tax.amount"),
        ("invoice-QualityHosting.pdf", "Total EUR 34,73", "Total EUR 84,73", "items.sum"),
        ("invoice-QualityHosting.pdf", "DE30507500940000048567", "DE30507500940000048568",
         "iban.checksum"),
        ("invoice-AmazonWebServices.pdf", "Invoice Date: August 3 , 2014",
         "Invoice Date: August 30 , 2014", "dates.order"),
    ],
)  # fmt: skip
def test_real_invoices_that_were_changed_are_found(
    detect: Detector, name: str, stated: str, changed: str, code: str
) -> None:
    if not (SHARED / name).is_file():
        pytest.skip("the shared documents are not beside the checkout")
    text, _ = parsed(SHARED / name)
    assert stated in text
    language = "de" if "Quality" in name else "en"
    found = detect(text.replace(stated, changed), language=language)
    assert code in [finding.code for finding in found.findings]
