"""Texts in any encoding."""

from __future__ import annotations

from typing import Any

import pytest

from qtforge_sdk import OperationError

RUSSIAN = "Настоящий договор заключён между сторонами. Поставщик обязуется передать товар."
GERMAN = "Über den Wolken muss die Freiheit wohl grenzenlos sein. Größe und Maß der Dinge."
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy, a pak šel domů přes náměstí."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "utf-8"),
        (RUSSIAN, "utf-8-sig"),
        (RUSSIAN, "utf-16"),
        (RUSSIAN, "utf-16-le"),
        (RUSSIAN, "utf-16-be"),
        (RUSSIAN, "utf-32"),
        (RUSSIAN, "windows-1251"),
        (RUSSIAN, "koi8-r"),
        (GERMAN, "latin-1"),
        (CZECH, "windows-1250"),
        ("これは日本語の文章です。長い文章のほうがよくわかります。", "shift_jis"),
    ],
)
def test_the_encoding_is_found(parse: Any, text: str, encoding: str) -> None:
    response = parse(text.encode(encoding), "a.txt")
    assert response.parsed_content == text
    assert response.metadata.encoding


def test_one_odd_word_in_a_long_ascii_text_is_enough(parse: Any) -> None:
    text = "only plain words here\n" * 20_000 + GERMAN
    assert parse(text.encode("latin-1"), "a.txt").parsed_content == text


def test_the_callers_encoding_wins(parse: Any) -> None:
    response = parse("Привет".encode("cp866"), "a.txt", encoding="cp866")
    assert (response.parsed_content, response.metadata.encoding) == ("Привет", "cp866")


@pytest.mark.parametrize("encoding", ["utf-9", "base64", "ascii"])
def test_an_encoding_that_does_not_fit_is_refused(parse: Any, encoding: str) -> None:
    with pytest.raises(OperationError) as caught:
        parse(RUSSIAN.encode(), "a.txt", encoding=encoding)
    assert caught.value.code == "document.undecodable"
    assert encoding in caught.value.why
    assert "options.encoding" in caught.value.fix


def test_a_damaged_utf_16_text_is_undecodable(parse: Any) -> None:
    with pytest.raises(OperationError) as caught:
        parse("Привет".encode("utf-16")[:-1], "a.txt")
    assert caught.value.code == "document.undecodable"
