"""Makes compound files ([MS-CFB]), the container of Outlook messages and old Office files."""

from __future__ import annotations

import itertools
import struct
from typing import Any

__all__ = ["Tree", "compound"]

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
