"""Delimited text."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('name;tax\n"Birnen; grün";1,5\n', (("name", "tax"), ("Birnen; grün", "1,5"))),
        ("a,b\n1,2\n\n3,4\n", (("a", "b"), ("1", "2"), ("3", "4"))),
        ("a\tb\n1\t2,5\n", (("a", "b"), ("1", "2,5"))),
    ],
)
def test_the_rows_are_a_table_and_the_text_stays(
    parse: Any, text: str, rows: tuple[tuple[str, ...], ...]
) -> None:
    response = parse(text.encode(), "a.csv")
    assert response.parsed_content == text.rstrip("\n")
    assert [table.rows for table in response.tables] == [rows]
    assert response.metadata.media_type == "text/csv"


@pytest.mark.parametrize(
    "text", ["just words\nin lines", "a,b\n1\n", 'a,b\n"never,closed' + "x" * 200_000]
)
def test_what_is_no_table_is_text(parse: Any, text: str) -> None:
    response = parse(text.encode(), "a.csv")
    assert response.parsed_content == text.rstrip("\n")
    assert response.tables == ()
