"""Outlook messages ([MS-OXMSG]), made on the spot."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from tests.builtin_plugins.documents.compound_files import Tree, compound

from qtforge_sdk import OperationError


def properties(head: int, streams: Tree) -> bytes:
    """Return the property stream for the ``__substg1.0_`` streams beside it."""
    entries = b""
    for name, data in streams.items():
        if name.startswith("__substg1.0_") and isinstance(data, bytes):
            tag, kind = int(name[12:16], 16), int(name[16:], 16)
            size = len(data) + (2 if kind == 0x1F else 0)
            entries += struct.pack("<HHIII", kind, tag, 6, size, 0)
    return bytes(head) + entries


def text(tag: int, value: str) -> Tree:
    return {f"__substg1.0_{tag:04X}001F": value.encode("utf-16-le")}


def binary(tag: int, value: bytes) -> Tree:
    return {f"__substg1.0_{tag:04X}0102": value}


def outlook_message(attachments: Tree | None = None, **streams: bytes | str) -> bytes:
    tree: Tree = {**text(0x001A, "IPM.Note"), **text(0x0037, "Der Vertrag für März")}
    tree |= text(0x0C1A, "Ann Example") | text(0x0C1F, "ann@example.com")
    for name, value in streams.items():
        tag = {"body": 0x1000, "html": 0x1013, "kind": 0x001A}[name]
        tree |= text(tag, value) if isinstance(value, str) else binary(tag, value)
    for number, (name, data) in enumerate((attachments or {}).items()):
        parts = text(0x3707, name) | binary(0x3701, data)
        parts["__properties_version1.0"] = properties(8, parts)
        tree[f"__attach_version1.0_#{number:08X}"] = parts
    tree["__properties_version1.0"] = properties(32, tree)
    return compound(tree)


def test_text_subject_and_sender_are_read(parse: Any) -> None:
    response = parse(outlook_message(body="Anbei der Vertrag.\r\nGrüße"), "a.msg")
    assert response.metadata.media_type == "application/vnd.ms-outlook"
    assert response.parsed_content == "Anbei der Vertrag.\nGrüße"
    assert response.metadata.title == "Der Vertrag für März"
    assert response.metadata.author == '"Ann Example" <ann@example.com>'


def test_html_is_read_where_the_text_is_blank(parse: Any) -> None:
    page = '<html><meta charset="windows-1252"><body><p>Grüße</p></body></html>'
    content = outlook_message(body=" \r\n", html=page.encode("cp1252"))
    assert parse(content).parsed_content == "Grüße"


def test_attachments_are_documents_of_their_own(parse: Any) -> None:
    content = outlook_message({"Übersicht.txt": b"the list"}, body="See the list.")
    response = parse(content)
    assert response.parsed_content == "See the list.\n\nAttachments: Übersicht.txt"
    (attachment,) = response.attachments
    assert attachment.response.parsed_content == "the list"


def test_an_encrypted_message_is_refused(parse: Any) -> None:
    with pytest.raises(OperationError) as caught:
        parse(outlook_message(kind="IPM.Note.SMIME"))
    assert caught.value.code == "document.encrypted"


def test_a_truncated_message_is_damaged(parse: Any) -> None:
    whole = outlook_message(body="words")
    with pytest.raises(OperationError) as caught:
        parse(whole[:1600], "a.msg")
    assert caught.value.code == "document.damaged"
