"""The number of a document whose label is of no list."""

# ruff: noqa: E501, RUF001 - it has lines in Russian

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.labels import load_labels
from qtforge_builtin_plugins.documents.facts.numbers import find_number, iterate_candidates
from qtforge_builtin_plugins.documents.facts.page import Page

# Words beside or above a number that no list of labels has, with other numbers around.
DOCUMENTS = [
    ("de", "Hotel Seeblick AG\nSeestrasse 50, 6353 Weggis\n\nSchlussabrechnung\t823435-8\nVeranstaltung\tEV-9163\nFirmennummer CH-020.3.079.196-7", "823435-8"),
    ("da", "Kystvejen 200, 2920 Charlottenlund, 33 55 46 86\n\nSlutopgørelse\tR2526\nArrangement\t23.06.2026", "R2526"),
    ("tr", "Kapadokya Taş Konak Turizm A.Ş.\nAydınkırağı Sok. 12, 50180 Uçhisar\n\nKonaklama belgesi\tOTL2025077355136\nMersis 0888260792700015", "OTL2025077355136"),
    ("ru", "АО «Гостиница Волжанка», 150000, г. Ярославль\nИНН 7896422010, ОГРН 1237803072055\n\nСЧЁТ НА ПРОЖИВАНИЕ\t748-Г\nна счёт 40702810623424758961, БИК 044525613", "748-Г"),
    ("sv", "Vallentuna Bil AB\nFaktura Dag Arbetsorder Kund\nV11587 2024-12-12 AO-7189 4133", "V11587"),
    ("en", "Yooper Plating Co.\nMuskegon, MI 49442\n\nBill of charges 12-27063\nCust ID MARQ04", "12-27063"),
    ("pt", "Segue a nossa fatura n.º FT A/8715, emitida em 8 de fevereiro de 2026, no valor de 361,00 euros", "FT A/8715"),
    ("es", "Serie y folio\nB 7705\nExpedido\n2024-06-29", "B 7705"),
    ("it", "Gli estremi della fattura: è la numero 226 del 18 dicembre 2025, per complessivi 857,00 euro", "226"),
]  # fmt: skip
OTHERS = [
    "8010 Graz\nSchulgasse 112",
    "EUR 1865.60 gesamt",
    "Telefon 0664 401 5261",
    "1'079.78 CHF",
    "45 min zu 17 kWh",
    "am 12.03.2026 um 12:30",
    "Kundennummer: 4711234",
    "IBAN DE02120300000000202051",
]


def page_of(text: str, language: str) -> Page:
    return Page(text, load_labels(language))


def is_date(value: str) -> bool:
    return value.count(".") == 2 or value in ("2024-12-12", "2024-06-29")


@pytest.mark.parametrize(("language", "text", "number"), DOCUMENTS)
def test_a_number_is_found_by_its_place_and_the_words_near_it(
    language: str, text: str, number: str
) -> None:
    found = find_number(page_of(text, language), is_date, set())
    assert found is not None
    assert found.value == number


@pytest.mark.parametrize("text", OTHERS)
def test_amounts_phones_accounts_and_addresses_are_no_number(text: str) -> None:
    assert find_number(page_of(text, "de"), is_date, set()) is None


def test_a_value_with_another_meaning_is_left_out() -> None:
    page = page_of("Beleg\nRE-2026-17\nAuftrag AB-2026-99", "de")
    assert find_number(page, is_date, {"RE-2026-17"}) is None


def test_a_number_that_a_weak_label_has_comes_before_an_equal_one() -> None:
    page = page_of("Vorgang AB-2026-17\nVorgang AB-2026-18", "de")
    first = find_number(page, is_date, set())
    other = find_number(page, is_date, set(), {"AB-2026-18"})
    assert first is not None
    assert other is not None
    assert (first.value, other.value) == ("AB-2026-17", "AB-2026-18")


def test_the_candidates_of_a_long_text_are_bounded() -> None:
    page = page_of("Beleg " + " ".join(f"X{number}-7" for number in range(1000, 3000)), "de")
    assert len(list(iterate_candidates(page, is_date, set()))) == 200
