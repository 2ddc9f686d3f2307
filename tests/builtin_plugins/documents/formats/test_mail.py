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


def test_recipients_are_the_names_of_those_addressed(parse: Any) -> None:
    mail = message()
    del mail["To"]
    mail["To"] = '"Blue Door Ltd" <pay@blue.example>, ben@example.com, "Doe, Jane" <jane@x.example>'
    mail.set_content("Hello")
    assert parse(mail.as_bytes()).metadata.recipients == ("Blue Door Ltd", "Doe, Jane")


def test_a_recipient_in_two_encoded_parts_has_no_gap_between_them(parse: Any) -> None:
    raw = (
        b"From: a@example.com\r\nTo: =?utf-8?b?0J/QtdGC0YDQvtCy0Lg=?=\r\n =?utf-8?q?=D1=87?="
        b" <p@x.example>\r\nSubject: x\r\n\r\ntext\r\n"
    )
    assert parse(raw, "a.eml").metadata.recipients == ("Петрович",)


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


def mime(*parts: str, subtype: str = "mixed") -> bytes:
    """Return a message of parts that are written as given."""
    head = "From: ann@example.com\nDate: Mon, 5 Jan 2026 10:00:00 +0000\nMIME-Version: 1.0\n"
    head += f'Content-Type: multipart/{subtype}; boundary="b"\n\n'
    return (head + "".join(f"--b\n{part}\n" for part in parts) + "--b--\n").encode()


PLAIN = "Content-Type: text/plain; charset=utf-8\n\n"
MARKUP = "Content-Type: text/html; charset=utf-8\n\n"
PICTURE = (
    'Content-Type: image/png; name="p.png"\nContent-Disposition: inline\n'
    "Content-Transfer-Encoding: base64\n\niVBORw0KGgo="
)


@pytest.mark.parametrize(
    ("parts", "subtype", "expected"),
    [
        ((f"{MARKUP}<p>the order</p>", f"{PLAIN}the footer"), "mixed", "the order\n\nthe footer"),
        (
            (f"{PLAIN}before", PICTURE, f"{PLAIN}after"),
            "mixed",
            "before\n\nafter\n\nAttachments: p.png",
        ),
        ((f"{PLAIN}plain", f"{MARKUP}<p>rich</p>"), "alternative", "plain"),
        ((f"{PLAIN} \n\n", f"{MARKUP}<p>rich</p>"), "alternative", "rich"),
        ((f"{MARKUP}<p>rich</p>", f"{PLAIN}plain"), "alternative", "plain"),
        ((f"{MARKUP}<p>rich</p>", PICTURE), "related", "rich\n\nAttachments: p.png"),
    ],
)
def test_every_text_is_read_once_and_in_order(
    parse: Any, parts: tuple[str, ...], subtype: str, expected: str
) -> None:
    assert parse(mime(*parts, subtype=subtype)).parsed_content == expected


def test_a_report_of_delivery_is_read(parse: Any) -> None:
    report = (
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\n"
        "Final-Recipient: rfc822; ben@example.com\nAction: failed\n"
    )
    text = parse(mime(f"{PLAIN}it failed", report, subtype="report")).parsed_content
    assert text.startswith("it failed\n\nReporting-MTA: dns; mx.example.com")
    assert text.endswith("Action: failed")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_message_saved_in_another_encoding_is_read(parse: Any, encoding: str) -> None:
    mail = "From: ann@example.com\nTo: me@example.com\nSubject: Wide\n\nHello there, all of you."
    response = parse(mail.encode(encoding), "wide.eml")
    assert response.parsed_content == "Hello there, all of you."
    assert response.metadata.title == "Wide"


def test_headers_need_no_space(parse: Any) -> None:
    mail = b"X-Info:abc\nFrom:ann@example.com\nTo:me@example.com\nSubject:No space\n\nThe body."
    response = parse(mail, "a.txt")
    assert (response.parsed_content, response.metadata.title) == ("The body.", "No space")


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [("", "cp1251"), ("; charset=us-ascii", "koi8-r"), ("; charset=utf-8", "cp1251"),
     ("; charset=gb2312", "gb18030"), ("; charset=iso-8859-1", "cp1252")],
)  # fmt: skip
def test_texts_of_undeclared_or_wrongly_declared_encodings_are_read(
    parse: Any, charset: str, encoding: str
) -> None:
    text = {
        "gb18030": "镕基先生的发票已经付款，请查收。",  # noqa: RUF001
        "cp1252": "“Total” – 5 €",  # noqa: RUF001
    }.get(encoding, "Настоящим сообщаем, что договор подписан обеими сторонами.")
    head = f"From: a@example.com\nDate: x\nContent-Type: text/plain{charset}\n\n".encode()
    assert parse(head + text.encode(encoding)).parsed_content == text


def test_a_subject_of_bare_bytes_is_read(parse: Any) -> None:
    subject = "Счёт на оплату за услуги связи"
    mail = b"From: a@example.com\nSubject: " + subject.encode("cp1251") + b"\nDate: x\n\nBody"
    assert parse(mail).metadata.title == subject


@pytest.mark.parametrize(
    "date", ["Mon, 5 Jan 99999999999 10:00:00 +0000", "soon", "5 Jan 2026 +99"]
)
def test_an_odd_date_does_not_spoil_the_message(parse: Any, date: str) -> None:
    response = parse(f"From: a@example.com\nDate: {date}\nSubject: x\n\nThe text".encode())
    assert response.parsed_content == "The text"
