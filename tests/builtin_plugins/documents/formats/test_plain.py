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
        (RUSSIAN, "cp866"),
        ("Die Tür zum Büro, für fünf Gäste über Nacht, müssen wir schließen.", "cp437"),
        ("Los niños españoles estudian y mañana irán al jardín después de comer.", "cp850"),
        (CZECH, "cp852"),
        ("Αυτό είναι ένα κείμενο στα ελληνικά για δοκιμή.", "cp737"),  # noqa: RUF001
        ("Bu Türkçe bir cümledir; şişe, güzel çiçekler, ağaç ve ışık.", "cp857"),  # noqa: RUF001
        ("He said “quoted words” – and went on, didn’t he? It’s fine.", "cp1252"),  # noqa: RUF001
        ("Müller GmbH, Straße 5, 80331 München", "cp1252"),
        ("Total: 50 €", "cp1252"),
        ("Счёт № 5 от 3 мая", "cp1251"),
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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_bad_byte_is_replaced_and_said_and_the_encoding_stays(parse: Any, encoding: str) -> None:
    whole = (RUSSIAN * 3).encode(encoding)
    bad = b"\x00\xdc" if encoding == "utf-16" else b"\xff"  # half of a surrogate pair
    at = len(RUSSIAN[:20].encode(encoding))
    response = parse(whole[:at] + bad + whole[at:], "a.txt")
    before, _, after = response.parsed_content.partition("\ufffd")
    assert before + after == RUSSIAN * 3
    assert response.metadata.encoding == encoding
    assert response.warnings == ("encoding_errors",)


def test_a_text_that_ends_within_a_character_keeps_all_before(parse: Any) -> None:
    response = parse(RUSSIAN.encode()[:-2], "a.txt")
    assert response.parsed_content == RUSSIAN[:-2] + "\ufffd"
    assert response.warnings == ("encoding_errors",)


def test_a_bad_byte_is_said_where_the_caller_named_the_encoding(parse: Any) -> None:
    response = parse(RUSSIAN.encode() + b"\xff", "a.txt", encoding="utf-8")
    assert response.warnings == ("encoding_errors",)
    assert response.parsed_content == RUSSIAN + "\ufffd"


def test_a_guess_from_a_few_letters_is_said_to_be_one(parse: Any) -> None:
    response = parse("Größe".encode("latin-1"), "a.txt")
    assert response.parsed_content == "Größe"
    assert response.warnings == ("encoding_uncertain",)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "cp866"])
def test_a_sound_text_has_no_warning(parse: Any, encoding: str) -> None:
    assert parse(RUSSIAN.encode(encoding), "a.txt").warnings == ()


def test_a_damaged_utf_16_text_is_undecodable(parse: Any) -> None:
    with pytest.raises(OperationError) as caught:
        parse("Привет".encode("utf-16")[:-1], "a.txt")
    assert caught.value.code == "document.undecodable"
