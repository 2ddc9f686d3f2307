"""Encode records and messages as bytes, with large values apart."""

from __future__ import annotations

import datetime
import hashlib
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar, get_args

import msgspec

from qtforge_sdk import Record
from qtforge_sdk.journal import InboxMessage
from qtforge_sdk.journal_errors import RecordNotStorableError

__all__ = [
    "LARGE_BYTES",
    "Blob",
    "Encoded",
    "LoadBlob",
    "UnreadableError",
    "decode_message",
    "decode_record",
    "encode_message",
    "encode_record",
    "from_us",
    "to_us",
]

LARGE_BYTES: Final = 256 * 1024
"""A value whose encoding is longer than this is stored in a file of its own."""

LoadBlob = Callable[[bytes], bytes]
"""Returns the content of a blob by its sha256; raises `UnreadableError` when it is missing."""

S = TypeVar("S", bound=msgspec.Struct)

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_BLOB_CODE: Final = 66  # the msgpack extension type that replaces a large value
_ENCODER: Final = msgspec.msgpack.Encoder()
_VALUE_DECODER: Final = msgspec.msgpack.Decoder(Any)
_CANT_ENCODE: Final = (TypeError, ValueError, OverflowError, RecursionError)


class UnreadableError(Exception):
    """Stored bytes are not what was written; the text says why."""


class Blob(NamedTuple):
    """A large value.

    Attributes:
        sum: The sha256 of the content.
        content: The encoded value.
    """

    sum: bytes
    content: bytes


class Encoded(msgspec.Struct, frozen=True):
    """A record or message as it is stored."""

    payload: bytes
    checksum: int
    blobs: tuple[Blob, ...] = ()


class _BlobReference(NamedTuple):
    sum: bytes


def _read_extension(code: int, data: memoryview) -> object:
    if code == _BLOB_CODE:
        return _BlobReference(bytes(data))
    return msgspec.msgpack.Ext(code, bytes(data))


_RECORD_DECODER: Final = msgspec.msgpack.Decoder(Record, ext_hook=_read_extension)


_MESSAGE_DECODER: Final = msgspec.msgpack.Decoder(InboxMessage, ext_hook=_read_extension)


def _open_fields(type_: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(type_) if field.type is Any)


# The fields of any type, which may be large: input, data, result.
_OPEN_FIELDS: Final[Mapping[type, tuple[str, ...]]] = MappingProxyType(
    {type_: _open_fields(type_) for type_ in (*get_args(Record), InboxMessage)}
)


def to_us(at: datetime.datetime) -> int:
    """Return microseconds since 1970; a time without a zone is UTC.

    >>> to_us(datetime.datetime(1970, 1, 1, 0, 0, 1))
    1000000
    """
    return ((at if at.tzinfo else at.replace(tzinfo=datetime.UTC)) - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime.datetime:
    """Return the time of a number of microseconds since 1970, in UTC."""
    return _EPOCH + us * _MICROSECOND


def encode_record(record: Record) -> Encoded:
    """Encode a record.

    Raises:
        RecordNotStorableError: It holds a value that can't be encoded.
    """
    try:
        payload = _ENCODER.encode(record)
        if len(payload) > LARGE_BYTES:
            return _encode_apart(record, payload)
    except _CANT_ENCODE as error:
        kind = str(record.__struct_config__.tag)
        step = getattr(record, "step", "")
        name = f"{kind} {step}" if step else kind
        raise RecordNotStorableError(record.run_id, name, str(error)) from error
    return Encoded(payload, zlib.crc32(payload))


def encode_message(run_id: str, message: InboxMessage) -> Encoded:
    """Encode a message.

    Raises:
        RecordNotStorableError: It holds a value that can't be encoded.
    """
    try:
        payload = _ENCODER.encode(message)
        if len(payload) > LARGE_BYTES:
            return _encode_apart(message, payload)
    except _CANT_ENCODE as error:
        raise RecordNotStorableError(run_id, message.kind, str(error)) from error
    return Encoded(payload, zlib.crc32(payload))


def decode_record(payload: bytes, checksum: int, load: LoadBlob) -> Record:
    """Decode a stored record.

    Raises:
        UnreadableError: The bytes, or those of a large value, are not what was written.
    """
    _verify(payload, checksum)
    try:
        record: Record = _RECORD_DECODER.decode(payload)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise UnreadableError(f"it is not a record: {error}") from error
    return _restore(record, load)


def decode_message(payload: bytes, checksum: int, load: LoadBlob) -> InboxMessage:
    """Decode a stored message.

    Raises:
        UnreadableError: The bytes, or those of a large value, are not what was written.
    """
    _verify(payload, checksum)
    try:
        message = _MESSAGE_DECODER.decode(payload)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise UnreadableError(f"it is not a message: {error}") from error
    return _restore(message, load)


def _encode_apart(value: Any, payload: bytes) -> Encoded:
    """Encode a value with its large fields apart, if it has any."""
    blobs = []
    replaced: dict[str, object] = {}
    for name in _OPEN_FIELDS[type(value)]:
        content = _ENCODER.encode(getattr(value, name))
        if len(content) > LARGE_BYTES:
            blob = Blob(hashlib.sha256(content).digest(), content)
            blobs.append(blob)
            replaced[name] = msgspec.msgpack.Ext(_BLOB_CODE, blob.sum)
    if blobs:
        payload = _ENCODER.encode(msgspec.structs.replace(value, **replaced))
    return Encoded(payload, zlib.crc32(payload), tuple(blobs))


def _verify(payload: bytes, checksum: int) -> None:
    if zlib.crc32(payload) != checksum:
        raise UnreadableError("its checksum does not match its content")


def _restore(value: S, load: LoadBlob) -> S:
    found: dict[str, object] = {}
    for name in _OPEN_FIELDS[type(value)]:
        reference = getattr(value, name)
        if isinstance(reference, _BlobReference):
            found[name] = _VALUE_DECODER.decode(load(reference.sum))
    return msgspec.structs.replace(value, **found) if found else value
