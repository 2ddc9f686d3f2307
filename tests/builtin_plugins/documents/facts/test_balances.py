"""The total, net sum and taxes of a text, chosen by all that speaks for them."""

# ruff: noqa: RUF001 - it has words in Russian and Turkish

from __future__ import annotations

from decimal import Decimal

import pytest

from qtforge_builtin_plugins.documents.facts.items import find_rows
from qtforge_builtin_plugins.documents.facts.labels import load_labels
from qtforge_builtin_plugins.documents.facts.page import Page
from qtforge_builtin_plugins.documents.facts.sum_lines import SumLine, Sums
from qtforge_builtin_plugins.documents.facts.sums import find_money, find_sums


def read(text: str, language: str = "en") -> Sums:
    page = Page(text, load_labels(language))
    rows = find_rows(page, language)
    return find_sums(page, language, [row.amount.value for row in rows], {row.line for row in rows})


def value(line: SumLine | None) -> str | None:
    return None if line is None else str(line.amount.value)


def summary(sums: Sums) -> tuple[str | None, list[str], str | None]:
    return value(sums.net), [str(tax.amount.value) for tax in sums.taxes], value(sums.total)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "Repair 2 50.00 100.00\nBefore levy 100.00\nLevy 20% 20.00\nOverall 120.00",
            ("100.00", ["20.00"], "120.00"),
            id="labels of no list",
        ),
        pytest.param(
            "Repair 2 50.00 100.00\nTotal fees excluding VAT £100.00\nVAT 20% £20.00\n"
            "Total fees including VAT £120.00",
            ("100.00", ["20.00"], "120.00"),
            id="two totals",
        ),
        pytest.param(
            "Deposit of 30 % 4390.00\nAmount before tax 4390.00\nVAT 10 % 439.00\n"
            "Deposit to transfer 4829.00",
            ("4390.00", ["439.00"], "4829.00"),
            id="a deposit that is the invoice",
        ),
        pytest.param(
            "Before tax 405.89\nVAT 25% 101.47\nRounding -0.36\nAmount due 507.00",
            ("405.89", ["101.47"], "507.00"),
            id="rounded to coins",
        ),
        pytest.param(
            "Sum free of tax 100.00\nVAT 0% 0.00\nTotal £100.00",
            ("100.00", ["0.00"], "100.00"),
            id="a tax of nothing between two equal sums",
        ),
        pytest.param(
            "Net 1000.00 VAT 20% 200.00 Total £1200.00",
            ("1000.00", ["200.00"], "1200.00"),
            id="all sums in one line",
        ),
        pytest.param(
            "Work Net VAT Gross\nSurvey 500.00 100.00 600.00\nReport 200.00 40.00 240.00\n"
            "Total 700.00 140.00 840.00",
            ("700.00", ["140.00"], "840.00"),
            id="net sum and tax in columns before the total",
        ),
        pytest.param(
            "Net 1000.00\nVAT 20% 200.00\nTax withheld 15% -150.00\nInvoice total 1050.00",
            ("1000.00", ["200.00"], "1050.00"),
            id="a tax is withheld, with a minus sign",
        ),
        pytest.param(
            "Net 1000.00\nVAT 20% 200.00\nWithheld 15% 150.00\nInvoice total 1050.00",
            ("1000.00", ["200.00"], "1050.00"),
            id="a tax is withheld, without a minus sign",
        ),
        pytest.param(
            "Net 100.00\nVAT 20% 20.00\nSum 120.00\nAdvance -50.00\nAmount due 70.00",
            ("100.00", ["20.00"], "120.00"),
            id="an advance is taken off",
        ),
        pytest.param(
            "Net -100.00\nLevy 20% -20.00\nCredited -120.00",
            ("-100.00", ["-20.00"], "-120.00"),
            id="negative amounts of a credit note",
        ),
        pytest.param(
            "Before levy\n223.99 €\nLevy (23%)\n51.52 €\nWhole\n275.51 €",
            ("223.99", ["51.52"], "275.51"),
            id="amounts below their labels",
        ),
        pytest.param(
            "Sum free of tax " + "." * 90 + " EUR 100.00\nVAT " + "." * 90 + " EUR 0.00\n"
            "To pay " + "." * 90 + " EUR 100.00",
            ("100.00", ["0.00"], "100.00"),
            id="long leaders, and no tax",
        ),
    ],
)
def test_the_sums_are_the_set_that_fits(text: str, expected: tuple[str, list[str], str]) -> None:
    assert summary(read(text)) == expected


@pytest.mark.parametrize(
    ("language", "text", "total"),
    [
        ("en", "This invoice 96.00\nPrevious balance 48.00\nTotal due 144.00", "96.00"),
        ("de", "Rechnungsbetrag 96,00\nSaldo Vormonat 48,00\nGesamtsumme 144,00", "96.00"),
        ("fr", "Cette facture 96,00\nSolde antérieur 48,00\nTotal à régler 144,00", "96.00"),
        ("nl", "Factuurbedrag 96,00\nVorige factuur 48,00\nTotaal te betalen 144,00", "96.00"),
        ("it", "Totale bolletta 96,00\nBollette precedenti 48,00\nDa pagare 144,00", "96.00"),
        ("es", "Importe del recibo 96,00\nDeuda anterior 48,00\nTotal a pagar 144,00", "96.00"),
        ("pt", "Valor da fatura 96,00\nSaldo anterior 48,00\nTotal a pagar 144,00", "96.00"),
        ("pl", "Bieżąca faktura 96,00\nZaległość 48,00\nRazem do zapłaty 144,00", "96.00"),
        ("sv", "Denna faktura 96,00\nTidigare obetalt 48,00\nAtt betala 144,00", "96.00"),
        ("da", "Denne regning 96,00\nTidligere saldo 48,00\nAt betale 144,00", "96.00"),
        ("ru", "Начислено 96,00\nДолг на начало 48,00\nИтого к оплате 144,00", "96.00"),
        ("ru", "Начислено 96,00\nПереплата 48,00\nИтого к оплате 48,00", "96.00"),
        ("tr", "Fatura tutarı 96,00\nÖnceki borç 48,00\nGenel toplam 144,00", "96.00"),
    ],
)
def test_what_is_owed_from_earlier_bills_is_not_in_the_total(
    language: str, text: str, total: str
) -> None:
    assert value(read(text, language).total) == total


@pytest.mark.parametrize(
    ("text", "total"),
    [
        pytest.param("Work 100.00\nVAT 20% 20.00\n£120.00", "120.00", id="net sum and tax"),
        pytest.param("Hedge £60.00\nWaste £24.00\n£84.00", "84.00", id="lines"),
        pytest.param("Hedge £60.00\nWaste £24.00\n£90.00", None, id="nothing"),
    ],
)
def test_an_amount_without_a_label_is_the_total_that_the_lines_above_make(
    text: str, total: str | None
) -> None:
    assert value(read(text).total) == total


def test_what_is_added_after_the_tax_is_in_the_total() -> None:
    text = "Subtotal 56.50\nSales tax 8% 4.52\nAmount 61.02\nService 7.00\nTotal 68.02"
    assert summary(read(text)) == ("56.50", ["4.52"], "68.02")


def test_the_label_of_the_net_sum_in_a_row_may_be_of_no_list() -> None:
    text = "Goods VAT Total\n510.00 102.00 612.00\nAmount payable within 7 days: 596.70"
    assert summary(read(text)) == ("510.00", ["102.00"], "612.00")


def test_the_only_amount_with_a_colon_is_the_total() -> None:
    assert value(read("Quota corso: 120,00 euro\nScadenza 31/10/2026", "it").total) == "120.00"
    assert read("From May on the hour costs 120.00 euro").total is None


def test_an_amount_without_evidence_is_no_total() -> None:
    assert read("Invoice 17\nCompulsory excess 250.00\n").total is None


def test_a_fitting_set_is_surer_than_a_label() -> None:
    fitting = read("Net 100.00 EUR\nVAT 20% 20.00 EUR\nTotal 120.00 EUR")
    alone = read("Total 120.00 EUR")
    assert fitting.agrees
    assert not alone.agrees
    assert 0 < alone.confidence < fitting.confidence < 1


def test_a_bracket_in_a_sentence_is_no_minus_sign() -> None:
    page = Page("plus VAT at 23% (83.03 euros), in all\nDiscount (12.00 EUR)\n", load_labels("en"))
    found = [
        money.value
        for start, end in page.lines
        for money in find_money(page, start, end, ".", "en")
    ]
    assert found == [Decimal("83.03"), Decimal("-12.00")]


@pytest.mark.parametrize(
    ("line", "amounts"),
    [
        ("Att betala 4 500:00", ["4500.00"]),
        ("Att betala 1 250:-", ["1250"]),
        ("Öppet 08:00", []),
        ("Köp 14:21:07", []),
    ],
)
def test_a_colon_before_two_digits_is_a_decimal_mark_only_after_three(
    line: str, amounts: list[str]
) -> None:
    page = Page(line, load_labels("sv"))
    assert [str(each.value) for each in find_money(page, 0, len(line), None, "sv")] == amounts


@pytest.mark.parametrize(
    ("language", "line", "amounts"),
    [
        ("ru", "Итого: 18 000-00", ["18000.00"]),
        ("ru", "Тел. 318-00-17", []),
        ("ru", "оплатить 36 000 руб. 50 коп., в том числе", ["36000.50"]),
        ("pl", "Razem 120 zł 05 gr", ["120.05"]),
    ],
)
def test_small_coins_are_decimal_places(language: str, line: str, amounts: list[str]) -> None:
    page = Page(line, load_labels(language))
    found = find_money(page, 0, len(line), None, language)
    assert [str(each.value) for each in found if each.looks_like_money] == amounts
