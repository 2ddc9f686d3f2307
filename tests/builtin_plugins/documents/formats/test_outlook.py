"""Outlook messages, made on the spot: a compound file ([MS-CFB]) with [MS-OXMSG] streams."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import pytest

from qtforge_sdk import OperationError

SECTOR, MINI = 512, 64
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
Tree = dict[str, Any]  # a name to bytes, a stream, or to a tree, a storage


def compound(tree: Tree) -> bytes:
    """Return a compound file in which each stream is in the mini stream."""
    entries: list[list[Any]] = []  # name, type, left, right, child, start, size
    mini = bytearray()
    mini_fat: list[int] = []

    def add(name: str, node: Any) -> int:
        index = len(entries)
        entries.append([name, 2, FREE, FREE, FREE, END, 0])
        if isinstance(node, bytes):
            count = -(-len(node) // MINI)
            first = len(mini_fat)
            if count:
                entries[index][5:] = [first, len(node)]
                mini_fat.extend([*range(first + 1, first + count), END])
                mini.extend(node.ljust(count * MINI, b"\0"))
            return index
        entries[index][1] = 1
        children = [add(*item) for item in node.items()]
        if children:
            entries[index][4] = children[0]
        for left, right in itertools.pairwise(children):
            entries[left][3] = right  # a list instead of a balanced tree
        return index

    add("Root Entry", tree)
    entries[0][1] = 5
    directory = b"".join(
        struct.pack(
            "<64sHBBIII16sI8s8sIQ",
            name.encode("utf-16-le"), 2 * len(name) + 2, kind, 1, left, right, child,
            b"", 0, b"", b"", start, size,
        )
        for name, kind, left, right, child, start, size in entries
    )  # fmt: skip
    chains = [directory, struct.pack(f"<{len(mini_fat)}I", *mini_fat), bytes(mini)]
    starts, fat, body = [], [FAT], b""
    for chain in chains:
        count = -(-len(chain) // SECTOR)
        starts.append(len(fat))
        fat.extend([*range(len(fat) + 1, len(fat) + count), END])
        body += chain.ljust(count * SECTOR, b"\xff")
    assert len(fat) <= SECTOR // 4
    root = struct.pack("<IQ", starts[2], len(mini))
    body = body[:116] + root + body[128:]
    header = struct.pack(
        "<8s16sHHHHHHIIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, 0, 0, 0, 1, starts[0],
        0, 4096, starts[1], -(-len(chains[1]) // SECTOR), END, 0,
    )  # fmt: skip
    header += struct.pack("<109I", 0, *[FREE] * 108)
    return header + struct.pack("<128I", *fat, *[FREE] * (128 - len(fat))) + body


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
