"""E-mail messages."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest

from qtforge_sdk import OperationError


def message() -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = "Отчёт за март"
    mail["From"] = "Ann Example <ann@example.com>"
    mail["To"] = "ben@example.com"
    mail["Date"] = "Mon, 02 Mar 2026 10:00:00 +0300"
    return mail


def test_subject_sender_and_date_are_the_metadata(parse: Any) -> None:
    mail = message()
    mail.set_content("Hello Ben")
    response = parse(mail.as_bytes(), "a.txt")
    assert response.parsed_content == "Hello Ben"
    metadata = response.metadata
    assert metadata.media_type == "message/rfc822"
    assert metadata.title == "Отчёт за март"
    assert metadata.author == "Ann Example <ann@example.com>"
    assert metadata.created == "2026-03-02T10:00:00+03:00"


def test_plain_text_is_preferred_and_attachments_are_named(parse: Any) -> None:
    mail = message()
    mail.set_content("the plain part")
    mail.add_alternative("<p>the html part</p>", subtype="html")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="отчёт.pdf")
    mail.add_attachment("a note", filename="note.txt")
    text = parse(mail.as_bytes()).parsed_content
    assert text == "the plain part\n\nAttachments: отчёт.pdf, note.txt"


def test_an_html_part_alone_is_converted(parse: Any) -> None:
    mail = message()
    mail.set_content("<h1>Hello</h1><p>from <b>Ann</b></p>", subtype="html")
    assert parse(mail.as_bytes()).parsed_content == "Hello\n\nfrom Ann"


def test_a_wrong_charset_is_mended_by_detection(parse: Any) -> None:
    head = b"From: a@example.com\nDate: x\nContent-Type: text/plain; charset=nonsense\n\n"
    body = "Настоящим сообщаем, что договор подписан обеими сторонами.".encode("cp1251")
    response = parse(head + body)
    assert response.parsed_content.startswith("Настоящим сообщаем")
    assert response.metadata.created is None


def test_a_message_without_a_text_is_empty(parse: Any) -> None:
    mail = message()
    mail.add_attachment(b"x", maintype="image", subtype="png", filename="a.png")
    assert parse(mail.as_bytes()).parsed_content == "Attachments: a.png"


def test_an_encrypted_message_is_refused(parse: Any) -> None:
    mail = message()
    mail.set_content(b"x", maintype="application", subtype="pkcs7-mime")
    with pytest.raises(OperationError) as caught:
        parse(mail.as_bytes())
    assert caught.value.code == "document.encrypted"


@pytest.mark.timeout(120)
def test_a_message_cut_off_in_the_middle_is_read_as_far_as_it_goes(parse: Any) -> None:
    mail = message()
    mail.set_content("the plain part " * 50)
    mail.add_attachment(b"x" * 5000, maintype="image", subtype="png", filename="a.png")
    whole = mail.as_bytes()
    assert parse(whole[: len(whole) // 2]).parsed_content.startswith("the plain part")
