"""Split pieces of bytes into lines of limited length."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

__all__ = ["LineSplitter", "TooLong", "split"]


class TooLong:
    """Replaces a line that is longer than the limit."""


class LineSplitter:
    r"""Splits pieces of bytes into lines; stores no more than one unfinished line.

    Args:
        max_bytes: The longest line, in bytes.

    >>> splitter = LineSplitter(100)
    >>> splitter.feed(b"one\ntw"), splitter.feed(b"o\n"), splitter.end()
    ([b'one'], [b'two'], [])
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._begun: list[bytes] = []
        self._size_bytes = 0

    def feed(self, piece: bytes) -> list[bytes | TooLong]:
        """Return the lines that this piece completes, without their line endings."""
        first, *others = piece.split(b"\n")
        self._begin(first)
        if not others:
            return []
        *complete, last = others
        found = [self._finished()]
        found += [line if len(line) <= self._max_bytes else TooLong() for line in complete]
        self._begin(last)
        return found

    def end(self) -> list[bytes | TooLong]:
        """Return the unfinished line, if there is one."""
        return [self._finished()] if self._size_bytes else []

    def _finished(self) -> bytes | TooLong:
        too_long = self._size_bytes > self._max_bytes
        line = b"".join(self._begun)
        self._begun, self._size_bytes = [], 0
        return TooLong() if too_long else line

    def _begin(self, part: bytes) -> None:
        self._size_bytes += len(part)
        if self._size_bytes > self._max_bytes:
            self._begun.clear()
        elif part:
            self._begun.append(part)


async def split(
    pieces: AsyncGenerator[bytes, None], max_line_bytes: int
) -> AsyncGenerator[list[bytes | TooLong], None]:
    """Yield the lines that each piece completes, if any, and the unfinished one at the end.

    Args:
        pieces: The pieces, in order.
        max_line_bytes: The longest line, in bytes.
    """
    splitter = LineSplitter(max_line_bytes)
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            yield splitter.feed(piece)
    yield splitter.end()
