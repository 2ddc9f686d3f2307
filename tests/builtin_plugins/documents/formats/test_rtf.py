"""RTF files."""

from __future__ import annotations

from typing import Any

import pytest


def rtf(body: str, head: str = r"\ansicpg1252") -> bytes:
    return (r"{\rtf1\ansi" + head + r"\deff0{\fonttbl{\f0 Arial;}}\f0 " + body + "}").encode(
        "ascii"
    )


@pytest.mark.parametrize(
    ("body", "head", "expected"),
    [
        (r"Room 12.\par Bring \b it\b0 .\par", r"\ansicpg1252", "Room 12.\nBring it."),
        (r"Gr\'fc\'dfe f\u252\'fcr 5 \u8364?", r"\ansicpg1252", "Grüße für 5 €"),
        (r"\'cf\'f0\'e8\'e2\'e5\'f2", r"\ansicpg1251", "Привет"),
        (r"plain words", r"\ansicpg99999", "plain words"),
    ],
)  # fmt: skip
def test_the_text_is_read_without_markup(parse: Any, body: str, head: str, expected: str) -> None:
    response = parse(rtf(body, head), "note.txt")
    assert response.parsed_content == expected
    assert response.metadata.media_type == "application/rtf"
    assert response.warnings == ()


def test_title_author_and_date_are_read(parse: Any) -> None:
    info = r"{\info{\title Gr\'fc\'dfe}{\author Ann}{\creatim\yr2026\mo3\dy9\hr10\min5}}"
    metadata = parse(rtf(info + "words")).metadata
    assert (metadata.title, metadata.author, metadata.created) == ("Grüße", "Ann", "2026-03-09")


def test_a_note_that_is_not_read_is_said(parse: Any) -> None:
    response = parse(rtf(r"words{\footnote the note} after"))
    assert response.parsed_content == "words after"
    assert response.warnings == ("rtf_parts_left_out",)
