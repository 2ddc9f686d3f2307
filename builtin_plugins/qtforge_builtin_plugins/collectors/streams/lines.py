"""`LineSplitter`: lines out of pieces, none longer than the bound."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

__all__ = ["LineSplitter", "TooLong", "split"]


class TooLong:
    """Stands where a line was that is longer than the bound."""


class LineSplitter:
    r"""Takes pieces of bytes and gives lines; holds one unfinished line, and no more than that.

    Args:
        max_bytes: How long a line may be.

    >>> splitter = LineSplitter(100)
    >>> splitter.feed(b"one\ntw"), splitter.feed(b"o\n"), splitter.end()
    ([b'one'], [b'two'], [])
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._begun: list[bytes] = []
        self._size_bytes = 0

    def feed(self, piece: bytes) -> list[bytes | TooLong]:
        """Return the lines that this piece ends, without their ends."""
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
        """Return the unfinished line, if there is one, as a line."""
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
    """Give the lines that each piece ends, if any, then the unfinished one at the end.

    Args:
        pieces: In order.
        max_line_bytes: How long a line may be.
    """
    splitter = LineSplitter(max_line_bytes)
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            yield splitter.feed(piece)
    yield splitter.end()
