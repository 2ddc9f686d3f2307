"""Codes that open one login in the browser, signed with the key of the state directory."""

from __future__ import annotations

import base64
import binascii
import datetime
import hmac
import secrets
import struct
from typing import Final

__all__ = ["CODE_S", "as_bytes", "as_text", "code_time_s", "login_code", "signature"]

CODE_S: Final = 300
"""How long a code is good for, in seconds."""

_CODE: Final = struct.Struct(">QQ")  # when it was made, in microseconds; a random number
_MAC: Final = 16  # bytes of a code's signature
_PURPOSE: Final = b"code"


def login_code(key: bytes, now: datetime.datetime) -> str:
    """Return a code for one login as the first token.

    Args:
        key: The key of the state directory; see `ServeFolder.session_key`.
        now: The time, in UTC.
    """
    made = _CODE.pack(round(now.timestamp() * 1e6), secrets.randbits(64))
    return as_text(made + signature(key, _PURPOSE, made)[:_MAC])


def code_time_s(key: bytes, code: str) -> float | None:
    """Return when a code was made, in seconds since 1970; None where the key did not sign it."""
    found = as_bytes(code)
    made, signed = found[: _CODE.size], found[_CODE.size :]
    if len(made) != _CODE.size:
        return None
    if not hmac.compare_digest(signed, signature(key, _PURPOSE, made)[:_MAC]):
        return None
    at: int = _CODE.unpack(made)[0]
    return at / 1e6


def signature(key: bytes, purpose: bytes, content: bytes) -> bytes:
    """Return the signature of a content, which counts for one purpose alone."""
    return hmac.digest(key, purpose + b"\0" + content, "sha256")


def as_text(content: bytes) -> str:
    """Return bytes as a text that an address may hold.

    >>> as_text(b"??>"), as_bytes(as_text(b"??>"))
    ('Pz8-', b'??>')
    """
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def as_bytes(text: str) -> bytes:
    """Return the bytes of a text of `as_text`; none for any other text."""
    try:
        return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return b""
