"""document-enricher: what stands in a text, and nothing that does not."""

# ruff: noqa: RUF001 - it has texts in Russian

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qtforge_builtin_plugins.documents.messages import Iban


@pytest.mark.parametrize(
    ("text", "language", "dates"),
    [
        ("Signed on 12 January 2026.", "en", ["2026-01-12"]),
        ("on the 3rd of May 2020 and on May 4th, 2020", "en", ["2020-05-03", "2020-05-04"]),
        ("Invoice Date: August 3 , 2014", "en", ["2014-08-03"]),
        ("created 2024-02-29, not 2023-02-29", "en", ["2024-02-29"]),
        ("31/12/2017 and 01/02/2018", "en", ["2017-12-31", "2018-02-01"]),
        ("03/20/2023 and 04/05/2023", "en", ["2023-03-20", "2023-04-05"]),
        ("Total $5.00 on 04/05/2023", "en", ["2023-04-05"]),
        ("Total £5.00 on 04/05/2023", "en", ["2023-05-04"]),
        ("7. Mai 2014, 01.05.14-31.05.14", "de", ["2014-05-07", "2014-05-01", "2014-05-31"]),
        ("«5» марта 2024 г. и 31.12.2018", "ru", ["2024-03-05", "2018-12-31"]),
        ("le 14 juillet 2025", "fr", ["2025-07-14"]),
        ("12 January 2026, 12.01.2026", "en", ["2026-01-12"]),
        ("12 January 2026", None, ["2026-01-12"]),
        ("12 January 2026", "xx", ["2026-01-12"]),
    ],
)
def test_dates_are_found(enrich: Any, text: str, language: str | None, dates: list[str]) -> None:
    assert [found.date for found in enrich(text, language).dates] == dates


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3 and 10.12.14 on port 8080",
        "Room 12, 2014 guests",
        "in May, or in March, we may march",
        "call 2026 or 12/24",
        "see section 4.1.2015x",
        "192.168.10.2014",
        "30/30/2020 and 99 January 2020 and 31 February 2021",
        "12 monkeys 2014",
        "12 January 9999",
    ],
)
def test_what_only_looks_like_a_date_is_none(enrich: Any, text: str) -> None:
    assert enrich(text).dates == []


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("It costs $4.11.", [("4.11", "USD")]),
        ("August 3, 2014 $4.11", [("4.11", "USD")]),
        ("Total EUR 34,73", [("34.73", "EUR")]),
        ("1.234,56 € and 1,234.56 GBP", [("1234.56", "EUR"), ("1234.56", "GBP")]),
        ("CHF 12'500.00", [("12500.00", "CHF")]),
        ("Rs 1939 and Rs. 20 and ₹5", [("1939", "INR"), ("20", "INR"), ("5", "INR")]),
        ("12 500,50 руб. и 3 ₽", [("12500.50", "RUB"), ("3", "RUB")]),
        ("revenue of $412.6 million", [("412600000", "USD")]),
        ("a credit of -$3.00 or $-4.00", [("-3.00", "USD"), ("-4.00", "USD")]),
        ("US$ 20 or 20 dollars", [("20", "USD")]),
        ("$5.00 and $5.00 again", [("5.00", "USD")]),
    ],
)
def test_amounts_are_found(enrich: Any, text: str, amounts: list[tuple[str, str]]) -> None:
    found = enrich(text).amounts
    assert [(Decimal(amount.value), amount.currency) for amount in found] == [
        (Decimal(value), currency) for value, currency in amounts
    ]


@pytest.mark.parametrize("text", ["12.50 apples", "15% of 200", "room 12", "$HOME/5", "Euro 2024"])
def test_a_number_without_a_currency_is_no_amount(enrich: Any, text: str) -> None:
    assert enrich(text).amounts == []


def test_addresses_are_found_once_each(enrich: Any) -> None:
    found = enrich(
        "Write to ann@example.com, Ben.O+x@mail.firm.example or ann@example.com; see"
        " https://example.com/a?b=(c), www.firm.de and example.org/about. Not parser.py,"
        " README.md, a@b, @home or user@localhost."
    )
    assert found.emails == ["ann@example.com", "Ben.O+x@mail.firm.example"]
    assert found.urls == ["https://example.com/a?b=(c)", "www.firm.de", "example.org/about"]


@pytest.mark.parametrize(
    ("text", "language", "numbers"),
    [
        ("Call +44 20 7946 0958 now", "en", ["+442079460958"]),
        ("Tel. +49 6051 916 44 10", "de", ["+4960519164410"]),
        ("Tel. 06051 9164410", "de", ["+4960519164410"]),
        ("Total $5.00. Phone (650) 253-0000", "en", ["+16502530000"]),
        ("Total Rs 500. Phone: 080 100 444 66", "en", ["+918010044466"]),
        ("тел. 8 (495) 739-70-00", "ru", ["+74957397000"]),
        ("Steuer-Nr. 044 241 601 03, Konto 06051 9164410", "de", []),
        ("Invoice Number: 42183017, paid 2014-08-03", "en", []),
    ],
)
def test_phone_numbers_are_found(enrich: Any, text: str, language: str, numbers: list[str]) -> None:
    assert enrich(text, language).phone_numbers == numbers


def test_account_numbers_are_checked(enrich: Any) -> None:
    found = enrich(
        "IBAN DE30507500940000048567, IBAN: GB82 WEST 1234 5698 7654 32 please,"
        " IBAN DE30507500940000048568"
    ).ibans
    assert found == [
        Iban(text="DE30507500940000048567", iban="DE30507500940000048567", valid=True),
        Iban(text="GB82 WEST 1234 5698 7654 32", iban="GB82WEST12345698765432", valid=True),
        Iban(text="DE30507500940000048568", iban="DE30507500940000048568", valid=False),
    ]


def test_an_account_number_ends_before_the_next_words(enrich: Any) -> None:
    (found,) = enrich("IBAN GB82 WEST 1234 5698 7654 32 SWIFT DEUT 0001").ibans
    assert (found.iban, found.valid) == ("GB82WEST12345698765432", True)


@pytest.mark.parametrize(
    "text", ["Order XX12ABCDEFGH99", "GSTIN 06AABCO6063D1ZQ", "AB12 CD34 EF56"]
)
def test_other_codes_are_no_account_numbers(enrich: Any, text: str) -> None:
    assert enrich(text).ibans == []


@pytest.mark.parametrize(
    ("text", "language", "number", "date", "total", "currency"),
    [
        (
            "Invoice No. A-17\nInvoice date: 2 March 2026\nSubtotal $90.00\nTax $10.00\n"
            "Total $100.00\nThank you",
            "en", "A-17", "2026-03-02", "100.00", "USD",
        ),
        (
            "Invoice Number   Invoice Date   Due\nINV/7   03/20/2026   04/20/2026\n"
            "Amount due\n$1,250.00",
            "en", "INV/7", "2026-03-20", "1250.00", "USD",
        ),
        (
            "Rechnung Nr. 2026/15\nRechnungsdatum 7. Mai 2026\nZwischensumme 84,03\nMwSt. 15,97\n"
            "Gesamtbetrag EUR 100,00",
            "de", "2026/15", "2026-05-07", "100.00", "EUR",
        ),
        (
            "Счет на оплату № 15 от 5 марта 2026 г.\nИтого 11900,00 руб.\n"
            "Всего к оплате 11900,00 руб.",
            "ru", "15", "2026-03-05", "11900.00", "RUB",
        ),
        (
            "Invoice #88\nDate: 1 June 2026\nTotal for page 1 £10.00\nTotal for page 2 £30.00\n"
            "Grand Total £40.00\nA fee of £5.00 is due when late.",
            "en", "88", "2026-06-01", "40.00", "GBP",
        ),
        (
            "INVOICE 991\nTotal 250.00\nAmounts are in USD: $250.00\nPaid: $250.00\n"
            "Balance due: $0.00",
            "en", "991", None, "250.00", "USD",
        ),
        (
            "Receipt\nReceipt no: R55\nTOTAL AMOUNT DUE ON August 3, 2014 $4.11",
            "en", "R55", None, "4.11", "USD",
        ),
    ],
)  # fmt: skip
def test_an_invoice_says_number_date_and_total(
    enrich: Any, text: str, language: str, number: str, date: str | None, total: str, currency: str
) -> None:
    for document_type in ("financial", None):
        invoice = enrich(text, language, document_type).invoice
        assert invoice is not None
        assert (invoice.number, invoice.date) == (number, date)
        assert invoice.total is not None
        assert (invoice.total.value, invoice.total.currency) == (total, currency)


def test_a_subtotal_is_not_the_total(enrich: Any) -> None:
    invoice = enrich("Invoice no. 5\nSub-total $90.00\nSubtotal: $95.00\nTotal tax $5.00").invoice
    assert invoice is not None
    assert invoice.total is None


@pytest.mark.parametrize(
    ("text", "document_type"),
    [
        ("Invoice no. 5\nTotal $90.00", "legal"),
        ("The total was $90.00, they said.", None),
        ("Profit rose.", "financial"),
    ],
)
def test_what_is_no_invoice_has_none(enrich: Any, text: str, document_type: str | None) -> None:
    assert enrich(text, "en", document_type).invoice is None


@pytest.mark.parametrize(
    ("text", "parties"),
    [
        (
            'made on 1 May 2026 between Acme Tools, Inc. (the "Supplier") and Blue Door Ltd,'
            ' a company in Leeds (the "Customer"). The fees (the "Fees") are due.',
            ["Acme Tools, Inc.", "Blue Door Ltd"],
        ),
        ("Supplier: Acme Tools Ltd\nCustomer: Jane Doe\n1. Terms", ["Acme Tools Ltd", "Jane Doe"]),
        (
            "This agreement is between Acme Tools Ltd and Blue Door Ltd. They agree.",
            ["Acme Tools Ltd", "Blue Door Ltd"],
        ),
        (
            "ООО «Ромашка», именуемое в дальнейшем «Поставщик», в лице директора Иванова И. И.,"
            " с одной стороны, и ООО «Лютик», именуемое в дальнейшем «Покупатель»",
            ["ООО «Ромашка»", "ООО «Лютик»"],
        ),
        (
            "Zwischen Anna Berg, nachfolgend „Vermieter“, und Jan Holz, nachfolgend „Mieter“",
            ["Anna Berg", "Jan Holz"],
        ),
        ("The garden lies between the house and the river.", []),
        ('Each party ("Disclosing Party") keeps the information (the "Information").', []),
    ],
)
def test_the_parties_of_a_contract_are_named(enrich: Any, text: str, parties: list[str]) -> None:
    assert enrich(text, document_type="legal").parties == parties


def test_only_contracts_have_parties(enrich: Any) -> None:
    text = 'between Acme Ltd (the "Supplier") and Blue Ltd (the "Customer")'
    assert enrich(text, document_type="technical").parties == []


def test_a_summary_is_made_of_the_texts_own_sentences(enrich: Any) -> None:
    text = "\n\n".join(
        [
            "The harbour was rebuilt after the storm of last winter.",
            "Heading",
            "After the storm, the town rebuilt the harbour wall with granite from the old quarry.",
            "A | B | 1 | 2 | 3",
            "My cousin sells oranges on the other side of the country.",
            "The rebuilt harbour wall has stood every storm of this winter.",
            "Ships use the rebuilt harbour again, and the town thanks those who rebuilt it.",
        ]
    )
    summary = enrich(text).summary
    assert "harbour" in summary
    assert "oranges" not in summary
    assert "Heading" not in summary
    assert "|" not in summary
    assert len(summary) <= 600


def test_facts_are_found_without_the_import_of_numpy() -> None:
    modules = "amounts, contracts, dates, ibans, invoices, links, phones, summary"
    code = (
        f"from qtforge_builtin_plugins.documents.facts import {modules}\n"
        "import sys\nprint('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert done.stdout == b"False\n"


def test_a_text_without_sentences_has_no_summary(enrich: Any) -> None:
    assert enrich("").summary == ""
    assert enrich("only some words").summary == ""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("length", [30_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    "unit",
    ["1.", "123 ", "AB12 ", "a@", '("a" ', "1 may ", "$1", "total ", "Inc. ", "http://", "- ", "a",
     "GB82 WEST 1234 ", "Invoice no 1 ", "12/", "x.y@"],
)  # fmt: skip
def test_a_huge_text_of_one_kind_ends_in_time(enrich: Any, unit: str, length: int) -> None:
    text = unit * (length // len(unit))
    for document_type in ("financial", "legal"):
        enrich(text, "en", document_type)


SHARED_INVOICES = ["AmazonWebServices", "AzureInterior", "QualityHosting", "oyo"]


@pytest.mark.parametrize("issuer", SHARED_INVOICES)
def test_real_invoices_give_number_date_and_total(
    parse: Any, analyze: Any, enrich: Any, shared_documents: Path, issuer: str
) -> None:
    text = parse(shared_documents / f"invoice-{issuer}.pdf").parsed_content
    (expected,) = json.loads((shared_documents / f"invoice-{issuer}.json").read_text("utf-8"))
    results = analyze(text).analysis_results
    invoice = enrich(text, results.language, results.document_type).invoice
    assert invoice.number == expected["invoice_number"]
    assert invoice.date == expected["date"]
    assert Decimal(invoice.total.value) == Decimal(str(expected["amount"]))
    assert invoice.total.currency == expected["currency"]


def test_the_sample_invoice_comes_out_right(parse: Any, enrich: Any, examples: Path) -> None:
    found = enrich(parse(examples / "invoice.pdf").parsed_content, "en", "financial")
    assert found.invoice.number == "LDW-2026-0117"
    assert found.invoice.date == "2026-03-16"
    assert (found.invoice.total.value, found.invoice.total.currency) == ("7817.40", "GBP")
    assert [(iban.iban, iban.valid) for iban in found.ibans] == [("GB28QTFG04002712345678", True)]
    assert found.phone_numbers == ["+441314960117"]
    assert found.emails == ["accounts@lantern-data.example"]


def test_the_sample_contract_comes_out_right(parse: Any, enrich: Any, examples: Path) -> None:
    found = enrich(parse(examples / "contract.md").parsed_content, "en", "legal")
    assert found.parties == ["Harbour & Pine Ltd", "Lantern Data Works LLP"]
    assert [date.date for date in found.dates] == ["2026-01-12", "2026-02-01", "2027-01-31"]
    assert [(amount.value, amount.currency) for amount in found.amounts] == [("18400.00", "GBP")]


def test_the_sample_letter_and_note_are_read(parse: Any, examples: Path) -> None:
    letter, note = parse(examples / "letter.docx"), parse(examples / "technical-note.html")
    assert (letter.metadata.title, letter.metadata.author) == (
        "A letter from Whitby",
        "Helena Marsh",
    )
    assert note.metadata.author == "Priya Raman"
    assert note.metadata.created == "2026-03-09T00:00:00"
    assert "def confirm(client: httpx.Client" in note.parsed_content
