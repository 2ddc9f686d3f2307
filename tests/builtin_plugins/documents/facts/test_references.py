"""References of orders and payments: by the customer's labels, and no other number."""

# ruff: noqa: RUF001 - it has words in Russian and Turkish

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.fields import find_fields
from qtforge_builtin_plugins.documents.facts.labels import load_labels
from qtforge_builtin_plugins.documents.facts.page import Page


def surest(language: str, text: str, kind: str) -> str | None:
    found = [each for each in find_fields(Page(text, load_labels(language)), language)
             if each.kind == kind]  # fmt: skip
    return max(found, key=lambda each: each.confidence).value if found else None


@pytest.mark.parametrize(
    ("language", "text", "order"),
    [
        ("en", "CUSTOMER P.O. P4500073706", "P4500073706"),
        ("de", "Unsere Auftragsnr. 300963318\nBestell-Nr. Kunde 4500044959", "4500044959"),
        ("fr", "Votre commande du 3 mars 2026 n° C-118", "C-118"),
        ("nl", "Ons ordernr. 11922\nUw ordernr. 4471", "4471"),
        ("it", "Ordine di lavoro n. OL-118", "OL-118"),
        ("es", "Orden de reparación: OT-5512", "OT-5512"),
        ("pt", "Ordem de reparação n.º OR2354", "OR2354"),
        ("pl", "Nr zlecenia naprawy: ZN/118/26", "ZN/118/26"),
        ("sv", "Arbetsorder: AO-7189", "AO-7189"),
        ("da", "Vores ordrenr. 112233\nJeres ordrenr. 4471", "4471"),
        ("ru", "Заказ-наряд № ЗН-118", "ЗН-118"),
        ("tr", "İş Emri No: İE-6019", "İE-6019"),
    ],
)
def test_an_order_is_the_customers_or_that_of_the_work(
    language: str, text: str, order: str
) -> None:
    assert surest(language, text, "order_reference") == order


@pytest.mark.parametrize(
    ("language", "text", "kind"),
    [
        ("pl", "Rachunek 8/R/2026\nKorekta 46 ark. po 50 zł\n", "order_reference"),
        ("fr", "Votre facture n° 2026090117 du 01/09/2026\n", "order_reference"),
        ("sv", "Kvitto 9-118\nAtt betala      347:00\n", "payment_reference"),
    ],
)
def test_an_amount_a_price_and_the_invoices_own_number_are_no_reference(
    language: str, text: str, kind: str
) -> None:
    assert surest(language, text, kind) is None
