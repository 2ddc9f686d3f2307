"""Read an answer's body within a limit, which counts the uncompressed bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx2

from qtforge_builtin_plugins.collectors.web.decoding import decoded_parts
from qtforge_builtin_plugins.collectors.web.failures import TRANSPORT_ERRORS
from qtforge_sdk.errors import OperationError

__all__ = ["excerpt", "parts", "text_of", "whole"]

_EXCERPT_BYTES: Final = 64 * 1024
_EXCERPT_TIMEOUT_S: Final = 2.0
_SHOWN: Final = 200


async def parts(response: httpx2.Response, max_bytes: int, label: str) -> AsyncIterator[bytes]:
    """Yield the body in parts.

    A MiB is decompressed at a time, so a small body that expands to a large one is
    refused early.

    Args:
        response: Its body unread.
        max_bytes: The most that is accepted.
        label: The source, without secrets.

    Raises:
        OperationError: ``http.too_large``.
    """
    length = response.headers.get("content-length", "")
    is_plain = "content-encoding" not in response.headers
    if is_plain and length.isdecimal() and int(length) > max_bytes:
        raise _too_large(label, max_bytes)
    size_bytes = 0
    async with contextlib.aclosing(decoded_parts(response)) as pieces:
        async for part in pieces:
            size_bytes += len(part)
            if size_bytes > max_bytes:
                raise _too_large(label, max_bytes)
            yield part


async def whole(response: httpx2.Response, max_bytes: int, label: str) -> bytes:
    """Return the body; see `parts`."""
    return b"".join([part async for part in parts(response, max_bytes, label)])


async def excerpt(response: httpx2.Response, mask: Callable[[str], str]) -> str:
    """Return the beginning of a body as one line, for an error; "" if it can't be read.

    Args:
        response: Its body unread.
        mask: Masks the secrets in a text.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_EXCERPT_TIMEOUT_S):
            async with contextlib.aclosing(decoded_parts(response)) as pieces:
                async for part in pieces:
                    body += part
                    if len(body) >= _EXCERPT_BYTES:
                        break
    except (*TRANSPORT_ERRORS, TimeoutError):
        pass  # the error is about the status, so a part of the body is enough
    # The cut may split a secret, and half a secret is not recognised: more is read than
    # shown, so that no text near the cut is shown.
    text = mask(text_of(bytes(body), response))[: _EXCERPT_BYTES // 2]
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]} ..."


def text_of(body: bytes, response: httpx2.Response) -> str:
    """Return a body as text, in the answer's encoding or UTF-8."""
    try:
        return body.decode(response.charset_encoding or "utf-8", "replace")
    except (LookupError, UnicodeError):  # an unknown encoding, or one that is not for text
        return body.decode("utf-8", "replace")


def _too_large(label: str, max_bytes: int) -> OperationError:
    return OperationError(
        "http.too_large",
        f"the answer of {label} is too large",
        f"it has more than {max_bytes} bytes",
        "request less at once, or raise max_bytes of the source",
        retryable=False,
    )
