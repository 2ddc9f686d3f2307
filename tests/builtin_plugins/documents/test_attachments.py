"""Documents within a document are parsed by the same topic, on a real bus."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest

from qtforge_builtin_plugins.documents.parser import DocumentParser
from qtforge_host.testing import PluginTestHost
from qtforge_sdk import Document
from qtforge_sdk.messages import ParseResponse


def mail(subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "ann@example.com"
    message["Date"] = "Mon, 05 Jan 2026 10:00:00 +0000"
    message["Subject"] = subject
    message.set_content(text)
    return message


def parse(host: PluginTestHost, content: bytes, **options: object) -> ParseResponse:
    request = {"document": Document(name="a.eml", content=content), "options": options or None}
    return host.request("document.parse", request, response_type=ParseResponse)


@pytest.fixture
def outer() -> EmailMessage:
    inner = mail("The inner one", "Invoice 77 is unpaid.")
    inner.add_attachment("deep", filename="deep.txt")
    message = mail("The outer one", "See below.")
    message.add_attachment(inner)
    message.add_attachment(b"# Notes\n\nSome words.", maintype="x", subtype="x", filename="a.md")
    message.add_attachment(b"\x89PNG\r\n\x1a\n", maintype="image", subtype="png", filename="a.png")
    return message


def test_each_attachment_is_a_document_of_its_own(
    host: PluginTestHost, outer: EmailMessage
) -> None:
    host.add(DocumentParser())
    response = parse(host, outer.as_bytes())
    assert response.parsed_content == "See below.\n\nAttachments: The inner one.eml, a.md, a.png"
    inner, notes, picture = response.attachments
    assert inner.response is not None
    assert inner.response.parsed_content == "Invoice 77 is unpaid.\n\nAttachments: deep.txt"
    assert inner.response.metadata.title == "The inner one"
    assert notes.response is not None
    assert notes.response.parsed_content == "Notes\n\nSome words."
    assert notes.media_type == "text/markdown"
    assert picture.response is None
    assert "image/png" in (picture.error or "")
    assert [each.content for each in response.attachments] == [None] * 3
    assert response.warnings == ()


def test_attachments_of_attachments_are_named_and_said_to_be_left_out(
    host: PluginTestHost, outer: EmailMessage
) -> None:
    host.add(DocumentParser())
    inner = parse(host, outer.as_bytes()).attachments[0].response
    assert inner is not None
    assert inner.warnings == ("attachments_left_out",)
    (deep,) = inner.attachments
    assert (deep.name, deep.response) == ("deep.txt", None)
    assert "within an attachment" in (deep.error or "")


def test_attachments_may_be_left_alone(host: PluginTestHost, outer: EmailMessage) -> None:
    host.add(DocumentParser())
    response = parse(host, outer.as_bytes(), attachments=False)
    assert [each.response for each in response.attachments] == [None] * 3


@pytest.mark.parametrize(("config", "parsed"), [({"max_attachments": 1}, 1), ({}, 3)])
def test_their_number_is_bounded(host: PluginTestHost, config: dict[str, Any], parsed: int) -> None:
    message = mail("Many", "See below.")
    for number in range(3):
        message.add_attachment(f"text {number}", filename=f"{number}.txt")
    host.add(DocumentParser(), config=config)
    response = parse(host, message.as_bytes())
    assert sum(each.response is not None for each in response.attachments) == parsed
    assert ("attachments_left_out" in response.warnings) == (parsed < 3)


def test_a_mailbox_is_as_many_documents(host: PluginTestHost) -> None:
    messages = [mail(f"Message {number}", f"Text {number}\n>From the start\n") for number in (1, 2)]
    box = b"".join(
        b"From ann@example.com Mon Jan  5 10:00:00 2026\n" + message.as_bytes() + b"\n"
        for message in messages
    )
    host.add(DocumentParser())
    response = parse(host, box)
    assert response.metadata.media_type == "application/mbox"
    assert response.parsed_content == (
        "1. Message 1 (ann@example.com)\n2. Message 2 (ann@example.com)"
    )
    texts = [each.response.parsed_content for each in response.attachments if each.response]
    assert texts == ["Text 1\nFrom the start", "Text 2\nFrom the start"]


def test_a_letter_that_begins_with_from_is_no_mailbox(host: PluginTestHost) -> None:
    host.add(DocumentParser())
    response = parse(host, b"From Ann, in the spring of 2026\n\nFrom here we go to 2027\n\nBye")
    assert response.metadata.media_type == "text/plain"
