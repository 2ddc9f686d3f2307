"""Media types are found by content; a name only tells kinds of text apart."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

import pytest

from qtforge_builtin_plugins.documents.identification import identify
from qtforge_sdk import OperationError

MAIL = (
    b"From: a@example.com\r\nSubject: Hello\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n\r\nHi\r\n"
)
HTML = b"<!-- made by hand -->\n<!DOCTYPE html><html><body><p>Hello</p></body></html>"
MARKDOWN = b"# Title\n\nSome **bold** text with a [link](https://example.com).\n"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def kind(content: bytes, name: str = "file") -> str:
    return identify(io.BytesIO(content), name)


def zipped(**entries: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml"), content)
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "note.txt", "application/pdf"),
        (b"junk\0before\n%PDF-1.4\n\0\x01", "scan", "application/pdf"),
        (b"The header of a PDF is %PDF-1.7, as everybody knows.", "a.pdf", "text/plain"),
        (b"just words", "invoice.pdf", "text/plain"),
        (b"\x89PNG\r\n\x1a\n", "note.txt", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "photo", "image/jpeg"),
        (b"II*\0\x08\0\0\0", "fax", "image/tiff"),
        (b"MM\0*\0\0\0\x08", "fax", "image/tiff"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "picture", "image/webp"),
        (b"RIFF is a format of files, WEBP another", "riff", "text/plain"),
        (HTML, "page.txt", "text/html"),
        (HTML, "page.md", "text/html"),
        (b"<p>a fragment</p>", "page.html", "text/html"),
        (b"<p>a fragment</p>", "page.txt", "text/plain"),
        (b"if a < b and c > d", "page.html", "text/plain"),
        (MAIL, "letter.txt", "message/rfc822"),
        (b"Received: from x\n\tby y\nFrom: a@example.com\n\nHi", "x", "message/rfc822"),
        (b"Date: today\n\nI wrote a diary.", "diary.txt", "text/plain"),
        (b"Subject: notes\nContent: none\n", "notes.txt", "text/plain"),
        (MARKDOWN, "README", "text/markdown"),
        (MARKDOWN, "notes.txt", "text/markdown"),
        (b"plain words", "notes.md", "text/markdown"),
        (b"# a comment\nkey = value\n", "settings.ini", "text/plain"),
        (MARKDOWN, "settings.ini", "text/plain"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nHello\n", "film.srt", "text/plain"),
        ("Привет, мир".encode("cp1251"), "old.txt", "text/plain"),
        ("Привет, мир".encode("utf-16"), "old.txt", "text/plain"),
        ("Привет, мир".encode("utf-16-le"), "old.txt", "text/plain"),
        ("Hello there".encode("utf-16-be"), "old.txt", "text/plain"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40), "a.md", "image/png"),
        (bytes(range(256)) * 4, "a.txt", "application/octet-stream"),
        (zipped(word__document_xml=b"<w/>"), "a.zip", DOCX),
        (zipped(notes=b"words"), "a.docx", "application/zip"),
        (zipped(mimetype=b"application/epub+zip"), "a.zip", "application/epub+zip"),
    ],
)  # fmt: skip
def test_the_type_is_found_by_content(content: bytes, name: str, expected: str) -> None:
    assert kind(content, name) == expected


def test_a_workbook_is_not_taken_for_a_document() -> None:
    assert kind(zipped(xl__workbook_xml=b"<x/>")).endswith("spreadsheetml.sheet")


def test_a_truncated_docx_is_still_known_as_docx(make_docx: Callable[..., bytes]) -> None:
    whole = make_docx(lambda document: document.add_paragraph("Hello"))
    assert kind(whole[: len(whole) // 2]) == DOCX


def test_an_archive_whose_entry_ends_too_early_is_an_archive() -> None:
    content = bytearray(zipped(mimetype=b"application/epub+zip"))
    sizes = content.index(b"PK\x01\x02") + 20  # in the directory: compressed, and as it was
    content[sizes : sizes + 8] = struct.pack("<II", 5_000, 150)
    assert kind(bytes(content)) == "application/zip"


def test_an_old_word_file_is_named() -> None:
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    assert kind(header + "WordDocument".encode("utf-16-le")) == "application/msword"


def test_an_encrypted_office_file_is_refused() -> None:
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    with pytest.raises(OperationError, match="is encrypted") as caught:
        kind(header + "EncryptedPackage".encode("utf-16-le"), "secret.docx")
    assert caught.value.code == "document.encrypted"
    assert caught.value.fix
