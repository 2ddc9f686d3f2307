"""Items whose values stand below each other, and the sum of them."""

# ruff: noqa: RUF001 - it has Turkish letters

from __future__ import annotations

from decimal import Decimal

import pytest

from qtforge_builtin_plugins.documents.facts.fields import find_day_of_payment
from qtforge_builtin_plugins.documents.facts.items import find_rows, find_sum_of_rows
from qtforge_builtin_plugins.documents.facts.labels import load_labels
from qtforge_builtin_plugins.documents.facts.page import Page

STACKED = """Articolo

Pezzi

Prezzo

Totale

Concime organico 10 kg

3

14,69 €

44,07 €

Potatore telescopico

1

59,03 €

59,03 €
"""


def page_of(text: str) -> Page:
    return Page(text, load_labels("it"))


def test_an_item_may_have_a_line_for_each_of_its_values() -> None:
    rows = find_rows(page_of(STACKED), "it")
    assert [(row.description, row.quantity, row.amount.value) for row in rows] == [
        ("Concime organico 10 kg", Decimal(3), Decimal("44.07")),
        ("Potatore telescopico", Decimal(1), Decimal("59.03")),
    ]


def test_three_numbers_whose_product_is_wrong_are_no_item() -> None:
    wrong = STACKED.replace("44,07", "46,07").replace("1\n\n59,03 €", "2\n\n59,03 €")
    assert find_rows(page_of(wrong), "it") == []


@pytest.mark.parametrize(
    ("below", "total"),
    [
        ("Pagato con PayPal\n103,10 €", "103.10"),
        ("Trasporto\n14,90 €\nPagato con PayPal\n118,00 €", "118.00"),
        ("Punti raccolti\n99,90 €", None),
    ],
)
def test_the_sum_of_the_items_is_the_total_under_any_label(below: str, total: str | None) -> None:
    page = page_of(f"{STACKED}\n{below}\n")
    found = find_sum_of_rows(page, "it", find_rows(page, "it"))
    assert (None if found is None else str(found.amount.value)) == total


def test_without_items_there_is_no_sum_of_them() -> None:
    assert find_sum_of_rows(page_of("Totale 12,00 €"), "it", []) is None


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("de", "Wir ziehen 69,66 EUR am 13.06.2025 von Ihrem Konto ein."),
        ("nl", "We schrijven € 69,66 af op 13 juni 2025."),
        ("tr", "Bakiyenin 13.06.2025 gününe dek TR460094800603137906462668 hesabına gönderilmesi."),
    ],
)
def test_the_day_beside_the_sum_or_the_account_is_the_last_one(language: str, line: str) -> None:
    page = Page(line, load_labels(language))
    found = find_day_of_payment(
        page, language, "2025-05-26", ["69,66", "TR460094800603137906462668"]
    )
    assert found is not None
    assert (found.kind, found.value) == ("due_date", "2025-06-13")
    assert find_day_of_payment(page, language, "2025-06-14", ["69,66", "TR4600"]) is None
    assert find_day_of_payment(page, language, "2025-05-26", ["70,00"]) is None
