"""Invoices in wordings and layouts that no list of labels has."""

# ruff: noqa: E501, RUF001 - it has lines in Russian

from __future__ import annotations

from typing import Any

import pytest

# What a line says in a language, and the field that it is.
LABELS = [
    ("en", "Date this invoice was raised: 5 March 2026", "date", "2026-03-05"),
    ("en", "Latest settlement day: 4 April 2026", "due_date", "2026-04-04"),
    ("en", "Buyer's purchase order ref: PO-7731", "order_reference", "PO-7731"),
    ("en", "Wire transfer memo: 998877/C-12", "payment_reference", "998877/C-12"),
    ("en", "Invoice document identifier: ZX-2026-17", "number", "ZX-2026-17"),
    ("de", "Tag der Belegerstellung: 05.03.2026", "date", "2026-03-05"),
    ("de", "Letzter Zahltag für die Überweisung: 04.04.2026", "due_date", "2026-04-04"),
    ("de", "Ihr Auftragskennzeichen: AB-7731", "order_reference", "AB-7731"),
    ("de", "Überweisungskennzeichen: 998877/12", "payment_reference", "998877/12"),
    ("de", "Rechnungskennzeichen: ZX-2026-17", "number", "ZX-2026-17"),
    ("fr", "Document établi en date du 05/03/2026", "date", "2026-03-05"),
    ("fr", "Échéance du règlement : 04/04/2026", "due_date", "2026-04-04"),
    ("fr", "Code de votre commande : AB-7731", "order_reference", "AB-7731"),
    ("fr", "Mention du virement : 998877/12", "payment_reference", "998877/12"),
    ("nl", "Datum van opmaak factuur: 05-03-2026", "date", "2026-03-05"),
    ("nl", "Uiterste betaaltermijn: 04-04-2026", "due_date", "2026-04-04"),
    ("nl", "Uw bestelkenmerk: AB-7731", "order_reference", "AB-7731"),
    ("it", "Documento rilasciato in data: 05/03/2026", "date", "2026-03-05"),
    ("it", "Termine ultimo di versamento: 04/04/2026", "due_date", "2026-04-04"),
    ("it", "Codice del vs. ordine: AB-7731", "order_reference", "AB-7731"),
    ("es", "Factura emitida con fecha: 05/03/2026", "date", "2026-03-05"),
    ("es", "Tope para abonar: 04/04/2026", "due_date", "2026-04-04"),
    ("es", "Código de su pedido: AB-7731", "order_reference", "AB-7731"),
    ("pt", "Documento emitido na data: 05/03/2026", "date", "2026-03-05"),
    ("pt", "Prazo limite para pagar: 04/04/2026", "due_date", "2026-04-04"),
    ("pl", "Dokument sporządzono dnia: 05.03.2026", "date", "2026-03-05"),
    ("pl", "Ostateczny dzień zapłaty: 04.04.2026", "due_date", "2026-04-04"),
    ("pl", "Kod Twojego zamówienia: AB-7731", "order_reference", "AB-7731"),
    ("sv", "Dokumentet utskrivet den: 2026-03-05", "date", "2026-03-05"),
    ("sv", "Betalas in senast dag: 2026-04-04", "due_date", "2026-04-04"),
    ("da", "Regningen udskrevet den: 05-03-2026", "date", "2026-03-05"),
    ("da", "Sidste frist for indbetaling: 04-04-2026", "due_date", "2026-04-04"),
    ("ru", "Счёт составлен и выписан: 05.03.2026", "date", "2026-03-05"),
    ("ru", "Последний день платежа: 04.04.2026", "due_date", "2026-04-04"),
    ("ru", "Код вашей заявки: AB-7731", "order_reference", "AB-7731"),
    ("tr", "Belgenin düzenlendiği gün: 05.03.2026", "date", "2026-03-05"),
    ("tr", "Ödeme için en son gün: 04.04.2026", "due_date", "2026-04-04"),
    ("tr", "Sipariş talep numaranız: AB-7731", "order_reference", "AB-7731"),
]  # fmt: skip
LAYOUTS = {
    "with a colon": "{label}: {value}",
    "in two cells": "{label}\t{value}",
    "with wide gaps": "{label}          {value}",
    "below the label": "{label}\n{value}",
    "after a slash": "Ref X / {label}: {value}",
}
# The lines of an invoice before and after the ones in question.
HEAD = {
    "en": "Invoice", "de": "Rechnung", "fr": "Facture", "nl": "Factuur", "it": "Fattura",
    "es": "Factura", "pt": "Fatura", "pl": "Faktura", "sv": "Faktura", "da": "Faktura",
    "ru": "Счёт", "tr": "Fatura",
}  # fmt: skip
FOOT = "\nTotal 119.00 EUR\n"


def read(enrich: Any, language: str, lines: str) -> Any:
    return enrich(f"{HEAD[language]}\n{lines}{FOOT}", language, "financial").invoice


@pytest.mark.parametrize(("language", "line", "field", "value"), LABELS)
def test_a_label_is_read_by_its_words(
    enrich: Any, language: str, line: str, field: str, value: str
) -> None:
    assert getattr(read(enrich, language, line), field) == value


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("language", "label", "field", "value", "found"),
    [
        ("en", "Latest settlement day", "due_date", "4 April 2026", "2026-04-04"),
        ("de", "Rechnungskennzeichen", "number", "ZX-2026-17", "ZX-2026-17"),
        ("fr", "Code de votre commande", "order_reference", "AB-7731", "AB-7731"),
        ("pl", "Ostateczny dzień zapłaty", "due_date", "04.04.2026", "2026-04-04"),
    ],
)
def test_a_label_is_read_by_its_words_in_each_layout(
    enrich: Any, layout: str, language: str, label: str, field: str, value: str, found: str
) -> None:
    line = LAYOUTS[layout].format(label=label, value=value)
    assert getattr(read(enrich, language, line), field) == found


@pytest.mark.parametrize(
    ("language", "lines", "expected"),
    [
        ("de", "Rechnungsnr. / Invoice no.: R-17\nRechnungsdatum / Invoice date: 5.3.2026", "R-17"),
        ("it", "FATTURA N. / RECHNUNG NR.: R-17\nDATA / DATUM: 05/03/2026", "R-17"),
        ("da", "Fakturanr. / Facture n° : R-17\nDato / Date: 05-03-2026", "R-17"),
        ("es", "N.º de factura / Фактура №: R-17\nFecha / Date: 5 marzo 2026", "R-17"),
    ],
)
def test_a_label_and_its_translation_are_one(
    enrich: Any, language: str, lines: str, expected: str
) -> None:
    invoice = read(enrich, language, lines)
    assert (invoice.number, invoice.date) == (expected, "2026-03-05")


def test_a_row_of_labels_in_two_languages_is_above_its_values(enrich: Any) -> None:
    rows = "Rechnungsdatum / Invoice date Rechnungsnr. / Invoice no.\n05.03.2026 2026-0017"
    invoice = read(enrich, "de", rows)
    assert (invoice.number, invoice.date) == ("2026-0017", "2026-03-05")


def test_several_pairs_in_a_line_are_separated_by_slashes(enrich: Any) -> None:
    line = "KD-NR C-66 / IHR ZEICHEN 10166 / RECHNUNG NR R-17 / ZAHLBAR BIS ZUM 6. Juli 2026"
    invoice = read(enrich, "de", line)
    assert (invoice.number, invoice.order_reference) == ("R-17", "10166")
    assert invoice.due_date == "2026-07-06"


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "We enclose invoice no. 937/26 dated 5 March 2026, which we ask you to settle by 4 April 2026."),
        ("de", "Anbei erhalten Sie die Rechnung 937/26 vom 05.03.2026, zahlbar in 30 Tagen, also am 04.04.2026."),
        ("es", "El importe de la factura 937/26, con fecha 05-03-2026, vence el\n04-04-2026."),
        ("pt", "Junto enviamos o documento n.º 937/26, de 05/03/2026, a pagar até 04/04/2026."),
        ("sv", "Här kommer faktura 937/26 av 05/03/2026. Vi ber er betala senast den 04/04/2026."),
    ],
)  # fmt: skip
def test_a_sentence_has_number_date_and_last_day(enrich: Any, language: str, line: str) -> None:
    invoice = read(enrich, language, line)
    assert (invoice.number, invoice.date) == ("937/26", "2026-03-05")
    assert invoice.due_date == "2026-04-04"


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "Terms 30 days net, that is 4 April 2026."),
        ("nl", "Binnen 30 dagen na factuurdatum, dus uiterlijk 04-04-2026."),
        ("tr", "Vade 30 gündür; bedelin 04.04.2026 tarihine kadar hesabımıza geçmesi gerekir."),
        ("it", "Pagamento a 30 giorni, entro e non oltre il 4 aprile 2026."),
        ("es", "Vencimiento a 30 días: 04.04.26."),
    ],
)
def test_the_last_day_is_as_many_days_after_the_date_as_the_text_says(
    enrich: Any, language: str, line: str
) -> None:
    dated = {"en": "Date: 5 March 2026", "tr": "Tarih: 05.03.2026", "nl": "Datum: 05-03-2026",
             "it": "Data: 05/03/2026", "es": "Fecha: 05/03/2026"}[language]  # fmt: skip
    assert read(enrich, language, f"{dated}\n{line}").due_date == "2026-04-04"


def test_a_day_of_delivery_is_no_last_day_of_payment(enrich: Any) -> None:
    invoice = read(enrich, "en", "Invoice date: 5 March 2026\nDelivery date: 9 March 2026")
    assert (invoice.date, invoice.due_date) == ("2026-03-05", None)


@pytest.mark.parametrize(
    ("language", "line", "value"),
    [
        ("en", "Our bank needs RF89280061 for each transfer.", "RF89280061"),
        ("nl", "Vermeld bij uw betaling a.u.b. 389/10/2026/K41.", "389/10/2026/K41"),
        ("sv", "Glöm inte att ange 7914369652 när du betalar.", "7914369652"),
        ("en", "Our bank needs RF88280061 for each item.", None),
    ],
)
def test_a_payments_reference_is_known_by_its_check_digits_or_its_sentence(
    enrich: Any, language: str, line: str, value: str | None
) -> None:
    assert read(enrich, language, f"# 17\n{line}").payment_reference == value


@pytest.mark.parametrize(
    ("language", "line", "value"),
    [
        ("de", "Amtsgericht Leipzig HRB 25359", "HRB 25359"),
        ("de", "Firmenbuch FN 313756k, Handelsgericht Wien", "FN 313756k"),
        ("de", "Handelsregister Zürich CH-020.3.008.349-2", "CH-020.3.008.349-2"),
        ("fr", "immatriculée au R.C.S. de Nantes sous le n°\n345 044 911", "345 044 911"),
        (
            "es",
            "Registro Mercantil de Madrid, Tomo 21.406, Folio 88, Hoja M-414658",
            "Hoja M-414658",
        ),
        ("nl", "ingeschreven bij de KvK te Utrecht onder nummer 68433057", "68433057"),
        ("it", "C.C.I.A.A. Firenze, numero REA FI-534653", "FI-534653"),
        ("pl", "Sąd Rejonowy Gdańsk-Północ, KRS 0000261268", "0000261268"),
        ("pt", "Matriculada na C.R.C. de Lisboa sob o n.º 10512", "10512"),
        ("en", "Registered in Ireland, number 530878", "530878"),
    ],
)
def test_a_number_in_a_register_is_known_by_its_form(
    enrich: Any, language: str, line: str, value: str
) -> None:
    company = {"de": "Alster Kontor GmbH", "fr": "Morel SARL", "es": "Rivas S.L.", "nl": "Noord B.V.",
               "it": "Bellini S.r.l.", "pl": "Wisła Sp. z o.o.", "pt": "Minho Lda.",
               "en": "Fell DAC"}[language]  # fmt: skip
    invoice = read(enrich, language, f"{company}\n{line}\n# R-17")
    assert invoice.company_number == value


@pytest.mark.parametrize(
    ("language", "block", "name"),
    [
        ("de", "Dr. Heiko Brandt\nHauptstr. 22\n53111 Bonn", "Dr. Heiko Brandt"),
        ("nl", "P.J. Kuipers\nKerkstraat 17\n1012 WX Amsterdam", "P.J. Kuipers"),
        ("nl", "Willemijn van 't Hoff\nGentsesteenweg 132\n9000 Gent", "Willemijn van 't Hoff"),
        (
            "it",
            "Condominio Via Roma 18\nVia Garibaldi, 75\n50123 Firenze",
            "Condominio Via Roma 18",
        ),
        (
            "pt",
            "Escola do Bairro\nA/C Contabilidade\nRua das Flores, 27\n3000-150 Coimbra",
            "Escola do Bairro",
        ),
        ("en", "Josephine Long-Carter\n10 Station Road\nBristol BS1 5TR", "Josephine Long-Carter"),
        (
            "fr",
            "office@morel.example Samira Belkacem\nRue du Moulin 105\n1300 Wavre",
            "Samira Belkacem",
        ),
    ],
)
def test_the_customer_is_above_an_address_without_a_label(
    enrich: Any, language: str, block: str, name: str
) -> None:
    sender = "Morel GmbH\nAm Markt 1\n10115 Berlin\noffice@morel.example\n"
    invoice = read(enrich, language, f"{sender}\n{block}\n\n# R-17")
    assert (invoice.issuer, invoice.customer) == ("Morel GmbH", name)


def test_the_customer_and_the_address_may_be_on_one_line(enrich: Any) -> None:
    lines = "Fell Ltd\n\nJane Doe, 24 Mill Lane, Leeds LS1 4DY\n# R-17"
    assert read(enrich, "en", lines).customer == "Jane Doe"


@pytest.mark.parametrize(
    ("language", "label"),
    [("en", "Our customer"), ("fr", "Coordonnées de l'acheteur :"), ("de", "Käuferin:")],
)
def test_the_label_of_a_customer_is_read_by_its_words(
    enrich: Any, language: str, label: str
) -> None:
    lines = f"{label}\nJane Doe\nSuite B\n# R-17"
    assert read(enrich, language, lines).customer == "Jane Doe"


def test_the_invoice_that_a_credit_note_is_for_has_another_number(enrich: Any) -> None:
    lines = "Gutschrift zur Rechnung 2026-11\nGutschriftsnummer: 2026-17"
    assert read(enrich, "de", lines).number == "2026-17"


def test_the_numbers_far_below_the_customer_are_the_issuers(enrich: Any) -> None:
    items = "\n".join(f"{index} pcs Part {index} 2.00 {index * 2}.00" for index in range(2, 12))
    text = (
        "Fell DAC\n\nAnvil Ltd\n48 Harbour Street\nCork T12 X8FA\nVAT No IE6981629E\n\n"
        f"Invoice R-17\n{items}\nTotal 130.00 EUR\nVAT No IE6143560Q"
    )
    invoice = enrich(text, "en", "financial").invoice
    assert (invoice.vat_id, invoice.customer_vat_id) == ("IE6143560Q", "IE6981629E")


@pytest.mark.parametrize(
    ("rows", "amount"),
    [
        ("1 6 ea Proofreading, 1,000 words 15.07 90.42", "90.42"),
        ("8 pcs Lamp 10 W 8.00 (-5%) 60.80", "60.80"),
        ("Coffee\t20%\t775.00 (-10%)\t11\tkg\t7,672.50", "7672.50"),
        ("1 Hire of a tower, 1 week        1,980.00\n    11 wks x 180.00  23%", "1980.00"),
        ("5 pcs Planning licence, 12\nmonths\n521.05 2.6% 2,605.25", "2605.25"),
        ("Boiler\ncheck\n10 pcs 109.49 EUR (-\n5%)\n1,040.16 EUR", "1040.16"),
        ("3 pcs Lunch 250.67 %20 752.01", "752.01"),
        ("Chair 2 50.00 100.00 20.00 120.00", "100.00"),
        ("Chair 2 50.00 10% 90.00", "90.00"),
    ],
)
def test_quantity_and_price_of_an_item_may_be_anywhere_in_its_lines(
    enrich: Any, rows: str, amount: str
) -> None:
    invoice = enrich(f"Invoice R-17\n{rows}\nTotal 9.00 EUR", "en", "financial").invoice
    assert [item.amount.value for item in invoice.items] == [amount]


def test_a_sum_with_tax_and_one_without_may_have_the_same_kind_of_label(enrich: Any) -> None:
    text = "СЧЁТ № 17\nИТОГО 1 000,00 RUB\nв т. ч. НДС 20 % 200,00 RUB\nВСЕГО 1 200,00 RUB\n"
    invoice = enrich(text, "ru", "financial").invoice
    assert (invoice.net.value, invoice.total.value) == ("1000.00", "1200.00")


def test_two_rates_of_tax_and_sums_without_known_labels_are_found_by_arithmetic(
    enrich: Any,
) -> None:
    text = ("Invoice R-17\nAll work 300.00\nVAT 20% 40.00\nVAT 5% 5.00\n"
            "Everything 345.00\n")  # fmt: skip
    invoice = enrich(text, "en", "financial").invoice
    assert (invoice.net.value, invoice.total.value) == ("300.00", "345.00")


def test_a_row_of_roles_is_above_blocks_that_follow_each_other(enrich: Any) -> None:
    text = (
        "Verkäufer / Seller Käufer / Buyer Warenempfänger / Ship to\nvon Thurn Holzbau GmbH\n"
        "Mariengasse 103\n8010 Graz\nSeewald Immobilien GmbH\nMariengasse 133\n5020 Salzburg"
    )
    invoice = read(enrich, "de", text)
    assert (invoice.issuer, invoice.customer) == (
        "von Thurn Holzbau GmbH", "Seewald Immobilien GmbH",
    )  # fmt: skip


@pytest.mark.parametrize("label", ["Invoice date", "Date"])
def test_a_year_of_two_digits_is_read_behind_a_label(enrich: Any, label: str) -> None:
    assert read(enrich, "en", f"{label}: 25-11-24").date == "2024-11-25"


def test_an_account_of_a_bank_is_no_invoices_number(enrich: Any) -> None:
    invoice = read(enrich, "ru", "Счёт 40702810631082580030")
    assert invoice.number is None
