"""Values that touch others, stand below or before their labels, or have none."""

# ruff: noqa: RUF001 - it has lines in Russian

from __future__ import annotations

from typing import Any

import pytest

DAYS = [
    ("da", "25/1 2026", "2026-01-25"),
    ("da", "25/1-2026", "2026-01-25"),
    ("de", "25. 1. 2026", "2026-01-25"),
    ("fr", "1er janvier 2026", "2026-01-01"),
    ("it", "1° gennaio 2026", "2026-01-01"),
    ("es", "1.º de enero del 2026", "2026-01-01"),
    ("pt", "1º de janeiro de 2026", "2026-01-01"),
    ("ru", "25.01.2026г.", "2026-01-25"),
]


@pytest.mark.parametrize(("language", "written", "day"), DAYS)
def test_a_day_is_read_in_the_forms_of_its_language(
    enrich: Any, language: str, written: str, day: str
) -> None:
    found = enrich(f"Invoice no. 17\nDate: {written}\nTotal 119.00", language).invoice
    assert found.date == day


ROWS = [
    ("1 Laborhandschuhe 175 Pkg. 17,00 EUR 19%2.975,00 EUR", "2975.00"),
    ("2 Montage 10 Std.62,15 EUR (-5%) 19% 590,43 EUR", "590.43"),
    ("3 Кабель силовой 3 бухта6 112,81 (-10%) 20% 16 504,59", "16504.59"),
    ("Kopipapir -1 kr. 189,50 kr. -189,50", "-189.50"),
]


@pytest.mark.parametrize(("row", "amount"), ROWS)
def test_a_number_that_touches_its_neighbour_is_read(enrich: Any, row: str, amount: str) -> None:
    found = enrich(f"Rechnung Nr. 17\n{row}\nGesamt 9.999,00", "de").invoice
    assert [item.amount.value for item in found.items] == [amount]


def test_a_tax_that_touches_its_rate_is_read_whole(enrich: Any) -> None:
    text = "Счёт № 17\nСтоимость без НДС 1 873 616,88 ₽\nНДС 20 %374 723,38 ₽\nИтого 2 248 340,26 ₽"
    found = enrich(text, "ru").invoice
    assert [tax.amount.value for tax in found.taxes] == ["374723.38"]
    assert found.net.value == "1873616.88"


def test_a_rate_before_its_number_is_no_sum(enrich: Any) -> None:
    text = "Fatura No: 17\nMatrah 1.000,00 TL\nKDV %20 200,00 TL\nGenel Toplam 1.200,00 TL"
    found = enrich(text, "tr").invoice
    assert [tax.amount.value for tax in found.taxes] == ["200.00"]


def test_a_part_of_a_sum_by_its_rate_is_the_tax_whatever_its_words(enrich: Any) -> None:
    text = "Fiş No 17\nTOPLAM 1.585,05 TL\nKDV dahil %10 144,10\nMatrah 1.440,95"
    found = enrich(text, "tr").invoice
    assert (found.total.value, found.net.value) == ("1585.05", "1440.95")
    assert [tax.amount.value for tax in found.taxes] == ["144.10"]


def test_a_day_below_its_label_may_have_a_small_word_before_it(enrich: Any) -> None:
    text = (
        "Regning\nRegningsnr.\n69617\nUdstedt\nden 10. januar 2026\n"
        "Sidste rettidige betaling\nden 24. februar 2026\nTotal 408,99"
    )
    found = enrich(text, "da").invoice
    assert (found.date, found.due_date) == ("2026-01-10", "2026-02-24")


def test_alone_above_its_value_a_label_needs_no_colon(enrich: Any) -> None:
    text = "Fatura No: 17\nEn geç ödeme günü\n21.3.2026\nToplam 100,00 TL"
    assert enrich(text, "tr").invoice.due_date == "2026-03-21"


def test_an_order_comes_before_a_reference_of_the_customer(enrich: Any) -> None:
    text = "Invoice no. 17\nCustomer ref.: C-29257\nPurchase order: B661971\nTotal 100.00"
    assert enrich(text, "en").invoice.order_reference == "B661971"


def test_the_invoices_number_with_another_one_is_the_reference_of_the_payment(enrich: Any) -> None:
    text = "Dokument nr: FV.91956\nNotatka\nFV.91956/C-81843\nRazem 100,00 zł"
    assert enrich(text, "pl", "financial").invoice.payment_reference == "FV.91956/C-81843"


def test_an_unlisted_label_after_a_value_is_a_label_of_its_own(enrich: Any) -> None:
    text = (
        "Faktura nr 17\nSprzedawca: Drukarnia Wisła S.A.\n"
        "Numer identyfikacji podatkowej: 5044433609 Numer rejestru: 0000176704\nRazem 100,00 zł"
    )
    found = enrich(text, "pl").invoice
    assert (found.vat_id, found.company_number) == ("5044433609", "0000176704")


def test_the_ending_of_a_swiss_number_belongs_to_it(enrich: Any) -> None:
    text = "Rechnung Nr. 17\nLieferant: Lindhof AG\nUID-Nr. CHE-255.488.379 MWST\nTotal 100.00 CHF"
    assert enrich(text, "de").invoice.vat_id == "CHE255488379MWST"


def test_a_customer_after_an_unlisted_label_is_found_by_the_address(enrich: Any) -> None:
    text = (
        "De Vries & Dochters BV\tNotanummer: 569/05\n\nWordt gestuurd aan: Studio Vuurtoren BV, "
        "Meerstraat 18, 9000 Gent\n\nBtw-nummer: BE 0150.163.522\n\nTotaal 100,00 €"
    )
    assert enrich(text, "nl", "financial").invoice.customer == "Studio Vuurtoren BV"


def test_a_name_over_two_lines_is_whole_where_a_mail_address_has_it(enrich: Any) -> None:
    text = (
        "Bill # 17\nBilled to\nCopperfield LLC\nTotal 99.00\nGranite Peak\nRoofing Inc.\n"
        "office@granite-peak-roofing.example"
    )
    assert enrich(text, "en").invoice.issuer == "Granite Peak Roofing Inc."


def test_a_mails_recipient_is_the_customer_if_the_text_names_none(enrich: Any) -> None:
    text = "Dear all,\n\nInvoice no. 17 of 3 March 2026. Total: 99.00 EUR\n\nBlue Door Ltd"
    found = enrich(text, recipients=("Blue Door Ltd", "Tidewater Marine plc")).invoice
    assert found.customer == "Tidewater Marine plc"
    assert (found.evidence["customer"].text, found.evidence["customer"].line) == (
        "To: Tidewater Marine plc", 0,
    )  # fmt: skip
    named = enrich(
        f"Bill to: Copperfield LLC\n{text}", recipients=("Tidewater Marine plc",)
    ).invoice
    assert named.customer == "Copperfield LLC"


NUMBERS = [
    "2024 0017", "INV 118", "A 1234", "RE 2024/0012", "VA 705811-06", "FR B/50", "F-2024/0012",
    "INV_2024_12", "0000012", "26/0045/VK", "118-A",
]  # fmt: skip


@pytest.mark.parametrize("line", ["Invoice no. {}", "INVOICE {}", "Invoice number\n{}"])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_read_with_the_letters_and_spaces_of_its_series(
    enrich: Any, number: str, line: str
) -> None:
    text = f"Blue Door Ltd\n{line.format(number)}\nDate: 05.03.2026\nTotal 119,00 EUR"
    assert enrich(text, "en").invoice.number == number


def test_a_polish_number_that_looks_like_a_day_is_a_number(enrich: Any) -> None:
    text = "Toruń, 30 sierpnia 2024 r.\nFaktura 7/08/2024\nSuma brutto 119,00 PLN"
    found = enrich(text, "pl").invoice
    assert (found.number, found.date) == ("7/08/2024", "2024-08-30")


def test_a_title_with_spaces_between_its_letters_is_one(enrich: Any) -> None:
    text = "Gebr. Aebischer AG\nR E C H N U N G R7267-24\nTotal CHF 119.00"
    assert enrich(text, "de", "financial").invoice.number == "R7267-24"


HEADINGS = [
    ("de", "Rechnungs-Nr Datum Kd-Nr Lieferschein Lieferdatum Tour\n"
           "4127723 26.01.2026 19710 3341701 25.01.2026 17 Mi", "4127723", "2026-01-26"),
    ("en", "A/c ref Credit no. Tax point Against invoice Your order Despatch note\n"
           "HOL008 CN069092 06-01-2026 SI0478349 HD/43272 DN219104", "CN069092", None),
    ("es", "Factura Fecha Cód. cliente Albarán Vencimiento Agente\n"
           "25036663 19-04-26 4302227 ALB-93443 19-05-26 07", "25036663", "2026-04-19"),
    ("it", "Tipo documento Numero Data Cod. cliente Rif. D.D.T. Pag. Scadenza\n"
           "Fattura accompagnatoria 3014/B 28/12/25 C05642 0603/T RB 30 gg 27/01/26",
     "3014/B", "2025-12-28"),
    ("sv", "Fakt.nr Fakt.datum Förf.datum Kundnr Ordernr Följesedel\n"
           "11199 26-07-13 26-08-12 2677 10242 F97079", "11199", "2026-07-13"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "rows", "number", "day"), HEADINGS)
def test_a_row_of_labels_belongs_to_the_row_below(
    enrich: Any, language: str, rows: str, number: str, day: str | None
) -> None:
    found = enrich(f"Blue Door Ltd\n{rows}\nTotal 119,00 EUR", language, "financial").invoice
    assert found.number == number
    assert day is None or found.date == day


SENTENCES = [
    ("de", "Die Rechnung Nr. 86/2026 vom 7. Juni 2026 über € 1.386,00 (netto € 1.155,00, darin 20 %"
           " MwSt. € 231,00) betrifft das Stimmen Ihrer Klaviere.", "1386.00", ["231.00"]),
    ("en", "This is to confirm that invoice PL9304, dated 16 October 2025, comes to £560.40 in all:"
           " £467.00 for the move plus VAT at 20% of £93.40. A deposit (£100) is waived.",
     "560.40", ["93.40"]),
    ("sv", "Fakturan har nummer 2003-86. Beloppet exklusive moms är 10 277,00 kronor, momsen är"
           " 571,62 kronor (6 %) och 187,50 kronor (25 %), så det blir 11 036,12 kronor.",
     "11036.12", ["571.62", "187.50"]),
    ("tr", "6750 numaralı faturanın toplamı 31.075,20 lira; bunun 5.179,20 lira tutarındaki kısmı"
           " %20 KDV, 25.896,00 lira tutarındaki kısmı ise bedeldir.", "31075.20", ["5179.20"]),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text", "total", "taxes"), SENTENCES)
def test_the_sums_of_a_sentence_are_those_that_fit_each_other(
    enrich: Any, language: str, text: str, total: str, taxes: list[str]
) -> None:
    found = enrich(text, language, "financial").invoice
    assert found.total.value == total
    assert [tax.amount.value for tax in found.taxes] == taxes


def test_sums_that_do_not_fit_each_other_are_not_read_by_arithmetic(enrich: Any) -> None:
    text = (
        "Invoice 17/2026 mentions £560.40, £460.00 and £93.40 at 20%, with no word on which is it."
    )
    found = enrich(text, "en", "financial").invoice
    assert found is None or found.total is None


TABLES = [
    "Aliquota Imponibile Imposta\n4 287,57 11,50\n22 21,84 4,80",
    "Imponibile %IVA Imposta\n287,57 4,00 11,50\n21,84 22,00 4,80",
    "Aliquota Netto IVA Lordo\n4,00 % 287,57 11,50 299,07\n22,00 % 21,84 4,80 26,64",
]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_rates_has_the_taxes(enrich: Any, table: str) -> None:
    text = f"Fattura n. 17\n{table}\nNetto merce 309,41\nTotale documento EUR 325,71"
    found = enrich(text, "it", "financial").invoice
    assert sorted(tax.amount.value for tax in found.taxes) == ["11.50", "4.80"]
    assert (found.net.value, found.total.value) == ("309.41", "325.71")


CURRENCIES = [
    ("pt", "Nota fiscal nº 17\nValor total da nota R$ 268,92", "BRL"),
    ("es", "Factura 17\nPrecio $100.00\nTotal pagado $2,027.29 MXN", "MXN"),
    ("tr", "Organize San. Böl. 3. Cad. No: 8\nFatura No: 17\nGenel Toplam (TL) 107.790,50", "TRY"),
]


@pytest.mark.parametrize(("language", "text", "currency"), CURRENCIES)
def test_the_currency_is_the_one_that_is_written(
    enrich: Any, language: str, text: str, currency: str
) -> None:
    assert enrich(text, language, "financial").invoice.total.currency == currency


LETTERS = [
    ("de", "JANA WIEBE\nTexte · Lektorat\nJana Wiebe, Deichweg 7, 26506 Norden\n"
           "Verlag Altes Fährhaus GmbH\nz. Hd. Herrn Thies\nKaistraße 22\n24103 Kiel\n",
     "Jana Wiebe", "Verlag Altes Fährhaus GmbH"),
    ("da", "Kirsten Overgaard\nStrandvejen 62\n9940 Læsø\nVesterø Vandværk A.m.b.a.\n"
           "Havnegade 2, 9940 Læsø\nTelefon 33 55 16 20\n",
     "Vesterø Vandværk A.m.b.a.", "Kirsten Overgaard"),
    ("fr", "SARL Perrin Chauffage\nChauffage - Plomberie\n12 rue de la Mine\n42000 Saint-Étienne\n"
           "Tél. 04 72 55 84 57\nSCI Les Tilleuls\nMme Garnier, gérante\n3 impasse des Tilleuls\n"
           "42100 Saint-Étienne\n", "SARL Perrin Chauffage", "SCI Les Tilleuls"),
    ("sv", "Ebba Lindroos Illustration\nRepslagargatan 18, 118 46 Stockholm\n"
           "Förlaget Tallbacken AB\nAtt: Henrik\nBox 77\n831 21 Östersund\n",
     "Ebba Lindroos Illustration", "Förlaget Tallbacken AB"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "head", "issuer", "customer"), LETTERS)
def test_the_sender_is_told_from_the_customer_by_the_blocks_of_addresses(
    enrich: Any, language: str, head: str, issuer: str, customer: str
) -> None:
    text = f"{head}Faktura 17/2026\nTotal 119,00 EUR"
    found = enrich(text, language, "financial").invoice
    assert (found.issuer, found.customer) == (issuer, customer)


def test_a_county_is_no_company(enrich: Any) -> None:
    text = (
        "FERGAL MULCAHY\nTo:\nSt Brendan's School\nTralee, Co. Kerry\nInvoice IN27-24\nTotal €9.00"
    )
    assert enrich(text, "en", "financial").invoice.issuer == "FERGAL MULCAHY"


def test_a_discount_in_a_column_without_its_sign_is_one(enrich: Any) -> None:
    text = "Rechnung 17\nPils Fass 50 l 3 Fass 133,86 4 19 385,52\nGesamt 999,00"
    assert [item.amount.value for item in enrich(text, "de").invoice.items] == ["385.52"]


def test_a_reference_in_groups_of_digits_is_whole(enrich: Any) -> None:
    text = "Rechnung 17\nReferenz 21 78971 21705 02349 34706 98003\nTotal CHF 119.00"
    reference = enrich(text, "de").invoice.payment_reference
    assert reference == "21 78971 21705 02349 34706 98003"


def test_the_day_of_a_direct_debit_is_the_last_day(enrich: Any) -> None:
    text = "Factura 17\nFecha emisión: 23/04/2026\nFecha de cargo: 01/05/2026\nTotal 113,39 €"
    assert enrich(text, "es").invoice.due_date == "2026-05-01"
