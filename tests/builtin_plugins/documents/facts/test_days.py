"""The day of a document and the last day of its payment, chosen by all that speaks for them."""

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.dates import iterate_dates
from qtforge_builtin_plugins.documents.facts.days import Said, choose_days
from qtforge_builtin_plugins.documents.facts.labels import load_labels
from qtforge_builtin_plugins.documents.facts.page import Page


def choose(
    text: str, language: str = "en", said: tuple[Said, ...] = (), numbers: tuple[str, ...] = ()
) -> tuple[str | None, str | None]:
    page = Page(text, load_labels(language))
    days = [(each.start, each.end, each.date.date, False) for each in iterate_dates(text, language)]
    own, last = choose_days(page, days, said, frozenset(numbers))
    return own.value if own else None, last.value if last else None


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        pytest.param(
            "de", "Muster GmbH\nLeipzig, den 3. März 2026\nLieferung am 1. März 2026\n",
            ("2026-03-03", None), id="below the letterhead, not that of the delivery",
        ),
        pytest.param(
            "fr", "N° pièce Date de la pièce Ordre de\nréparation\nKm\n"
            "24/20186 23/09/2024 OR-06930 134569\n",
            ("2024-09-23", None), id="below a row of labels that wraps",
        ),
        pytest.param(
            "tr", "Belge No Düzenlenme Vade İş Emri\n24/05/2024 08/06/2024 İE-6019\n",
            ("2024-05-24", "2024-06-08"), id="two in a row, below their labels",
        ),
        pytest.param(
            "en", "Invoice date 5 March 2026\nPeriod 1 June 2026 - 30 June 2026\n",
            ("2026-03-05", None), id="a period is not the payment's",
        ),
        pytest.param(
            "en", "Invoice date 5 March 2026\n30 days net, so 4 April 2026\n",
            ("2026-03-05", "2026-04-04"), id="as many days later as the terms say",
        ),
        pytest.param(
            "en", "Invoice date 5 March 2026\nPaid on 1 March 2026 by card\n",
            ("2026-03-05", None), id="nobody is to pay before the invoice",
        ),
        pytest.param("en", "31/05/2026 08:36\nCash register 3\n", ("2026-05-31", None),
                     id="the stamp of a till"),
        pytest.param("en", "Nothing is dated here.\n", (None, None), id="no day"),
    ],
)  # fmt: skip
def test_the_days_are_chosen_by_what_is_near_them(
    language: str, text: str, expected: tuple[str | None, str | None]
) -> None:
    assert choose(text, language) == expected


def test_a_label_is_surer_than_a_place() -> None:
    said = (Said("date", "2026-03-09", None, 0.85),)
    assert choose("5 March 2026\nRaised 9 March 2026\n", said=said)[0] == "2026-03-09"


def test_the_number_of_a_document_is_no_day() -> None:
    text = "Faktura 7/08/2024\nToruń, 30 sierpnia 2024\n"
    assert choose(text, "pl", numbers=("7/08/2024",))[0] == "2024-08-30"
