"""The values of invoices: by labels in twelve languages, by place, and by arithmetic."""

# ruff: noqa: E501, RUF001 - it has invoices in Russian

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

INVOICES = {
    "de": "Rechnung\nAlster Kontor GmbH\nRechnungs-Nr.: R-17\nRechnungsdatum: 5. März 2026\n"
    "Zahlbar bis: 19.03.2026\nNettobetrag 100,00 €\nzzgl. 19 % MwSt. 19,00 €\nGesamt 119,00 €\n",
    "fr": "FACTURE n° R-17 du 5 mars 2026\nAtelier Morel SARL\nDate limite de paiement le 19 mars"
    " 2026\nTotal HT 100,00 €\nTVA 19 % 19,00 €\nTotal TTC 119,00 €\n",
    "nl": "FACTUUR\nNoorder Fietsen B.V.\nFactuurnummer: R-17\nFactuurdatum: 5 maart 2026\n"
    "Vervaldatum: 19 maart 2026\nSubtotaal € 100,00\nBTW 19% € 19,00\nTotaal € 119,00\n",
    "it": "FATTURA n. R-17 del 5 marzo 2026\nFerramenta Bellini S.r.l.\nScadenza: 19/03/2026\n"
    "Imponibile 100,00 €\nIVA 19% 19,00 €\nTotale fattura 119,00 €\n",
    "es": "FACTURA Nº R-17\nFecha: 5 de marzo de 2026\nVencimiento: 19 de marzo de 2026\n"
    "Talleres Rivas S.L.\nBase imponible 100,00 €\nIVA 19% 19,00 €\nTotal factura 119,00 €\n",
    "pt": "Fatura n.º R-17\nData de emissão: 05-03-2026\nVencimento: 19-03-2026\nMinho Lda.\n"
    "Total ilíquido 100,00 €\nIVA 19% 19,00 €\nTotal da fatura 119,00 €\n",
    "pl": "Faktura VAT nr R-17\nData wystawienia: 5 marca 2026\nTermin płatności: 19 marca 2026\n"
    "Wisła Sp. z o.o.\nRazem netto 100,00 EUR\nVAT 19% 19,00 EUR\nRazem brutto 119,00 EUR\n",
    "sv": "FAKTURA\nÅkerlunds Bygg AB\nFakturanr R-17\nFakturadatum 2026-03-05\nFörfallodatum"
    " 2026-03-19\nNetto EUR 100,00\n19 % moms EUR 19,00\nTotalt EUR 119,00\n",
    "da": "FAKTURA\nKontorland A/S\nFakturanr. R-17\nFakturadato 5. marts 2026\nForfaldsdato"
    " 19. marts 2026\nI alt ekskl. moms EUR 100,00\nMoms 19% EUR 19,00\nTotal EUR 119,00\n",
    "ru": "СЧЁТ № R-17 от 05.03.2026\nООО «Дубрава»\nСрок оплаты: 19.03.2026\n"
    "Итого без НДС 100,00 €\nНДС 19% 19,00 €\nВсего к оплате 119,00 €\n",
    "tr": "FATURA\nKuzey Matbaa Ltd. Şti.\nFatura No: R-17\nFatura Tarihi: 5 Mart 2026\n"
    "Son Ödeme Tarihi: 19 Mart 2026\nAra Toplam 100,00 €\nKDV (%19) 19,00 €\nGenel Toplam 119,00 €\n",
    "en": "Invoice\nBrook & Fell Ltd\nInvoice No: R-17\nInvoice date: 5 March 2026\nDue date:"
    " 19 March 2026\nSubtotal €100.00\nVAT 19% €19.00\nTotal €119.00\n",
}


@pytest.mark.parametrize("language", INVOICES)
def test_an_invoice_is_read_in_its_language(enrich: Any, analyze: Any, language: str) -> None:
    text = INVOICES[language]
    assert analyze(text).analysis_results.document_type == "financial"
    invoice = enrich(text, language, "financial").invoice
    assert (invoice.number, invoice.date, invoice.due_date) == ("R-17", "2026-03-05", "2026-03-19")
    assert Decimal(invoice.net.value) == 100
    assert [tax.rate for tax in invoice.taxes] == ["19"]
    assert Decimal(invoice.total.value) == 119
    assert invoice.total.currency == "EUR"
    assert invoice.customer is None
    assert invoice.issuer in text


def test_each_value_has_the_text_that_it_was_read_from(enrich: Any) -> None:
    invoice = enrich(INVOICES["en"], "en", "financial").invoice
    for name in ("number", "date", "due_date", "net", "total", "issuer", "taxes.0"):
        evidence = invoice.evidence[name]
        assert 0 < evidence.confidence <= 1
        first = evidence.text.split()[0]
        assert first in INVOICES["en"].split("\n")[evidence.line - 1]
    assert "iban" not in invoice.evidence


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("Invoice\nInvoice number: 448812\nTotal in USD\n$7.20\nYou are charged for any amount due."
         "\nInvoice number: 448812", ("7.20", "USD")),
        ("RECEIPT\nHammer 1 @ $20.00 $20.00\nSUBTOTAL $20.00\nDiscount -$2.00\nTax (5%) $0.90\n"
         "TOTAL $18.90\nTotal Points: 3,247", ("18.90", "USD")),
        ("INVOICE 7\nNet VAT Total\n€100.00 €19.00 €119.00", ("119.00", "EUR")),
        ("INVOICE 7\nTotal £119.00\nDeposit £19.00\nBalance due £100.00", ("119.00", "GBP")),
    ],
)  # fmt: skip
def test_the_total_is_the_whole_sum(enrich: Any, text: str, total: tuple[str, str]) -> None:
    found = enrich(text, "en", "financial").invoice.total
    assert (found.value, found.currency) == total


@pytest.mark.parametrize(
    "text",
    [
        "Invoice\nInvoice No: R-17\nInvoice date: 5 March 2026\nDue date: 19 March 2026\nTotal €5.00",
        "Invoice\nInvoice No  Invoice date  Due date\nR-17 5 March 2026 19 March 2026\nTotal €5.00",
        "Acme Ltd Invoice\nR-17\n5 March 2026\n19 March 2026\nTotal €5.00\nInvoice No:\n"
        "Invoice date:\nDue date:\n",
        "Invoice R-17, dated 5 March 2026\nPlease pay by 19 March 2026.\nTotal €5.00",
        "Invoice\nInvoice No: R-17\nMar 5, 2026 .......... Invoice date\nDue: 2026/03/19\nTotal €5.00",
    ],
)
def test_values_are_read_beside_below_and_before_their_labels(enrich: Any, text: str) -> None:
    invoice = enrich(text, "en", "financial").invoice
    assert (invoice.number, invoice.date, invoice.due_date) == ("R-17", "2026-03-05", "2026-03-19")


def test_issuer_and_customer_are_told_apart(enrich: Any) -> None:
    text = (
        "Brook & Fell Ltd\n1 Mill Lane\nVAT No. GB 123 456 789\n\nInvoice 5\n\nBill to:\n"
        "Harbour Pine plc\n2 Quay\nVAT No. GB 987 654 321\n\nTotal £5.00\n"
    )
    invoice = enrich(text, "en", "financial").invoice
    assert (invoice.issuer, invoice.vat_id) == ("Brook & Fell Ltd", "GB123456789")
    assert (invoice.customer, invoice.customer_vat_id) == ("Harbour Pine plc", "GB987654321")


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("1,000.00 USD 01/30/2026", [("1000.00", "USD")]),
        ("on 21 april 2026 € 717,97 by transfer", [("717.97", "EUR")]),
        ("0,75 € 0,75 € and 3,50 € 0 €", [("0.75", "EUR"), ("3.50", "EUR"), ("0", "EUR")]),
        (
            "€ -9,32, -$84.00 and (€ 12,00)",
            [("-9.32", "EUR"), ("-84.00", "USD"), ("-12.00", "EUR")],
        ),
    ],
)
def test_a_currency_belongs_to_the_number_beside_it(
    enrich: Any, text: str, amounts: list[tuple[str, str]]
) -> None:
    assert [(each.value, each.currency) for each in enrich(text, "en").amounts] == amounts


@pytest.mark.parametrize(
    "written",
    ["FR76 3000 6000 0112 3456 7890 189", "FR76 30006 00001 12345678901 89",
     "FR7630006000011234567890189", "FR76 3000 6000 0112\n3456 7890 189"],
)  # fmt: skip
def test_an_account_is_found_in_groups_of_any_length(enrich: Any, written: str) -> None:
    (found,) = enrich(f"pay to {written}, please").ibans
    assert (found.iban, found.valid) == ("FR7630006000011234567890189", True)
