"""Undo an answer's ``Content-Encoding``, and notice where its end is missing.

httpx2 reads the first member of a gzip stream only, and takes one without an end for complete.
RFC 9110 refers to RFC 1952, whose files are a sequence of members.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

import httpx2

__all__ = ["ACCEPTED", "CutOffError", "decoded_parts"]

ACCEPTED: Final = "gzip, deflate"
"""The value of ``Accept-Encoding``: what is decoded here."""

_PIECE_BYTES: Final = 1 << 20  # at a time, so that little data does not become much at once
_GZIP: Final = zlib.MAX_WBITS | 16


class CutOffError(httpx2.ReadError):
    """The end of the compressed data is missing."""


class _Decoder(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the data decompresses to."""

    def end(self) -> None:
        """Check that the data is complete."""


class _Gzip:
    """The members of a gzip stream, one after the other."""

    def __init__(self) -> None:
        self._member: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member is None:
                data = data.lstrip(b"\0")  # the padding that RFC 1952 leaves to its users
                if not data:
                    return
                self._member = zlib.decompressobj(_GZIP)
            yield from _inflated(self._member, data)
            data = b""
            if self._member.eof:
                data, self._member = self._member.unused_data, None

    def end(self) -> None:
        if self._member is not None:
            raise CutOffError("the end of its gzip data is missing")


class _Deflate:
    """A zlib stream, or a bare deflate stream, which some servers send instead."""

    def __init__(self) -> None:
        self._begin = b""
        self._stream: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None:
            self._begin += data
            if len(self._begin) < 2:
                return
            data, first, second = self._begin, self._begin[0], self._begin[1]
            has_header = first & 0x0F == zlib.DEFLATED and (first << 8 | second) % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
        yield from _inflated(self._stream, data)

    def end(self) -> None:
        if self._begin and (self._stream is None or not self._stream.eof):
            raise CutOffError("the end of its deflate data is missing")


_DECODERS: Final[Mapping[str, Callable[[], _Decoder]]] = MappingProxyType(
    {"gzip": _Gzip, "x-gzip": _Gzip, "deflate": _Deflate}
)


async def decoded_parts(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """Yield an answer's body in parts, without its ``Content-Encoding``.

    Args:
        response: Its body unread.

    Raises:
        CutOffError: The end of the compressed data is missing.
        httpx2.HTTPError: The body can't be read or decompressed.
    """
    listed = response.headers.get("content-encoding", "").lower().split(",")
    encodings = [each for each in map(str.strip, listed) if each not in ("", "identity")]
    if not all(each in _DECODERS for each in encodings):
        # One that was not asked for: where its library is installed, httpx2 knows it.
        async for part in response.aiter_bytes():
            yield part
        return
    decoders = [_DECODERS[each]() for each in reversed(encodings)]
    try:
        async for raw in response.aiter_raw():
            for part in _through(decoders, raw):
                yield part
    except zlib.error as error:
        raise httpx2.DecodingError(str(error)) from error
    for decoder in decoders:
        decoder.end()


def _through(decoders: Sequence[_Decoder], data: bytes) -> Iterator[bytes]:
    if not decoders:
        yield data
        return
    for part in decoders[0].feed(data):
        yield from _through(decoders[1:], part)


def _inflated(stream: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    while not stream.eof:
        part = stream.decompress(data, _PIECE_BYTES)
        if part:
            yield part
        data = stream.unconsumed_tail
        if not data and len(part) < _PIECE_BYTES:
            return
