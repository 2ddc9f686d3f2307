"""Messages between the host and a worker process: length-prefixed msgpack, never pickle."""

from __future__ import annotations

import struct
from typing import Any

import msgspec

__all__ = [
    "HEADER",
    "Answer",
    "Call",
    "Failure",
    "Hello",
    "Logged",
    "Progress",
    "frame",
    "length_of",
]

HEADER = struct.Struct(">Q")


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The first frame of the host: what the worker imports.

    Attributes:
        target: The plugin's entry point, ``module:attribute``.
        config: Its configuration as plain values, or None.
        path: The host's ``sys.path``.
        memory_bytes: How much memory the worker may take, with its children.
        log_level: Plugins' loggers log from this level on, as `logging` numbers it.
    """

    target: str
    config: Any
    path: list[str]
    memory_bytes: int
    log_level: int = 30


class Call(msgspec.Struct, frozen=True, tag=True):
    """One call: the method, its message, and the content of its context.

    ``trace`` is the context of its trace, as W3C headers.
    """

    method: str
    message: Any
    topic: str
    plugin: str
    run_id: str | None
    step: str | None
    attempt: int
    remaining_s: float | None
    idempotency_key: str | None
    trace: dict[str, str] = {}


class Progress(msgspec.Struct, frozen=True, tag=True):
    """The progress of a call."""

    done: float
    total: float | None
    text: str


class Logged(msgspec.Struct, frozen=True, tag=True):
    """What the code of a call has logged; ``level`` as `logging` numbers it."""

    logger: str
    level: int
    text: str


class Answer(msgspec.Struct, frozen=True, tag=True):
    """The result of a call, as plain values."""

    result: Any


class Failure(msgspec.Struct, frozen=True, tag=True):
    """The exception of a call.

    Attributes:
        code: The code of a QtForgeError, otherwise "".
        what: Its text; of another exception its type and its text.
        why: The cause of a QtForgeError, otherwise "".
        fix: The fix of a QtForgeError, otherwise "".
        traceback: The traceback, for the log.
        retryable: Whether a QtForgeError calls itself retryable, otherwise None.
        retry_after_s: The delay that a QtForgeError asks for, in seconds, otherwise None.
        out_of_memory: Whether it is a MemoryError.
        place: ``file:line`` of the plugin's code that raised another exception, otherwise "".
    """

    code: str
    what: str
    why: str
    fix: str
    traceback: str
    retryable: bool | None = None
    retry_after_s: float | None = None
    out_of_memory: bool = False
    place: str = ""


_ENCODER = msgspec.msgpack.Encoder()


def frame(message: msgspec.Struct) -> bytes:
    """Encode a message, with its length first."""
    body = _ENCODER.encode(message)
    return HEADER.pack(len(body)) + body


def length_of(header: bytes) -> int:
    """Return the number of bytes that follow a header."""
    (length,) = HEADER.unpack(header)
    return int(length)
