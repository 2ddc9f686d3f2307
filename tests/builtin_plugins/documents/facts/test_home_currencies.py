"""The currency of an invoice that prints none."""

# ruff: noqa: RUF001 - it has words in Russian

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.home_currencies import find_home_currency
from qtforge_builtin_plugins.documents.facts.invoices import find_invoice


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("USt-IdNr. DE 287 651 249", "EUR"),
        ("MwSt 19,00% 190,00", "EUR"),
        ("CHE-114.203.561 MWST", "CHF"),
        ("SIRET 839 114 552 00017", "EUR"),
        ("21% btw over 100,00", "EUR"),
        ("NIP: 586-221-33-40", "PLN"),
        ("ИНН 7719443210", "RUB"),
        ("KDV %20 200,00", "TRY"),
        ("Godkänd för F-skatt", "SEK"),
        ("CVR-nr. 29 88 10 47", "DKK"),
        ("Wharf Street, Halifax HX3 9AA", "GBP"),
        ("Fort Collins, CO 80524", "USD"),
        ("MWST 8,1 %", "CHF"),
        ("TVA 8.1%", "CHF"),
        ("TVA 20 %", "EUR"),
        ("IVA 21%", "EUR"),
        ("VAT @ 20%", "GBP"),
        ("GSTIN: 27AAAPL1234C1ZV", "INR"),
    ],
)
def test_the_numbers_of_a_country_tell_its_currency(text: str, currency: str) -> None:
    assert find_home_currency(text) == currency


@pytest.mark.parametrize(
    "text", ["D-48155 Münster", "Total 100,00", "a4 2er Pack", "Order DE20240012", "MWST 8,15 %"]
)
def test_a_text_without_such_numbers_tells_none(text: str) -> None:
    assert find_home_currency(text) is None


def test_numbers_of_countries_with_different_currencies_tell_none() -> None:
    assert find_home_currency("CVR 33 41 20 98, USt-IdNr. DE287651249") is None


def test_the_country_of_the_account_comes_first() -> None:
    text = "IBAN DK5000400440116243, customer's VAT DE287651249"
    assert find_home_currency(text) == "DKK"


def test_a_printed_currency_comes_before_that_of_the_country() -> None:
    invoice = find_invoice(
        "Rechnung 17 vom 3.3.2026\nSumme 200,00 USD\nUSt-IdNr. DE287651249", "de"
    )
    assert invoice is not None
    assert invoice.total is not None
    assert invoice.total.currency == "USD"


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("ABN 51 824 753 556\nTotal (inc. GST) $1,320.00", "AUD"),
        ("Total CAD $1,320.00", "CAD"),
        ("RFC SIB990101AB3\nTotal $1,320.00", "MXN"),
        ("Fort Collins, CO 80524\nTotal $1,320.00", "USD"),
        ("Total $1,320.00", "USD"),
    ],
)
def test_the_sign_of_the_dollar_alone_is_that_of_the_code_or_country(
    text: str, currency: str
) -> None:
    invoice = find_invoice(f"Invoice 17 of 3 March 2026\n{text}", "en")
    assert invoice is not None
    assert invoice.total is not None
    assert invoice.total.currency == currency


def test_a_word_of_one_language_tells_its_countrys_currency() -> None:
    assert find_home_currency("В том числе НДС 20%", "ru") == "RUB"
    assert find_home_currency("УНП 190000001, НДС 20%", "ru") is None
