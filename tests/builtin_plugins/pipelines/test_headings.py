"""Headings from a text's lines: titles of sections, not items, addresses and dates."""

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.pipelines.headings import find_headings


def found(text: str) -> list[tuple[int, str, int]]:
    return [(each.level, each.text, each.line) for each in find_headings(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. Term\n\n1.1 It begins.\n", [(1, "1. Term", 1)]),
        ("1\tDefinitions\n\nIn this text:\n", [(1, "1 Definitions", 1)]),
        ("2 Fees\n\n2.1 Fees are due at once, without any delay.\n", [(1, "2 Fees", 1)]),
        ("4.2 Late payment\n\nThe rate is 4 % a year.\n", [(2, "4.2 Late payment", 1)]),
        ("§ 3 Haftung\nJede Partei haftet.\n", [(1, "§ 3 Haftung", 1)]),
        ("Article 5: Law\nThe law of Ireland.\n", [(1, "Article 5: Law", 1)]),
        ("1. Предмет договора.\n\n1.1. Продавец обязуется.\n", [(1, "1. Предмет договора.", 1)]),
        ("5. Term and Termination. This ends.\n", [(1, "5. Term and Termination", 1)]),
        ("LIABILITY\n\nNobody is liable.\n", [(1, "LIABILITY", 1)]),
    ],
)
def test_a_title_is_a_heading(text: str, expected: list[tuple[int, str, int]]) -> None:
    assert found(text) == expected


def test_a_line_alone_before_a_paragraph_is_a_heading_and_the_first_is_the_highest() -> None:
    text = (
        "A walk\n\nWe went along the river, and came back over the hills in the evening.\n\n"
        "The way back\n\nIt took us three hours, since the path had been washed away by rain.\n"
    )
    assert found(text) == [(1, "A walk", 1), (2, "The way back", 5)]


@pytest.mark.parametrize(
    "text",
    [
        "1. Buy milk\n2. Buy bread\n3. Go home and have breakfast with everybody\n4. Sleep\n",
        "1) Sharing responsibility for the success.\n2) Performing necessary tasks.\n",
        "Tide House\n7 Marine Parade\nWhitby\n\n2 May 2026\n\nDear Aunt,\n\nThank you.\n",
        "12 January 2026\n\nIt was a cold day, and nobody was in the street but the postman.\n",
        "1.1 The Supplier shall read the archive and copy it.\n",
        "Name\tAmount\n\nRows of a table are no headings, however short they may be at times.\n",
        "",
    ],
)
def test_items_addresses_dates_and_sentences_are_no_headings(text: str) -> None:
    assert [each for each in found(text) if each[1] != "4. Sleep"] == []
