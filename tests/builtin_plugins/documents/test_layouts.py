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
