"""Items without a quantity and a price, which only their sum shows."""

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.invoices import find_invoice

BILL = """Malerbetrieb Hasselmann
Rechnung RE-24-0917 vom 17.09.2024
Leistung Betrag
Wände streichen, 62 m² inkl. Material 1.240,00 €
Raufaser entfernen, pauschal 380,00 €
Gerüst 100,00 €
Nettobetrag 1.720,00 €
zzgl. 19 % MwSt. 326,80 €
Rechnungsbetrag 2.046,80 €
"""


def items_of(text: str, language: str = "de") -> list[tuple[str, str, str | None]]:
    invoice = find_invoice(text, language)
    assert invoice is not None
    return [(item.description, item.amount.value, item.quantity) for item in invoice.items]


def test_lines_that_add_up_to_the_net_sum_are_the_items() -> None:
    assert items_of(BILL) == [
        ("Wände streichen, 62 m² inkl. Material", "1240.00", None),
        ("Raufaser entfernen, pauschal", "380.00", None),
        ("Gerüst", "100.00", None),
    ]


def test_lines_that_add_up_to_no_sum_are_no_items() -> None:
    assert items_of(BILL.replace("380,00", "390,00")) == []


def test_items_with_and_without_a_quantity_are_one_list() -> None:
    mixed = BILL.replace("Gerüst 100,00 €", "Gerüst 2 Tage 50,00 € 100,00 €")
    assert [quantity for _, _, quantity in items_of(mixed)] == [None, None, "2"]


@pytest.mark.parametrize(
    "between",
    [
        "Zwischensumme 1.620,00 €",
        "Übertrag 1.620,00 €",
        "Seite 2 von 2",
        "Die Arbeiten sind getan.",
    ],
)
def test_a_subtotal_or_words_between_items_are_passed(between: str) -> None:
    text = BILL.replace("Gerüst", f"{between}\nGerüst")
    assert [amount for _, amount, _ in items_of(text)] == ["1240.00", "380.00", "100.00"]


def test_a_discount_is_taken_off_and_is_no_item() -> None:
    text = BILL.replace("Gerüst 100,00 €", "Gerüst 200,00 €\nAbzug wegen Mängeln -100,00 €")
    assert [amount for _, amount, _ in items_of(text)] == ["1240.00", "380.00", "200.00"]


def test_an_amount_may_be_followed_by_the_rate_of_its_tax() -> None:
    items = "Rental 545.00 20%\nVisit 150.00 20%"
    text = f"Invoice 17 of 3 March 2026\n{items}\nNet 695.00\nVAT 139.00\nTotal £834.00"
    assert [amount for _, amount, _ in items_of(text, "en")] == ["545.00", "150.00"]


def test_the_amounts_in_a_column_before_the_last_one_may_be_added_up() -> None:
    text = """Invoice 17 of 3 March 2026
Work Net VAT Gross
Survey 500.00 100.00 600.00
Report 200.00 40.00 240.00
Net £700.00
VAT 20% £140.00
Total £840.00
"""
    assert [amount for _, amount, _ in items_of(text, "en")] == ["500.00", "200.00"]


def test_the_words_of_an_item_may_stand_above_its_amount() -> None:
    text = """Facture AC-4618 du 4 mars 2026
Libellé Montant HT
Remplacement de douze fenêtres
et de la porte d'entrée
4 390,00 €
Montant HT 4 390,00 €
TVA à 10 % 439,00 €
Total TTC 4 829,00 €
"""
    assert items_of(text, "fr") == [
        ("Remplacement de douze fenêtres et de la porte d'entrée", "4390.00", None)
    ]


def test_a_single_word_above_the_net_sum_is_no_item() -> None:
    sums = "Merchandise 700.00\nNet 700.00\nVAT 20% 140.00\nTotal £840.00"
    text = f"Invoice 17 of 3 March 2026\n{sums}"
    assert items_of(text, "en") == []
