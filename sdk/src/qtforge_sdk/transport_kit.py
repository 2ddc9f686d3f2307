"""Build a transport: the frames of calls and their encoding, and errors that travel.

Frames are msgpack arrays, to which later versions append fields; an unknown one at the end is
ignored. Errors travel as their code and arguments, never as classes: what arrives is one of a
fixed set, and everything else becomes an `OperationError` with its code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from qtforge_sdk.errors import (
    BreakerOpenError,
    BusClosedError,
    HandlerFailedError,
    InvalidMessageError,
    NoHandlerError,
    OperationError,
    OverloadedError,
    PolicyOverloadedError,
    QtForgeError,
    RequestTimeoutError,
)
from qtforge_sdk.operations import AnswerSecrets
from qtforge_sdk.records import MOST_TRACEBACK
from qtforge_sdk.runs import AmendingAnswer, Amendment
from qtforge_sdk.transport import Broadcast, Envelope, Reply
from qtforge_sdk.validation import decoded

__all__ = [
    "AnswerFrame",
    "CallFrame",
    "CancelFrame",
    "FailureFrame",
    "GoneFrame",
    "LostFrame",
    "ProgressFrame",
    "QueryFrame",
    "Request",
    "Response",
    "answer_frame",
    "call_frame",
    "decode_broadcast",
    "decode_request",
    "decode_response",
    "encode",
    "encode_broadcast",
    "envelope_of",
    "error_of",
    "failure_frame",
    "reply_of",
]

_LARGEST_DELAY_S: Final = 366 * 86_400.0


class CallFrame(msgspec.Struct, frozen=True, array_like=True, tag="call"):
    """A request.

    Attributes:
        token: The call's id, unique among all calls of the node that asks.
        caller: The node that asks.
        topic: The topic.
        plugin: The plugin that is to answer it, or None.
        payload: The message.
        remaining_s: The time until the deadline, in seconds: clocks of machines differ.
        timeout_s: The timeout of the whole request, in seconds.
        run_id: See `Envelope`.
        step: See `Envelope`.
        attempt: See `Envelope`.
        idempotency_key: See `Envelope`.
        listens: Whether the caller wants progress.
        wrapped_by: See `Envelope`.
        trace: See `Envelope`.
    """

    token: str
    caller: str
    topic: str
    plugin: str | None
    payload: Any
    remaining_s: float
    timeout_s: float
    run_id: str | None = None
    step: str | None = None
    attempt: int = 1
    idempotency_key: str | None = None
    listens: bool = False
    wrapped_by: tuple[str, ...] = ()
    trace: dict[str, str] = {}


class CancelFrame(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """The caller does not wait any more."""

    token: str


class QueryFrame(msgspec.Struct, frozen=True, array_like=True, tag="query"):
    """The caller asks whether a call is in progress: its connection was away."""

    token: str


class AnswerFrame(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    """The answer of a call."""

    answer: Any
    served_by: tuple[str, str] | None = None
    secrets: AnswerSecrets | None = None
    amendments: list[Amendment] | None = None


class FailureFrame(msgspec.Struct, frozen=True, array_like=True, tag="failure"):
    """The error of a call: its code, its arguments, and what it says of another attempt."""

    code: str
    arguments: tuple[str | int | float | None, ...]
    retryable: bool | None = None
    retry_after_s: float | None = None
    place: str = ""
    excused: bool = False
    served_by: tuple[str, str] | None = None
    traceback: str = ""


class ProgressFrame(msgspec.Struct, frozen=True, array_like=True, tag="progress"):
    """The progress of a call."""

    done: float
    total: float | None
    text: str


class GoneFrame(msgspec.Struct, frozen=True, array_like=True, tag="gone"):
    """The node does not accept the call; nothing was done."""

    why: str = ""


class LostFrame(msgspec.Struct, frozen=True, array_like=True, tag="lost"):
    """The node does not know the call that a `QueryFrame` asks for."""


Request = CallFrame | CancelFrame | QueryFrame
"""What a node that asks sends."""
Response = AnswerFrame | FailureFrame | ProgressFrame | GoneFrame | LostFrame
"""What the node that answers sends."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_REQUESTS: Final = msgspec.msgpack.Decoder(Request)
_RESPONSES: Final = msgspec.msgpack.Decoder(Response)
_BROADCASTS: Final = msgspec.msgpack.Decoder(Broadcast)
encode: Final[Callable[[Any], bytes]] = _ENCODER.encode
"""Encode a frame, or any value that msgspec knows."""
_UNENCODABLE: Final = (TypeError, ValueError, OverflowError, RecursionError)


def decode_request(data: bytes) -> Request:
    """Decode what a node that asks has sent.

    Raises:
        msgspec.DecodeError: It is no such frame.
    """
    found: Request = decoded(_REQUESTS.decode, data)
    return found


def decode_response(data: bytes) -> Response:
    """Decode what a node that answers has sent.

    Raises:
        msgspec.DecodeError: It is no such frame.
    """
    found: Response = decoded(_RESPONSES.decode, data)
    return found


def call_frame(token: str, caller: str, envelope: Envelope, listens: bool) -> bytes:
    """Encode a call.

    Raises:
        InvalidMessageError: The message has a part that can't be sent.
    """
    frame = CallFrame(
        token,
        caller,
        envelope.topic,
        envelope.plugin,
        envelope.payload,
        envelope.deadline - time.monotonic(),
        envelope.timeout_s,
        envelope.run_id,
        envelope.step,
        envelope.attempt,
        envelope.idempotency_key,
        listens,
        envelope.wrapped_by,
        dict(envelope.trace),
    )
    try:
        return encode(frame)
    except _UNENCODABLE as error:
        raise InvalidMessageError(envelope.topic, _not_sendable(error)) from error


def envelope_of(frame: CallFrame) -> Envelope:
    """Return the request of a call, with its deadline on this machine's clock."""
    return Envelope(
        frame.topic,
        frame.payload,
        frame.timeout_s,
        time.monotonic() + min(max(frame.remaining_s, 0.0), _LARGEST_DELAY_S),
        frame.plugin,
        frame.run_id,
        frame.step,
        frame.attempt,
        frame.idempotency_key,
        wrapped_by=frame.wrapped_by,
        trace=frame.trace,
    )


def answer_frame(topic: str, reply: Reply) -> bytes:
    """Encode an answer; one that can't be sent becomes the error of the call."""
    answer, amendments = reply.answer, None
    if isinstance(answer, AmendingAnswer):
        answer, amendments = answer.answer, answer.amendments
    try:
        return encode(AnswerFrame(answer, reply.served_by, reply.secrets, amendments))
    except _UNENCODABLE as error:
        return failure_frame(InvalidMessageError(topic, _not_sendable(error), "response"))


def reply_of(frame: AnswerFrame) -> Reply:
    """Return the response of a call."""
    answer = frame.answer
    if frame.amendments is not None:
        answer = AmendingAnswer(answer=answer, amendments=frame.amendments)
    return Reply(answer=answer, served_by=frame.served_by, secrets=frame.secrets)


def failure_frame(error: BaseException, served_by: tuple[str, str] | None = None) -> bytes:
    """Encode an error; it can't fail.

    Args:
        error: A `QtForgeError`; of another exception only the type's name is sent.
        served_by: Name and version of the plugin that was chosen, or None.
    """
    if not isinstance(error, QtForgeError):
        error = OperationError("bus.remote_failed", f"the node failed: {type(error).__name__}")
    known = _ARGUMENTS.get(error.code)
    if known is not None and isinstance(error, known[0]):
        arguments = tuple(getattr(error, name) for name in known[1])
    else:
        arguments = (error.what, error.why, error.fix)
    return encode(
        FailureFrame(
            str(error.code),
            tuple(each if isinstance(each, float | int) else _text(each) for each in arguments),
            error.retryable,
            error.retry_after_s,
            _text(getattr(error, "place", "")),
            bool(getattr(error, "excused", False)),
            served_by,
            _text(getattr(error, "traceback", ""))[:MOST_TRACEBACK],
        )
    )


def error_of(frame: FailureFrame) -> QtForgeError:
    """Return the error of a call."""
    error = _known_error(frame) or _other_error(frame)
    error.retryable, error.retry_after_s = frame.retryable, frame.retry_after_s
    if isinstance(error, HandlerFailedError):
        error.place, error.traceback = frame.place, frame.traceback
    if isinstance(error, RequestTimeoutError):
        error.excused = frame.excused
    return error


def encode_broadcast(publication: Broadcast) -> bytes:
    """Encode a publication.

    Raises:
        InvalidMessageError: The message has a part that can't be sent.
    """
    try:
        return encode(publication)
    except _UNENCODABLE as error:
        raise InvalidMessageError(publication.topic, _not_sendable(error)) from error


def decode_broadcast(data: bytes) -> Broadcast:
    """Decode a publication.

    Raises:
        msgspec.DecodeError: It is none.
    """
    found: Broadcast = decoded(_BROADCASTS.decode, data)
    return found


_Known = tuple[type[QtForgeError], tuple[str, ...]]
# By its code, the class of an error and the attributes that are its arguments, in order.
_ARGUMENTS: Final[Mapping[str, _Known]] = MappingProxyType(
    {
        "bus.handler_failed": (
            HandlerFailedError,
            ("topic", "plugin", "version", "why", "cause_code", "fix"),
        ),
        "bus.timeout": (RequestTimeoutError, ("topic", "timeout_s", "plugin", "version", "why")),
        "bus.invalid_message": (InvalidMessageError, ("topic", "why", "role")),
        "bus.no_handler": (NoHandlerError, ("topic", "why", "fix")),
        "bus.overloaded": (OverloadedError, ("topic", "plugin", "version", "capacity")),
        "bus.closed": (BusClosedError, ("what", "why", "fix")),
        "policy.breaker_open": (BreakerOpenError, ("topic", "plugin", "closes_in_s")),
        "policy.overloaded": (PolicyOverloadedError, ("topic", "why")),
    }
)


def _known_error(frame: FailureFrame) -> QtForgeError | None:
    known = _ARGUMENTS.get(frame.code)
    if known is None or len(frame.arguments) != len(known[1]):
        return None
    try:
        made: QtForgeError = known[0](*frame.arguments)  # type: ignore[arg-type]
        return made
    except (TypeError, ValueError):  # arguments of the wrong type, such as a text for a number
        return None


def _other_error(frame: FailureFrame) -> QtForgeError:
    what, why, fix = (*map(_text, frame.arguments), "", "", "")[:3]
    return OperationError(_text(frame.code), what, why, fix)


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _not_sendable(error: BaseException) -> str:
    return f"it can't be sent to another node: {error}"
