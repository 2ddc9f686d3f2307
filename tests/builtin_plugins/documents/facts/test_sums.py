"""The currency of sums that print none."""

# ruff: noqa: RUF001 - it has Russian letters

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.labels import load_labels
from qtforge_builtin_plugins.documents.facts.page import Page
from qtforge_builtin_plugins.documents.facts.sums import find_sums


@pytest.mark.parametrize(
    ("language", "text", "currency"),
    [
        (
            "tr",
            "Çınar Lokantası\nAtatürk Cad. No: 12\nTOPKDV %10 *117,55\nTOPLAM *1.293,00\n",
            "TRY",
        ),
        ("ru", "ООО «Тракт»\nИНН 7878585460\nКАССОВЫЙ ЧЕК\nИТОГ =3 539.11\n", "RUB"),
        ("en", "Corner Shop\nReceipt 17\nTotal 35.11\n", None),
    ],
)
def test_the_currency_of_a_till_is_that_of_its_tax(
    language: str, text: str, currency: str | None
) -> None:
    assert find_sums(Page(text, load_labels(language)), language, []).currency == currency
