"""Issuer and customer, chosen by what stands near every name."""

# ruff: noqa: RUF001 - it has Russian letters

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.bodies import find_bodies
from qtforge_builtin_plugins.documents.facts.businesses import find_businesses
from qtforge_builtin_plugins.documents.facts.labels import load_labels
from qtforge_builtin_plugins.documents.facts.page import Page

CUSTOMER = "Boatyard Petersen Ltd\nAccounts\nHarbour Road 12\nLeeds LS1 4DY\n"


def read(text: str, language: str = "en") -> tuple[str | None, str | None]:
    found = find_businesses(Page(text, load_labels(language)), language=language)
    return (
        found.issuer.name if found.issuer else None,
        found.customer.name if found.customer else None,
    )


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        pytest.param(
            "en",
            "TEMPLE ROW CHAMBERS\n7 Temple Row, Birmingham B2 5JN Tel 0161 496 0182\n"
            "Ashworth Pell Solicitors LLP\nCivil Litigation Department\n22 Foregate Street\n"
            "Worcester WR1 1DN\nFee Note\nDate 6 March 2025\n",
            ("TEMPLE ROW CHAMBERS", "Ashworth Pell Solicitors LLP"),
            id="a letterhead without a legal form",
        ),
        pytest.param(
            "de",
            "Nils Harder Software · Ballastkai 9 · 24937 Flensburg\n"
            "Bootswerft Petersen GmbH\nRechnungseingang\nAm Hafen 12\n24376 Kappeln\n"
            "Rechnungsdatum 18.03.2025\n",
            ("Nils Harder Software", "Bootswerft Petersen GmbH"),
            id="a sender in one line above the window",
        ),
        pytest.param(
            "de",
            "Firma\nMaschinenfabrik Oberndorf GmbH\nPostfach 12\n78727 Oberndorf\nRechnung\n"
            "Warenempfänger Maschinenfabrik Oberndorf GmbH, Werk 2, Tor 4, 78727 Oberndorf\n"
            "Endbetrag 10,00 EUR\nZahlbar sofort\n"
            "Kaltenbrunner Lager GmbH, Sitz Schweinfurt, Registergericht Schweinfurt HRB 29318,"
            " USt-IdNr. DE550698359, Telefon 030 / 55 74 85-8\n",
            ("Kaltenbrunner Lager GmbH", "Maschinenfabrik Oberndorf GmbH"),
            id="a sender in the foot",
        ),
        pytest.param(
            "ru",
            "ПЛАТЕЖНЫЙ ДОКУМЕНТ\nИсполнитель услуг ООО «Парковый»\nИНН 7846435214\n"
            "Плательщик Николаев Андрей Сергеевич\n",
            ("ООО «Парковый»", "Николаев Андрей Сергеевич"),
            id="words for roles in the same line",
        ),
    ],
)
def test_the_pair_is_chosen_for_which_most_speaks(
    language: str, text: str, expected: tuple[str, str]
) -> None:
    assert read(text, language) == expected


def test_a_department_is_no_customer() -> None:
    assert read(f"Harder Software Ltd, Mill Lane 2, Leeds LS1 4DY, Tel 0161 496 0182\n{CUSTOMER}")[
        1
    ] == ("Boatyard Petersen Ltd")


@pytest.mark.parametrize(
    ("language", "text", "customer"),
    [
        ("en", "Our invoice 17 of 3 March 2026 to Wexcombe Music Society for tuning.",
         "Wexcombe Music Society"),
        ("sv", "Här kommer faktura 3391 till Rättviks församling för röjning.",
         "Rättviks församling"),
        ("it", "Le invio la fattura n. 395 del 3 maggio 2025, intestata a Gruppo Trekking Brianza.",
         "Gruppo Trekking Brianza"),
        ("de", "Für die Lieferung an die Feinkost Berger GmbH berechnen wir 350,00 EUR.",
         "Feinkost Berger GmbH"),
        ("tr", "Misafir: Murat Aksoy", "Murat Aksoy"),
        ("es", "Titular: Comunidad de Propietarios Calle Colón 14",
         "Comunidad de Propietarios Calle Colón 14"),
    ],
)  # fmt: skip
def test_a_body_or_company_to_which_a_sentence_or_a_word_points_is_the_customer(
    language: str, text: str, customer: str
) -> None:
    assert read(f"Northgate Piano Tuning\n\n{text}\n", language)[1] == customer


def test_the_last_name_below_a_closing_is_the_issuer() -> None:
    text = "For 17 we charge £20.00.\n\nWith kind regards\nRuth Standish\nNorthgate Piano Tuning\n"
    assert read(text)[0] == "Northgate Piano Tuning"


@pytest.mark.parametrize(
    ("language", "written", "name"),
    [
        ("de", "Kunde: Frau Sabine Trautwein", "Sabine Trautwein"),
        ("en", "Customer: Mrs P. Okafor", "P. Okafor"),
        ("de", "Kunde: An Verlag Nordlicht GmbH", "Verlag Nordlicht GmbH"),
        ("fr", "Client : M. et Mme Le Goff", "M. et Mme Le Goff"),
    ],
)
def test_a_form_of_address_is_no_part_of_a_name(language: str, written: str, name: str) -> None:
    assert read(f"Hallam Tents Ltd\n{written}\n", language)[1] == name


def test_a_street_before_its_number_is_no_name() -> None:
    text = (
        "АО «Тёплый дом»\nпр-т Мира, д. 93, оф. 12\n190000, г. Санкт-Петербург\nИТОГ 59,60 руб.\n"
    )
    assert read(text, "ru") == ("АО «Тёплый дом»", None)


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "Incoterm: DPU - Delivered At Place Unloaded"),
        ("fr", "Conditions de livraison : Rendu Droits Acquittés"),
        ("pl", "Warunki dostawy: Odbiór Własny"),
    ],
)
def test_terms_of_delivery_above_an_address_are_no_customer(language: str, line: str) -> None:
    text = f"Jansen Papier GmbH\n{line}\n215 Vine Street\nScranton PA 18503\nTotal 279.84\n"
    assert read(text, language) == ("Jansen Papier GmbH", None)


@pytest.mark.parametrize("beginning", ["All Harbour", "Any", "Each Town"])
def test_any_body_of_a_kind_is_no_name(beginning: str) -> None:
    assert not list(find_bodies(f"{beginning} Council may sell services to", "en"))


@pytest.mark.parametrize("name", ["iVive Labs Limited", "eBell GmbH", "easyPaper"])
def test_a_customers_name_may_begin_with_a_small_letter(name: str) -> None:
    text = f"Acme Ltd\n2 Hill Road\nLeeds LS1 4DY\nBill to:\n{name}\n9 Sea Road\nTotal 9.00\n"
    assert read(text) == ("Acme Ltd", name)
