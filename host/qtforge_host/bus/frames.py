"""What passes between the host and a worker process: length-prefixed msgpack, never pickle."""

from __future__ import annotations

import struct
from typing import Any

import msgspec

__all__ = ["HEADER", "Answer", "Call", "Failure", "Hello", "Progress", "frame", "length_of"]

HEADER = struct.Struct(">Q")


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The host's first frame: what the worker imports.

    Attributes:
        target: The plugin's entry point, ``module:attribute``.
        config: Its configuration as plain values, or None.
        path: The host's ``sys.path``.
    """

    target: str
    config: Any
    path: list[str]


class Call(msgspec.Struct, frozen=True, tag=True):
    """One call: which method, with what, and what its context says."""

    method: str
    message: Any
    topic: str
    plugin: str
    run_id: str | None
    step: str | None
    attempt: int
    remaining_s: float | None
    idempotency_key: str | None


class Progress(msgspec.Struct, frozen=True, tag=True):
    """How far the call has come."""

    done: float
    total: float | None
    text: str


class Answer(msgspec.Struct, frozen=True, tag=True):
    """The call's result as plain values."""

    result: Any


class Failure(msgspec.Struct, frozen=True, tag=True):
    """The call raised.

    Attributes:
        kind: The exception's type.
        code: Its code when it was a QtForgeError, else "".
        what: Its text.
        why: Its cause.
        fix: Its fix.
        traceback: For the log.
        retryable: The QtForgeError's own, else None.
        retry_after_s: The QtForgeError's own, in seconds, else None.
    """

    kind: str
    code: str
    what: str
    why: str
    fix: str
    traceback: str
    retryable: bool | None = None
    retry_after_s: float | None = None


_ENCODER = msgspec.msgpack.Encoder()


def frame(message: msgspec.Struct) -> bytes:
    """Return the message as bytes, its length first."""
    body = _ENCODER.encode(message)
    return HEADER.pack(len(body)) + body


def length_of(header: bytes) -> int:
    """Return how many bytes follow a header."""
    (length,) = HEADER.unpack(header)
    return int(length)
