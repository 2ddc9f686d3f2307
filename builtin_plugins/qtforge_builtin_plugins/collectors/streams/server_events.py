"""Split an event stream into the data of its events, as the HTML standard says.

httpx2's EventSource (from httpx-sse) takes a byte order mark for a part of the first field, tells
of events without data, and ends the stream at an event that is too long.
"""

from __future__ import annotations

import codecs
from typing import Final

from qtforge_builtin_plugins.collectors.streams.lines import TooLong

__all__ = ["EventSplitter"]

_DATA: Final = b"data"


class EventSplitter:
    r"""Splits pieces of an event stream; stores no more than one unfinished event.

    Args:
        max_bytes: The longest line, and the most data of an event, in bytes.

    >>> splitter = EventSplitter(100)
    >>> splitter.feed(b"\xef\xbb\xbfdata: a\r\n\r\ndata:b\n"), splitter.feed(b"data: c\n\n")
    ([b'a'], [b'b\nc'])
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._line = bytearray()
        self._line_too_long = False
        self._after_cr = False
        self._begin: bytes | None = b""  # until it can't become a byte order mark
        self._data: list[bytes] = []
        self._size_bytes = 0
        self._too_long = False

    def feed(self, piece: bytes) -> list[bytes | TooLong]:
        """Return the data of the events that this piece completes; an event without is none."""
        if self._begin is not None:
            piece = self._begin + piece
            if codecs.BOM_UTF8.startswith(piece) and piece != codecs.BOM_UTF8:
                self._begin = piece
                return []
            piece, self._begin = piece.removeprefix(codecs.BOM_UTF8), None
        if self._after_cr and piece:
            piece, self._after_cr = piece.removeprefix(b"\n"), False
        if piece.endswith(b"\r"):
            self._after_cr = True
        found: list[bytes | TooLong] = []
        lines = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines[:-1]:
            self._add(line)
            event = self._end_line()
            if event is not None:
                found.append(event)
        self._add(lines[-1])
        return found

    def _add(self, part: bytes) -> None:
        if len(self._line) + len(part) > self._max_bytes + len(b"data: "):
            self._line_too_long = True
            part = part[: max(0, len(_DATA) + 1 - len(self._line))]  # enough to know its field
        self._line += part

    def _end_line(self) -> bytes | TooLong | None:
        line, too_long = bytes(self._line), self._line_too_long
        self._line.clear()
        self._line_too_long = False
        if not line:
            return self._end_event()
        name, _, value = line.partition(b":")
        if name == _DATA:
            value = value.removeprefix(b" ")
            self._size_bytes += len(value) + 1
            if too_long or self._size_bytes > self._max_bytes + 1:
                self._too_long = True
                self._data.clear()
            elif not self._too_long:
                self._data.append(value)
        return None

    def _end_event(self) -> bytes | TooLong | None:
        data, too_long = self._data, self._too_long
        self._data, self._size_bytes, self._too_long = [], 0, False
        if too_long:
            return TooLong()
        # By the standard a byte that is no UTF-8 is replaced; what follows is still data.
        return b"\n".join(data).decode("utf-8", "replace").encode() if data else None
